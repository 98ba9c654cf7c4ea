"""A group is known by its own identity, whatever its name and place; what acts on another one does nothing."""

import pytest
from commands import document, mistake
from elsewhere import ANEW, GONE, everything, make_anew, rename
from fabricate import fabricate

from colora.queue.actions import begin_anew, requeue, retry
from colora.runs import trash
from colora.runs.folder import Group, read_json, same_group, write_json
from colora.runs.notes import write_notes
from colora.system.errors import UserError


def test_a_group_is_the_same_from_the_trash_and_under_another_name_and_another_one_made_anew(tmp_path):
    group = fabricate(tmp_path, "g", ["stopped"])
    place = trash.remove(group)
    assert Group(place).identity == group.identity
    trash.restore(tmp_path, "g")
    assert same_group(tmp_path / "g", group.identity).identity == group.identity
    make_anew(Group(group.path))
    with pytest.raises(UserError, match="g was removed elsewhere meanwhile, and another group has its name now"):
        same_group(group.path, group.identity)
    (group.path / "group.json").write_text("{")
    with pytest.raises(UserError, match=r"group\.json"):
        same_group(group.path, group.identity)


def test_an_older_group_has_an_identity_that_its_trash_keeps_and_a_new_one_does_not_share(tmp_path):
    def aged() -> Group:
        path = fabricate(tmp_path, "g", ["stopped"]).path
        info = read_json(path / "group.json")
        del info["identity"]
        write_json(path / "group.json", info | {"created": "2025-01-01T00:00:00Z"})
        return Group(path)

    group = aged()
    assert (
        Group(trash.remove(group)).identity == group.identity
    )  # its folder is still there, so no other has its number
    anew = aged()
    assert anew.identity != group.identity
    retry_with_a_new_seed(anew)
    assert Group(anew.path).identity == anew.identity


def retry_with_a_new_seed(group: Group) -> None:
    begin_anew(group, [7])
    assert [run.seed for run in Group(group.path).runs] == [0, 7]


def test_what_acts_on_a_group_refuses_another_one_under_its_lock(tmp_path):
    group = fabricate(tmp_path, "g", ["stopped"])
    _ = group.identity
    make_anew(group)
    before = everything(tmp_path)
    for act in (trash.remove, requeue, retry, lambda g: write_notes(g, "mine")):
        with pytest.raises(UserError, match="another group has its name now; nothing was done"):
            act(group)
    assert everything(tmp_path) == before


def test_commands_take_an_identity(capsys, tmp_path):
    group = fabricate(tmp_path, "g", ["queued"])
    known = group.identity
    which = ["g", "--runs-dir", tmp_path, f"--identity={known}"]
    moved = document(capsys, "queue", "move", *which, "--priority=3")
    assert [(row["group"], row["priority"]) for row in moved] == [("g", 3)]
    make_anew(group)
    before = everything(tmp_path)
    for job in (["stop"], ["resume"], ["retry"], ["rm"], ["note"], ["queue", "move"]):
        rest = {"note": ["--text=mine"], "queue": ["--first"]}.get(job[0], [])
        assert ANEW in mistake(capsys, *job, *which, *rest)
    assert everything(tmp_path) == before
    assert "--identity goes with one group." in mistake(capsys, "rm", "h", *which)
    rename(Group(group.path))
    assert f"g {GONE}" in mistake(capsys, "rm", *which)
    assert document(capsys, "note", "moved", "--runs-dir", tmp_path, "--text=his")["notes"] == "his"
