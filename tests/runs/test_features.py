"""What a model sees of its images is read as it was written, or is damaged, in a sentence that names the file."""

import os

import numpy as np
import pytest
from safetensors.numpy import save, save_file

from colora.runs.features import features_path, has_features, read_features, write_features
from colora.runs.folder import create_group
from colora.settings.config import make_config
from colora.system.errors import UserError

COUNTS = {"train": 6, "val": 4, "test": 5}
WHOLE = {split: np.random.default_rng(n).normal(size=(n, 3)).astype(np.float32) for split, n in COUNTS.items()}
SMALL = {split: rows.astype(np.float16) for split, rows in WHOLE.items()}


@pytest.fixture
def run(tmp_path):
    run = create_group(tmp_path / "runs", "g", make_config({"dataset": "phantom"}), [0]).runs[0]
    (run.path / "predictions").mkdir()
    return run


def test_what_is_written_is_read(run):
    assert not has_features(run)
    large = WHOLE["test"].copy()
    large[0] = 1e9, -1e9, 0.1  # more than float16 holds
    write_features(run, WHOLE | {"test": large}, epoch=2)
    assert has_features(run)
    found = read_features(run, COUNTS)
    assert list(found) == list(COUNTS) and all(rows.dtype == np.float32 for rows in found.values())
    for split in ("train", "val"):
        assert np.array_equal(found[split], WHOLE[split].astype(np.float16))
    assert found["test"][0].tolist() == [65504, -65504, float(np.float16(0.1))]
    assert list(read_features(run, {"val": 4})) == ["val"]


def other(**changed) -> dict[str, np.ndarray]:
    return {split: rows for split, rows in (SMALL | changed).items() if rows is not None}


NAN, INFINITE = SMALL["val"].copy(), SMALL["train"].copy()
NAN[2, 1], INFINITE[0, 0] = np.nan, np.inf
WRONG = [
    (other(val=None), "val"),
    (other(val=SMALL["val"][:3]), r"its val is \(3, 3\), for 4 images"),
    (other(train=SMALL["train"][0]), r"its train is \(3,\), for 6 images"),
    (other(val=SMALL["val"][:, :2]), r"its val is \(4, 2\), for 4 images"),
    ({split: rows[:, :0] for split, rows in SMALL.items()}, r"its train is \(6, 0\), for 6 images"),
    ({split: rows[..., None] for split, rows in SMALL.items()}, r"its train is \(6, 3, 1\)"),
    (other(val=NAN), "it holds what is no number"),
    (other(train=INFINITE), "it holds what is no number"),
    (other(test=WHOLE["test"]), "it holds what is no number"),
    (other(test=np.ones((5, 3), np.int16)), "it holds what is no number"),
]


@pytest.mark.parametrize(("arrays", "reason"), WRONG)
def test_of_other_images_or_without_numbers_it_is_damaged(run, arrays, reason):
    save_file(arrays, features_path(run))
    sentence = rf"predictions/features\.safetensors cannot be read \(.*{reason}.*\): delete it, then colora features"
    with pytest.raises(UserError, match=sentence) as error:
        read_features(run, COUNTS)
    assert "\n" not in str(error.value)


def test_wherever_it_is_cut_or_changed_it_is_numbers_or_one_sentence(run):
    content, path, read = save(SMALL), features_path(run), 0
    rng = np.random.default_rng(5)
    cases = [content[:at] for at in (0, 7, 8, 40, len(content) - 1)] + [b"\xff" * 9, b"no tensors" * 50]
    for _ in range(100):
        harmed = bytearray(content)
        harmed[rng.integers(0, len(harmed))] = rng.integers(0, 256)
        cases.append(bytes(harmed))
    for case in cases:
        path.write_bytes(case)
        try:
            found = read_features(run, COUNTS)
            assert {split: rows.shape for split, rows in found.items()} == {s: (n, 3) for s, n in COUNTS.items()}
            assert all(np.isfinite(rows).all() for rows in found.values())
            read += 1
        except UserError as error:
            assert str(path) in str(error) and "\n" not in str(error)
    assert 20 < read < 100


@pytest.mark.parametrize("put", [lambda path: path.mkdir(), os.mkfifo, lambda path: None])
def test_a_folder_a_pipe_or_nothing_in_its_place(run, put):
    put(features_path(run))
    with pytest.raises(UserError, match=r"features\.safetensors cannot be read \(it is missing, or no file\)"):
        read_features(run, COUNTS)
    assert has_features(run) is os.path.lexists(features_path(run))
