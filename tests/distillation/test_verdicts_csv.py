"""Verdicts as CSV: what goes out comes back, from a spreadsheet too; a file that is wrong somewhere adds nothing."""

import csv
import json
import os

import pandas as pd
import pytest
from fabricate import damage, fabricate

from colora.distillation.verdicts import (
    current,
    journal,
    judge,
    problems,
    readers,
    verdicts_folder,
)
from colora.distillation.verdicts_csv import export_csv, import_csv
from colora.system.errors import UserError

DATA, OTHER = "d" * 64, "e" * 64


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
