"""Figures of parts of the images: each part's own, what divides them, and the table that tells it."""

import numpy as np
import pandas as pd
import pytest
from fabricate import fabricate, fabricate_external, labels_of, patients, probabilities

from colora.metrics.classification import accuracy, macro_auc
from colora.metrics.operating_point import Choice
from colora.results.judged import judged
from colora.results.metadata import bring_metadata
from colora.results.operating_point import Question
from colora.results.question import freeze, frozen
from colora.results.statistics import group_statistics
from colora.results.subgroups import OTHER, UNKNOWN, Column, columns_of, subgroups
from colora.runs.audit import recorded
from colora.runs.folder import Group
from colora.runs.metadata import metadata_path, read_metadata
from colora.runs.selection import selected_epoch
from colora.system.errors import UserError

SPLIT = "external/clinic-b"


@pytest.fixture
def group(tmp_path):
    found = fabricate(tmp_path / "runs", "g", ["done", "done"], with_patients=True)
    fabricate_external(found)
    return Group(found.path)


def table(rows: list[dict], name: str = "more.csv") -> tuple[bytes, str]:
    return pd.DataFrame(rows).to_csv(index=False).encode(), name


def by_device(split: str = "test") -> list[dict]:
    """Of each second patient another device; the last 20 images' patients are not told."""
    names = sorted(set(patients(split)), key=lambda name: int(name.rpartition("-")[2]))
    return [{"patient": name, "Device": "AB"[i % 2], "age": 20 + i} for i, name in enumerate(names[:-10])]


def test_each_part_has_its_own_figures(group):
    bring_metadata(group, "test", table(by_device()))
    seen = judged(group, "test")
    found = subgroups(seen, "Device")
    assert [(part.value, part.images, part.patients) for part in found.parts] == [
        ("A", 90, 45), ("B", 90, 45), (UNKNOWN, 20, 10)
    ]  # fmt: skip
    p = np.mean([probabilities("test", run.seed, selected_epoch(run)) for run in group.runs], axis=0)
    labels, number = labels_of("test"), np.arange(200) // 2
    for part, own in zip(found.parts, (number % 2 == 0, number % 2 == 1), strict=False):
        own &= number < 90
        assert part.figures["accuracy"].value == pytest.approx(accuracy(labels[own], p[own]))
        assert part.figures["auc"].value == pytest.approx(macro_auc(labels[own], p[own]))
        point = frozen(group)
        positive = np.isin(labels[own], [0, 1])
        called = p[own][:, :2].sum(1) >= point.threshold
        assert part.figures["sensitivity"].value == pytest.approx(called[positive].mean())
        assert part.figures["specificity"].value == pytest.approx((~called[~positive]).mean())
        assert part.figures["accuracy"].method.startswith("Wilson") and not part.small
    assert found.parts[2].small
    gap = found.gaps["accuracy"]
    assert gap.comparisons == 1 and {gap.higher, gap.lower} == {"A", "B"}
    assert found.widest[0] in found.gaps
    document = group_statistics(group, by="Device")["subgroups"]
    assert document == found.as_dict() and document["question"] == point.says()
    assert group_statistics(group)["subgroups"] is None


def test_the_question_is_the_frozen_one(group):
    bring_metadata(group, "test", table(by_device()))
    freeze(group, Question(("DRUSEN",), Choice("youden")))
    found = subgroups(judged(group, "test"), "Device")
    assert found.question.question.positives == ("DRUSEN",)


def test_numbers_become_quarters_and_rare_texts_the_rest():
    ages = Column.of(pd.Series([str(n) for n in range(20, 100)] + ["", " "]))
    assert ages.order == ["20 to 40", "above 40 to 60", "above 60 to 80", "above 80 to 99", UNKNOWN]
    assert [int((ages.values == value).sum()) for value in ages.order] == [21, 20, 20, 19, 2]
    grades = Column.of(pd.Series(["0", "1", "2", "2"]))
    assert grades.order == ["2", "0", "1"] and grades.divides
    many = Column.of(pd.Series([f"site {i % 30:02d}" for i in range(100)] + ["above average"] * 9))
    assert len(many.order) == 12 and many.order[0] == "above average" and many.order[-1] == OTHER
    assert (many.values == OTHER).sum() + sum((many.values == v).sum() for v in many.order[:-1]) == 109
    assert not Column.of(pd.Series(["x", "x", ""])).divides and not Column.of(pd.Series(["", ""])).divides


def test_a_table_of_images_is_met_by_id_or_by_the_end_of_a_path(group):
    rows = [{"file": f"D:\\scans\\test-{i:04d}", "sex": "fm"[i % 2]} for i in range(0, 200, 2)]
    rows += [{"file": f"test-{i:04d}", "sex": "fm"[i % 2]} for i in range(1, 100, 2)] + [{"file": "gone", "sex": "f"}]
    found = bring_metadata(group, SPLIT, table(rows))
    assert found == {"columns": ["sex"], "images": 150, "of": 200, "rows": 151, "unused": 1}
    column = columns_of(judged(group, SPLIT))["sex"]
    assert column.order == ["f", "m", UNKNOWN] and (column.values == "f").sum() == 100
    assert columns_of(judged(group, "test")) == {}
    line = recorded(group.path.parent)[-1]
    assert (line["action"], line["detail"]["columns"], line["detail"]["split"]) == ("metadata", ["sex"], SPLIT)


def test_columns_that_are_known_are_replaced_only_where_that_is_asked_for(group):
    bring_metadata(group, "test", table(by_device()))
    rows = [{"patient_id": row["patient"], "Device": "C"} for row in by_device()[:4]]
    with pytest.raises(UserError, match="Device is known of these images already"):
        bring_metadata(group, "test", table(rows))
    assert bring_metadata(group, "test", table(rows), replace=True)["images"] == 8
    kept = read_metadata(group, "test")
    assert kept["Device"].value_counts().to_dict() == {"": 692, "C": 8} and (kept["age"] != "").sum() == 180


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"name": "test-0001", "sex": "f"}], "needs a column that names the image"),
        ([{"image_id": "test-0001"}], "needs a column that names the image"),
        ([{"image_id": "other", "sex": "f"}], r"No row of more\.csv is of one of these images"),
        ([{"image": "test-0001", "sex": sex} for sex in "fm"], r"more\.csv says different things of test-0001"),
    ],
)
def test_a_table_that_does_not_fit_changes_nothing(group, rows, said):
    with pytest.raises(UserError, match=said):
        bring_metadata(group, "test", table(rows))
    assert read_metadata(group, "test") is None


def test_a_file_that_anybody_can_have_written_is_held_to_what_it_is(group):
    path = metadata_path(group, "test")
    for bad, said in (
        (pd.DataFrame({"a": ["x"]}), "not named by image ids"),
        (pd.DataFrame({"a": [1.5]}, index=pd.Index(["i"], name="image_id")), "what is no text"),
        (pd.DataFrame({"a": ["x", "y"]}, index=pd.Index(["i", "i"], name="image_id")), "not named by image ids"),
    ):
        bad.to_parquet(path)
        with pytest.raises(UserError, match=said):
            read_metadata(group, "test")
    path.write_bytes(b"PAR1 no table")
    with pytest.raises(UserError, match=r"metadata\.parquet cannot be read"):
        columns_of(judged(group, "test"))


def test_an_unknown_column_names_those_there_are(group):
    with pytest.raises(UserError, match="nothing is known of these images but their labels"):
        subgroups(judged(group, "test"), "Device")
    bring_metadata(group, "test", table(by_device()))
    with pytest.raises(UserError, match="No column 'device' divides these images: there are Device, age"):
        subgroups(judged(group, "test"), "device")
