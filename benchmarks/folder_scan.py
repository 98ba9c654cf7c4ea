r"""A folder of very many images: seconds and peak memory of listing, preparing and mapping it.

    python benchmarks/folder_scan.py --files 1000000 --out benchmarks/results/folder_scan.json

The files are hard links to 64 small grey PNGs (32 x 32, noise) in four class folders, in a temporary folder; prepared
at 16 px into a temporary cache. Each step runs in a process of its own, since a process's peak memory never falls:
`list` only lists; `prepare` lists and prepares into the cache; `map` lists and maps what is there, as every later
seed does. A scan of 512 x 496 pixels takes several times as long to decode as these do; `--folder DIR` measures a
real one.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from colora.data import prepared
from colora.data.layout import folder_catalogue

IMAGE_SIZE = 16
STEPS = ("list", "prepare", "map")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=100_000)
    parser.add_argument("--folder", type=Path, help="a real folder of images, instead of links")
    parser.add_argument("--image-size", type=int, default=IMAGE_SIZE)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.step:
        print(json.dumps(measure(args.step, args.folder, args.image_size)))
        return
    with tempfile.TemporaryDirectory() as temporary:
        folder = args.folder or make_folder(Path(temporary) / "images", args.files)
        rows = [in_own_process(step, folder, args.image_size, Path(temporary)) for step in STEPS]
    result = {
        "about": " ".join(__doc__.split()),
        "image_size": args.image_size,
        "environment": about_this_machine(args),
        "rows": rows,
    }
    print(json.dumps(rows, indent=1))
    if args.out:
        args.out.parent.mkdir(parents=True, exist_ok=True)
        args.out.write_text(json.dumps(result, indent=1) + "\n")


def make_folder(root: Path, files: int) -> Path:
    """Links named CLASS-PATIENT-N.png, ten images a patient."""
    rng = np.random.default_rng(0)
    sources = []
    (root / ".sources").mkdir(parents=True)
    for n in range(64):
        sources.append(root / ".sources" / f"{n}.png")
        Image.fromarray(rng.integers(0, 256, (32, 32), dtype=np.uint8)).save(sources[-1])
    for c in range(4):
        (root / f"CLASS{c}").mkdir()
    for n in range(files):
        os.link(sources[n % 64], root / f"CLASS{n % 4}" / f"CLASS{n % 4}-{n // 40}-{n // 4 % 10}.png")
    return root


def in_own_process(step: str, folder: Path, image_size: int, temporary: Path) -> dict:
    arguments = [sys.executable, __file__, "--step", step, "--folder", str(folder), "--image-size", str(image_size)]
    places = {"COLORA_CACHE": str(temporary / "cache"), "XDG_STATE_HOME": str(temporary / "state")}
    done = subprocess.run(arguments, env=os.environ | places, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def measure(step: str, folder: Path, image_size: int) -> dict:
    """{step, images, seconds, peak_mib, start_mib} of this process."""
    prepared.MAPPED_FROM = 1
    before, begin = peak_mib(), time.perf_counter()
    listing = folder_catalogue(folder)
    row = {"step": step, "images": len(listing.paths)}
    if step != "list":
        result = prepared.prepare_files(listing.root, listing.paths, image_size)
        row["array_mib"] = result.images.nbytes / 2**20
    return row | {"seconds": time.perf_counter() - begin, "peak_mib": peak_mib(), "start_mib": before}


def peak_mib() -> float:
    """Peak memory of this process. It starts from that of the process which started it, so that one stays small."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def about_this_machine(args: argparse.Namespace) -> dict:
    from colora.system.environment import environment  # torch: only now, when all is measured
    from colora.training.images import choose_device

    what = "--folder DIR" if args.folder else f"--files {args.files}"
    command = f"python benchmarks/folder_scan.py {what} --image-size {args.image_size}"
    return environment(choose_device("cpu")) | {"command": command, "cores": os.cpu_count()}


if __name__ == "__main__":
    main()
