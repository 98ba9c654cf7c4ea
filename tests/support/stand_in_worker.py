"""A process that answers as `colora worker` does, without torch and models: starts in a moment.

    python tests/support/stand_in_worker.py GROUP_DIR

An answer tells what it is of: its checksum is that of the bytes, or of the path, its first probability follows from
that, its picture has the grey of it. The image's name says what becomes of it: "refused" is refused, "two-pages" has so
many pages, "doubted" is not to be relied on, "hangs" is never answered, "dies" ends the process in the middle of its
answer, "idles" ends it once, as when nobody had asked, "too-much" by its code, "other" gets the answer to another
question, "slow" takes half a second. A file `refuse` in GROUP_DIR refuses the group, `late` keeps it from being ready.
"""

import base64
import json
import os
import signal
import sys
import time
import zlib
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

import numpy as np
from scan_answers import documents, png

PAGES = {"two-pages": 2, "twenty-pages": 20}
IDLED = Path(sys.argv[-1]) / "idled"


def main() -> int:
    group = IDLED.parent
    about, _ = documents()
    if (group / "refuse").exists():
        print("colora worker: The models of this group are gone.", file=sys.stderr)
        return 2
    while (group / "late").exists():
        time.sleep(0.02)
    say({"ready": about | {"name": group.name, "best_seed": 0, "finished": 2, "operating_point": asked(about)}})
    while line := sys.stdin.buffer.readline():
        request = json.loads(line)
        data = sys.stdin.buffer.read(request["bytes"]) if "bytes" in request else request["path"].encode()
        name = request.get("name") or Path(request["path"]).name
        say({"id": request["id"] + ("other" in name), **told(name, data, request)})
    return 0


def asked(about: dict[str, Any]) -> dict[str, Any]:
    return about["operating_point"] | {"changed": None}


def told(name: str, data: bytes, request: dict[str, Any]) -> dict[str, Any]:
    if "hangs" in name:
        time.sleep(600)
    if "slow" in name:
        time.sleep(0.5)
    if "dies" in name:
        os.write(1, b'{"id": 1, "answer": {"siz')
        os.kill(os.getpid(), signal.SIGKILL)
    if "idles" in name and not IDLED.exists():
        IDLED.touch()
        os._exit(0)
    if "too-much" in name:
        os._exit(3)
    if "refused" in name:
        return {"refused": f"{name} is no image."}
    if "pages" in request:
        last = min(request["page"] + request["pages"], pages_of(name))
        return {"answer": {"answers": [answer(name, data, page) for page in range(request["page"], last)]}}
    return {"answer": answer(name, data, request.get("page", 0))}


def pages_of(name: str) -> int:
    return next((count for part, count in PAGES.items() if part in name), 1)


def mark(data: bytes, page: int = 0) -> int:
    """What an answer is known by."""
    return zlib.crc32(data + bytes([page]))


def probability(data: bytes, page: int = 0) -> float:
    return 0.6 + mark(data, page) % 200 / 1000


def answer(name: str, data: bytes, page: int) -> dict[str, Any]:
    _, image = documents(seeds=2)
    image.pop("path")
    p = [probability(data, page), 0.9 - probability(data, page), 0.06, 0.04]
    mean = {"prediction": "CNV", "probabilities": dict(zip(image["mean"]["probabilities"], p, strict=True))}
    grey = "data:image/png;base64," + base64.b64encode(png(np.full((8, 8), mark(data, page) % 256, np.uint8))).decode()
    doubt = image["doubt"] | {"high": "doubted" in name, "says": "Do not rely on this."}
    doubt["distance"] = doubt["distance"] | ({"value": 0.4, "share": 0.97} if "doubted" in name else {})
    calibrated = image["calibrated"] | {"prediction": "CNV"}
    return image | {
        "checksum": str(mark(data, page)), "size": [8, 8], "pages": pages_of(name), "layers": {"Original": grey},
        "tile": grey, "mean": mean | {"entropy": 0.7}, "doubt": doubt, "calibrated": calibrated, "nearest": None,
        "seeds": [seed | {"calibrated": seed} for seed in image["seeds"]],
    }  # fmt: skip


def say(document: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(document).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
