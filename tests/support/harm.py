"""Harm that can come to any file: of a full disk, a torn copy, an editor, a foreign program, or someone who means it.

Each is drawn from a seeded generator, so that a case that is found can be made again.
"""

import json
import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 7, 2**31, 2**63, 10**30, -(10**30), 0.5, -0.0, 1e308, float("nan"), float("inf"), "", "x",
    "-1", "running", "a" * 200_000, "\ud800", "a\0b", "line\nline", "<img src=x onerror=alert(1)>", "../../etc", [], {},
    [None], [[]], [1, "x", {}], {"pid": 1}, {"a": {"b": []}}, [0] * 1000, list(range(20_000)), {"": 0},
)  # fmt: skip


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()
    (path / "x").write_text("x")


def _link(path: Path, target: str | Path) -> None:
    path.unlink()
    path.symlink_to(target)


def _vast(path: Path) -> None:
    """A hole of 70 MB, which takes no room on the disk."""
    with open(path, "wb") as file:
        file.truncate(70 * 2**20)


WHOLE: dict[str, Callable[[Path], None]] = {
    "gone": Path.unlink,
    "empty": lambda path: _write(path, b""),
    "half": lambda path: _write(path, path.read_bytes()[: path.stat().st_size // 2]),
    "noise": lambda path: _write(path, random.Random(1).randbytes(300)),
    "nul": lambda path: _write(path, b"\0" * 300),
    "number": lambda path: _write(path, b"7\n"),
    "long number": lambda path: _write(path, b"9" * 5000 + b"\n"),
    "deep": lambda path: _write(path, b"[" * 200_000 + b"\n"),
    "deep object": lambda path: _write(path, b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"\n"),
    "web page": lambda path: _write(path, b"<!DOCTYPE html><title>502</title>\n" * 20),
    "other encoding": lambda path: _write(path, path.read_bytes().decode("latin-1").encode("utf-16")),
    "pipe": _pipe,
    "folder": _folder,
    "link to nowhere": lambda path: _link(path, "nowhere"),
    "link to itself": lambda path: _link(path, path.name),
    "link to a device": lambda path: _link(path, "/dev/zero"),
    "vast": _vast,
}


def _write(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def harmed_value(document: Any, chance: random.Random) -> Any:
    """The document with one value, anywhere in it, replaced, left out, or an unknown one added."""
    document = json.loads(json.dumps(document))
    places = list(_places(document))
    holder, key = chance.choice(places) if places else ([document], 0)
    act = chance.random()
    if act < 0.15:
        del holder[key]
    elif act < 0.2 and isinstance(holder, dict):
        holder["unheard of"] = chance.choice(VALUES)
    else:
        holder[key] = chance.choice(VALUES)
    return document


def _places(document: Any) -> list[tuple[Any, Any]]:
    """(holder, key) of every value."""
    found = []
    keys = document if isinstance(document, dict) else range(len(document)) if isinstance(document, list) else ()
    for key in keys:
        value = document[key]
        found.append((document, key))
        found += _places(value)
    return found


def harm(path: Path, chance: random.Random) -> str:
    """Do something to a file; returns what, in a few words."""
    kind = chance.random()
    text = path.suffix in (".json", ".jsonl")
    if text and kind < 0.6:
        lines = path.read_text().splitlines() if path.suffix == ".jsonl" else [path.read_text()]
        at = chance.randrange(len(lines)) if lines else None
        if at is not None:
            lines[at] = json.dumps(harmed_value(json.loads(lines[at]), chance))
            path.write_text("\n".join(lines) + "\n")
            return "a value"
    if kind < 0.75 and path.stat().st_size:
        content = bytearray(path.read_bytes())
        for _ in range(chance.choice((1, 3, 20))):
            content[chance.randrange(len(content))] = chance.randrange(256)
        path.write_bytes(content)
        return "bytes"
    name = chance.choice(list(WHOLE))
    WHOLE[name](path)
    return name


def removed(path: Path) -> None:
    """Whatever is at `path`, and no link is followed."""
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
