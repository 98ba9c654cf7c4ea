"""What pages write into files: every table that is offered is safe in a spreadsheet."""

import csv
import io
import json
import tomllib

import pytest
import streamlit as st
from fabricate import CLASS_NAMES, fabricate
from opened import opener

from colora.data.cuts import save_cut
from colora.data.rules import make_rule
from colora.distillation import verdicts
from colora.distillation.distil import distil
from colora.distillation.scores import read_predictions
from colora.runs.folder import Group
from colora.system.installation import ROOT

FORMULA = '=HYPERLINK("http://example.org","open")'


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A group whose classes, images, data, notes and people are written as formulas."""
    path = tmp_path_factory.mktemp("runs")
    group = fabricate(path, "formulas", ["done", "done"])
    fabricate(path, "other", ["done"])
    found = read_predictions(Group(group.path), "train")
    save_cut(path, distil(found, "mine", make_rule(drop=1, keep=9)))
    verdicts.judge(path, "ann", found.data_checksum, "train-0000", "hard", note=FORMULA)
    for run in group.runs:
        document = json.loads((run.path / "config.json").read_text())
        named = [f"{sign}{name}" for sign, name in zip("=+-@", CLASS_NAMES, strict=True)]
        document["resolved"] |= {"class_names": named, "data_source": FORMULA}
        (run.path / "config.json").write_text(json.dumps(document))
    info = json.loads((group.path / "group.json").read_text())
    (group.path / "group.json").write_text(json.dumps(info | {"launched_by": FORMULA}))
    (group.path / "notes.txt").write_text(FORMULA)
    cut = path / ".colora" / "cuts" / "mine.json"
    cut.write_text(json.dumps(json.loads(cut.read_text()) | {"user": FORMULA, "data_source": FORMULA}))
    return path


@pytest.mark.parametrize(
    ("page", "query", "files"),
    [
        ("overview", {}, ["groups.csv"]),
        ("monitor", {}, ["formulas-seeds.csv", "formulas-accuracy-curves.csv"]),
        ("compare", {"groups": "formulas,other"}, ["compare-test-seeds.csv", "compare-settings.csv"]),
        ("evaluate", {}, ["formulas-2-seeds-selected-test-confusion.csv", "formulas-2-seeds-selected-test-images.csv"]),
        ("images", {"image": "train-0000"}, ["formulas-train-0-seeds.csv"]),
        ("images", {"view": "Verdicts"}, ["verdicts.csv"]),
        ("distil", {}, ["formulas-cuts.csv", "cuts.csv"]),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_no_table_of_a_page_holds_a_formula(monkeypatch, runs, page, query, files):
    written, offer = {}, st.download_button

    def offered(label, data, file_name, **options):
        written[file_name] = data
        return offer(label, b"", file_name, **options)

    monkeypatch.setattr(st, "download_button", offered)
    opener(monkeypatch, runs)(page, "formulas", **query)
    tables = {name: data() for name, data in written.items() if name.endswith(".csv")}
    assert set(files) <= tables.keys()
    cells = {}
    for name, content in tables.items():
        cells[name] = [cell for row in csv.reader(io.StringIO(content.decode(), newline="")) for cell in row]
        numbers = [cell for cell in cells[name] if cell.startswith("-") and cell[1:].replace(".", "").isdecimal()]
        assert not [c for c in cells[name] if c.startswith(("=", "+", "-", "@", "\t", "\r")) and c not in numbers]
    begins_with_a_text_of_the_data = page not in ("monitor", "compare")
    assert any(cell.startswith("'") for name in files for cell in cells[name]) == begins_with_a_text_of_the_data


def test_the_tables_own_export_which_writes_formulas_is_off():
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert config["client"]["disableDataExport"] is True
