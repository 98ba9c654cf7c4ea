"""Pictures in two splits, the same or nearly, and under two labels: what is counted, shown, and named for a cut."""

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from small_data import load

from colora.data import alike, leaks
from colora.data.alike import LEAST_AGREEMENT, LEAST_CORRELATION, correlations, signatures
from colora.data.dataset import SPLITS, Dataset, Split
from colora.data.leaks import Leaks, find_leaks
from colora.data.prepare import prepare

NOTHING = Leaks(0, 0, 0, (), 0, frozenset(), frozenset())


def pictures(n, size=32, seed=0):
    """(n, size, size) uint8: noise in cells of 2 x 2 pixels, none like another."""
    cells = np.random.default_rng(seed).integers(20, 200, (n, size // 2, size // 2), dtype=np.uint8)
    return cells.repeat(2, 1).repeat(2, 2)


def dataset_of(*parts, labels=None):
    """Of (N, S, S) images for train, val and test; ids are train/0 ...; the label is the place modulo 4 or as given."""
    labels = labels or [np.arange(len(images)) % 4 for images in parts]
    splits = {
        name: Split(
            images, np.array(own, dtype=np.int64), np.array([f"{name}/{i}" for i in range(len(images))], dtype=str)
        )
        for name, images, own in zip(SPLITS, parts, labels, strict=True)
    }
    return Dataset(splits, tuple("ABCD"), True, "made up", "as given")


def brighter(images):
    return images + np.uint8(25)


def shown(pair):
    return pair["kind"], pair["a"]["image_id"], pair["b"]["image_id"]


def test_data_without_leaks_have_none(tiny_npz, tiny_folder):
    for spec in (f"npz:{tiny_npz}", f"folder:{tiny_folder}"):
        assert find_leaks(load(spec)) == NOTHING


def test_each_kind_is_counted_shown_and_named():
    x = pictures(30)
    train = np.concatenate([x[:10], x[3:4], x[5:6]])  # 10 is 3 again, with another label; 11 is 5 again, with its own
    val = np.concatenate([x[10:14], x[4:5], brighter(x[6:7])])
    test = np.concatenate([x[14:18], x[4:5], x[5:6], brighter(x[7:8]), brighter(x[13:14])])
    labels = [[*range(10), 0, 5], [0, 1, 2, 3, 4, 6], [0, 1, 2, 3, 8, 5, 7, 3]]
    found = find_leaks(dataset_of(train, val, test, labels=labels))
    assert (found.exact_across_splits, found.exact_across_classes, found.near_across_splits) == (2, 2, 3)
    assert found.leaking == {"train/4", "train/5", "train/6", "train/7", "train/11"}
    assert found.two_labels == {"train/3", "train/4", "train/10"}
    assert {shown(pair) for pair in found.pairs} == {
        ("split", "train/4", "val/4"), ("split", "train/5", "test/5"),
        ("class", "train/3", "train/10"), ("class", "train/4", "test/4"),
        ("near", "train/6", "val/5"), ("near", "train/7", "test/6"), ("near", "val/3", "test/7"),
    }  # fmt: skip
    assert found.pairs_left_out == 0
    (pair,) = [pair for pair in found.pairs if pair["b"]["image_id"] == "test/4"]
    assert pair["a"] == {"split": "train", "image_id": "train/4", "label": 4, "index": 4}
    assert pair["b"] == {"split": "test", "image_id": "test/4", "label": 8, "index": 4} and pair["correlation"] == 1
    (pair,) = [pair for pair in found.pairs if pair["b"]["image_id"] == "test/6"]
    assert 0.99 < pair["correlation"] <= 1


def test_an_image_with_the_same_one_in_an_earlier_split_is_not_counted_as_near_but_what_is_near_it_leaks():
    x = pictures(6)
    found = find_leaks(dataset_of(np.concatenate([x[:2], brighter(x[:1])]), x[2:4], np.concatenate([x[:1], x[4:6]])))
    assert (found.exact_across_splits, found.near_across_splits) == (1, 0)
    assert found.leaking == {"train/0", "train/2"}


def test_near_duplicates_within_a_split_are_no_leak():
    x = pictures(8)
    near = [np.concatenate([part, brighter(part)]) for part in (x[:3], x[3:5], x[5:])]
    assert find_leaks(dataset_of(*near)) == NOTHING


def test_of_several_near_ones_the_nearest_is_shown_and_all_leak():
    x = pictures(7)
    noisy = np.clip(x[:1] + np.random.default_rng(0).normal(0, 12, x[:1].shape), 0, 255).astype(np.uint8)
    found = find_leaks(dataset_of(np.concatenate([x[1:3], noisy, x[:1]]), x[3:5], np.concatenate([x[5:], x[:1] + 9])))
    assert [shown(pair) for pair in found.pairs] == [("near", "train/3", "test/2")]
    assert found.leaking == {"train/2", "train/3"} and found.near_across_splits == 1


def test_blank_frames_are_the_same_picture_and_near_to_nothing():
    black, white = np.zeros((1, 32, 32), dtype=np.uint8), np.full((1, 32, 32), 255, dtype=np.uint8)
    specks = black.copy()
    specks[0, 5, 5] = 3
    x = pictures(6)
    found = find_leaks(dataset_of(*(np.concatenate(p) for p in ([x[:2], black], [x[2:4], white], [x[4:], specks]))))
    assert found == NOTHING
    found = find_leaks(dataset_of(np.concatenate([black, x[:2]]), np.concatenate([black, x[2:3]]), x[3:]))
    assert (found.exact_across_splits, found.near_across_splits, found.leaking) == (1, 0, {"train/0"})


def test_scans_of_one_class_that_are_alike_but_not_copies_are_not_near():
    """Noise with a bright line at one height correlates to 0.93 at 64 px."""
    rng = np.random.default_rng(0)
    for size in (28, 64, 128):
        x = rng.integers(0, 60, (30, 48, 48), dtype=np.uint8)
        x[:, 12:18] += 150
        x = np.stack([prepare(Image.fromarray(image), size) for image in x])
        assert correlations(x[:29], x[1:]).min() > 0.85
        assert find_leaks(dataset_of(x[:15], x[15:20], x[20:])) == NOTHING


def test_many_equal_and_many_alike_frames_are_not_looked_at_in_all_their_pairs(monkeypatch):
    asked = []
    monkeypatch.setattr(leaks, "correlations", lambda a, b: asked.append(len(a)) or correlations(a, b))
    x = pictures(1)
    equal = np.repeat(x, 3_000, 0)
    found = find_leaks(
        dataset_of(equal[:2_000], equal[2_000:2_500], equal[2_500:], labels=[[0] * 2_000, [0] * 500, [1] * 500])
    )
    assert (found.exact_across_splits, found.exact_across_classes, found.near_across_splits) == (1, 1, 0)
    assert len(found.leaking) == len(found.two_labels) == 2_000 and len(found.pairs) == 2 and asked == []
    alike = (equal + np.random.default_rng(0).integers(0, 6, equal.shape)).astype(np.uint8)
    found = find_leaks(dataset_of(alike[:2_000], alike[2_000:2_500], alike[2_500:]))
    assert (found.exact_across_splits, found.near_across_splits, len(found.leaking)) == (0, 1_000, 2_000)
    assert sum(asked) < 10_000  # of 2,250,000 pairs


def test_no_more_pairs_are_kept_than_can_be_looked_at_and_no_kind_crowds_out_another(monkeypatch):
    monkeypatch.setattr(leaks, "MOST_PAIRS", 6)
    x = pictures(20)
    found = find_leaks(
        dataset_of(x, np.concatenate([x[:10], brighter(x[10:11])]), x[:10], labels=[[0] * 20, [0] * 11, [0] * 9 + [1]])
    )
    assert (found.exact_across_splits, found.exact_across_classes, found.near_across_splits) == (10, 1, 1)
    assert sorted(pair["kind"] for pair in found.pairs) == ["class", "near", "split", "split", "split", "split"]
    assert found.pairs_left_out == 6 and len(found.leaking) == 11


def test_a_folder_that_is_not_split_has_labels_that_contradict_each_other_alone():
    x = pictures(4)
    whole = Split(np.concatenate([x, x[:1]]), np.array([0, 1, 2, 3, 1]), np.array(list("abcde")))
    found = find_leaks(replace(dataset_of(x, x, x), splits={"all": whole}))
    assert replace(found, pairs=()) == replace(NOTHING, exact_across_classes=1)
    assert [shown(pair) for pair in found.pairs] == [("class", "a", "e")]


def test_progress_is_in_images_and_what_it_raises_ends_the_search(monkeypatch):
    monkeypatch.setattr(leaks, "CHUNK_PIXELS", 32 * 32 * 4)
    told = []
    find_leaks(dataset_of(pictures(10), pictures(3, seed=1), pictures(5, seed=2)), lambda *done: told.append(done))
    assert told[:6] == [(0, 18), (4, 18), (8, 18), (10, 18), (13, 18), (17, 18)] and set(told[6:]) == {(18, 18)}
    assert all(a <= b for a, b in pairwise(told))

    def stop(done, total):
        if done == total:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_leaks(dataset_of(pictures(10), pictures(3, seed=1), pictures(5, seed=2)), stop)


@given(st.integers(0, 2**32 - 1), st.tuples(*[st.integers(1, 12)] * 3), st.integers(1, 9))
def test_what_is_found_is_what_looking_at_every_pair_finds(seed, sizes, step):
    rng = np.random.default_rng(seed)
    kinds = pictures(8, 16)
    parts, labels = [], []
    for n in sizes:
        part = kinds[rng.integers(0, 8, n)].astype(np.int64) + 6 * rng.integers(0, 2, (n, 1, 1))
        part += (rng.integers(0, 3, (n, 1, 1)) == 0) * rng.normal(0, 60, part.shape).astype(np.int64)
        parts.append(np.clip(part, 0, 255).astype(np.uint8))
        labels.append(rng.integers(0, 2, n))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(leaks, "CHUNK_PIXELS", 16 * 16 * step)
        patch.setattr(alike, "ROWS", step)
        found = find_leaks(dataset_of(*parts, labels=labels))
    x, which = np.concatenate(parts), np.repeat([0, 1, 2], sizes)
    own = signatures(x).astype(np.float32)
    same = (x[:, None] == x[None]).all((2, 3))
    pearson = np.stack([correlations(np.repeat(image[None], len(x), 0), x) for image in x])
    near = (own @ own.T >= LEAST_AGREEMENT) & (pearson >= LEAST_CORRELATION) & ~same
    apart, earlier = which[:, None] != which[None], which[:, None] < which[None]  # [i, j]: i before j
    assert found.near_across_splits == ((near & earlier).any(0) & ~(same & earlier).any(0)).sum()
    expected = {f"train/{i}" for i in np.flatnonzero(((same | near) & apart).any(1)) if i < sizes[0]}
    assert found.leaking == expected
    groups = {image.tobytes() for image in x[(same & apart).any(1)]}
    assert found.exact_across_splits == len(groups)
    y = np.concatenate(labels)
    two = (same & (y[:, None] != y[None])).any(1)
    assert found.two_labels == {f"train/{i}" for i in np.flatnonzero(two) if i < sizes[0]}
    assert found.exact_across_classes == len({image.tobytes() for image in x[two]})


def test_leaks_survive_json_and_nothing_else_is_taken_for_leaks():
    x = pictures(9)
    found = find_leaks(dataset_of(x, brighter(x[:3]), x[3:6]))
    document = json.loads(json.dumps(found.as_dict()))
    assert Leaks.from_dict(document) == found and document["leaking"] == sorted(found.leaking)
    for damage in (
        {"pairs": [{"kind": "else"}]},
        {"exact_across_splits": -1},
        {"leaking": 3},
        {"near_across_splits": None},
    ):
        with pytest.raises(ValueError):
            Leaks.from_dict(document | damage)
    for other in (None, [], {}, 3):
        with pytest.raises(ValueError):
            Leaks.from_dict(other)


def test_real_scans_split_by_image_or_patient(shared):
    """Of 700 scans of 439 patients one has a near duplicate, its neighbour in the same eye."""
    paths = sorted((shared / Path("data", "oct2017-sample")).glob("*/*.jpeg"))
    x = np.stack([prepare(Image.open(path), 64) for path in paths])
    place = {path.stem: i for i, path in enumerate(paths)}
    first, second = place["NORMAL-33350-1"], place["NORMAL-33350-2"]
    rest = [i for i in range(700) if i not in (first, second)]
    found = find_leaks(dataset_of(x[[first, *rest[:500]]], x[rest[500:600]], x[[*rest[600:], second]]))
    assert (found.exact_across_splits, found.near_across_splits, found.leaking) == (0, 1, {"train/0"})
    assert found.pairs[0]["correlation"] == pytest.approx(0.993, abs=0.001)
    assert find_leaks(dataset_of(x[[first, second, *rest[:500]]], x[rest[500:600]], x[rest[600:]])) == NOTHING
