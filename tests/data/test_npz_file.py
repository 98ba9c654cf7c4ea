"""An .npz as an archive: whatever is wrong with one, from a torn copy to a header that lies, is a sentence."""

import io
import shutil
import warnings
import zipfile

import numpy as np
import pytest
from small_data import check, load, refused, rewrite, write_npz

from colora.data import npz
from colora.data.npz_file import NpzFile
from colora.system.errors import UserError


@pytest.mark.parametrize("part", [100, 5000])
def test_truncated(tmp_path, part):
    path = write_npz(tmp_path / "bad.npz")
    path.write_bytes(path.read_bytes()[:-part])
    refused(path, r"cannot be read as an \.npz file .* is the copy complete\?")


@pytest.mark.parametrize("content", [b"", b"PK", b"version https://git-lfs.github.com/spec/v1\n", b"\x80\x04N."])
def test_not_an_archive(tmp_path, content):
    (tmp_path / "bad.npz").write_bytes(content)
    refused(tmp_path / "bad.npz", r"cannot be read as an \.npz file \(File is not a zip file\): is the copy complete")


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("key", ["train_images", "train_labels"])
def test_damage_inside_one_member(tmp_path, compressed, key):
    """The archive's directory is whole; only the checksum, or the compressed stream itself, tells."""
    path = write_npz(tmp_path / "bad.npz")
    if compressed:
        with np.load(path) as file:
            np.savez_compressed(path, **{name: file[name] for name in file.files})
    with zipfile.ZipFile(path) as archive:
        info = archive.getinfo(f"{key}.npy")
    content = bytearray(path.read_bytes())
    end = info.header_offset + 30 + len(info.filename) + info.compress_size
    for place in range(end, end + 20):  # near the end of the data, behind the array's header
        content[place - 10] ^= 0xFF
    path.write_bytes(content)
    refused(path, r"cannot be read as an \.npz file")


def test_damage_in_a_large_file_is_found_while_reading(tmp_path, monkeypatch):
    path = write_npz(tmp_path / "bad.npz")
    content = bytearray(path.read_bytes())
    place = content.index(b"val_images.npy") + 5000
    content[place] ^= 0xFF
    path.write_bytes(content)
    monkeypatch.setattr(npz, "VERIFIED_BYTES", 1000)
    check(path)  # which is quick, so it does not read the pixels
    refused(path, "Bad CRC-32 for file 'val_images.npy'", also_before_launch=False)


def header(shape, dtype="|u1"):
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": dtype, "fortran_order": False, "shape": shape})
    return out.getvalue()


@pytest.mark.parametrize("shape", [(10**12, 28, 28), (30, 10**6, 10**6), (29, 32, 32), (-30, 32, 32)])
def test_a_header_that_claims_what_the_file_does_not_hold(tmp_path, shape):
    path = write_npz(tmp_path / "bad.npz")
    rewrite(path, lambda content: content.update({"train_images.npy": header(shape) + bytes(30 * 32 * 32)}))
    refused(path, r"train_images claims uint8 \(.*\), .*, but holds 31 kB")


def test_images_that_fit_no_memory(tmp_path, monkeypatch):
    class Nearly:
        available = 50_000

    path = write_npz(tmp_path / "a.npz")
    monkeypatch.setattr("colora.data.npz_file.psutil.virtual_memory", lambda: Nearly)
    sentence = r"a.npz at 32 px needs 92 kB of memory, but this machine has 50 kB free: choose a smaller image size"
    refused(path, sentence, also_before_launch=False)


@pytest.mark.parametrize("key", ["train_images", "val_labels", "class_names", "test_patients"])
def test_python_objects_are_never_unpickled(tmp_path, key):
    path = write_npz(tmp_path / "bad.npz", **{key: np.array([{"a": 1}] * 30, dtype=object)})
    refused(path, rf"{key} holds Python objects, which are never unpickled")


def test_an_encrypted_member(tmp_path):
    path = write_npz(tmp_path / "bad.npz")
    content = bytearray(path.read_bytes())
    place = content.rindex(b"PK\x01\x02", 0, content.rindex(b"val_labels.npy"))
    content[place + 8] |= 1  # bit 0 of the flags in the directory entry
    path.write_bytes(content)
    refused(path, "val_labels.npy.* is encrypted")


def test_missing_file_folder_and_plain_array(tmp_path):
    refused(tmp_path / "no.npz", "There is no file")
    (tmp_path / "folder.npz").mkdir()
    refused(tmp_path / "folder.npz", "There is no file")
    np.save(tmp_path / "array.npy", np.zeros(3))
    refused(tmp_path / "array.npy", "is a single array, not an .npz archive: MedMNIST's format has")


def test_no_permission(tmp_path, monkeypatch):
    path = write_npz(tmp_path / "a.npz")

    def forbidden(self, *args):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(zipfile.ZipFile, "__init__", forbidden)
    refused(path, rf"There is no permission to read {path}")


def test_names_with_spaces_and_umlauts(tmp_path):
    folder = tmp_path / "Ödem und mehr"
    folder.mkdir()
    assert load(f"npz:{write_npz(folder / 'für alle.npz')}").source == "npz:für alle.npz"


def test_an_array_of_later_format_is_refused(tmp_path):
    path = write_npz(tmp_path / "bad.npz")
    rewrite(path, lambda content: content.update({"val_images.npy": b"\x93NUMPY\x09\x00" + bytes(100)}))
    refused(path, r"val_images is of numpy's format \(9, 0\)")


def test_rows_and_whole_are_the_same(tiny_npz):
    with zipfile.ZipFile(tiny_npz) as archive:
        file = NpzFile(tiny_npz, archive)
        assert np.array_equal(np.concatenate(list(file.rows("val_images"))), file.read("val_images"))


def array(header, values=b"", version=b"\x01\x00"):
    """A .npy file with this header."""
    text = header.encode() + b"\n"
    return b"\x93NUMPY" + version + len(text).to_bytes(2 if version == b"\x01\x00" else 4, "little") + text + values


def says(descr, shape, order=False):
    return f"{{'descr': {descr!r}, 'fortran_order': {order}, 'shape': {shape}, }}"


@pytest.mark.parametrize("key", ["train_labels", "train_images", "class_names", "val_patients"])
@pytest.mark.parametrize(
    "content",
    [
        array(says("<U0", (10**12,))),  # no bytes, and four for each entry as soon as it is read
        array(says("|V0", (10**12,))),
        array(says("|u1", "(6.5,)"), bytes(6)),
        array(says("|u1", (2**64, 0))),
        array(says("nothing", (6,)), bytes(6)),
        array("(" * 9_000),
        array("[" * 900 + "]" * 900),
        array("{'descr': '|u1'}", bytes(6)),
        array("5", bytes(6)),
        array(says("|u1", (30,), order=7), bytes(30)),
        array(says("|u1", (30,)), bytes(30), version=b"\x03\x00"),
        b"\x93NUMPY",
        b"<html></html>",
        b"",
    ],
    ids=range(14),
)
def test_a_header_that_lies_is_a_sentence_whichever_array_it_is_of(tmp_path, tiny_npz, key, content):
    path = shutil.copy(tiny_npz, tmp_path / "a.npz")
    rewrite(path, lambda members: members.update({f"{key}.npy": content}))
    with pytest.raises(UserError) as caught:
        load(f"npz:{path}")
    assert str(caught.value).startswith(f"{path}") and "\n" not in str(caught.value) and len(str(caught.value)) < 700


def test_a_lack_of_memory_is_said(tmp_path, tiny_npz, monkeypatch):
    monkeypatch.setattr(np.lib.format, "read_array", lambda *_, **__: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(UserError, match=r"tiny\.npz cannot be read as an .npz file \(it takes more memory than"):
        load(f"npz:{tiny_npz}")


@pytest.mark.parametrize("name", ["train_images.npy", "train_images"])
def test_an_array_that_is_there_twice_is_refused(tmp_path, tiny_npz, name):
    path = shutil.copy(tiny_npz, tmp_path / "a.npz")
    with zipfile.ZipFile(path, "a") as archive, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # which zipfile gives
        archive.writestr(name, b"other")
    refused(path, "a.npz holds train_images twice, and which one counts is not said: save it anew")


def test_a_file_of_thousands_of_members_is_told_in_a_sentence(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for i in range(5_000):
            archive.writestr(f"../{'x' * 200}\n{i}.npy", b"")
    with pytest.raises(UserError, match=", 4,988 more") as caught:
        check(tmp_path / "a.npz")
    assert len(str(caught.value)) < 2_000 and "\n" not in str(caught.value)
