"""A process that answers as `colora worker` does, without torch and models: starts in a moment.

    python tests/support/stand_in_worker.py GROUP_DIR

It sees as many seeds and classes as the group has, and distances once each seed has kept what is familiar to it. An
answer tells what it is of: its checksum is that of the bytes, or of the path, its first probability follows from that,
its picture has the grey of it. The image's name says what becomes of it: "refused" is refused, "two-pages" has so many
pages, "foreign" lies too far, "disputed" is called otherwise by the last seed, "blank" is blank, "hangs" is never
answered, "dies" ends the process in the middle of its answer, "idles" ends it once, as when nobody had asked,
"too-much" by its code, "other" gets the answer to another question, "slow" takes half a second, "astray" is looked at
where nothing matters, "replaced" is another picture when it is asked where models look, "no-occlusion" is not looked
at by that method. A file `refuse` in GROUP_DIR refuses the group, `late` keeps it from being ready.
"""

import base64
import hashlib
import io
import json
import os
import signal
import struct
import sys
import time
import zlib
from array import array
from pathlib import Path
from statistics import median
from typing import Any

from PIL import Image

PAGES = {"two-pages": 2, "twenty-pages": 20}
GROUP = Path(sys.argv[-1])
WIDTH = 8  # of features, where none are kept
SIDE, SMALL = 8, 4  # pixels of a picture, and as the network sees it
STEPS = 5  # of covering it


def main() -> int:
    if (GROUP / "refuse").exists():
        print("colora worker: The models of this group are gone.", file=sys.stderr)
        return 2
    while (GROUP / "late").exists():
        time.sleep(0.02)
    say({"ready": True})
    while line := sys.stdin.buffer.readline():
        request = json.loads(line)
        data = sys.stdin.buffer.read(request["bytes"]) if "bytes" in request else request["path"].encode()
        name = request.get("name") or Path(request["path"]).name
        say({"id": request["id"] + ("other" in name), **told(name, data, request)})
    return 0


def told(name: str, data: bytes, request: dict[str, Any]) -> dict[str, Any]:
    if "hangs" in name:
        time.sleep(600)
    if "slow" in name:
        time.sleep(0.5)
    if "dies" in name:
        os.write(1, b'{"id": 1, "pages": 1, "se')
        os.kill(os.getpid(), signal.SIGKILL)
    if "idles" in name and not (GROUP / "idled").exists():
        (GROUP / "idled").touch()
        os._exit(0)
    if "too-much" in name:
        os._exit(3)
    if "refused" in name:
        return {"refused": f"{name} is no image."}
    if "no-occlusion" in name and request.get("explain", {}).get("method") == "occlusion":
        return {"refused": "Nobody looks at it so."}
    first = request.get("page", 0)
    if "explain" in request or "perturb" in request:
        side = Image.open(io.BytesIO(data)).width
        return looked(name, of_pixels(data) + ("replaced" in name), side, request)
    runs = [folder for folder in sorted(GROUP.glob("seed-*")) if read(folder / "status.json")["state"] == "done"]
    if request["features_of"] not in [int(folder.name.removeprefix("seed-")) for folder in runs]:
        return {"refused": f"Seed {request['features_of']} is none of those that answer."}
    several = "pages" in request
    last = min(first + request.get("pages", 1), pages_of(name))
    return {"pages": pages_of(name), "seen": [seen(runs, name, data, page, several) for page in range(first, last)]}


def looked(name: str, checksum: int, side: int, request: dict[str, Any]) -> dict[str, Any]:
    """All seeds look at one quarter of the picture, which the class tells; networks with shuffled weights at the next;
    the answer hangs on how much of that quarter is shown."""
    if asked := request.get("explain"):
        there = (asked["class"] + asked["shuffled"] + ("astray" in name)) % 4
        places = [divmod(place, side) for place in range(side**2)]
        values = [1 - sum(at) / 1000 if quarter(*at, side) == there else 0.0 for at in places]
        packed = struct.pack(f"<{side**2}e", *values)
        return {"checksum": str(checksum), "map": base64.b64encode(packed).decode()}
    asked = request["perturb"]
    curves = [[shown(order, step, asked["class"]) for step in range(STEPS + 1)] for order in asked["orders"]]
    return {"checksum": str(checksum), "curves": [[[1 - p for p in curve] for curve in curves], curves]}


def shown(order: list[int], step: int, target: int) -> float:
    """The share of a class's quarter among the first places of an order."""
    side = round(len(order) ** 0.5)
    first = order[: len(order) * step // STEPS]
    return sum(quarter(*divmod(place, side), side) == target % 4 for place in first) / (len(order) / 4)


def quarter(row: int, column: int, side: int) -> int:
    return 2 * (2 * row >= side) + (2 * column >= side)


def pages_of(name: str) -> int:
    return next((count for part, count in PAGES.items() if part in name), 1)


def mark(data: bytes, page: int = 0) -> int:
    """What an answer is known by."""
    return zlib.crc32(data + bytes([page]))


def of_pixels(data: bytes) -> int:
    """Of a picture as a network sees it, what `colora.data.prepare.image_checksum` is."""
    return int.from_bytes(hashlib.sha256(Image.open(io.BytesIO(data)).tobytes()).digest()[:8], "little")


def probability(data: bytes, page: int = 0) -> float:
    """Of the first class, as the ensemble has it; to two and to three digits the same in whatever precision."""
    return 0.6002 + mark(data, page) % 200 / 1000


def probabilities(seeds: int, classes: int, data: bytes, page: int = 0) -> list[list[float]]:
    """(R, C): each seed's lie around `probability`."""
    p, rest = probability(data, page), [0.1 / max(classes - 2, 1)] * (classes - 2)
    apart = [0.02 * (seed - (seeds - 1) / 2) for seed in range(seeds)]
    return [[p + by, 1 - sum(rest) - p - by, *rest] for by in apart]


def look(data: bytes, width: int, page: int = 0) -> list[float]:
    """(D,) features, of any length."""
    return [float(mark(data, page + i) % 1000) for i in range(width)]


def seen(runs: list[Path], name: str, data: bytes, page: int, several: bool) -> dict[str, Any]:
    p = probabilities(len(runs), len(read(runs[0] / "config.json")["resolved"]["class_names"]), data, page)
    if "disputed" in name:
        p[-1][:2] = p[-1][1::-1]
    kept = [of_file(path) for run in runs if (path := run / "predictions" / "features.safetensors").exists()]
    distances = [10 * max(own) if "foreign" in name else median(own) for _, own in kept]
    width = kept[0][0] if kept else WIDTH
    grey = mark(data, page) % 256
    layers = {f"Original, {SIDE} × {SIDE}": png(grey, SIDE), f"As the network sees it, {SMALL} px": png(grey, SMALL)}
    return {
        "probabilities": p,
        "features": look(data, width, page),
        "distances": distances if len(kept) == len(runs) else None,
        "checksum": str(mark(data, page)),
        "contrast": 3.0 if "blank" in name else 46.0,
        "conversions": [],
        "tile": png(grey, SMALL), **({} if several else {"size": [SIDE, SIDE], "layers": layers}),
    }


def of_file(path: Path) -> tuple[int, array]:
    """The features' width and the distances of the validation images, of a run's file; without numpy, which takes as
    long as all else."""
    raw = path.read_bytes()
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    begin, end = header["val.distance"]["data_offsets"]
    return header["train"]["shape"][1], array("f", raw[start + begin : start + end])


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


def png(grey: int, side: int) -> str:
    file = io.BytesIO()
    Image.new("L", (side, side), grey).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def say(document: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(document).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
