"""`colora data` and `colora weights`: list, get and verify the files that runs start from. Imports no torch,
but to look into files of weights."""

import argparse
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from colora.cli.data_check import add_data_check
from colora.cli.printing import print_json
from colora.cli.progress import Bar
from colora.cli.weights_fits import add_weights_fits
from colora.networks.weights import IMAGENET
from colora.settings.medmnist_info import SIZES, default_folder, info, names
from colora.system.errors import Cancelled, UserError
from colora.system.storage import size_text


def add_file_commands(command: Callable, with_json: Callable) -> None:
    """Registers both commands; `command` and `with_json` are the command line's own."""
    data = command("data", _data_list, "look at data before training; MedMNIST's sets: list, download and verify them")
    jobs = data.add_subparsers(dest="job", required=True, metavar="check|list|get|verify")
    about = "what is in data, how they are split, whose they are, what leaks and what is not read"
    add_data_check(with_json(jobs.add_parser("check", help=about, description=about)))

    def data_job(name: str, run: Callable, about: str) -> argparse.ArgumentParser:
        job = with_json(jobs.add_parser(name, help=about, description=about))
        job.add_argument("--data-dir", help="folder of MedMNIST's files (default the medmnist package's, ~/.medmnist)")
        job.set_defaults(run=run)
        return job

    data_job("list", _data_list, "every set with its classes, images, licence, and what of it is here")
    get = data_job("get", _data_get, "download a set, or continue, check and unpack it; Ctrl-C keeps what has arrived")
    get.add_argument("name", help="such as octmnist")
    get.add_argument("--size", type=int, required=True, choices=SIZES, help="side of the images in pixels")
    check = data_job("verify", _data_verify, "compare what is here with the published checksums")
    check.add_argument("name", nargs="?", help="one set (default all)")
    check.add_argument("--size", type=int, choices=SIZES, help="one size (default all)")

    about = "ImageNet weights: list, download and check them; which network a file fits"
    weights = command("weights", _weights_list, about)
    jobs_too = weights.add_subparsers(dest="job", required=True, metavar="fits|list|get|verify")
    about = "which networks could start from these files of weights, and why not the one that is asked for"
    add_weights_fits(with_json(jobs_too.add_parser("fits", help=about, description=about)))
    for name, run, about in (
        ("list", _weights_list, "every backbone's ImageNet file, and whether it is here"),
        ("get", _weights_get, "download a backbone's file, or continue, and check it"),
        ("verify", _weights_verify, "compare the files that are here with the published checksums"),
    ):
        job = with_json(jobs_too.add_parser(name, help=about, description=about))
        job.set_defaults(run=run)
        if name == "get":
            job.add_argument("backbone", help=", ".join(IMAGENET))


def _data_list(args: argparse.Namespace) -> int:
    from colora.data.medmnist import on_disk

    rows = []
    for name in names():
        facts, sizes = info(name), {}
        for size in SIZES:
            found = on_disk(name, size, args.data_dir)
            sizes[str(size)] = {"state": found.state, "bytes": found.bytes}
        about = {"name": name, "classes": len(facts.class_names), "images": facts.images, "colour": facts.colour}
        rows.append(about | {"licence": facts.licence, "sizes": sizes})
    folder = args.data_dir or str(default_folder())
    if args.json:
        print_json({"folder": folder, "sets": rows})
        return 0
    print(f"MedMNIST's sets with one label an image, and what of them is in {folder}")
    for row in rows:
        images = " + ".join(f"{n:,}" for n in row["images"].values())
        here = [f"{size} px {_here(s)}" for size, s in row["sizes"].items() if s["state"] != "absent"]
        colour = "colour, converted to grey" if row["colour"] else "grey"
        print(f"  {row['name']:<15} {row['classes']:>2} classes  {images:<26} {row['licence']:<12} {colour}")
        for line in here:
            print(f"    {line}")
    print("Images are train + validation + test, the same at 28, 64, 128 and 224 px: colora data get NAME --size N")
    return 0


def _here(found: dict[str, Any]) -> str:
    words = {"partial": "begun, not complete", "downloaded": "downloaded", "unpacked": "ready"}
    return f"{words[found['state']]} ({size_text(found['bytes'])})"


def _data_get(args: argparse.Namespace) -> int:
    from colora.data.medmnist import get, remote_file
    from colora.queue.transfers import reported

    path = remote_file(args.name, args.size, args.data_dir).path
    elsewhere = f" --data-dir {args.data_dir}" if args.data_dir else ""
    with (
        _keeping(f"colora data get {args.name} --size {args.size}{elsewhere}"),
        Bar(path.name) as bar,
        reported("data", args.name, args.size, path) as report,
    ):
        found = get(args.name, args.size, args.data_dir, _both(bar, report.progress), report.should_stop)
    if args.json:
        print_json({"name": found.name, "size": found.size, "folder": str(found.folder), "bytes": found.bytes})
        return 0
    print(f"{args.name} at {args.size} px is ready in {found.folder} ({size_text(found.unpacked_bytes)}).")
    if found.npz_bytes:
        print(f"{found.npz} ({size_text(found.npz_bytes)}) is not needed any more: delete it to free space.")
    return 0


def _data_verify(args: argparse.Namespace) -> int:
    from colora.data.medmnist import damages

    found: dict[str, str | None] = {}
    with Bar("files") as bar:
        for name in [args.name] if args.name else names():
            for size in [args.size] if args.size else SIZES:
                found |= damages(name, size, args.data_dir, bar)
    if args.name and not found:
        at = f" at {args.size} px" if args.size else ""
        raise UserError(f"Nothing of {args.name}{at} is in {args.data_dir or default_folder()}.")
    return _verdict(found, args.json)


def _weights_list(args: argparse.Namespace) -> int:
    from colora.networks.weights import weights_on_disk

    rows = []
    for name in IMAGENET:
        found = weights_on_disk(name)
        state = {"state": found.state, "bytes": found.bytes or found.part_bytes, "megabytes": found.megabytes}
        rows.append({"backbone": name, "title": found.title, "path": str(found.path)} | state)
    if args.json:
        print_json(rows)
        return 0
    words = {"absent": "not here", "partial": "begun, not complete", "downloaded": "here"}
    for row in rows:
        size = size_text(row["megabytes"] * 2**20)
        print(f"  {row['backbone']:<15} {size:>8}  {words[row['state']]:<20} {row['path']}")
    return 0


def _weights_get(args: argparse.Namespace) -> int:
    from colora.networks.weights import get_weights, remote_weights
    from colora.queue.transfers import reported

    path = remote_weights(args.backbone).path
    with (
        _keeping(f"colora weights get {args.backbone}"),
        Bar(path.name) as bar,
        reported("weights", args.backbone, None, path) as report,
    ):
        found = get_weights(args.backbone, _both(bar, report.progress), report.should_stop)
    if args.json:
        print_json({"backbone": found.backbone, "path": str(found.path), "bytes": found.bytes})
    else:
        print(f"{found.title}: {found.path} ({size_text(found.bytes)})")
    return 0


def _weights_verify(args: argparse.Namespace) -> int:
    from colora.networks.weights import damage, weights_on_disk

    with Bar("files") as bar:
        here = [on for on in map(weights_on_disk, IMAGENET) if on.bytes]
        found = {str(on.path): damage(on.backbone, bar) for on in here}
    return _verdict(found, args.json)


def _verdict(found: dict[str, str | None], as_json: bool) -> int:
    """Prints {path: None or what is wrong}; exit code 1 where something is."""
    if as_json:
        print_json([{"path": path, "good": wrong is None, "problem": wrong} for path, wrong in found.items()])
    else:
        for path, wrong in found.items():
            print(f"{path}: good" if wrong is None else wrong)
        print("" if found else "Nothing is here to verify.", end="" if found else "\n")
    return 1 if any(found.values()) else 0


def _both(*progress: Callable[[str, int, int | None], None]) -> Callable[[str, int, int | None], None]:
    def tell(state: str, done: int, total: int | None) -> None:
        for told in progress:
            told(state, done, total)

    return tell


@contextmanager
def _keeping(again: str) -> Iterator[None]:
    """Ctrl-C, SIGTERM and a cancel from elsewhere end the command with code 130 and the way to continue."""

    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    except (KeyboardInterrupt, Cancelled):
        print(f"\nstopped, and what has arrived is kept; continue with: {again}", file=sys.stderr)
        raise SystemExit(130) from None
    finally:
        signal.signal(signal.SIGTERM, before)
