"""The part of Evaluate that shows the images' parts: what divides them, the largest gap, and a table that is added."""

import pandas as pd
import pytest
from fabricate import fabricate, fabricate_external, patients
from opened import opener, ran, texts

from colora.results.judged import judged
from colora.results.metadata import bring_metadata
from colora.results.subgroups import subgroups
from colora.runs.folder import Group

HOSTILE = "<b>site</b> [a](http://x) $x$"


@pytest.fixture
def runs(tmp_path):
    fabricate_external(fabricate(tmp_path / "runs", "g", ["done"] * 2, with_patients=True))
    return tmp_path / "runs"


@pytest.fixture
def open_page(monkeypatch, runs):
    return opener(monkeypatch, runs)


def table(column: str = "device") -> bytes:
    names = sorted(set(patients("test")))
    rows = [{"patient": name, column: "new" if i < 8 else "AB"[i % 2]} for i, name in enumerate(names)]
    return pd.DataFrame(rows).to_csv(index=False).encode()


def shown(app) -> pd.DataFrame:
    return next(frame.value for frame in app.dataframe if "Part" in frame.value)


def test_a_table_is_added_and_the_parts_are_shown(open_page, runs):
    app = open_page("evaluate", "g", part="Subgroups")
    assert "Nothing is known of these images that divides them" in texts(app)
    app = open_page("evaluate", "g", part="Subgroups", **{"add-metadata": "true"})
    app.session_state["add-metadata"] = True
    ran(app)
    app.file_uploader(key="metadata-file").set_value(("more.csv", table(), "text/csv"))
    ran(app)
    app.button(key="add-columns").click()
    ran(app)
    assert "Added device, of 200 of 700 images." in texts(app)
    found = subgroups(judged(Group(runs / "g"), "test"), "device")
    assert shown(app)["Part"].tolist() == [part.value for part in found.parts] == ["A", "B", "new"]
    assert shown(app)["Small"].tolist() == ["", "", "small"] and shown(app)["Patients"].tolist() == [46, 46, 8]
    _, gap = found.widest
    assert f"higher for **{gap.higher}** than for **{gap.lower}**" in texts(app)
    assert f"[{gap.difference.low:.3f}, {gap.difference.high:.3f}]" in texts(app)
    app.button_group(key="of-parts").set_value("specificity")
    assert "**Specificity by device**" in texts(ran(app))
    assert app.query_params["of-parts"] in ("Specificity", ["Specificity"])
    other = table().replace(b",A", b",B")
    app.file_uploader(key="metadata-file").set_value(("more.csv", other, "text/csv"))
    ran(app)
    app.button(key="add-columns").click()
    assert "says otherwise than is known already" in texts(ran(app))


def test_other_data_have_their_own_and_names_from_a_file_are_no_markup(open_page, runs):
    bring_metadata(Group(runs / "g"), "external/clinic-b", (table(HOSTILE), "more.csv"))
    app = open_page("evaluate", "g", split="external/clinic-b", part="Subgroups")
    assert f"**Accuracy by {HOSTILE}**" in texts(app) and not app.error
    assert "Nothing is known" in texts(open_page("evaluate", "g", part="Subgroups"))


def test_a_damaged_table_is_said_and_the_page_stands(open_page, runs):
    (runs / "g" / "metadata.parquet").write_bytes(b"none")
    app = open_page("evaluate", "g", part="Subgroups")
    assert "metadata.parquet cannot be read" in app.error[0].value and app.metric
