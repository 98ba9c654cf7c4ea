"""One line a group: its figures are those of the summary, and nothing is read that nobody asks for."""

import pytest
from fabricate import damage, fabricate

from colora.results.overview import Line, lines
from colora.results.summary import group_summary
from colora.runs.audit import recorded
from colora.runs.folder import Group, write_json
from colora.runs.notes import read_notes, write_notes
from colora.system.errors import UserError


def names(found: list[Line]) -> list[str]:
    return [line.name for line in found]


@pytest.mark.parametrize("selection", ["validation", "paper"])
def test_a_line_has_the_figures_of_the_summary(tmp_path, selection):
    group = fabricate(tmp_path, "g", ["done", "running", "failed"], {"selection": selection, "epochs": 9})
    line, summary = Line(group), group_summary(group)
    for metric in ("accuracy", "auc"):
        assert line.spread(metric).as_dict() == summary["over_seeds"]["test"][metric]
    assert [row["epoch"] for row in line.selected] == [summary["seeds"][0]["selected_epoch"]]
    assert line.data == ("phantom (synthetic)", True)
    assert line.progress == pytest.approx((1 + 4.5 / 9 + 4 / 9) / 3)


def test_a_line_names_the_seeds_that_are_not_well(tmp_path):
    group = fabricate(tmp_path, "g", ["done", "failed", "done", "lost", "failed"])
    assert Line(group).seeds_text() == "2 of 5 · failed: 1, 4 · lost: 3"


def test_before_the_first_epoch_there_are_no_figures(tmp_path):
    line = Line(fabricate(tmp_path, "g", ["queued"], {"dataset": "npz:/data/a.npz"}))
    assert (line.spread("accuracy"), line.data, line.damage) == (None, ("npz:/data/a.npz", False), None)


def test_damage_is_a_sentence(tmp_path):
    half = fabricate(tmp_path, "a", ["done", "done"])
    damage(half)
    assert "status.json cannot be read" in Line(Group(half.path)).damage
    other = fabricate(tmp_path, "bare", ["done"])
    write_json(other.path / "group.json", {"seeds": [0]})
    assert "group.json lacks 'config'" in Line(Group(other.path)).damage
    assert names(lines(tmp_path, search="bare")) == ["bare"]


def test_search_states_and_order(tmp_path):
    fabricate(tmp_path, "first", ["done"], {"method": "head"}, epochs_done=2)
    fabricate(tmp_path, "second", ["done"], {"epochs": 12})
    noted = fabricate(tmp_path, "third", ["failed"], {"dataset": "npz:/data/octmnist_224.npz"})
    write_notes(noted, "Baseline for the poster")
    assert names(lines(tmp_path, "HEAD only")) == ["first"]
    assert names(lines(tmp_path, "resnet-18 octmnist")) == ["third"]
    assert names(lines(tmp_path, "poster")) == ["third"]
    assert names(lines(tmp_path, "poster head")) == []
    assert names(lines(tmp_path, states=["failed", "lost"])) == ["third"]
    assert sorted(names(lines(tmp_path))) == ["first", "second", "third"]
    assert names(lines(tmp_path, sort="name")) == ["first", "second", "third"]
    assert names(lines(tmp_path, sort="oldest")) == names(lines(tmp_path))[::-1]
    best, worse, unfinished = (line.spread("accuracy") for line in lines(tmp_path, sort="accuracy"))
    assert best.median > worse.median and unfinished is None


def test_newest_first_reads_no_run(tmp_path, monkeypatch):
    fabricate(tmp_path, "a", ["queued"])
    monkeypatch.setattr("colora.runs.folder.Run.status", property(lambda self: pytest.fail("a run was read")))
    assert names(lines(tmp_path)) == ["a"]


def test_notes_are_kept_replaced_removed_and_audited(tmp_path):
    group = fabricate(tmp_path, "g", ["queued"])
    assert read_notes(group) == ""
    write_notes(group, "  for the 2nd reader\nwith ü  ")
    assert read_notes(group) == "for the 2nd reader\nwith ü\n"
    write_notes(group, "")
    assert read_notes(group) == "" and not (group.path / "notes.txt").exists()
    assert [(line["action"], line["group"]) for line in recorded(tmp_path)] == [("note", "g")] * 2
    with pytest.raises(UserError, match="at most 10,000 characters; this one has 10,001"):
        write_notes(group, "x" * 10_001)
