"""What readers decided: nothing is lost to a second process, a crash or an undo."""

import json
import os
import stat
import subprocess
import sys

import pytest
from queueing import PATIENCE_SECONDS

from colora.distillation.verdicts import (
    agreement,
    class_title,
    current,
    decide,
    journal,
    judge,
    own_reader,
    problems,
    readers,
    undo,
    verdicts_folder,
)
from colora.distillation.verdicts_csv import export_csv
from colora.system.errors import UserError
from colora.system.installation import ROOT

DATA, OTHER = "d" * 64, "e" * 64


def standing(runs, **which):
    table = current(runs, **which)
    return {(row.reader, row.image_id): row.verdict for row in table.itertuples()}


def test_a_verdict_stands_until_another_or_an_undo(tmp_path):
    judge(tmp_path, "ann", DATA, "train/1", "artefact", note="shadow")
    judge(tmp_path, "ann", DATA, "train/2", "hard")
    judge(tmp_path, "ann", DATA, "train/1", "wrong_label", label=2)
    assert standing(tmp_path) == {("ann", "train/1"): "wrong_label", ("ann", "train/2"): "hard"}
    assert undo(tmp_path, "ann")["verdict"] == "wrong_label"
    row = current(tmp_path).iloc[0]
    assert (row["verdict"], row["note"], row["image_id"], row["data_checksum"]) == (
        "artefact",
        "shadow",
        "train/1",
        DATA,
    )
    assert undo(tmp_path, "ann", image_id="train/1")["verdict"] == "artefact"
    assert undo(tmp_path, "ann", data_checksum=OTHER) is None
    assert standing(tmp_path) == {("ann", "train/2"): "hard"}
    assert undo(tmp_path, "ann")["image_id"] == "train/2"
    assert undo(tmp_path, "ann") is None
    assert [event["action"] for event in journal(tmp_path, "ann").events] == ["judge"] * 3 + ["undo"] * 3


def test_undo_of_one_event_takes_back_that_or_nothing(tmp_path):
    """A verdict that was given elsewhere meanwhile is nobody's to take back unseen."""
    first = judge(tmp_path, "ann", DATA, "a", "fine", tab="one")
    second = judge(tmp_path, "ann", DATA, "a", "hard", tab="two")
    assert (first["tab"], current(tmp_path)["tab"].tolist()) == ("one", ["two"])
    assert current(tmp_path)["id"].tolist() == [second["id"]]
    with pytest.raises(UserError, match="ann has judged this image anew since, truly hard, in another window"):
        undo(tmp_path, "ann", DATA, "a", event_id=first["id"])
    assert standing(tmp_path) == {("ann", "a"): "hard"}
    assert undo(tmp_path, "ann", DATA, "a", event_id=second["id"]) == second
    with pytest.raises(UserError, match="ann's verdict was taken back already"):
        undo(tmp_path, "ann", DATA, "a", event_id=second["id"])
    assert undo(tmp_path, "ann", DATA, "a", event_id=first["id"]) == first
    with pytest.raises(UserError, match="ann's verdict was taken back already"):
        undo(tmp_path, "ann", DATA, "a", event_id=first["id"])
    assert len(journal(tmp_path, "ann").events) == 4


def test_lines_of_before_tabs_were_told_apart_stand_and_export_as_they_did(tmp_path):
    event = judge(tmp_path, "ann", DATA, "a", "hard", tab="one")
    path = verdicts_folder(tmp_path) / "ann.jsonl"
    path.write_text(json.dumps({name: value for name, value in event.items() if name != "tab"}) + "\n")
    assert standing(tmp_path) == {("ann", "a"): "hard"} and problems(tmp_path) == []
    export_csv(tmp_path, tmp_path / "out.csv")
    head = "reader,image_id,verdict,label,note,time,user,data_checksum,imported_by,seen"
    assert (tmp_path / "out.csv").read_text().splitlines()[0] == head
    assert undo(tmp_path, "ann")["image_id"] == "a"


def test_readers_and_data_sets_are_apart(tmp_path):
    judge(tmp_path, "ann", DATA, "a", "fine")
    judge(tmp_path, "bob", DATA, "a", "artefact")
    judge(tmp_path, "bob", OTHER, "a", "hard")
    assert readers(tmp_path) == ["ann", "bob"]
    assert standing(tmp_path, data_checksum=DATA) == {("ann", "a"): "fine", ("bob", "a"): "artefact"}
    assert standing(tmp_path, reader="bob", data_checksum=OTHER) == {("bob", "a"): "hard"}
    assert current(tmp_path, reader="carl").empty


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"verdict": "good"}, "There is no verdict 'good': known are wrong_label, artefact, hard, fine."),
        ({"verdict": "hard", "label": 1}, "A right class goes with the verdict wrong_label, not with hard."),
        ({"label": -1}, "The right class is a class number from 0 on, got -1."),
        ({"reader": "../ann"}, "'../ann' cannot name a reader"),
        ({"image_id": ""}, "A verdict names an image"),
        ({"note": "x" * 2001}, "A note has up to 2,000 characters; this one has 2,001."),
    ],
)
def test_what_is_no_verdict_is_said_and_writes_nothing(tmp_path, change, sentence):
    values = {"reader": "ann", "data_checksum": DATA, "image_id": "a", "verdict": "wrong_label", **change}
    with pytest.raises(UserError, match=sentence.replace("(", r"\(")):
        judge(tmp_path, **values)
    assert readers(tmp_path) == []


def test_a_name_at_the_keyboard_becomes_a_readers_name(monkeypatch):
    monkeypatch.setenv("COLORA_USER", "Dr. Ann Müller <ann@clinic.org>")
    assert own_reader() == "Dr.-Ann-M-ller-ann-clinic.org-"
    monkeypatch.setenv("COLORA_USER", "../..")
    assert own_reader() == "reader"


@pytest.mark.parametrize("torn", [b'{"id": "5", "action": "ju', b"\xff\xfe"])
def test_half_a_last_line_is_said_left_out_and_damages_nothing_further(tmp_path, torn):
    judge(tmp_path, "ann", DATA, "a", "hard")
    path = verdicts_folder(tmp_path) / "ann.jsonl"
    with open(path, "ab") as file:
        file.write(torn)
    assert standing(tmp_path) == {("ann", "a"): "hard"}
    assert problems(tmp_path) == [
        f"{path}, line 2, is cut off (a crash, or it is being written now) and was left out; the other lines count."
    ]
    judge(tmp_path, "ann", DATA, "b", "fine")
    assert standing(tmp_path) == {("ann", "a"): "hard", ("ann", "b"): "fine"}
    assert problems(tmp_path) == [f"{path}, line 2, is no event and was left out; the other lines count."]


@pytest.mark.parametrize(
    "change",
    [
        {"action": "undo"},  # of nothing
        {"action": "undo", "undoes": 5},
        {"action": "move"},
        {"verdict": "good"},
        {"label": "CNV"},
        {"label": -1},
        {"verdict": "hard", "label": 1},
        {"note": None},
        {"time": None},
        {"imported": "yes"},
        {"tab": 5},
        {"image_id": ["a"]},
    ],
)
def test_a_line_that_lacks_what_its_action_needs_is_said_and_left_out(tmp_path, change):
    event = judge(tmp_path, "ann", DATA, "a", "wrong_label")
    path = verdicts_folder(tmp_path) / "ann.jsonl"
    with open(path, "a") as file:
        file.write(json.dumps(event | {"id": "other", "image_id": "b"} | change) + "\n")
    assert standing(tmp_path) == {("ann", "a"): "wrong_label"}
    assert problems(tmp_path) == [f"{path}, line 2, is no event and was left out; the other lines count."]
    assert undo(tmp_path, "ann")["image_id"] == "a"


def test_a_verdict_is_on_the_disk_before_judge_returns(tmp_path, monkeypatch):
    synced, fsync = [], os.fsync

    def noted(handle):
        fsync(handle)
        synced.append((stat.S_ISDIR(os.fstat(handle).st_mode), path.read_text().count("\n") if path.exists() else 0))

    path = verdicts_folder(tmp_path) / "ann.jsonl"
    monkeypatch.setattr(os, "fsync", noted)
    judge(tmp_path, "ann", DATA, "a", "hard")
    assert synced == [(False, 1), (True, 1)]  # the line, and the folder that has a new file in it
    judge(tmp_path, "ann", DATA, "b", "hard")
    undo(tmp_path, "ann")
    assert synced[2:] == [(False, 2), (False, 3)]


def test_processes_of_two_readers_and_of_one_lose_nothing(tmp_path):
    script = """
import sys
from pathlib import Path
from colora.distillation.verdicts import judge, undo
runs, reader, mark = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
print("ready", flush=True)
sys.stdin.readline()
for i in range(20):
    judge(runs, reader, "d" * 64, f"{mark}-{i}", "hard", note="n" * 300)
    if i % 10 == 9:
        judge(runs, reader, "d" * 64, f"{mark}-{i}", "fine")
"""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path), reader, mark],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        )
        for reader, mark in (("ann", "x"), ("ann", "y"), ("bob", "z"))
    ]  # fmt: skip
    for process in started:
        assert process.stdout.readline() == "ready\n"
    for process in started:
        process.communicate("go\n", timeout=PATIENCE_SECONDS)
        assert process.returncode == 0
    assert problems(tmp_path) == []
    found = standing(tmp_path)
    assert len(found) == 60
    assert sum(verdict == "fine" for verdict in found.values()) == 6
    assert len(journal(tmp_path, "ann").events) == 44
    lines = (verdicts_folder(tmp_path) / "ann.jsonl").read_text().splitlines()
    assert len({json.loads(line)["id"] for line in lines}) == 44


def test_cohens_kappa_of_two_readers(tmp_path):
    ann = ["artefact"] * 4 + ["hard"] * 4 + ["fine"] * 2
    bob = ["artefact"] * 3 + ["hard"] + ["hard"] * 3 + ["fine"] + ["fine"] * 2
    for i, (a, b) in enumerate(zip(ann, bob, strict=True)):
        judge(tmp_path, "ann", DATA, f"i{i}", a)
        judge(tmp_path, "bob", DATA, f"i{i}", b)
    judge(tmp_path, "ann", DATA, "alone", "fine")
    found = agreement(tmp_path, "ann", "bob")
    by_chance = (4 * 3 + 4 * 4 + 2 * 3) / 100
    assert (found["n"], found["agreed"]) == (10, 0.8)
    assert found["kappa"] == pytest.approx((0.8 - by_chance) / (1 - by_chance))
    assert found["says"] == "ann and bob agree on 8 of 10 images both judged; Cohen's kappa 0.70."
    assert found["table"]["artefact"] == {"artefact": 3, "hard": 1}


def test_kappa_where_it_is_not_defined_and_wrong_labels_that_differ(tmp_path):
    judge(tmp_path, "ann", DATA, "a", "wrong_label", label=1)
    judge(tmp_path, "bob", DATA, "b", "fine")
    assert agreement(tmp_path, "ann", "bob")["says"] == "ann and bob have judged no image both."
    judge(tmp_path, "bob", DATA, "a", "wrong_label", label=1)
    found = agreement(tmp_path, "ann", "bob")
    assert (found["kappa"], found["agreed"]) == (None, 1.0)
    judge(tmp_path, "bob", DATA, "a", "wrong_label", label=2)
    assert agreement(tmp_path, "ann", "bob")["agreed"] == 0.0
    with pytest.raises(UserError, match=r"There is no reader 'eve' .* there are: ann, bob"):
        agreement(tmp_path, "ann", "eve")


def test_what_several_readers_come_to(tmp_path):
    for reader, image, verdict, label in (
        ("ann", "agreed", "wrong_label", 2), ("bob", "agreed", "wrong_label", 2),
        ("ann", "contradicted", "wrong_label", 2), ("bob", "contradicted", "fine", None),
        ("ann", "unknown", "wrong_label", None), ("bob", "one word", "artefact", None),
        ("ann", "one word", "fine", None),
        ("ann", "two classes", "wrong_label", 2), ("bob", "two classes", "wrong_label", 1),
        ("ann", "called hard", "wrong_label", 2), ("bob", "called hard", "hard", None),
        ("ann", "not sure", "wrong_label", 2), ("bob", "not sure", "wrong_label", None),
        ("ann", "spoilt too", "wrong_label", 3), ("bob", "spoilt too", "artefact", None),
    ):  # fmt: skip
        judge(tmp_path, reader, DATA, image, verdict, label)
    decision = decide(current(tmp_path, DATA))
    assert decision.labels == {"agreed": 2, "not sure": 2, "spoilt too": 3}  # nobody holds the given one for right
    assert decision.contradicted == ["called hard", "contradicted", "two classes"]
    assert decision.unnamed == ["unknown"]
    assert decision.said["one word"] == {"artefact", "fine"}


def test_a_right_class_that_the_data_do_not_have_is_said_by_its_number():
    assert [class_title(c, ["A", "B"]) for c in (1, 2, -1)] == ["B", "class 2, unknown", "class -1, unknown"]


def test_where_nobody_has_judged_that_is_said(tmp_path):
    with pytest.raises(UserError, match=r"There is no reader 'ann' .*; nobody has given a verdict yet\."):
        agreement(tmp_path, "ann", "bob")
