"""`colora data check`: what is in data, how they are split, whose they are, what leaks and what is not read, before any
training. Imports no torch."""

import argparse
import os
from typing import Any

from colora.cli.arguments import Parser
from colora.cli.asked import add_config
from colora.cli.groups import add_runs_dir
from colora.cli.printing import print_json
from colora.cli.progress import Bar
from colora.runs.data_said import SPLITS, says_duplicates, says_not_read, says_patients
from colora.settings.config import DATA_FIELDS, SOURCES, make_config
from colora.settings.relevance import unused
from colora.system.errors import UserError
from colora.system.typed import one_line, visible

SIDE = 64  # pixels, at which images are compared unless another size is asked for
OF_TABLE = (".csv", ".tsv", ".txt", ".xlsx", ".xls", ".parquet")
ARCHIVES = (".zip", ".gz", ".tgz", ".bz2", ".xz", ".tar", ".7z", ".rar")


def add_data_check(job: Parser) -> None:
    """Its arguments."""
    job.add_argument("spec", metavar="SPEC", help="folder:DIR, table:FILE, npz:FILE, a MedMNIST set, or a path alone")
    job.add_argument("--quick", action="store_true", help="names and labels only: no image is read")
    about = "keep a cut of this name: the training images without those that leak, at --image-size"
    job.add_argument("--cut", metavar="NAME", help=about)
    add_runs_dir(job)
    add_config(job, tuple(field for field in DATA_FIELDS if field != "dataset"))
    job.set_defaults(run=_check)


def named(spec: str) -> str:
    """A path alone as the source that it is by its kind. Raises UserError for one that is none, or is not there."""
    place = os.path.expanduser(spec)
    if spec.partition(":")[0] in SOURCES:
        return spec
    if os.path.isdir(place):
        return f"folder:{spec}"
    if not os.path.exists(place):
        if os.sep in spec:
            raise UserError(f"There is no folder or file {spec}.", field="dataset")
        return spec
    ending = os.path.splitext(place)[1].lower()
    if ending in (*OF_TABLE, ".npz"):
        return f"{'npz' if ending == '.npz' else 'table'}:{spec}"
    unpack = " An archive is to be unpacked first." if ending in ARCHIVES else ""
    raise UserError(
        f"{spec} is no folder of images, no table ({', '.join(OF_TABLE)}) and no .npz: choose the folder in which each "
        f"class is one sub-folder, or a table that names the images.{unpack}",
        field="dataset",
    )


def _check(args: argparse.Namespace) -> int:
    from colora.data.check import check_document, look, read
    from colora.distillation.leak_free import leak_free_cut

    if args.quick and args.cut:
        raise UserError("--cut needs every image compared: leave out --quick.", field="cut")
    given = {field: value for field in DATA_FIELDS if (value := getattr(args, field, None)) is not None}
    values = {"image_size": SIDE} | given | {"dataset": named(args.spec)}
    config = make_config(values)
    idle = unused(config.model_dump())
    for field in given:
        if field in idle:
            raise UserError(f"--{field.replace('_', '-')} does nothing here: {idle[field]}.", field=field)
    with Bar(config.dataset, unit=" images") as bar:

        def tell(done: int, total: int) -> None:
            bar("Reading", done, total or None)

        if args.quick:
            found, cut = look(config, tell), None
        else:
            data, leaks = read(config, tell)
            found = check_document(data, leaks, config)
            cut = leak_free_cut(args.runs_dir, args.cut, data, config, leaks) if args.cut else None
    if cut:
        found |= {"cut": {"name": cut.name, "hash": cut.hash, "images": len(cut.image_ids), "notes": cut.notes}}
    if args.json:
        return print_json(found)
    print(text_of(found))
    if cut:
        print(f"  Cut {cut.name} ({cut.short_hash}): {len(cut.image_ids):,} training images. {' '.join(cut.notes)}")
    return 0


def text_of(found: dict[str, Any]) -> str:
    """The document for people, in whose terminal no name of a folder does more than stand there."""
    renamed = found["renamed"]
    width = max(len(visible(name)) for name in ["Class", *found["classes"]])
    lines = [one_line(found["source"]), f"  {'Class':<{width}}" + "".join(f"{title:>12}" for title in SPLITS.values())]
    names = dict(zip(found["classes"], renamed or found["classes"], strict=True))
    for name in found["classes"]:
        counts = "".join(f"{found['counts'][split][name]:>12,}" for split in SPLITS)
        there = f"   called {visible(names[name])} there" if renamed else ""
        lines.append(f"  {visible(name):<{width}}{counts}{there}")
    totals = "".join(f"{sum(found['counts'][split].values()):>12,}" for split in SPLITS)
    lines.append(f"  {'All':<{width}}{totals}")
    said = [f"Split: {found['split_rule']}.", says_patients(found), says_duplicates(found), says_not_read(found)]
    said += [f"Warning: {warning}" for warning in found["warnings"]]
    return "\n".join(lines + [f"  {one_line(sentence)}" for sentence in said])
