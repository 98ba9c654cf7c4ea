"""`colora weights fits`: which networks could start from files of weights, as a launch would find it, in seconds."""

import argparse
from pathlib import Path
from typing import Any

from colora.cli.arguments import Parser
from colora.cli.asked import names
from colora.cli.printing import print_json
from colora.cli.progress import Bar
from colora.runs.access import Refused, named_place
from colora.system.typed import one_line


def add_weights_fits(job: Parser) -> None:
    """Its arguments."""
    job.add_argument("files", nargs="+", metavar="FILE", help="what --weights of a launch takes: .safetensors, .pth")
    about = "backbones, cut or not, of launches: says of each whether it would be refused"
    job.add_argument("--backbone", metavar="A,B,...", help=about)
    job.add_argument("--partial-weights", action="store_true", help="as a launch's flag of that name")
    job.set_defaults(run=_fits)


def _fits(args: argparse.Namespace) -> int:
    """Exit code 0 also where none fits: that is the answer."""
    found, specs = [], names(args.backbone) if args.backbone else []
    with Bar("files of weights") as bar:
        for number, file in enumerate(args.files):
            bar("Reading", number, len(args.files))
            found.append(_examined(file, specs, args.partial_weights))
    if args.json:
        return print_json({"files": found})
    for one in found:
        print(one_line(f"{one['path']}: {one['why'] or _says_fits(one)}"))
        for spec, refused in one["refused"].items():
            said = refused["sentence"] if refused else "fits"
            print(f"  {one_line(f'{spec}: {said}')}")
    return 0


def _examined(file: str, specs: list[str], partial: bool) -> dict[str, Any]:
    from colora.networks.fits import examine  # torch

    try:
        path = named_place(file, "weights")
    except Refused as error:  # by its own place among the others
        refused = {spec: {"field": "weights", "sentence": str(error)} for spec in specs}
        return {"path": str(Path(file)), "bytes": None, "fits": [], "why": str(error), "refused": refused}
    return examine(path, specs, partial)


def _says_fits(found: dict[str, Any]) -> str:
    titles = [fit["title"] for fit in found["fits"]]
    return f"fits {' and '.join(titles)}" if titles else "fits no network here"
