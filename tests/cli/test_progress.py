"""How far a command is, as lines for a program that reads them."""

import json

from colora.cli import progress
from colora.cli.main import main


def test_lines_are_told_at_each_state_and_now_and_then(monkeypatch, capsys):
    monkeypatch.setenv(progress.LINES, "lines")
    now = iter([10.0, 10.1, 10.5, 10.6])
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(now))
    with progress.Bar("eyes") as bar:
        for state, done, total in (("Reading", 0, 9), ("Reading", 1, 9), ("Reading", 5, 9), ("Comparing", 5, None)):
            bar(state, done, total)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        {"progress": "Reading", "done": 0, "total": 9},
        {"progress": "Reading", "done": 5, "total": 9},
        {"progress": "Comparing", "done": 5, "total": None},
    ]


def test_a_check_tells_lines_only_where_it_is_asked_to(monkeypatch, capsys, tiny_npz):
    assert main(["data", "check", str(tiny_npz), "--json"]) == 0
    assert capsys.readouterr().err == ""
    monkeypatch.setenv(progress.LINES, "lines")
    assert main(["data", "check", str(tiny_npz), "--json"]) == 0
    out, err = capsys.readouterr()
    assert json.loads(out)["duplicates"] is not None
    assert {json.loads(line)["total"] for line in err.splitlines()} == {90}
