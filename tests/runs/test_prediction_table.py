"""A file of predictions is held to what its readers rely on; what does not hold is a sentence that names the file."""

import os
import shutil

import numpy as np
import pandas as pd
import pytest
from commands import document, mistake
from fabricate import CLASS_NAMES, fabricate
from safetensors.numpy import save_file

from colora.distillation.scores import read_predictions
from colora.results.predictions import epoch_file, image_table, predicted
from colora.results.timeline import timeline
from colora.runs.folder import Group
from colora.runs.prediction_table import read_epoch, read_table
from colora.system.errors import UserError


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return fabricate(tmp_path_factory.mktemp("runs"), "g", ["done", "done"], {"epochs": 2}).path


@pytest.fixture
def group(whole, tmp_path):
    shutil.copytree(whole, tmp_path / "g")
    return Group(tmp_path / "g")


def replaced(**columns):
    return lambda table: table.assign(**columns)


def renamed(old, new):
    return lambda table: table.rename(columns={old: new})


LARGE = 99_999_999_999_999_999


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (replaced(label=4), "label holds 4 to 4, which go from 0 to 3"),
        (replaced(label=-1), "label holds -1 to -1"),
        (replaced(label=LARGE), f"label holds {LARGE} to {LARGE}"),
        (replaced(label=0.5), "label is float64, not whole numbers"),
        (replaced(label="CNV"), "label is "),
        (replaced(label=None), "label is object, not whole numbers"),
        (replaced(trained_label=LARGE), f"trained_label holds {LARGE} to {LARGE}"),
        (replaced(trained_label=np.nan), "trained_label is float64"),
        (replaced(index=-1), "index holds -1 to -1"),
        (replaced(p_1=np.nan), "it holds probabilities that are not finite, below 0, or do not sum to 1"),
        (replaced(p_1=np.inf), "it holds probabilities that are not finite"),
        (replaced(p_1=-0.5), "it holds probabilities that are not finite, below 0"),
        (replaced(p_1=7.0), "it holds probabilities that are not finite, below 0, or do not sum to 1"),
        (replaced(p_1="much"), "probabilities are not all numbers"),
        (replaced(p_4=0.0), "it has probabilities of 5 classes and not of 4"),
        (renamed("p_3", "p_9"), "it lacks the column p_3"),
        (renamed("label", "Label"), "it lacks the column label"),
        (renamed("used", "Used"), "it lacks the column used"),
        (renamed("image_id", "image"), "it lacks the column image_id"),
        (replaced(used=1), "used is int64, not true or false"),
        (replaced(checksum=-1), "checksum is int64, not uint64"),
        (replaced(image_id=7), "image_id is not all text"),
    ],
)
def test_a_table_that_does_not_hold_is_a_sentence_for_every_reader(group, change, why, capsys):
    path = group.runs[0].path / "predictions" / "train.parquet"
    change(pd.read_parquet(path)).to_parquet(path)
    for read in (
        lambda: group.runs[0].predictions("train"),
        lambda: read_predictions(Group(group.path), "train"),
        lambda: image_table(Group(group.path), "train"),
    ):
        with pytest.raises(UserError) as caught:
            read()
        assert str(caught.value).startswith(f"{path} cannot be read as predictions ({why}")
        assert str(caught.value).endswith("The other seeds are not affected.")
    said = mistake(capsys, "distil", group.path, "--keep", 5, "--name", "d")
    assert f"{path} cannot be read as predictions ({why}" in said
    assert document(capsys, "show", group.path)["state"] == "done"
    assert len(group.runs[1].predictions("train")) == 400


def test_what_is_no_table_is_a_sentence(group):
    path = group.runs[0].path / "predictions" / "test.parquet"
    content = path.read_bytes()
    overwritten = content[:2000] + bytes(500) + content[2500:]
    for bad in (b"", b"PAR1", content[:100], content[:-9], b"<html></html>", overwritten):
        path.write_bytes(bad)
        with pytest.raises(UserError, match=r"test\.parquet cannot be read as predictions \("):
            group.runs[0].predictions("test")
    path.unlink()
    for put in (os.mkfifo, os.mkdir):
        put(path)
        with pytest.raises(UserError, match=r"test\.parquet cannot be read as predictions \(it is missing, or no"):
            group.runs[0].predictions("test")
        path.rmdir() if path.is_dir() else path.unlink()


def test_a_table_of_equal_rows_without_end_is_not_read(group, monkeypatch):
    monkeypatch.setattr("colora.runs.prediction_table.MOST_IMAGES", 399)
    with pytest.raises(UserError, match="it claims 400 images"):
        group.runs[0].predictions("train")


def test_how_many_classes_there_are_is_held_against_the_run_where_it_says_so(group):
    path = group.runs[0].path / "predictions" / "test.parquet"
    assert len(read_table(path, None, "test")) == len(read_table(path, len(CLASS_NAMES), "test")) == 200
    with pytest.raises(UserError, match="it lacks the column p_4"):
        read_table(path, 5, "test")


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"test": np.full((200, 4), np.nan, np.float32)}, "it holds probabilities that are not finite"),
        ({"test": np.full((200, 4), 1, np.int64)}, "it holds probabilities that are not finite"),
        ({"test": np.full(200, 1, np.float32)}, r"its test is \(200,\), not images and classes"),
        ({"test": np.full((200, 1), 1, np.float32)}, "it has 1 classes, and the images have 4"),
        ({"val": np.full((200, 4), 0.25, np.float32)}, ""),
    ],
)
def test_an_epoch_that_does_not_hold_is_a_sentence(group, values, why):
    path = epoch_file(group.runs[0], 1)
    save_file(values, path)
    labels = image_table(group, "test")["target"].to_numpy()
    with pytest.raises(UserError, match=rf"epoch-01\.safetensors is damaged \({why}.*: the other epochs are not"):
        predicted(group.runs[0], "test", 1, labels)
    assert predicted(group.runs[0], "test", 2, labels)[1].shape == (200, 4)


def test_an_epoch_that_is_no_file_is_a_sentence(group):
    path = epoch_file(group.runs[0], 1)
    path.unlink()
    os.mkfifo(path)
    for read in (lambda: read_epoch(path, "test"), lambda: timeline(group.runs[0], "test", 3)):
        with pytest.raises(UserError, match=r"epoch-01\.safetensors is damaged \(it is missing, or no file\)"):
            read()
    path.unlink()
    (path.parent / "epoch-new.safetensors").write_bytes(b"x")  # somebody else's
    assert len(timeline(group.runs[0], "test", 3)) == 1
