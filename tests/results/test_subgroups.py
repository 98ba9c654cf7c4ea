"""Figures of parts of the images: each part's own, what divides them, and the table that tells it."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from fabricate import fabricate, group_that_was_tested, labels_of, patients, probabilities
from predictions_made import scored

from colora.metrics.classification import accuracy, macro_auc
from colora.metrics.operating_point import Choice, threshold
from colora.results.judged import judged
from colora.results.metadata import _ids_of, bring_metadata
from colora.results.operating_point import Question
from colora.results.question import freeze, frozen
from colora.results.statistics import group_statistics
from colora.results.subgroups import OTHER, UNKNOWN, Column, Subgroups, _part, columns_of, subgroups
from colora.results.summary import taken_run
from colora.runs.audit import recorded
from colora.runs.metadata import metadata_path, read_metadata
from colora.runs.selection import selected_epoch
from colora.system.errors import UserError

SPLIT = "external/clinic-b"


@pytest.fixture
def group(tmp_path):
    return group_that_was_tested(tmp_path / "runs")


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
    assert [(part.value, part.images, part.patients, part.known) for part in found.parts] == [
        ("A", 90, 45, True), ("B", 90, 45, True), (UNKNOWN, 20, 10, False)
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
        assert part.figures["accuracy"].method.startswith("Wilson") and not part.few
    assert found.parts[2].small and "small" in found.as_dict()["parts"][2]["figures"]["auc"]
    gap = found.gaps["accuracy"]
    assert gap.comparisons == found.comparisons == 4 and {gap.higher, gap.lower} == {"A", "B"}
    assert UNKNOWN not in {name for each in found.gaps.values() for name in (each.higher, each.lower)}
    document = group_statistics(group, by="Device")["subgroups"]
    assert document == found.as_dict() and document["question"] == point.says()
    assert group_statistics(group)["subgroups"] is None


def test_the_question_is_the_frozen_one(group):
    bring_metadata(group, "test", table(by_device()))
    freeze(group, Question(("DRUSEN",), Choice("youden")))
    found = subgroups(judged(group, "test"), "Device")
    assert found.asked.startswith("DRUSEN against the rest, highest sensitivity plus specificity")


def sizes(*texts: str) -> dict[str, int]:
    """Images of each part, in order, and of those that are not known as None."""
    column = Column.of(pd.Series(texts))
    counts = {label: int((column.part == i).sum()) for i, label in enumerate(column.labels)}
    unknown = int((column.part < 0).sum())
    return counts | ({UNKNOWN: unknown} if unknown else {})


def test_numbers_become_quarters_as_far_as_equal_ones_allow():
    ages = [str(n) for n in range(20, 100)]
    quarters = {"20 to 39": 20, "above 39 to 59": 20, "above 59 to 79": 20, "above 79 to 99": 20}
    assert sizes(*ages) == quarters
    assert sizes(*ages, "", " ", "NA", "unknown") == quarters | {UNKNOWN: 4}
    assert sizes(*(f" {age}.0" for age in ages)) == quarters
    assert sizes(*["0"] * 80, *map(str, range(1, 21))) == {"0": 80, "above 0 to 20": 20}
    assert sizes("1", "1.0", "2", "10") == {"1": 2, "2": 1, "10": 1}  # few: in their own order
    days = [str(20_240_101 + i) for i in range(100)]
    assert len(sizes(*days)) == 4 and sum(sizes(*days).values()) == 100


def test_of_texts_the_most_common_stay_and_no_two_parts_are_called_alike():
    assert sizes("b", "a ", "a", "c", "c", "c") == {"c": 3, "a": 2, "b": 1}
    many = [f"site {i % 30:02d}" for i in range(100)] + ["above average"] * 9
    found = sizes(*many)
    first, *_, last = found
    assert (first, last, len(found)) == ("above average", OTHER, 12)
    assert sum(found.values()) == 109
    assert sizes(UNKNOWN, UNKNOWN, "x", "") == {f"{UNKNOWN} (2)": 2, "x": 1, UNKNOWN: 1}
    long = ["x" * 200 + end for end in ("a", "b", "b")]
    assert [len(label) for label in sizes(*long)] == [60, 64]  # shortened, and told apart


def test_at_another_epoch_it_is_the_model_of_that_epoch(tmp_path):
    group = fabricate(tmp_path / "runs", "paper", ["done", "done"], {"selection": "paper"}, with_patients=True)
    bring_metadata(group, "test", table(by_device()))
    found = subgroups(judged(group, "test", epoch=1), "Device")
    p = np.mean([probabilities("test", run.seed, 1) for run in group.runs], axis=0)
    own = np.arange(200) // 2 % 2 == 0
    own[180:] = False
    assert found.parts[0].figures["accuracy"].value == pytest.approx(accuracy(labels_of("test")[own], p[own]))
    validation = np.mean([probabilities("val", run.seed, 1) for run in group.runs], axis=0)[:, :2].sum(1)
    at = threshold(np.isin(labels_of("val"), [0, 1]), validation, Choice("sensitivity", 0.95))
    positive = np.isin(labels_of("test"), [0, 1]) & own
    expected = (p[positive][:, :2].sum(1) >= at).mean()
    assert found.parts[0].figures["sensitivity"].value == pytest.approx(expected)
    assert f"from {at:.3f} on" in found.asked
    selected = subgroups(judged(group, "test"), "Device")
    one = taken_run(group, list(group.runs))
    p = probabilities("test", one.seed, selected_epoch(one))
    assert selected.parts[0].figures["accuracy"].value == pytest.approx(accuracy(labels_of("test")[own], p[own]))


def test_a_part_that_lacks_a_class_has_no_auc_of_others(group):
    rows = [{"image": f"test-{i:04d}", "site": "a" if i < 150 else "b"} for i in range(100, 200)]
    bring_metadata(group, SPLIT, table(rows + [{"image": f"test-{i:04d}", "site": "all"} for i in range(100)]))
    parts = {part.value: part for part in subgroups(judged(group, SPLIT), "site").parts}
    assert parts["a"].figures["auc"].value is None
    assert parts["a"].figures["auc"].reason.startswith("no image is of CNV, DME, NORMAL, so that its mean")
    assert "sensitivity" in parts["a"].few and parts["a"].figures["accuracy"].value is not None
    assert parts["all"].figures["sensitivity"].value is not None and "specificity" in parts["all"].few


def test_images_that_were_learnt_from_are_refused(group):
    bring_metadata(group, "train", table(by_device("train")))
    with pytest.raises(UserError, match="say nothing of other ones: take test"):
        subgroups(judged(group, "train"), "Device")


def test_a_table_of_images_is_met_by_id_or_by_the_end_of_a_path(group):
    rows = [{"file": f"D:\\scans\\test-{i:04d}", "sex": "fm"[i % 2]} for i in range(0, 200, 2)]
    rows += [{"file": f"test-{i:04d}", "sex": "fm"[i % 2]} for i in range(1, 100, 2)] + [{"file": "gone", "sex": "f"}]
    found = bring_metadata(group, SPLIT, table(rows))
    assert found == {"columns": ["sex"], "images": 150, "of": 200, "rows": 151, "unused": 1}
    column = Column.of(columns_of(judged(group, SPLIT))["sex"])
    assert column.labels == ["f", "m"] and [(column.part == i).sum() for i in (0, 1, -1)] == [100, 50, 50]
    assert columns_of(judged(group, "test")) == {}
    line = recorded(group.path.parent)[-1]
    assert (line["action"], line["detail"]["columns"], line["detail"]["split"]) == ("metadata", ["sex"], SPLIT)


def test_a_path_of_another_folder_is_another_image(group):
    names = ["a/1.png", "b/1.png", "x/a/1.png", "D:\\b\\2.png", "2.png", "1.png"]
    ids = _ids_of(names, pd.Index(["a/1.png", "b/2.png"]))
    assert ids == ["a/1.png", None, "a/1.png", "b/2.png", "b/2.png", "a/1.png"]
    assert _ids_of(["1.png"], pd.Index(["a/1.png", "b/1.png"])) == [None]


def test_what_is_known_is_added_to_and_changed_only_where_that_is_asked_for(group):
    bring_metadata(group, "test", table(by_device()))
    names = [row["patient"] for row in by_device()]
    more = [{"patient_id": name, "Device": ["", "B"][i % 2], "site": "x"} for i, name in enumerate(names)]
    bring_metadata(group, "test", table(more))  # an empty cell says nothing, the others say the same
    before = read_metadata(group, "test")
    assert before["Device"].value_counts().to_dict() == {"": 520, "A": 90, "B": 90}
    assert (before["site"] != "").sum() == 180
    rows = [{"patient_id": row["patient"], "Device": "C"} for row in by_device()[:4]]
    with pytest.raises(UserError, match=r"says otherwise than is known already, of Device of test-0000: correct"):
        bring_metadata(group, "test", table(rows))
    assert read_metadata(group, "test").equals(before)
    assert bring_metadata(group, "test", table(rows), replace=True)["images"] == 8
    kept = read_metadata(group, "test")
    assert kept["Device"].value_counts().to_dict() == {"": 520, "A": 86, "B": 86, "C": 8}
    assert recorded(group.path.parent)[-1]["detail"]["replaced"] == 8


def test_more_columns_than_are_kept_are_refused_before_anything_is_written(group):
    for first in (0, 100):
        columns = {f"c{i}": "x" for i in range(first, first + 100)}
        bring_metadata(group, "test", table([{"patient": "test-eye-1"} | columns]))
    with pytest.raises(UserError, match="there would be 201 columns of 700 images; at most 200"):
        bring_metadata(group, "test", table([{"patient": "test-eye-1", "one": "more"}]))
    assert len(read_metadata(group, "test").columns) == 200


def test_a_table_of_the_test_images_needs_no_other_split(group):
    for run in group.runs:
        (run.path / "predictions" / "train.parquet").unlink()
    assert bring_metadata(group, "test", table(by_device()))["of"] == 300


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"name": "test-0001", "sex": "f"}], "needs a column that names the image"),
        ([{"image_id": "test-0001"}], "needs a column that names the image"),
        ([{"image_id": "other", "sex": "f"}], r"No row of more\.csv is of one of these images; their names are such"),
        ([{"patient": "7", "sex": "f"}], r"is of one of these patients; their names are such as train-eye-0"),
        ([{"image": "test-0001", "sex": sex} for sex in "fm"], r"more\.csv says different things of test-0001"),
    ],
)
def test_a_table_that_does_not_fit_changes_nothing(group, rows, said):
    with pytest.raises(UserError, match=said):
        bring_metadata(group, "test", table(rows))
    assert read_metadata(group, "test") is None


def test_a_file_that_anybody_can_have_written_is_held_to_what_it_is(group):
    path = metadata_path(group, "test")
    names = pd.Index(["i"], name="image_id")
    for bad, said in (
        (pd.DataFrame({"a": ["x"]}), "not named by image ids"),
        (pd.DataFrame({"a": pd.Categorical([1])}, index=names), "what is no text"),
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
    with pytest.raises(UserError, match="nothing is known that does"):
        subgroups(judged(group, "test"), "Device")
    bring_metadata(group, "test", table(by_device()))
    with pytest.raises(UserError, match="No column 'device' divides these images: there are Device, age"):
        subgroups(judged(group, "test"), "device")


@pytest.mark.coverage
@pytest.mark.parametrize(("parts", "each"), [(2, 100), (5, 80), (8, 40)])
def test_parts_that_are_alike_seldom_seem_to_differ_in_any_figure(parts, each):
    generator, held, studies = np.random.default_rng(0), 0, 1000
    question = Question(("a", "b"), Choice("youden"))
    for _ in range(studies):
        labels = generator.integers(0, 4, parts * each)
        p = scored(labels, 4, generator)
        seen = SimpleNamespace(labels=labels, patients=None, class_names=["a", "b", "c", "d"])
        own = [np.arange(len(labels)) // each == i for i in range(parts)]
        found = [_part(seen, p, str(i), rows, True, (question, 0.5)) for i, rows in enumerate(own)]
        widest = Subgroups("x", found, None).widest
        held += widest is None or widest[1].by_chance
    print(f"{parts} parts of {each} images: {held / studies:.3f}")
    assert held / studies > 0.95
