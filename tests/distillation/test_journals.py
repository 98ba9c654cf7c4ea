"""A reader's file that anybody has written into: what is no event is left out and said, and the others' verdicts count.
"""

import json
import os

import pytest
from commands import document, mistake

from colora.distillation import journals
from colora.distillation.journals import MOST_LINE, MOST_NOTE, MOST_SAID, MOST_TEXT, append_events, writing
from colora.distillation.verdicts import agreement, current, journal, judge, problems, undo, verdicts_folder
from colora.distillation.verdicts_csv import import_csv
from colora.system.errors import UserError

DATA = "d" * 64


@pytest.fixture
def two(tmp_path):
    """A runs folder in which ann and bob have judged an image each."""
    judge(tmp_path, "ann", DATA, "a", "wrong_label", label=3)
    judge(tmp_path, "bob", DATA, "b", "hard")
    return tmp_path


def standing(runs):
    return sorted(zip(*(current(runs)[column] for column in ("reader", "image_id")), strict=True))


def add(runs, reader, *lines):
    with open(verdicts_folder(runs) / f"{reader}.jsonl", "ab") as file:
        file.write(b"".join(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n" for line in lines))


def test_a_label_of_twenty_digits_is_left_out_and_said_and_every_other_verdict_counts(two):
    event = journal(two, "ann").events[0]
    add(two, "ann", event | {"label": 99_999_999_999_999_999_999, "image_id": "c"})
    add(two, "ann", event | {"label": 9_999, "image_id": "d"}, event | {"label": 10_000, "image_id": "e"})
    assert standing(two) == [("ann", "a"), ("ann", "d"), ("bob", "b")]
    path = verdicts_folder(two) / "ann.jsonl"
    assert problems(two) == [
        f"{path}, line {n}, is no event and was left out; the other lines count." for n in (2, 4)
    ]
    judge(two, "ann", DATA, "f", "fine")  # which is read, as what follows is
    assert ("ann", "f") in standing(two)


@pytest.mark.parametrize(
    "change",
    [
        {"label": float("nan")},
        {"label": 1e300},
        {"label": True},
        {"label": [1]},
        {"note": "x" * (MOST_NOTE + 1)},
        {"note": "half \ud83d"},
        {"image_id": "x" * (MOST_TEXT + 1)},
        {"image_id": "\udcff"},
        {"id": {}},
        {"user": "x" * (MOST_TEXT + 1)},
        {"tab": "\ud800"},
        {"verdict": ["hard"]},
        {"verdict": {}},
        {"seen": ["a"]},
        {"imported": {"by": 5}},
        {"action": ["judge"]},
        {"action": "undo", "undoes": "x" * (MOST_TEXT + 1)},
        {"action": "undo", "undoes": "1", "removal": 5},
        {"action": "restore"},
        {"action": "restore", "removal": ["a"]},
    ],
)
def test_a_value_that_no_event_has_is_left_out(two, change):
    add(two, "ann", journal(two, "ann").events[0] | {"id": "other", "image_id": "c"} | change)
    assert standing(two) == [("ann", "a"), ("bob", "b")]
    assert [problem.partition("line 2, is no event")[1] for problem in problems(two)] == ["line 2, is no event"]


@pytest.mark.parametrize("line", [b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5_000, b"\xff\xfe", b"null", b"[]", b'"a"'])
def test_what_no_reader_of_json_takes_is_left_out(two, line):
    add(two, "ann", line + b"\n")
    assert standing(two) == [("ann", "a"), ("bob", "b")]
    assert len(problems(two)) == 1 and "line 2, is no event" in problems(two)[0]


def test_a_line_without_end_is_left_out_and_never_held_as_a_whole(two):
    event = journal(two, "ann").events[0] | {"image_id": "c", "more": "x" * (3 * MOST_LINE)}
    add(two, "ann", event, event | {"image_id": "d", "more": ""})
    assert standing(two) == [("ann", "a"), ("ann", "d"), ("bob", "b")]
    path = verdicts_folder(two) / "ann.jsonl"
    said = f"{path}, line 2, is longer than the 524,288 bytes that an event takes at most and was left out"
    assert problems(two) == [f"{said}; the other lines count."]


def test_of_many_bad_lines_the_first_are_told_and_the_others_counted(two):
    add(two, "ann", b"x\n" * (MOST_SAID + 1_000))
    assert len(problems(two)) == MOST_SAID + 1
    assert problems(two)[-1] == f"{verdicts_folder(two) / 'ann.jsonl'} has 1,000 more lines that were left out."


def _pipe(path):
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("put", "sentence"),
    [
        (_pipe, r"cannot be read \(it is no regular file\): move it"),
        (os.mkdir, r"cannot be read \(it is a folder\): move it"),
        (lambda path: os.symlink(path, path), r"cannot be read \(Too many levels of symbolic links\)"),
        (lambda path: os.symlink("nowhere", path), r"cannot be read \(No such file or directory\)"),
        (lambda path: os.symlink("/dev/zero", path), r"cannot be read \(it is no regular file\)"),
        (lambda path: os.truncate(os.open(path, os.O_CREAT | os.O_WRONLY), 1 << 40), "it has 1.1 TB, and a reader's"),
    ],
    ids=["pipe", "folder", "loop", "nothing", "device", "endless"],
)
def test_what_is_no_file_is_one_readers_trouble(two, put, sentence, capsys):
    put(verdicts_folder(two) / "eve.jsonl")
    assert standing(two) == [("ann", "a"), ("bob", "b")]
    assert len(problems(two)) == 1 and problems(two)[0].startswith(str(verdicts_folder(two) / "eve.jsonl"))
    for act in (
        lambda: undo(two, "eve"),
        lambda: agreement(two, "ann", "eve"),
        lambda: import_csv(two, f"image_id,verdict,data_checksum\na,hard,{DATA}\n".encode(), "eve"),
    ):
        with pytest.raises(UserError, match=sentence):
            act()
    with pytest.raises(UserError, match=r"eve\.jsonl (is|has|could not be written)"):
        judge(two, "eve", DATA, "a", "hard")
    listed = document(capsys, "verdicts", "list", "--runs-dir", two)
    assert [row["reader"] for row in listed["readers"]] == ["ann", "bob"] and len(listed["problems"]) == 1


def test_a_file_that_may_not_be_read_is_one_readers_trouble(two, monkeypatch):
    path = verdicts_folder(two) / "ann.jsonl"
    real = journals.regular

    def forbidden(name):
        if str(name) == str(path):
            raise PermissionError(13, "Permission denied", str(name))
        return real(name)

    monkeypatch.setattr(journals, "regular", forbidden)
    assert standing(two) == [("bob", "b")]
    assert problems(two) == [f"{path} cannot be read (Permission denied): move it; no verdict of ann counts."]


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"label": 4, "classes": 4}, "There is no class 4 in these data, whose classes are 0 to 3."),
        ({"label": 10_000}, "The right class is a class number from 0 to 9,999, got more."),
        ({"label": 10**5000}, "The right class is a class number from 0 to 9,999, got more."),
        ({"image_id": "x" * 4_097}, "An image's name has up to 4,096 characters; this one has 4,097."),
        ({"image_id": "a\udcff"}, r"'a\\udcff' holds half a character, which is no text."),
        ({"note": "\ud83d"}, r"'\\ud83d' holds half a character, which is no text."),
        ({"data_checksum": "d" * 4_097}, "Nothing was written: a text has more than 4,096 characters"),
    ],
)
def test_what_would_not_be_read_again_is_not_written(tmp_path, values, sentence):
    given = {"reader": "ann", "data_checksum": DATA, "image_id": "a", "verdict": "wrong_label", **values}
    with pytest.raises(UserError, match=sentence):
        judge(tmp_path, **given)
    assert current(tmp_path).empty and problems(tmp_path) == []
    judge(tmp_path, "ann", DATA, "a", "wrong_label", label=3, classes=4)
    assert current(tmp_path)["label"].tolist() == [3]


def test_the_longest_event_that_is_written_is_read_again(tmp_path):
    text = "\U0001f441" * MOST_TEXT  # an escape of 12 bytes each
    judge(tmp_path, "ann", text, text, "wrong_label", note="\U0001f441" * MOST_NOTE, seen=text, tab=text)
    assert current(tmp_path)["image_id"].tolist() == [text] and problems(tmp_path) == []


@pytest.mark.parametrize(
    ("lines", "sentence"),
    [
        (f"ann,a,wrong_label,{DATA},10000", "The right class is a class number from 0 to 9,999, got more."),
        (f"ann,a,wrong_label,{DATA},{'9' * 20}", "a right class is a class number from 0 on, or empty; got '9999"),
        (f"ann,a,hard,{DATA},,{'x' * 5_000}", "its user has more than 4,096 characters."),
        (f"ann,{'x' * 5_000},hard,{DATA},", "An image's name has up to 4,096 characters"),
        (f"ann,a,hard,{DATA},,me,more", "cannot be read as CSV"),
    ],
)
def test_a_line_of_a_csv_file_that_would_not_be_read_again_is_refused(tmp_path, lines, sentence):
    with pytest.raises(UserError, match=sentence):
        import_csv(tmp_path, f"reader,image_id,verdict,data_checksum,label,user\n{lines}\n".encode())
    assert current(tmp_path).empty


def test_a_file_without_end_is_not_read_to_its_end(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("colora.distillation.verdicts_csv.MOST_BYTES", 1 << 20)
    said = mistake(capsys, "verdicts", "import", "/dev/zero", "--runs-dir", tmp_path)
    assert "/dev/zero has more than 1.0 MB: that is no file of verdicts." in said


def test_nothing_that_is_no_event_is_appended(two):
    with writing(two, "ann") as path, pytest.raises(UserError, match="Nothing was written"):
        append_events(path, [{"action": "judge"}])
    assert problems(two) == []
