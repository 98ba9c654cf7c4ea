"""The synthetic B-scans: the same bits each time, the promised counts, lesions where they belong."""

from dataclasses import replace

import numpy as np
import pytest

from colora.data.phantom import CLASS_NAMES, SETTINGS, PhantomSettings, generate, lesion

SPLITS = ("train", "val", "test")
SMALL = replace(SETTINGS, counts=(80, 40, 80))
HEALTHY = replace(SMALL, severity_range=(0.0, 0.0))
SEVERE = replace(SMALL, severity_range=(0.8, 1.0))


@pytest.fixture(scope="module")
def full():
    return {split: generate(split, 64) for split in SPLITS}


def test_arrays_have_the_promised_shapes_types_and_ranges(full):
    for split, count in zip(SPLITS, SETTINGS.counts, strict=True):
        drawn = full[split]
        assert drawn.images.shape == (count, 64, 64) and drawn.images.dtype == np.uint8
        assert drawn.labels.shape == (count,) and drawn.labels.dtype == np.int64
        assert drawn.severity.shape == (count,) and drawn.severity.dtype == np.float32
        assert drawn.patient_ids.shape == drawn.image_ids.shape == (count,)
        assert drawn.patient_ids.dtype.kind == drawn.image_ids.dtype.kind == "U"
        assert len(set(drawn.image_ids)) == count


def test_the_same_request_gives_the_same_bits_and_another_seed_others(full):
    again = generate("test", 64)
    for first, second in zip(full["test"], again, strict=True):
        np.testing.assert_array_equal(first, second)
    other = generate("test", 64, seed=1, settings=SMALL).images
    assert (other != full["test"].images[:80]).any(axis=(1, 2)).all()


def test_the_difficulty_stays_as_committed(full):
    """Results are compared over time, so a change of the scene must show; loose enough for another CPU."""
    drawn = full["test"]
    means = [drawn.images[drawn.labels == label].mean() for label in range(4)]
    np.testing.assert_allclose(means, [40.229, 42.170, 41.202, 44.643], atol=0.01)
    assert drawn.severity[drawn.labels != 3].mean() == pytest.approx(0.6788, abs=1e-3)


@pytest.mark.parametrize("split", SPLITS)
def test_an_image_does_not_depend_on_how_many_are_drawn(split, full):
    fewer = generate(split, 64, settings=replace(SETTINGS, counts=(17, 17, 17)))
    for some, all_of_them in zip(fewer, full[split], strict=True):
        np.testing.assert_array_equal(some, all_of_them[:17])


def test_class_counts_follow_the_prior_and_the_test_split_is_balanced(full):
    counts = {split: np.bincount(full[split].labels, minlength=4).tolist() for split in SPLITS}
    assert counts == {"train": [824, 243, 194, 1139], "val": [110, 32, 26, 152], "test": [60, 60, 60, 60]}


def test_no_patient_is_in_two_splits_and_each_has_one_to_three_scans_of_one_class(full):
    patients = [set(full[split].patient_ids) for split in SPLITS]
    assert len(set.union(*patients)) == sum(map(len, patients))
    for split in SPLITS:
        drawn = full[split]
        _, scans = np.unique(drawn.patient_ids, return_counts=True)
        assert set(scans) == {1, 2, 3}
        assert len({*zip(drawn.patient_ids, drawn.labels, strict=True)}) == len(scans)
        assert all(i.startswith(p + "-") for i, p in zip(drawn.image_ids, drawn.patient_ids, strict=True))


def test_severity_covers_its_range_and_is_zero_for_normal_eyes_only(full):
    drawn = full["train"]
    ill = drawn.severity[drawn.labels != CLASS_NAMES.index("NORMAL")]
    assert (drawn.severity[drawn.labels == CLASS_NAMES.index("NORMAL")] == 0).all()
    low, high = SETTINGS.severity_range
    assert ill.min() >= np.float32(low) and ill.max() <= high
    assert ill.min() < 0.1 and ill.max() > 0.95


@pytest.mark.parametrize("size", [128, 224])
def test_an_image_shows_the_same_scene_at_every_size(size):
    settings = replace(SETTINGS, counts=(0, 0, 12))
    small, large = generate("test", 32, settings=settings), generate("test", size, settings=settings)
    np.testing.assert_array_equal(small.image_ids, large.image_ids)
    np.testing.assert_array_equal(small.severity, large.severity)
    shrunk = large.images.reshape(12, 32, size // 32, 32, size // 32).mean((2, 4))
    alike = np.corrcoef(small.images.reshape(12, -1), shrunk.reshape(12, -1))[:12, 12:]
    assert alike.diagonal().min() > 0.94
    assert alike[~np.eye(12, dtype=bool)].max() < 0.92


def test_lesions_change_the_image_where_they_should():
    """Against the same eyes without lesions, in rows above the RPE, a healthy column's brightest pixel."""
    healthy, severe = generate("test", 64, settings=HEALTHY), generate("test", 64, settings=SEVERE)
    assert (healthy.severity == 0).all() and (healthy.labels == severe.labels).all()
    change = severe.images.astype(float) - healthy.images  # (80, 64, 64)
    rpe = np.where(healthy.images == 255, 0, healthy.images).argmax(1)  # (80, 64); 255 is a white corner
    above = rpe[:, None, :] - np.arange(64)[None, :, None]  # (80, 64, 64) rows
    marked = np.abs(change) > 25
    cnv, dme, drusen, normal = (severe.labels == label for label in range(4))

    assert (change[normal] == 0).all()
    assert marked[~normal].mean((1, 2)).min() > 0.02
    assert marked[dme][above[dme] > 2].sum() / marked[dme].sum() > 0.95  # the RPE and the choroid are spared
    assert change[dme][marked[dme] & (above[dme] > 3) & (above[dme] < 16)].mean() < -15  # cysts
    assert change[drusen][(above[drusen] > 0) & (above[drusen] < 6)].mean() > 10  # the lifted RPE
    assert change[cnv][(above[cnv] > 0) & (above[cnv] < 6)].mean() > 10  # subretinal tissue
    assert change[cnv][above[cnv] < -3].mean() < -2  # its shadow


def test_a_mild_lesion_changes_less_than_a_severe_one():
    mild = replace(SMALL, severity_range=(0.02, 0.05))
    drawn = [generate("test", 64, settings=settings) for settings in (HEALTHY, mild, SEVERE)]
    healthy, faint, severe = (d.images.astype(float) for d in drawn)
    ill = drawn[0].labels != CLASS_NAMES.index("NORMAL")
    faint_change, severe_change = (np.abs(i - healthy)[ill].mean((1, 2)) for i in (faint, severe))
    assert (faint_change > 0).all()
    assert (faint_change / severe_change).max() < 0.5


def test_brightness_alone_does_not_tell_ill_from_healthy(full):
    drawn = full["test"]
    ill = drawn.labels != CLASS_NAMES.index("NORMAL")
    for statistic in (np.mean, np.std, np.median):
        value = statistic(drawn.images, axis=(1, 2))
        auc = (value[ill][:, None] > value[~ill]).mean()
        assert 0.3 < auc < 0.7, statistic.__name__


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("training", 64), "split must be one of train, val, test, found 'training'"),
        (("test", 8), "image_size must be a whole number of pixels, 16 or more, found 8"),
        (("test", 64.0), "image_size must be a whole number of pixels, 16 or more, found 64.0"),
        (("test", 64, -1), "seed must be 0 or more, found -1"),
    ],
)
def test_a_request_that_cannot_be_met_says_why(arguments, sentence):
    with pytest.raises(ValueError, match=f"^{sentence}$"):
        generate(*arguments)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("severity_range", (0.5, 0.2)),
        ("severity_range", (0.0, 1.5)),
        ("prior", (1, 1, 1)),
        ("prior", (0, 0, 0, 0)),
        ("counts", (10, 10)),
        ("counts", (10, 10, -1)),
        ("max_scans", 0),
    ],
)
def test_settings_out_of_range_are_refused(field, value):
    with pytest.raises(ValueError, match=field.split("_")[0]):
        PhantomSettings(**{field: value})


def test_a_lesion_lies_where_an_eye_differs_from_itself_in_health(full):
    ill, healthy = full["test"], generate("test", 64, settings=replace(SETTINGS, severity_range=(0.0, 0.0)))
    change = np.abs(ill.images.astype(float) - healthy.images)
    for name in CLASS_NAMES[:3]:
        for index in np.flatnonzero(ill.labels == CLASS_NAMES.index(name))[:20]:
            there = lesion("test", int(index), 64)
            assert there.shape == (64, 64) and there.dtype == bool and 0 < there.mean() < 0.35, (name, index)
            assert change[index][there].mean() > 2 * change[index][~there].mean(), (name, index)


def test_a_healthy_eye_has_no_lesion_and_a_larger_picture_the_same_one(full):
    labels = full["test"].labels
    assert not lesion("test", int(np.flatnonzero(labels == 3)[0]), 64).any()
    small, large = (lesion("test", int(np.flatnonzero(labels == 1)[0]), size).mean() for size in (64, 256))
    assert small == pytest.approx(large, rel=0.2)
    with pytest.raises(IndexError):
        lesion("test", len(labels), 64)
    with pytest.raises(IndexError):
        lesion("test", -1, 64)
