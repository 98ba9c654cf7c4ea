"""What else is known of images from the command line: a table is added, and divides the figures."""

import pandas as pd
import pytest
from commands import document, mistake
from fabricate import fabricate, fabricate_external, patients

from colora.cli.main import main
from colora.results.statistics import group_statistics
from colora.runs.folder import Group


@pytest.fixture
def place(tmp_path):
    """(runs folder, a table of the test images' patients)."""
    fabricate_external(fabricate(tmp_path / "runs", "g", ["done", "done"], with_patients=True))
    names = sorted(set(patients("test")))
    rows = [{"patient_id": name, "device": "AB"[i % 2]} for i, name in enumerate(names)]
    pd.DataFrame(rows).to_csv(tmp_path / "more.csv", index=False)
    return tmp_path / "runs", tmp_path / "more.csv"


def test_a_table_is_added_and_divides_the_figures(place, capsys):
    runs, table = place
    asked = ["metadata", "g", "--runs-dir", runs, "--split", "external/clinic-b"]
    assert document(capsys, *asked) == {}
    found = document(capsys, *asked, "--add", table)
    assert (found["columns"], found["images"], found["unused"]) == (["device"], 200, 0)
    assert document(capsys, *asked) == {"device": {"A": 100, "B": 100}}
    assert document(capsys, *asked, "--add", table) == found  # it says the same
    table.write_text(table.read_text().replace(",A", ",C"))
    assert "says otherwise than is known already, of device of" in mistake(capsys, *asked, "--add", table)
    document(capsys, *asked, "--add", table, "--replace")
    table.write_text(table.read_text().replace(",C", ",A"))
    document(capsys, *asked, "--add", table, "--replace")
    assert main([*map(str, asked)]) == 0 and capsys.readouterr().out == "device: A 100, B 100\n"
    by = ["statistics", "g", "--runs-dir", runs, "--split", "external/clinic-b", "--by", "device"]
    assert document(capsys, *by) == group_statistics(Group(runs / "g"), "external/clinic-b", by="device")
    assert main([*map(str, by)]) == 0
    out = capsys.readouterr().out
    assert "  By device; parts of fewer than 20 are marked small\n    A: 100 images of 50 patients\n" in out
    assert "    Gaps of parts that are not small, for all 4 differences at once\n" in out
    found = group_statistics(Group(runs / "g"), "external/clinic-b", by="device")["subgroups"]["gaps"]["accuracy"]
    verdict = "more than chance" if found["more_than_chance"] else "within noise"
    said = f"Largest gap, accuracy: {found['higher']} minus {found['lower']} {found['difference']['value']:.3f} ["
    assert said in out and f", 4 at once: {verdict}\n" in out
    assert "there are device" in mistake(capsys, *by[:-1], "age")


def test_what_is_no_table_is_refused(place, capsys, tmp_path):
    runs, _ = place
    (tmp_path / "no.csv").write_bytes(b"\x00\x01")
    said = mistake(capsys, "metadata", "g", "--runs-dir", runs, "--add", tmp_path / "no.csv")
    assert "no.csv" in said
    assert "There is no file" in mistake(capsys, "metadata", "g", "--runs-dir", runs, "--add", tmp_path / "gone.csv")
