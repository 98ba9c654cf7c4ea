"""Many verdicts taken back at once, and brought back: nothing is deleted, and nobody else's verdict is touched."""

import json
import time
from datetime import UTC, datetime

import pytest
from commands import document, mistake

from colora.cli.main import main
from colora.distillation.journals import not_undone
from colora.distillation.removal import bring_back, moment, remove
from colora.distillation.verdicts import current, journal, judge, problems, undo, verdicts_folder
from colora.distillation.verdicts_csv import import_csv
from colora.runs.audit import recorded
from colora.system.errors import UserError

DATA, OTHER = "d" * 64, "e" * 64


@pytest.fixture
def runs(tmp_path):
    """ann has judged a twice and b, bob a, and carl, long ago, a and c of other data."""
    judge(tmp_path, "ann", DATA, "a", "hard")
    judge(tmp_path, "ann", DATA, "a", "wrong_label", label=2, note="cyst")
    judge(tmp_path, "ann", DATA, "b", "fine")
    judge(tmp_path, "bob", DATA, "a", "artefact")
    head = "reader,image_id,verdict,data_checksum,time\n"
    old = f"carl,a,fine,{OTHER},2020-05-31T23:30:00Z\ncarl,c,fine,{OTHER},2020-06-01T00:30:00Z\n"
    import_csv(tmp_path, (head + old).encode())
    return tmp_path


def standing(runs):
    return sorted((row.reader, row.image_id, row.verdict) for row in current(runs).itertuples())


ALL = [
    ("ann", "a", "wrong_label"), ("ann", "b", "fine"), ("bob", "a", "artefact"), ("carl", "a", "fine"),
    ("carl", "c", "fine"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("which", "gone", "earlier"),
    [
        ({"reader": "ann"}, {0, 1}, 1),
        ({"image_id": "a"}, {0, 2, 3}, 1),
        ({"reader": "ann", "image_id": "a"}, {0}, 1),
        ({"reader": "carl", "after": moment("2020-06-01")}, {4}, 0),
        ({"before": moment("2020-06-01")}, {3}, 0),
        ({"before": moment("2020-06-01T02:30+02:00")}, {3}, 0),
        ({"after": moment("2020-06-01T00:30:00"), "before": moment("2020-06-02")}, {4}, 0),
        ({"after": moment("2021-01-01"), "image_id": "a"}, {0, 2}, 1),
        ({"reader": "carl", "after": moment("2021-01-01")}, set(), 0),
    ],
)
def test_what_fits_all_that_is_named_is_taken_back_and_comes_back_as_it_stood(runs, which, gone, earlier):
    before = current(runs)
    found = remove(runs, **which)
    assert standing(runs) == [row for i, row in enumerate(ALL) if i not in gone]
    assert (found["removed"], found["earlier"], found["problems"]) == (len(gone), earlier, [])
    assert (found["removal"] is None) == (not gone)
    if gone:
        back = bring_back(runs, found["removal"])
        assert back == {"removal": found["removal"], "readers": found["readers"], "restored": len(gone), "problems": []}
    assert current(runs).equals(before)


def test_a_verdict_given_since_stands_and_what_was_removed_comes_up_no_more_when_it_is_undone(runs):
    found = remove(runs, "ann")
    judge(runs, "ann", DATA, "a", "fine")
    assert undo(runs, "ann", DATA, "a")["verdict"] == "fine"
    assert ("ann", "a") not in [row[:2] for row in standing(runs)]
    judge(runs, "ann", DATA, "a", "artefact")
    assert bring_back(runs, found["removal"])["readers"] == {"ann": 1}
    assert ("ann", "a", "artefact") in standing(runs) and ("ann", "b", "fine") in standing(runs)
    assert undo(runs, "ann", DATA, "a")["verdict"] == "artefact"
    assert ("ann", "a", "wrong_label") in standing(runs)


def test_removals_are_brought_back_each_once_and_without_a_name_the_last_one(runs):
    first = remove(runs, "ann")["removal"]
    time.sleep(0.002)  # an event's time is to the millisecond
    second = remove(runs, "bob")["removal"]
    assert bring_back(runs)["removal"] == second
    assert bring_back(runs)["removal"] == first
    assert standing(runs) == ALL
    with pytest.raises(UserError, match="No verdicts are removed in"):
        bring_back(runs)
    with pytest.raises(UserError, match=f"The removal '{first}' was brought back already"):
        bring_back(runs, first)
    again = remove(runs, "ann")["removal"]
    with pytest.raises(UserError, match=rf"The removal 'other' is not in .*; there is {again}\."):
        bring_back(runs, "other")
    assert bring_back(runs, again)["restored"] == 2 and standing(runs) == ALL


def test_each_is_an_event_and_nothing_that_was_written_changes(runs):
    path = verdicts_folder(runs) / "ann.jsonl"
    before = path.read_text()
    removal = remove(runs, "ann")["removal"]
    bring_back(runs)
    added = path.read_text().removeprefix(before)
    assert len(path.read_text()) == len(before) + len(added)
    events = [json.loads(line) for line in added.splitlines()]
    assert [event["action"] for event in events] == ["undo"] * 3 + ["restore"]
    assert {event["removal"] for event in events} == {removal}
    given = [json.loads(line)["id"] for line in before.splitlines()]
    assert [event["undoes"] for event in events[:3]] == given
    actions = [(line["action"], line["detail"]["removal"]) for line in recorded(runs)]
    assert actions[-2:] == [("verdicts-rm", removal), ("verdicts-rm-undo", removal)]


def test_a_version_that_knows_no_removals_reads_all_but_the_bringing_back(runs):
    """It leaves out the action that it does not know, and undoes what the undos name."""
    remove(runs, "ann", "a")
    bring_back(runs)
    known = [event for event in journal(runs, "ann").events if event["action"] in ("judge", "undo")]
    undone = {event["undoes"] for event in known if event["action"] == "undo"}
    theirs = [event["image_id"] for event in known if event["action"] == "judge" and event["id"] not in undone]
    assert theirs == ["b"]
    assert [event["image_id"] for event in not_undone(journal(runs, "ann").events)] == ["a", "a", "b"]


def test_one_readers_trouble_keeps_no_others_verdicts_from_being_taken_back(runs):
    (verdicts_folder(runs) / "eve.jsonl").mkdir()
    found = remove(runs, image_id="a")
    assert found["readers"] == {"ann": 1, "bob": 1, "carl": 1}
    assert len(found["problems"]) == 1 and "eve.jsonl cannot be read (it is a folder)" in found["problems"][0]
    with pytest.raises(UserError, match="it is a folder"):
        remove(runs, "eve")
    assert bring_back(runs)["restored"] == 3


def test_a_verdict_that_does_not_say_when_it_was_given_fits_no_time(runs):
    event = journal(runs, "bob").events[0] | {"id": "1", "image_id": "z", "time": "yesterday"}
    with open(verdicts_folder(runs) / "bob.jsonl", "a") as file:
        file.write(json.dumps(event) + "\n")
    assert remove(runs, "bob", before=datetime.max.replace(tzinfo=UTC))["readers"] == {"bob": 1}
    assert remove(runs, "bob")["readers"] == {"bob": 1} and problems(runs) == []


def test_the_command_says_how_many_and_how_they_come_back(runs, capsys):
    where = ["--runs-dir", runs]
    found = document(capsys, "verdicts", "rm", "--reader", "ann", *where)
    assert (found["removed"], found["earlier"]) == (2, 1)
    assert document(capsys, "verdicts", "rm", "--undo", *where)["restored"] == 2
    assert main(["verdicts", "rm", "--image", "a", "--after", "2021-01-01", "--runs-dir", str(runs)]) == 0
    removal = recorded(runs)[-1]["detail"]["removal"]
    said = "2 verdicts taken back, and 1 that had been replaced; colora verdicts rm --undo"
    assert capsys.readouterr().out == f"{said} {removal} brings them back\n"
    assert main(["verdicts", "rm", "--undo", removal, "--runs-dir", str(runs)]) == 0
    assert capsys.readouterr().out == "2 verdicts stand again\n"
    assert main(["verdicts", "rm", "--reader", "bob", "--before", "2021-01-01", "--runs-dir", str(runs)]) == 0
    assert capsys.readouterr().out == "No verdict fits; nothing was taken back.\n"
    assert standing(runs) == ALL


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "Say which verdicts: name a reader, an image, a time, or several of these."),
        (["--reader", "eve"], "There is no reader 'eve' in"),
        (["--reader", "../ann"], "'../ann' cannot name a reader"),
        (["--after", "yesterday"], "a time is such as 2026-01-31T12:00; got 'yesterday'"),
        (["--undo", "--reader", "ann"], "--undo goes with a removal alone"),
        (["abc"], "'abc' names a removal, which goes with --undo."),
        (["--undo"], "No verdicts are removed in"),
    ],
)
def test_what_is_no_removal_is_one_line(runs, capsys, arguments, sentence):
    assert sentence in mistake(capsys, "verdicts", "rm", *arguments, "--runs-dir", runs)
    assert standing(runs) == ALL
