"""Weights files that nobody vouches for: whatever is wrong with one is a sentence that names it."""

import io
import json
import os
import pickle
import struct
import tarfile
import warnings
import zipfile

import pytest
import torch
from safetensors.torch import save

from colora.networks.backbones import build, load_weights
from colora.networks.tensor_file import read_weights
from colora.system.errors import UserError

ONE = torch.arange(6.0).reshape(2, 3)


def refused(path, sentence):
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a line on stderr would be a second sentence
        with pytest.raises(UserError, match=sentence) as caught:
            read_weights(path)
    assert str(caught.value).startswith((str(path), "There is no weights file")) and "\n" not in str(caught.value)
    assert caught.value.field == "weights" and len(str(caught.value)) < len(str(path)) + 300


def header(**change):
    text = json.dumps({"a": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24], **change}}).encode()
    return struct.pack("<Q", len(text)) + text + ONE.numpy().tobytes()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x08",
        b"<html><body>404 Not Found</body></html>",
        save({"a": ONE})[:-1],
        save({"a": ONE})[:40],
        save({"a": ONE}) + b"more",
        struct.pack("<Q", 2**63) + b"{}",
        struct.pack("<Q", 2**64 - 1) + b"{}",
        struct.pack("<Q", 100_000_001) + b"{}",
        struct.pack("<Q", 20_000) + b"[" * 20_000,
        struct.pack("<Q", 4) + b"\xff" * 4,
        header(dtype="F128"),
        header(shape=[-1, 3]),
        header(shape=[2**63, 2]),
        header(shape=[2**32, 2**32]),
        header(data_offsets=[0, 2**63]),
        header(data_offsets=[24, 0]),
        header(data_offsets=[4, 28]),
        header(data_offsets="x"),
    ],
)
def test_a_safetensors_file_that_lies_is_a_sentence(tmp_path, content):
    (path := tmp_path / "w.safetensors").write_bytes(content)
    refused(path, "cannot be read as weights: ")


class Foreign:
    def __reduce__(self):
        return print, ("unpickled",)


def pth(value, **options):
    out = io.BytesIO()
    torch.save(value, out, **options)
    return out.getvalue()


def bomb():
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
        archive.writestr("archive/data/0", bytes(1 << 24))
    return out.getvalue()


def tar():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("storages"))
    return out.getvalue()


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "cannot be read as weights: "),
        (b"<html><body>404 Not Found</body></html>", "cannot be read as weights: "),
        (pth({"a": ONE})[:-30], "cannot be read as weights: "),
        (pth({"a": ONE}, _use_new_zipfile_serialization=False)[:200], "cannot be read as weights: "),
        (pickle.dumps([1] * 100), "cannot be read as weights: "),
        (pickle.dumps(Foreign()), "cannot be read as weights: "),
        (pth({"a": Foreign()}), "cannot be read as weights: "),
        (bomb(), r"cannot be read as weights: it claims 16\.8 MB and has "),
        (tar(), "cannot be read as weights: it is a tar archive"),
        (pth([ONE]), "holds no state_dict of tensors"),
        (pth({"state_dict": 5}), "holds no state_dict of tensors"),
        (pth({"a": 5}), "holds no state_dict of tensors"),
        (pth({5: ONE}), "holds a tensor whose name is no text but 5"),
        (pth({"a": ONE.to_sparse()}), r"holds a as torch\.float32, torch\.sparse_coo, on cpu: weights are plain real"),
        (pth({"a": ONE.to(torch.complex64)}), r"holds a as torch\.complex64"),
        (pth({"a": ONE.to("meta")}), "holds a as .* on meta: weights are plain real numbers"),
    ],
)
def test_a_pth_file_of_something_else_is_a_sentence(tmp_path, content, sentence, capsys):
    (path := tmp_path / "w.pth").write_bytes(content)
    refused(path, sentence)
    assert "unpickled" not in capsys.readouterr().out


@pytest.mark.parametrize("put", [os.mkfifo, os.mkdir, lambda path: os.symlink(path, path)])
def test_what_is_no_file_is_a_sentence(tmp_path, put):
    for name in ("w.pth", "w.safetensors"):
        put(tmp_path / name)
        refused(tmp_path / name, "There is no weights file")


def test_sound_files_of_every_kind_are_read(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(save({"a": ONE}))
    (tmp_path / "b.pth").write_bytes(pth({"a": ONE}))
    (tmp_path / "c.pth").write_bytes(pth({"state_dict": {"a": ONE}}, _use_new_zipfile_serialization=False))
    (tmp_path / "d").write_bytes(pth({"a": ONE.half()}))
    for path in tmp_path.iterdir():
        assert torch.equal(read_weights(path)["a"].float(), ONE)


def test_a_file_with_other_names_and_shapes_changes_nothing(tmp_path):
    model = build("resnet18:layer1", 2, 32)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    (tmp_path / "w.pth").write_bytes(pth({"conv1.weight": ONE}))
    with pytest.raises(UserError, match=r"w\.pth is not for resnet18:layer1: conv1\.weight is \(2, 3\) there"):
        load_weights(model, "resnet18:layer1", str(tmp_path / "w.pth"))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
