"""Bytes that nobody should trust, by a seed: .npz, weights, tables, journals, cuts, images; sound, and then changed.

Each function takes a `random.Random`, and gives the same for the same state of it on every machine. What is hostile is
a kind (a cut, a flipped bit, a lie in a header, another type, a value without bounds), applied to what is sound.
"""

import io
import json
import pickle
import struct
import tarfile
import zipfile
from csv import writer
from random import Random
from typing import Any

import numpy as np
import pandas as pd
import torch
from fabricate import COUNTS
from PIL import Image
from safetensors.torch import save

TEXTS = (
    "", " ", "-", "--", "~", "~nosuch/x", "..", "../../nowhere/x", ".", "a/b/c",
    "C:\\x", "file:///tmp/x%ff", "file://elsewhere/x", "“first”", "x" * 300, "ä" * 200, "y" * 5_000, "d/" * 3_000,
    "\udcff\udcfe", "a\ud800b", "a\nb", "a\tb\r", "\x1b[31mred", "\x7f", "\u202etxt", "\u2028", "\U0001f441", "=1+1",
    "@x", "<script>", "$(id)", "'", '"', "\\", "%s%n{0}", "nan", "inf", "-inf", "1e999", "-1", "0", "0.5", "1e-400",
    "9" * 20, "9" * 5_000, "1_000", "٣", "１", "0x10", "1,2,3", ",,,", ";", "0-999999999", "5-1", "0-", "[", "{}",
    "[1,2", '{"a":' * 200, "None", "true", "npz:", "folder:", "npz:/dev/zero", "phantom", "octmnist",
    "chestmnist", "imagenet", "shipped",
)  # fmt: skip


def hostile_text(rng: Random) -> str:
    if rng.random() < 0.75:
        return rng.choice(TEXTS)
    alphabets = ("abc-._ ", "0123456789.,-eE", "\ud800\udfffä\u0301\u200b\U0001f441", "\x01\x1b\n\x85\u2029")
    alphabet = rng.choice(alphabets)
    return "".join(rng.choice(alphabet) for _ in range(rng.choice((1, 3, 17, 254, 256, 400))))


def hostile_json(rng: Random, depth: int = 0) -> Any:
    """Any value that a JSON file can hold, and some that only Python's has."""
    kind = rng.randrange(11 if depth < 2 else 8)
    if kind == 8:
        return [hostile_json(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind == 9:
        return {hostile_text(rng): hostile_json(rng, depth + 1) for _ in range(rng.randrange(4))}
    if kind == 10:
        return {"by": hostile_json(rng, depth + 1), "time": hostile_json(rng, depth + 1)}
    whole = rng.choice((10**19, -(10**19), 2**63, -1, 0, 1, 9_999, 10_000, 10**400))
    real = rng.choice((0.5, float("nan"), float("inf"), 1e308))
    return (None, True, False, whole, real, hostile_text(rng), "x", 7)[kind]


def changed(rng: Random, document: dict[str, Any]) -> dict[str, Any]:
    """With a value or two replaced or left out, also one level down."""
    document = dict(document)
    for _ in range(rng.randint(1, 2)):
        name = rng.choice([*document, "more"])
        inner = document.get(name)
        if rng.random() < 0.2:
            document.pop(name, None)
        elif isinstance(inner, dict) and inner and rng.random() < 0.5:
            document[name] = changed(rng, inner)
        else:
            document[name] = hostile_json(rng)
    return document


def damaged(rng: Random, content: bytes) -> bytes:
    """Cut off, with bits flipped, something put in between or behind, or replaced by what is often found there."""
    kind, at = rng.randrange(7), rng.randrange(len(content) + 1)
    if kind == 0:
        return content[:at]
    if kind == 1:
        flipped = bytearray(content)
        for _ in range(rng.choice((1, 5, 50)) if content else 0):
            flipped[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
        return bytes(flipped)
    if kind == 2:
        return content[:at] + rng.randbytes(rng.choice((1, 8, 500))) + content[at:]
    if kind == 3:
        return content + content
    if kind == 4:
        return rng.randbytes(rng.choice((0, 1, 8, 64, 1_000)))
    if kind == 5:
        return rng.choice((b"", b"<html><body>404 Not Found</body></html>", b"version https://git-lfs.example/spec/v1\n"))
    return content[:8] + rng.randbytes(8) + content[16:]


def _array_bytes(values: np.ndarray) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array(out, values, allow_pickle=True)
    return out.getvalue()


HEADERS = [
    f"{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}"
    for descr, order, shape in (
        ("'|u1'", False, "(-1, 8, 8)"),
        ("'|u1'", 5, "(6,)"),
        ("'|u1'", False, "(1000000000000, 8, 8)"),
        ("'|u1'", False, "(0, 18446744073709551616)"),
        ("'|u1'", False, "(6.5,)"),
        ("'<U0'", False, "(1000000000000,)"),
        ("'|V0'", False, "(9999999999,)"),
        ("'|O'", False, "(6,)"),
        ("'x'", False, "(6,)"),
        ("[('a', '<i4'), ('b', '<U3')]", False, "(6,)"),
        ("('<i4', (3,))", False, "(2,)"),
        ("'<M8[ns]'", True, "(6, 1)"),
        ("'<c16'", False, "(True, False)"),
    )
] + ["{'descr': '|u1'}", "[]", "5", "(" * 9_000, "__import__('os').getpid()"]


def _array_with_a_lie(rng: Random, values: np.ndarray) -> bytes:
    header = rng.choice(HEADERS).encode()
    version = rng.choice((b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x09\x09", b"\x01\x00"))
    length = struct.pack("<H" if version == b"\x01\x00" else "<I", rng.choice((len(header) + 1, 65_535, 0)))
    return b"\x93NUMPY" + version + length + header + b"\n" + values.tobytes()


def _other_array(rng: Random, values: np.ndarray) -> np.ndarray:
    """Of another type or shape."""
    n, values = len(values), np.arange(len(values)) if values.dtype.kind == "U" else values
    return (
        values.astype(np.float64), values.astype(np.int64) - 1, values.astype(np.complex64), values.astype(bool),
        values.astype(object), values.astype("<U3"), values.astype("S2"), values.astype(">u2"), np.array(3),
        np.asfortranarray(values), np.full(n, np.iinfo(np.uint64).max, np.uint64), np.full((n, 1), np.nan),
        np.empty((0,)), values[:-1], np.zeros((n, 3), "<i4,<f4"), np.zeros(n, "<M8[ns]"), np.eye(n),
        np.zeros((n, 0, 8), np.uint8), values[..., None, None], np.arange(n) * 10**9, np.zeros(n, "V5"),
        np.zeros((n, 8, 8, 3), np.float16), np.array(["a"] * n),
    )[rng.randrange(23)]  # fmt: skip


def npz(rng: Random) -> bytes:
    """Six images a split in MedMNIST's format, and something wrong with them."""
    arrays: dict[str, np.ndarray] = {"class_names": np.array(["A", "B"])}
    for split in ("train", "val", "test"):
        arrays[f"{split}_images"] = np.frombuffer(rng.randbytes(6 * 64), np.uint8).reshape(6, 8, 8)
        arrays[f"{split}_labels"] = np.array([0, 1] * 3)[:, None]
        arrays[f"{split}_patients"] = np.arange(6)
    members = {f"{name}.npy": _array_bytes(values) for name, values in arrays.items()}
    kind, name = rng.randrange(9), rng.choice(list(arrays))
    if kind == 0:
        del members[f"{name}.npy"]
    elif kind == 1:
        members[f"{name}.npy"] = damaged(rng, members[f"{name}.npy"])
    elif kind in (2, 3):
        members[f"{name}.npy"] = _array_with_a_lie(rng, arrays[name])
    elif kind in (4, 5):
        members[f"{name}.npy"] = _array_bytes(_other_array(rng, arrays[name]))
    elif kind == 6:
        members[rng.choice(("../../x.npy", "/etc/x.npy", "train_images", "y" * 300, "train_images.npy/"))] = b"x"
    elif kind == 7:  # a bomb: it unpacks to a thousand times its size
        members[f"{name}.npy"] = _array_bytes(np.zeros(30_000_000, np.uint8))
    out = io.BytesIO()
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2))
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED if kind == 7 else method) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    content = _patched(rng, out.getvalue()) if kind == 8 else out.getvalue()
    return damaged(rng, content) if rng.random() < 0.2 else content


def _patched(rng: Random, content: bytes) -> bytes:
    """A zip whose directory lies: a flag, a method, a size or a place is another one."""
    entries = [i for i in range(len(content) - 4) if content[i : i + 4] == b"PK\x01\x02"]
    at = rng.choice(entries) + rng.choice((8, 10, 16, 20, 24, 28, 42))  # flags, method, checksum, sizes, name, place
    lie = rng.choice((b"\x01\x00", b"\xff\xff\xff\xff", b"\x63\x00", b"\x00\x00\x00\x00"))
    return content[:at] + lie + content[at + len(lie) :]


class _Foreign:
    """What a pickle must never be allowed to call."""

    def __reduce__(self) -> tuple:
        return print, ("unpickled",)


def weights(rng: Random, tensors: dict[str, torch.Tensor]) -> tuple[str, bytes]:
    """(the file's ending, its content)."""
    if rng.random() < 0.5:
        content = save(tensors)
        return ".safetensors", _safetensors(rng, content) if rng.random() < 0.6 else damaged(rng, content)
    name = rng.choice([name for name, value in tensors.items() if value.dim()])
    one = tensors[name]
    odd: tuple[Any, ...] = (
        [1, 2], 5, None, {}, {"a": 1}, {5: one}, {"state_dict": 3}, {"state_dict": {"a": [one]}}, torch.zeros(3),
        tensors | {b"x": one}, tensors | {name: _Foreign()},
        *(tensors | {name: odd} for odd in (
            one.to_sparse(), one.to(torch.complex64), one.to("meta"), one[:1], one.expand(2, *one.shape), one.half(),
        )),
    )  # fmt: skip
    out = io.BytesIO()
    torch.save(rng.choice((tensors, *odd)), out, _use_new_zipfile_serialization=rng.random() < 0.6)
    kind = rng.randrange(5)
    if kind == 0:
        return ".pth", pickle.dumps(rng.choice((_Foreign(), [1] * 1_000, {"a": _Foreign()})), protocol=rng.randrange(6))
    if kind == 1:
        out = io.BytesIO()
        with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")
            archive.writestr("archive/data/0", bytes(30_000_000))
        return ".pth", out.getvalue()
    if kind == 2:
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w") as archive:
            archive.addfile(tarfile.TarInfo(rng.choice(("storages", "../x", "pickle"))))
        return ".pth", out.getvalue()
    return rng.choice((".pth", ".pt", "")), damaged(rng, out.getvalue()) if kind == 3 else out.getvalue()


def _safetensors(rng: Random, content: bytes) -> bytes:
    """With a header that lies."""
    (length,) = struct.unpack("<Q", content[:8])
    header, rest = json.loads(content[8 : 8 + length]), content[8 + length :]
    entry = header[rng.choice([name for name in header if name != "__metadata__"])]
    change = rng.choice(
        (
            {"dtype": rng.choice(("F128", "", "C64", "F8_E8M0", "BOOL", "U64", 5))},
            {"shape": rng.choice(([-1], [2**63], [10**30], [0], [], "x", [1.5], [2**32, 2**32]))},
            {"data_offsets": rng.choice(([0, 2**63], [5, 1], [0, 0], [-1, 4], [0], "x", [0, 4]))},
        )
    )
    entry |= change
    about = rng.choice(("x", "[]", 5, '{"epoch": {}}', "[" * 5_000))
    header["__metadata__"] = rng.choice(({}, 7, {"about": about}))
    text = json.dumps(header).encode()
    if rng.random() < 0.2:
        text = rng.choice((b"[" * 5_000, b"{}", b"null", b"\xff" * 40))
    claimed = rng.choice((len(text), len(text), len(text), 2**63, 2**64 - 1, 0, len(text) + 10**6, 100_000_001))
    return struct.pack("<Q", claimed) + text + rest


def table(rng: Random, content: bytes) -> bytes:
    """Predictions of a split, as parquet, with a column or the file changed."""
    if rng.random() < 0.3:
        return damaged(rng, content)
    frame = pd.read_parquet(io.BytesIO(content))
    name = rng.choice(list(frame.columns))
    kind = rng.randrange(6)
    if kind == 0:
        frame = frame.drop(columns=name)
    elif kind == 1:
        frame[name] = rng.choice((None, "text", -1, 10**18, 0.5, float("nan"), float("inf"), True, 2**63))
    elif kind == 2:
        values = frame[name].tolist()
        values[rng.randrange(len(values))] = rng.choice((None, 7, -3, 10**18, float("inf")))
        frame[name] = values
    elif kind == 3:
        frame = frame.rename(columns={name: rng.choice(("p_9", "x", "p_", "label2"))})
    elif kind == 4:
        frame = frame.iloc[: rng.randrange(3)]
    else:
        frame["trained_label"] = rng.choice((99, -1, "x", None, 10**18))
    out = io.BytesIO()
    try:
        frame.to_parquet(out)
    except Exception:  # a column of several types, which no parquet holds
        return damaged(rng, content)
    return out.getvalue()


def journal(rng: Random, event: dict[str, Any]) -> bytes:
    """Lines of a reader's file, sound ones among them."""
    lines = []
    for i in range(rng.randint(1, 8)):
        own = event | {"id": f"{i}", "image_id": f"train-{rng.randrange(COUNTS['train'][0]):04d}"}
        kind = rng.randrange(5)
        if kind == 0:
            lines.append(json.dumps(changed(rng, own)).encode())
        elif kind == 1:
            lines.append(damaged(rng, json.dumps(own).encode()))
        elif kind == 2:
            action = rng.choice(("undo", "restore", "judge", "move", 5))
            about = {"action": action, "undoes": f"{i - 1}", "removal": "r"}
            lines.append(json.dumps(changed(rng, own | about) if rng.random() < 0.5 else own | about).encode())
        elif kind == 3:
            lines.append(rng.choice((b"[" * 100_000, b'{"a":' * 50_000, b"9" * 5_000, b"x" * 600_000, b"null", b"{}")))
        else:
            lines.append(json.dumps(own).encode())
    return b"\n".join(lines) + rng.choice((b"\n", b"", b"\n\n", b"\r\n"))


def csv(rng: Random) -> bytes:
    """A file of verdicts, as somebody may have edited it."""
    columns = ["reader", "image_id", "verdict", "label", "note", "time", "user", "data_checksum", "imported_by", "seen"]
    sound = ["ann", "train-0001", "wrong_label", "1", "", "2026-01-31T12:00:00Z", "ann", "0" * 64, "", ""]
    rows = [rng.sample(columns, len(columns)) if rng.random() < 0.1 else columns]
    for _ in range(rng.randint(1, 4)):
        row = list(sound)
        for _ in range(rng.randrange(3)):
            row[rng.randrange(len(row))] = hostile_text(rng)
        rows.append(row[: rng.choice((len(row), len(row), 3))] + ["more"] * (rng.random() < 0.1))
    writer(out := io.StringIO()).writerows(rows)
    content = out.getvalue().encode("utf-8", rng.choice(("surrogatepass", "replace")))
    return damaged(rng, content) if rng.random() < 0.2 else content


def image(rng: Random) -> tuple[str, bytes]:
    """(the file's ending, its content)."""
    size = rng.choice(((1, 1), (8, 8), (1, 3_000), (64, 48)))
    mode = rng.choice(("L", "RGB", "RGBA", "1", "P", "I;16", "LA", "F", "CMYK"))
    kind = rng.choice(("PNG", "JPEG", "TIFF", "BMP", "GIF"))
    out = io.BytesIO()
    try:
        Image.new(mode, size).save(out, kind)
    except (OSError, ValueError):  # not every format has every mode
        out, kind = io.BytesIO(), "PNG"
        Image.new("L", size).save(out, kind)
    content = out.getvalue()
    if kind == "PNG" and rng.random() < 0.3:  # a header that claims more than any scan has
        content = content[:16] + struct.pack(">II", rng.choice((2**31 - 1, 60_000, 0)), 60_000) + content[24:]
    return f".{kind.lower()}", damaged(rng, content) if rng.random() < 0.6 else content
