"""What counts as a near duplicate: copies stored anew, of other sizes and brightness, and no other eye."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from colora.data import alike
from colora.data.alike import LEAST_AGREEMENT, LEAST_CORRELATION, agreeing, correlations, signatures
from colora.data.prepare import prepare

FOLDER = Path("data", "oct2017-sample")


def textured(n, size=64, seed=0):
    """(n, size, size) uint8: pictures of their own, each a smooth field under a little noise."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 255, (n, 12, 12), dtype=np.uint8)
    smooth = [np.asarray(Image.fromarray(c).resize((size, size), Image.Resampling.BICUBIC)) for c in coarse]
    return np.clip(np.stack(smooth) + rng.normal(0, 4, (n, size, size)), 0, 255).astype(np.uint8)


def agreement(a, b):
    """(N,) of each signature with its partner."""
    return (signatures(a).astype(np.float32) * signatures(b).astype(np.float32)).sum(1)


@pytest.mark.parametrize("size", [16, 28, 64, 100, 224])
def test_a_signature_has_length_one_and_is_the_same_at_every_size(size):
    images = textured(4, size)
    found = signatures(images).astype(np.float64)
    assert found.shape == (4, min(20, size) ** 2 - 1) and found.dtype == np.float64
    assert np.linalg.norm(found, axis=1) == pytest.approx(1, abs=1e-3)
    assert signatures(images).dtype == np.float16
    if size > 64:
        larger = np.stack([prepare(Image.fromarray(image), 64) for image in images])
        assert agreement(images, images).min() > 0.999
        assert (signatures(larger) * signatures(images)).sum(1).min() > 0.99


def test_the_cells_of_a_picture_are_means_also_where_their_edges_lie_within_a_pixel():
    area = alike._area(96)
    assert area.sum(1) == pytest.approx(1) and area.sum(0) == pytest.approx(64 / 96)
    assert area[0, :3].tolist() == pytest.approx([2 / 3, 1 / 3, 0])
    assert alike._area(128)[5].nonzero()[0].tolist() == [10, 11]


def test_the_correlation_is_pearsons():
    a, b = textured(3), textured(3, seed=1)
    expected = [np.corrcoef(x.ravel(), y.ravel())[0, 1] for x, y in zip(a, b, strict=True)]
    assert correlations(a, b) == pytest.approx(expected, abs=1e-5)
    assert correlations(a, a) == pytest.approx(1, abs=1e-5) and correlations(a, 255 - a) == pytest.approx(-1, abs=1e-5)


def test_blank_and_constant_pictures_are_like_nothing():
    blank = np.stack([np.zeros((64, 64)), np.full((64, 64), 255), np.eye(64) * 4]).astype(np.uint8)
    assert not signatures(blank).any()
    assert correlations(blank[:2], blank[:2]).tolist() == [0, 0]
    assert [len(rows) for rows, *_ in agreeing(signatures(blank), signatures(blank))] == [0]


@given(
    st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 40), st.integers(1, 50), st.integers(1, 50),
    st.floats(0.05, 0.5),
)  # fmt: skip
def test_the_search_in_blocks_finds_what_looking_at_every_pair_finds(seed, n, m, rows, columns, spread):
    rng = np.random.default_rng(seed)
    kinds = rng.normal(size=(6, 30))
    a, b = (kinds[rng.integers(0, 6, k)] + spread * rng.normal(size=(k, 30)) for k in (n, m))
    a, b = ((x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float16) for x in (a, b))
    exact = a.astype(np.float64) @ b.astype(np.float64).T
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alike, "ROWS", rows)
        patch.setattr(alike, "COLUMNS", columns)
        found = [(i, j) for x, y, crowded in agreeing(a, b) for i, j in zip(x.tolist(), y.tolist(), strict=True)]
    assert len(found) == len(set(found))
    sure = {(int(i), int(j)) for i, j in zip(*np.nonzero(exact >= LEAST_AGREEMENT + 1e-5), strict=True)}
    possible = {(int(i), int(j)) for i, j in zip(*np.nonzero(exact >= LEAST_AGREEMENT - 1e-5), strict=True)}
    assert sure <= set(found) <= possible


def test_a_crowded_block_gives_the_best_pair_of_each_row_and_column(monkeypatch):
    monkeypatch.setattr(alike, "CROWDED", 3)
    rng = np.random.default_rng(0)
    one = rng.normal(size=30)
    a, b = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in one + 0.1 * rng.normal(size=(2, 8, 30)))
    ((rows, columns, crowded),) = agreeing(a, b)
    exact = a @ b.T
    assert crowded and len(rows) < 17 and set(rows) == set(columns) == set(range(8))
    pairs = set(zip(rows.tolist(), columns.tolist(), strict=True))
    assert {(i, int(exact[i].argmax())) for i in range(8)} <= pairs
    assert {(int(exact[:, j].argmax()), j) for j in range(8)} <= pairs


def stored_anew(image, quality, scale=1.0):
    small = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BILINEAR)
    content = io.BytesIO()
    small.save(content, "JPEG", quality=quality)
    return Image.open(io.BytesIO(content.getvalue()))


def with_levels(image, factor, shift, gamma=1.0):
    levels = 255 * (np.asarray(image) / 255) ** gamma
    return Image.fromarray(np.clip(levels * factor + shift, 0, 255).astype(np.uint8))


COPIES = {
    "JPEG 30": lambda image: stored_anew(image, 30),
    "a third, JPEG 50": lambda image: stored_anew(image, 50, 1 / 3),
    "brighter": lambda image: with_levels(image, 1, 20),
    "darker": lambda image: with_levels(image, 1, -20),
    "contrast": lambda image: with_levels(image, 1.3, 0),
    "gamma": lambda image: with_levels(image, 1, 0, 1.4),
}


@pytest.fixture(scope="module")
def scans(shared):
    """70 real scans, every tenth, and whose they are."""
    paths = sorted((shared / FOLDER).glob("*/*.jpeg"))[::10]
    return [Image.open(path).convert("L") for path in paths], np.array([path.stem.split("-")[1] for path in paths])


@pytest.mark.parametrize("size", [28, 64, 224])
def test_copies_of_real_scans_are_found_and_other_patients_are_not_theirs(scans, size):
    images, patients = scans
    own = np.stack([prepare(image, size) for image in images])
    for name, change in COPIES.items():
        copies = np.stack([prepare(change(image), size) for image in images])
        assert agreement(own, copies).min() > 0.95, name
        assert correlations(own, copies).min() > 0.94, name
    found = signatures(own).astype(np.float32)
    others = (found @ found.T)[patients[:, None] != patients[None]]
    assert len(others) > 4_700 and others.max() < 0.88


def test_all_pairs_of_the_real_sample(shared):
    """As the module's first lines tell: of 244,011 pairs of different patients none, of one patient's 639 one."""
    paths = sorted((shared / FOLDER).glob("*/*.jpeg"))
    own = np.stack([prepare(Image.open(path), 64) for path in paths])
    patients = np.array([path.stem.split("-")[1] for path in paths])
    found = signatures(own)
    first, second, _ = next(agreeing(found, found))
    first, second = first[first < second], second[first < second]
    ((a, b),) = zip(first, second, strict=True)
    assert {paths[a].stem, paths[b].stem} == {"NORMAL-33350-1", "NORMAL-33350-2"} and patients[a] == patients[b]
    assert correlations(own[[a]], own[[b]])[0] == pytest.approx(0.993, abs=0.001) and LEAST_CORRELATION == 0.9
    agree = (found.astype(np.float32) @ found.astype(np.float32).T)[np.triu_indices(700, 1)]
    apart = patients[np.triu_indices(700, 1)[0]] != patients[np.triu_indices(700, 1)[1]]
    assert apart.sum() == 244_011 and agree[apart].max() == pytest.approx(0.874, abs=0.002)
