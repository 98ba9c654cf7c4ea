"""What a model sees of its images is read as it was written, or is damaged, in a sentence that names the file."""

import os
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save, save_file

from colora.metrics.novelty import Familiar
from colora.runs.features import Kept, features_path, has_features, read_familiar, read_features, write_features
from colora.runs.folder import create_group
from colora.settings.config import make_config
from colora.system.errors import UserError

COUNTS = {"train": 6, "val": 4, "test": 5}
RNG = np.random.default_rng(4)
WHOLE = {split: RNG.normal(size=(n, 3)).astype(np.float32) for split, n in COUNTS.items()}
FAMILIAR = Familiar(RNG.normal(size=(2, 5)), RNG.normal(size=(5, 5)))  # of 2 classes and maps of 5 channels
DISTANCES = {"val": RNG.uniform(size=4), "test": RNG.uniform(size=3)}
SMALL = {split: rows.astype(np.float16) for split, rows in WHOLE.items()}  # and so it lies in the file:
SMALL |= {name: getattr(FAMILIAR, name).astype(np.float32) for name in ("means", "whitening")}
SMALL |= {f"{split}.distance": own.astype(np.float32) for split, own in DISTANCES.items()}


@pytest.fixture
def run(tmp_path):
    run = create_group(tmp_path / "runs", "g", make_config({"dataset": "phantom"}), [0]).runs[0]
    (run.path / "predictions").mkdir()
    return run


def both(run) -> tuple[dict[str, np.ndarray], Familiar, dict[str, np.ndarray]]:
    return read_features(run, COUNTS), *read_familiar(run)


def test_what_is_written_is_read(run):
    assert not has_features(run)
    large = WHOLE["test"].copy()
    large[0] = 1e9, -1e9, 0.1  # more than float16 holds
    write_features(run, Kept(WHOLE | {"test": large}, FAMILIAR, DISTANCES))
    assert has_features(run)
    found, familiar, distances = both(run)
    assert list(found) == list(COUNTS) and all(rows.dtype == np.float32 for rows in found.values())
    for split in ("train", "val"):
        assert np.array_equal(found[split], WHOLE[split].astype(np.float16))
    assert found["test"][0].tolist() == [65504, -65504, float(np.float16(0.1))]
    assert list(read_features(run, {"val": 4})) == ["val"]
    for name in ("means", "whitening"):
        read = getattr(familiar, name)
        assert read.dtype == np.float64 and np.array_equal(read, SMALL[name])
    maps = RNG.normal(size=(7, 5))
    assert familiar.distance(maps) == pytest.approx(FAMILIAR.distance(maps), rel=1e-5)
    assert {split: own.tolist() for split, own in distances.items()} == {
        split: SMALL[f"{split}.distance"].tolist() for split in ("val", "test")
    }


def other(**changed) -> dict[str, np.ndarray]:
    """The tensors of a whole file, some of them others; one that is None is lacking."""
    named = {name.replace("_distance", ".distance"): rows for name, rows in changed.items()}
    return {name: rows for name, rows in (SMALL | named).items() if rows is not None}


def with_one(name: str, value: float) -> np.ndarray:
    rows = SMALL[name].copy()
    rows.flat[1] = value
    return rows


NO_NUMBER = "it holds what is no number"
WRONG = [
    (other(val=None), "val"),
    (other(val=SMALL["val"][:3]), r"its val is \(3, 3\), for 4 images"),
    (other(train=SMALL["train"][0]), r"its train is \(3,\), for 6 images"),
    (other(val=SMALL["val"][:, :2]), r"its \w+ is \(\d, \d\), for \d images"),
    ({split: SMALL[split][:, :0] for split in COUNTS}, r"its train is \(6, 0\), for 6 images"),
    ({split: SMALL[split][..., None] for split in COUNTS}, r"its train is \(6, 3, 1\)"),
    (other(val=with_one("val", np.nan)), NO_NUMBER),
    (other(train=with_one("train", np.inf)), NO_NUMBER),
    (other(test=np.ones((5, 3), np.int16)), NO_NUMBER),
]
WRONG_FAMILIAR = [
    (other(means=None), "means"),
    (other(whitening=None), "whitening"),
    (other(val_distance=None), "val.distance"),
    (other(test_distance=None), "test.distance"),
    (other(means=SMALL["means"][0]), r"its means are \(5,\), and its whitening \(5, 5\)"),
    (other(means=SMALL["means"][:, :4]), r"its means are \(2, 4\), and its whitening \(5, 5\)"),
    (other(means=SMALL["means"][:0]), r"its means are \(0, 5\), and its whitening \(5, 5\)"),
    (other(whitening=SMALL["whitening"][:4]), r"its means are \(2, 5\), and its whitening \(4, 5\)"),
    (other(whitening=SMALL["whitening"][0]), r"its means are \(2, 5\), and its whitening \(5,\)"),
    (other(whitening=np.float32(1)), r"its means are \(2, 5\), and its whitening \(\)"),
    (other(means=np.ones((2, 0), "f4"), whitening=np.ones((0, 0), "f4")), r"its means are \(2, 0\)"),
    (other(val_distance=SMALL["val.distance"][:, None]), "its distances are no list of numbers"),
    (other(test_distance=SMALL["test.distance"][:0]), "its distances are no list of numbers"),
    (other(means=with_one("means", np.nan)), NO_NUMBER),
    (other(whitening=with_one("whitening", np.inf)), NO_NUMBER),
    (other(val_distance=with_one("val.distance", np.nan)), NO_NUMBER),
    (other(test_distance=np.ones(3, np.int32)), NO_NUMBER),
]
CASES = [(lambda run: read_features(run, COUNTS), *case) for case in WRONG]
CASES += [(read_familiar, *case) for case in WRONG_FAMILIAR]


@pytest.mark.parametrize(("read", "arrays", "reason"), CASES)
def test_of_other_images_or_without_numbers_it_is_damaged(run, read: Callable[..., Any], arrays, reason):
    save_file({name: np.asarray(rows) for name, rows in arrays.items()}, features_path(run))
    sentence = rf"predictions/features\.safetensors cannot be read \(.*{reason}.*\): delete it, then colora features"
    with pytest.raises(UserError, match=sentence) as error:
        read(run)
    assert "\n" not in str(error.value)


def test_wherever_it_is_cut_or_changed_it_is_numbers_or_one_sentence(run):
    content, path, read = save(SMALL), features_path(run), 0
    rng = np.random.default_rng(5)
    cases = [content[:at] for at in (0, 7, 8, 40, len(content) - 1)] + [b"\xff" * 9, b"no tensors" * 50]
    for _ in range(150):
        harmed = bytearray(content)
        harmed[rng.integers(0, len(harmed))] = rng.integers(0, 256)
        cases.append(bytes(harmed))
    for case in cases:
        path.write_bytes(case)
        try:
            found, familiar, distances = both(run)
            assert {split: rows.shape for split, rows in found.items()} == {s: (n, 3) for s, n in COUNTS.items()}
            assert (familiar.means.shape, familiar.whitening.shape) == ((2, 5), (5, 5))
            rows = [*found.values(), familiar.means, familiar.whitening, *distances.values()]
            assert all(np.isfinite(own).all() for own in rows)
            read += 1
        except UserError as error:
            assert str(path) in str(error) and "\n" not in str(error)
    assert 30 < read < 140


@pytest.mark.parametrize("put", [lambda path: path.mkdir(), os.mkfifo, lambda path: None])
def test_a_folder_a_pipe_or_nothing_in_its_place(run, put):
    put(features_path(run))
    for read in (lambda run: read_features(run, COUNTS), read_familiar):
        with pytest.raises(UserError, match=r"features\.safetensors cannot be read \(it is missing, or no file\)"):
            read(run)
    assert has_features(run) is os.path.lexists(features_path(run))
