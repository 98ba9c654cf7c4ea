"""How a rule divides the training images: sizes, ties, verdicts, and the sentence where a class has too few."""

import numpy as np
import pandas as pd
import pytest
from fabricate import COUNTS, fabricate
from hypothesis import given, settings
from hypothesis import strategies as st

from colora.data.cuts import cut_hash
from colora.data.rules import make_rule
from colora.distillation.distil import FATES, Overlap, distil, divide, overlap, pool_of, verdicts_for
from colora.distillation.scores import read_predictions, score_images
from colora.distillation.verdicts import COLUMNS, judge
from colora.metrics.classification import entropy
from colora.settings.catalog import SCORES
from colora.system.errors import UserError

CLASSES = ["A", "B", "C"]


def table_of(labels, entropies, ids=None) -> pd.DataFrame:
    """A pool with these labels and entropies; the other scores are zero."""
    labels = np.asarray(labels)
    ids = [f"i{n:04d}" for n in range(len(labels))] if ids is None else ids
    table = pd.DataFrame({"image_id": ids, "label": labels, "used": True} | dict.fromkeys(SCORES, 0.0))
    table["entropy"] = np.asarray(entropies, dtype=float)
    return table


def verdicts_of(*rows) -> pd.DataFrame:
    """(reader, image, verdict, label) as `current` gives them."""
    filled = [{"reader": r, "image_id": i, "verdict": v, "label": label} for r, i, v, label in rows]
    return pd.DataFrame(filled, columns=list(COLUMNS)).astype({"label": "Int64"})


def test_the_hardest_go_the_next_stay_the_easiest_rest():
    table = table_of([0, 0, 0, 0, 1, 1, 1], [0.1, 0.9, 0.5, 0.3, 0.2, 0.8, 0.4])
    division = divide(table, ["A", "B"], make_rule(drop=1, keep=2))
    assert division.ids("dropped") == ["i0001", "i0005"]
    assert division.ids("kept") == ["i0002", "i0003", "i0004", "i0006"]
    assert division.ids("rest") == ["i0000"]
    assert division.images["rank"].tolist() == [3, 0, 1, 2, 2, 0, 1]
    assert division.counts == {"pool": [4, 3], "excluded": [0, 0], "dropped": [1, 1], "kept": [2, 2], "rest": [1, 0]}


def test_of_a_score_of_certainty_the_lowest_are_the_hardest():
    table = table_of([0, 0, 1, 1], [0] * 4)
    table["margin"] = [0.9, 0.2, 0.1, 0.7]
    assert divide(table, ["A", "B"], make_rule(score="margin", drop=1)).ids("dropped") == ["i0001", "i0002"]
    low = divide(table, ["A", "B"], make_rule(kind="threshold", score="margin", lowest=0.5))
    assert (low.ids("dropped"), low.ids("kept")) == (["i0001", "i0002"], ["i0000", "i0003"])


def doubted_table() -> pd.DataFrame:
    """Of six labels the second and the fifth are doubted."""
    doubt = np.array([0.1, 0.9, 0.2, 0.3, 0.8, 0.4])
    return table_of([0, 0, 0, 1, 1, 1], [0.5] * 6).assign(label_doubt=doubt, doubted=doubt > 0.5)


def test_doubted_labels_go_from_whatever_class():
    division = divide(doubted_table().assign(label=[0, 0, 0, 0, 0, 1]), ["A", "B"], make_rule(kind="labels"))
    assert division.ids("dropped") == ["i0001", "i0004"]
    assert division.counts["kept"] == [3, 1]
    assert division.images["rank"].tolist() == [4, 0, 3, 2, 1, 0]


def test_a_corrected_label_is_in_doubt_no_more():
    said = verdicts_of(("ann", "i0001", "wrong_label", 1), ("ann", "i0004", "wrong_label", None))
    division = divide(doubted_table(), ["A", "B"], make_rule(kind="labels", correct_labels=True), said)
    assert division.ids("dropped") == ["i0004"]
    assert division.labels == {"i0001": 1}
    left_out = divide(doubted_table(), ["A", "B"], make_rule(kind="labels", exclude=["wrong_label"]), said)
    assert (left_out.ids("excluded"), left_out.ids("dropped")) == (["i0001", "i0004"], [])


def test_a_label_that_a_reader_holds_for_right_is_in_doubt_no_more():
    said = verdicts_of(
        ("ann", "i0001", "fine", None), ("ann", "i0004", "hard", None), ("bob", "i0004", "wrong_label", 0)
    )
    for readers, goes in ((None, ["i0004"]), (["ann"], []), (["bob"], ["i0001", "i0004"])):
        rule = make_rule(kind="labels", readers=readers)
        assert divide(doubted_table(), ["A", "B"], rule, said).ids("dropped") == goes


def test_doubt_that_leaves_nothing_of_a_class_or_is_not_known_is_said():
    table = doubted_table().assign(doubted=[True] * 3 + [False] * 3)
    with pytest.raises(UserError, match="Of A 3 labels would go as doubted and nothing would be left"):
        divide(table, ["A", "B"], make_rule(kind="labels"))
    table.loc[2, "label_doubt"] = np.nan
    for rule in ({"kind": "labels"}, {"score": "label_doubt", "drop": 1}):
        with pytest.raises(UserError, match=r"every finished seed has learned from .*: it takes .* folds"):
            divide(table, ["A", "B"], make_rule(**rule))


def test_a_cross_fitted_group_tells_of_each_training_image(tmp_path):
    predictions = read_predictions(fabricate(tmp_path, "g", ["done"] * 3, {"folds": 3}), "train")
    cut = distil(predictions, "d", make_rule(kind="labels"))
    told = predictions.label_doubt
    assert sum(cut.counts["dropped"]) == told.doubted.sum() > 0
    assert set(cut.image_ids) == set(predictions.images["image_id"][~told.doubted])
    assert cut.source.whose_says == "all 3 seeds, each on images that it has not learned from"
    assert (cut.source.seeds, cut.pool) == ([0, 1, 2], "run")
    out = np.arange(len(told.doubt)) % 3  # the seed that left it out
    own = predictions.probabilities[out, np.arange(len(out))]
    assert told.doubt == pytest.approx(1 - own[np.arange(len(out)), predictions.images["label"]], abs=1e-6)
    by_rank = distil(predictions, "d", make_rule(drop=2, keep=20))
    assert by_rank.source.whose == "held-out" and by_rank.source.seeds == [0, 1, 2]
    assert by_rank.source.whose_says == "the seeds that left the image out, of 3 seeds"
    assert overlap(predictions, make_rule(drop=2)) is None  # they differ by what they have learned from
    with pytest.raises(UserError, match="compares seeds that have learned from the same images"):
        distil(predictions, "d", make_rule(score="mutual_information", drop=2))


def test_of_a_balanced_group_only_what_it_was_not_trained_on_is_told(tmp_path):
    group = fabricate(tmp_path, "g", ["done"] * 2, {"train_set": "balanced", "per_class": 30})
    table = score_images(read_predictions(group, "train"))
    assert table["label_doubt"].notna().tolist() == (~table["used"]).tolist()
    assert score_images(read_predictions(group, "val"))["label_doubt"].notna().all()


def test_a_threshold_keeps_its_ends_and_discards_the_harder_side():
    division = divide(
        table_of([0] * 4, [0.1, 0.2, 0.5, 0.6]), ["A"], make_rule(kind="threshold", lowest=0.2, highest=0.5)
    )
    assert [division.ids(fate) for fate in FATES] == [[], ["i0003"], ["i0001", "i0002"], ["i0000"]]


def test_shares_are_of_each_class_rounded_down():
    table = table_of([0] * 10 + [1] * 7, np.arange(17))
    division = divide(table, ["A", "B"], make_rule(kind="share", drop_share=0.3, keep_share=0.5))
    assert (division.counts["dropped"], division.counts["kept"]) == ([3, 2], [5, 3])
    assert divide(table, ["A", "B"], make_rule(kind="share", drop_share=0.3)).counts["kept"] == [7, 5]


labels_and_scores = st.integers(1, 60).flatmap(
    lambda n: st.tuples(
        st.lists(st.integers(0, 2), min_size=n, max_size=n),
        st.lists(st.sampled_from([0.0, 0.1, 0.5, 1.0]), min_size=n, max_size=n),  # few values: many ties
        st.permutations(range(n)),
    )
)


@settings(max_examples=60)
@given(
    labels_and_scores, st.integers(0, 6), st.one_of(st.none(), st.integers(1, 10)), st.sampled_from(["rank", "random"])
)
def test_sizes_disjointness_ties_and_a_hash_that_no_order_changes(pool, drop, keep, kind):
    labels, entropies, order = pool
    values = {"drop": drop, "keep": keep} if kind == "rank" else {"kind": "random", "keep": keep}
    try:
        rule = make_rule(**values)
    except UserError:
        return  # neither drop nor keep, or a draw without a size
    table = table_of(labels, entropies)
    sizes = np.bincount(labels, minlength=3)
    wanted = (drop if kind == "rank" else 0) + (keep or 1)
    if (short := [n for n in sizes if 0 < n < wanted]) and short:
        with pytest.raises(UserError, match="Too few images"):
            divide(table, CLASSES, rule)
        return
    division = divide(table, CLASSES, rule)
    by_fate = [set(division.ids(fate)) for fate in FATES]
    assert sum(map(len, by_fate)) == len(table) == len(set().union(*by_fate))  # disjoint, and nothing is lost
    assert division.counts["pool"] == sizes.tolist()
    if keep is not None:
        assert division.counts["kept"] == [keep if n else 0 for n in sizes]
    if kind == "rank":
        assert division.counts["dropped"] == [drop if n else 0 for n in sizes]
        images = division.images
        for c in np.unique(labels):
            of_class = images[images["class"] == c].sort_values("rank")
            assert of_class["rank"].tolist() == list(range(len(of_class)))
            keys = list(zip(-of_class["entropy"], of_class["image_id"], strict=True))
            assert keys == sorted(keys)  # the hardest first, ties by image id
    shuffled = divide(table.iloc[list(order)].reset_index(drop=True), CLASSES, rule)
    assert shuffled.ids("kept") == division.ids("kept")
    assert cut_hash("0" * 64, shuffled.images.loc[shuffled.images["fate"] == "kept", "image_id"].tolist()) == cut_hash(
        "0" * 64, division.ids("kept")
    )


def test_a_draw_is_the_same_everywhere_and_another_with_another_seed():
    table = table_of([0] * 20, [0] * 20)
    drawn = divide(table, ["A"], make_rule(kind="random", keep=4)).ids("kept")
    assert drawn == ["i0008", "i0010", "i0012", "i0015"]  # of the SHA-256 of "0 i0000" ... the four smallest
    assert divide(table, ["A"], make_rule(kind="random", keep=4, seed=1)).ids("kept") != drawn
    assert set(drawn) < set(divide(table, ["A"], make_rule(kind="random", keep=5)).ids("kept"))
    each = divide(table_of([0] * 5 + [1] * 5, [0] * 10), ["A", "B"], make_rule(kind="random", keep_each=[1, 4]))
    assert each.counts["kept"] == [1, 4]


@pytest.mark.parametrize(
    ("rule", "sentence", "field"),
    [
        (
            {"drop": 2, "keep": 3},
            "Too few images to drop 2 and keep 3 of each class: B has 4 images in the pool; with drop 2, the largest "
            "keep that works is 2.",
            "keep",
        ),
        (
            {"drop": 4},
            "Too few images to drop 4 and keep any of each class: B has 4 images in the pool; the largest drop that "
            "leaves an image of each class is 3.",
            "drop",
        ),
        (
            {"keep": 9},
            "Too few images to keep 9 of each class: A has 6 images, B has 4 images in the pool; the largest keep that "
            "works is 4.",
            "keep",
        ),
        (
            {"kind": "threshold", "highest": 5},
            "No image of B has entropy in that range: its 4 images have 6 to 9.",
            "highest",
        ),
        (
            {"kind": "share", "keep_share": 0.2},
            "Nothing of B would be kept: it has 4 images; raise keep_share.",
            "keep_share",
        ),
        (
            {"kind": "random", "keep_each": [7, 1]},
            "Too few images to draw [7, 1]: A has 6 images in the pool.",
            "keep_each",
        ),
        ({"kind": "random", "keep_each": [1]}, "keep_each has 1 numbers for 2 classes.", "keep_each"),
    ],
)  # fmt: skip
def test_too_few_images_says_which_how_many_and_what_works(rule, sentence, field):
    with pytest.raises(UserError) as caught:
        divide(table_of([0] * 6 + [1] * 4, np.arange(10)), ["A", "B"], make_rule(**rule))
    assert (str(caught.value), caught.value.field) == (sentence, field)


def test_a_class_without_images_is_no_reason_to_refuse():
    assert divide(table_of([0, 0, 2], [1, 2, 3]), CLASSES, make_rule(keep=1)).counts["kept"] == [1, 0, 1]


def test_a_score_over_seeds_needs_two():
    table = table_of([0, 0], [0, 0])
    table["mutual_information"] = np.nan
    with pytest.raises(UserError, match=r"Mutual information compares seeds .* this group has one only"):
        divide(table, ["A"], make_rule(score="mutual_information", keep=1))


def test_verdicts_leave_out_and_correct_without_a_change_of_the_table():
    table = table_of([0, 0, 0, 1, 1], [5, 4, 3, 2, 1])
    said = verdicts_of(
        ("ann", "i0000", "artefact", None), ("ann", "i0001", "wrong_label", 1), ("ann", "i0002", "hard", None),
        ("bob", "i0003", "wrong_label", 0), ("ann", "i0003", "fine", None), ("bob", "i0004", "wrong_label", None),
        ("bob", "elsewhere", "wrong_label", 9),
    )  # fmt: skip
    rule = make_rule(kind="verdicts", exclude=["artefact", "wrong_label"], correct_labels=True)
    division = divide(table, ["A", "B"], rule, said[said["image_id"] != "i0004"])
    assert division.ids("excluded") == ["i0000", "i0003"]  # a contradicted wrong label is left out, not corrected
    assert division.labels == {"i0001": 1}
    assert division.counts == {"pool": [2, 3], "excluded": [1, 1], "dropped": [0, 0], "kept": [1, 2], "rest": [0, 0]}
    assert division.notes == []  # of what stays, nobody doubts the label that it has
    stays = divide(table, ["A", "B"], make_rule(kind="verdicts", correct_labels=True), said)
    assert stays.labels == {"i0001": 1}
    assert stays.notes == [
        "1 image kept the given label, because the readers contradict each other: i0003.",
        "1 image kept the given label, though judged wrong, because nobody named the right class: i0004.",
    ]
    assert table["label"].tolist() == [0, 0, 0, 1, 1]
    anns = divide(table, ["A", "B"], make_rule(kind="verdicts", exclude=["hard"], readers=["ann"]), said)
    assert anns.ids("excluded") == ["i0002"]
    with pytest.raises(UserError, match="The verdicts leave none of the 1 images of C"):
        divide(table_of([0, 2], [1, 1]), CLASSES, rule, verdicts_of(("ann", "i0001", "artefact", None)))
    with pytest.raises(UserError, match="gave i0000 the right class 7, but the classes are 0 to 1"):
        divide(table, ["A", "B"], rule, verdicts_of(("ann", "i0000", "wrong_label", 7)))


def test_verdicts_come_before_any_other_rule():
    table = table_of([0] * 4, [4, 3, 2, 1])
    division = divide(
        table, ["A"], make_rule(drop=1, keep=1, exclude=["artefact"]), verdicts_of(("ann", "i0000", "artefact", None))
    )
    assert [division.ids(fate) for fate in FATES] == [["i0000"], ["i0001"], ["i0002"], ["i0003"]]
    assert division.images["rank"].tolist() == [-1, 0, 1, 2]


def test_the_pool_is_what_was_trained_on_or_the_whole_train_split():
    table = table_of([0, 1, 0], [1, 2, 3])
    table["used"] = [True, False, True]
    assert pool_of(table, "run")["image_id"].tolist() == ["i0000", "i0002"]
    assert len(pool_of(table, "train")) == 3


@pytest.fixture(scope="module")
def group(tmp_path_factory):
    return fabricate(tmp_path_factory.mktemp("runs"), "source", ["done"] * 3)


def test_a_cut_names_where_it_comes_from(group):
    predictions = read_predictions(group, "train")
    cut = distil(predictions, "d", make_rule(drop=2, keep=20))
    assert cut.counts["kept"] == [20] * 4
    assert cut.counts["pool"] == COUNTS["train"]
    assert (cut.source.group, cut.source.seeds, cut.source.whose) == ("source", [predictions.best_seed], "best")
    assert (cut.data_checksum, cut.image_size, cut.synthetic, cut.pool) == ("0" * 64, 64, True, "run")
    assert cut.hash == cut_hash("0" * 64, cut.image_ids)
    assert distil(predictions, "other", make_rule(drop=2, keep=20)).hash == cut.hash
    assert distil(predictions, "d", make_rule(drop=2, keep=20), whose="mean").hash != cut.hash
    over_seeds = distil(predictions, "d", make_rule(score="mean_entropy", keep=9))
    assert (over_seeds.source.seeds, over_seeds.source_says) == ([0, 1, 2], "Sorted by all 3 seeds of source")
    drawn = distil(predictions, "d", make_rule(kind="random", keep=9))
    assert drawn.source_says == "From the images of source"
    ids = set(predictions.images["image_id"])
    assert set(cut.image_ids) < ids
    assert all(image.startswith("train-") for image in ids)


def test_a_cut_of_test_images_cannot_be_made(group):
    with pytest.raises(ValueError, match="a cut is of the train split, these predictions are of test"):
        distil(read_predictions(group, "test"), "d", make_rule(keep=3))


def test_verdicts_are_those_on_this_data_by_readers_that_exist(tmp_path):
    group = fabricate(tmp_path, "g", ["done"])
    judge(tmp_path, "ann", "0" * 64, "train-0000", "artefact")
    judge(tmp_path, "ann", "1" * 64, "train-0001", "artefact")
    predictions = read_predictions(group, "train")
    cut = distil(predictions, "v", make_rule(kind="verdicts", exclude=["artefact"]))
    assert cut.counts["excluded"] == [1, 0, 0, 0]
    assert verdicts_for(predictions, make_rule(keep=1)) is None
    with pytest.raises(UserError, match="The reader 'bob' has no verdict on these images; there are: ann"):
        distil(predictions, "v", make_rule(kind="verdicts", exclude=["artefact"], readers=["bob"]))


def test_overlap_of_the_seeds_cuts(group):
    predictions = read_predictions(group, "train")
    rule = make_rule(drop=4, keep=20)
    found = overlap(predictions, rule)
    cuts = [set(distil(predictions, "d", rule, whose=seed).image_ids) for seed in predictions.seeds]
    assert found.kept[0, 2] == pytest.approx(len(cuts[0] & cuts[2]) / len(cuts[0] | cuts[2]))
    assert found.kept.diagonal() == pytest.approx([1, 1, 1])
    assert found.median("kept") == pytest.approx(np.median([found.kept[0, 1], found.kept[0, 2], found.kept[1, 2]]))
    assert overlap(predictions, make_rule(kind="random", keep=3)) is None
    assert overlap(predictions, make_rule(score="mean_entropy", keep=3)) is None
    assert np.isnan(Overlap([0, 1], np.eye(2), np.full((2, 2), np.nan)).median("dropped"))
    assert np.isnan(overlap(predictions, make_rule(keep=3)).median("dropped"))


def test_the_table_of_a_division_has_what_pages_show(group):
    predictions = read_predictions(group, "train")
    division = divide(score_images(predictions), predictions.class_names, make_rule(keep=5))
    assert {"class", "rank", "fate", "predicted", "p_0", *SCORES} <= set(division.images)
    assert division.images["entropy"].to_numpy() == pytest.approx(entropy(predictions.sorting("best")))
