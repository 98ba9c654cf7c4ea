"""The trash: a link is nobody else's folder, and one entry's trouble is no other's."""

import os
import shutil

import pytest
from commands import document, mistake
from fabricate import fabricate

from colora.cli.main import main
from colora.data.cuts import cuts_folder
from colora.queue.actions import retry
from colora.runs.audit import recorded
from colora.runs.folder import Group, open_group, read_json, write_json
from colora.runs.trash import (
    GOING,
    delete,
    empty,
    free_name,
    listed,
    put_back,
    remove,
    removers,
    restore,
    size_of,
    to_trash,
    trash_folder,
)
from colora.system.errors import Incomplete, UserError


@pytest.fixture
def runs(tmp_path):
    (tmp_path / "runs").mkdir()
    return tmp_path / "runs"


@pytest.fixture
def linked(runs, tmp_path):
    """A group `elsewhere`, which the runs folder has as a link."""
    there = fabricate(tmp_path / "others", "elsewhere", ["done"]).path
    (runs / "linked").symlink_to(there)
    return there


def content(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def refusing(monkeypatch, *names):
    """Let the system refuse to delete what belongs to these."""
    real = shutil.rmtree

    def rmtree(path, *args, **kwargs):
        if any(f"{name}." in str(path) for name in names):
            raise PermissionError(13, "Permission denied", os.path.join(path, "log.txt"))
        real(path, *args, **kwargs)

    monkeypatch.setattr("shutil.rmtree", rmtree)


def test_a_group_that_is_a_link_goes_and_comes_back_as_a_link(runs, linked):
    before = content(linked)
    place = remove(open_group(runs / "linked"))
    assert place.is_symlink() and not os.path.lexists(runs / "linked")
    (entry,) = listed(runs)
    assert (entry.kind, entry.title, size_of(entry)) == ("group", "linked", len(str(linked)))
    assert restore(runs, "linked").is_symlink() and content(linked) == before
    remove(open_group(runs / "linked"))
    assert empty(runs) == 1
    assert listed(runs) == [] and content(linked) == before and content(trash_folder(runs)) == []


def test_a_link_to_nothing_is_listed_put_back_and_deleted(runs, linked):
    remove(open_group(runs / "linked"))
    shutil.rmtree(linked)
    assert put_back(runs, listed(runs)[0]).is_symlink()
    with pytest.raises(UserError, match="A group named 'linked' exists already"):
        fabricate(runs, "linked", ["queued"])
    to_trash(runs, runs / "linked", "linked")
    (runs / "linked").symlink_to(linked)  # another one has the name now
    assert free_name(runs, listed(runs)[0]) == "linked-2"
    with pytest.raises(UserError, match="it has taken the name"):
        put_back(runs, listed(runs)[0])
    delete(runs, listed(runs)[0])
    assert listed(runs) == []


def test_what_lies_behind_a_link_in_the_trash_is_neither_read_nor_measured(runs, linked, monkeypatch):
    group = fabricate(runs, "own", ["done"])
    (group.path / "seed-00" / "scans").symlink_to(linked)
    remove(group)
    trash_folder(runs).joinpath("by-hand").symlink_to(linked.parent)
    whole = sum(path.lstat().st_size for path in trash_folder(runs).rglob("*") if path.is_file() or path.is_symlink())
    assert sum(map(size_of, listed(runs))) == whole
    before = content(linked)
    assert empty(runs) == 2
    assert content(linked) == before


def test_a_seed_that_is_a_link_is_moved_as_one_when_it_is_trained_anew(runs, linked, monkeypatch):
    monkeypatch.setattr("colora.queue.actions.ensure_supervisor", lambda _: 1)
    group, before = fabricate(runs, "own", ["failed", "failed"]), content(linked)
    (elsewhere := linked / "seed-00").joinpath("status.json").write_text("{}")
    shutil.rmtree(group.runs[0].path)
    group.runs[0].path.symlink_to(elsewhere)
    shutil.rmtree(group.runs[1].path)
    group.runs[1].path.symlink_to("/nowhere")
    retry(Group(group.path))
    assert [run.state for run in Group(group.path).runs] == ["queued", "queued"]
    assert not any(run.path.is_symlink() for run in group.runs)
    assert [entry.kind for entry in listed(runs)] == ["seed", "seed"]
    assert empty(runs) == 2 and content(linked) == before


def test_a_cut_that_is_a_link_comes_back_under_its_own_name_only(runs, tmp_path):
    write_json(tmp_path / "shared.json", {"name": "hard"})
    cuts_folder(runs).mkdir(parents=True)
    (place := cuts_folder(runs) / "hard.json").symlink_to(tmp_path / "shared.json")
    to_trash(runs, place, "hard.cut")
    (entry,) = listed(runs)
    assert entry.kind == "cut"
    with pytest.raises(UserError, match="the cut hard is a link to a file elsewhere"):
        put_back(runs, entry, "harder")
    assert put_back(runs, entry).is_symlink()
    assert read_json(tmp_path / "shared.json") == {"name": "hard"}


def test_one_entry_that_cannot_be_deleted_keeps_no_other_and_is_named_with_its_reason(runs, monkeypatch, capsys):
    for name in ("a", "b", "c"):
        remove(fabricate(runs, name, ["done"]))
    a, b, c = (entry.path.name for entry in listed(runs))
    refusing(monkeypatch, "b")
    assert main(["trash", "empty", "--runs-dir", str(runs)]) == 1
    said = f"colora trash: 2 deleted for good; not deleted for good: {b} (Permission denied: log.txt).\n"
    assert capsys.readouterr().err == said
    assert listed(runs) == []  # half of it may be gone: nobody puts that back
    assert recorded(runs)[-1]["detail"] == {"removed": [a, c], "failed": [b]}
    with pytest.raises(Incomplete, match=f"Not deleted for good: {b} .in part only, Permission denied: log.txt"):
        empty(runs)
    monkeypatch.undo()
    assert empty(runs) == 0 and content(trash_folder(runs)) == []


def test_of_the_entries_that_are_named_the_others_are_deleted_too(runs, monkeypatch, capsys):
    for name in ("a", "b", "c"):
        remove(fabricate(runs, name, ["done"]))
    entries = listed(runs)
    refusing(monkeypatch, "a")
    names = [entry.path.name for entry in entries]
    assert main(["trash", "delete", *names, "--runs-dir", str(runs), "--json"]) == 1
    out, err = capsys.readouterr()
    assert (out, err.count("\n")) == ("", 1) and f"2 deleted for good; not deleted for good: {names[0]} (" in err
    assert recorded(runs)[-1] | {"action": "delete"} == recorded(runs)[-1]
    assert recorded(runs)[-1]["detail"] == {"removed": names[1:], "failed": names[:1]}
    assert "There is no 'b'" in mistake(capsys, "trash", "delete", "b", "--runs-dir", runs)


def test_what_somebody_else_has_deleted_meanwhile_stops_nothing(runs, monkeypatch):
    for name in ("a", "b"):
        remove(fabricate(runs, name, ["done"]))
    seen = listed(runs)
    monkeypatch.setattr("colora.runs.trash.listed", lambda _: seen)
    shutil.rmtree(seen[0].path)
    with pytest.raises(Incomplete, match=r"1 deleted for good; not deleted for good: a.* is not in the trash any more"):
        empty(runs)
    assert not any(entry.path.exists() for entry in seen)


def test_a_link_among_what_an_earlier_deletion_has_left_is_unlinked(runs, linked):
    trash_folder(runs).mkdir(parents=True)
    (trash_folder(runs) / f"{GOING}old").symlink_to(linked)
    before = content(linked)
    assert empty(runs) == 0
    assert content(linked) == before and content(trash_folder(runs)) == []


def test_who_removed_it_is_told_as_far_as_the_audit_log_can_be_read(runs, capsys):
    remove(fabricate(runs, "a", ["done"]))
    name = listed(runs)[0].path.name
    log = runs / ".colora" / "audit.jsonl"
    with open(log, "a") as file:
        file.write('{"action": "rm"}\n{"action": "rm", "detail": 5, "user": "x"}\n')
        file.write('{"action": "rm", "detail": {"trash": [5]}, "user": "x"}\n')
    assert list(removers(runs)) == [name]
    log.write_text("no JSON\n")
    assert removers(runs) == {}
    assert document(capsys, "trash", "--runs-dir", runs)[0]["by"] is None
