"""What groups say of single images: `predict`; `features`, which it needs; and `worker`, which answers a page."""

import argparse
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import chain, count
from pathlib import Path
from typing import Any

from colora.cli.groups import IDENTITY, add_group, group_of
from colora.cli.printing import print_json, say
from colora.cli.progress import Bar
from colora.explanation.methods import METHODS, NO_FINDING, USUAL
from colora.runs.access import named_place
from colora.runs.finished import says_not_counted
from colora.runs.siblings import seeds_text
from colora.system.errors import UserError
from colora.system.files import write_bytes
from colora.system.typed import exists, one_line

LONGEST_IDLE = 10**6  # seconds


def add_prediction_commands(command: Callable, with_json: Callable) -> None:
    """Registers them; `command` and `with_json` are the command line's own."""
    about = "what a group says of single images, and how far it can be trusted"
    predict = with_json(command("predict", _predict, about))
    add_group(predict)
    predict.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="image files, and folders of them")
    predict.add_argument("--csv", type=Path, metavar="FILE", help="write a table with a line an image")
    predict.add_argument("--pdf", type=Path, metavar="FOLDER", help="write a page for each image into this folder")
    predict.add_argument("--device", choices=("auto", "cuda", "mps", "cpu"), default="auto", help="default auto")
    predict.add_argument("--identity", metavar="ID", help=IDENTITY)
    about = "keep what a group's models see in their own images, where they were trained before that was kept"
    features = with_json(command("features", _features, about))
    add_group(features)
    features.add_argument("--identity", metavar="ID", help=IDENTITY)
    about = "where a group's models look in an image, as a picture, and what that map is worth"
    explain = with_json(command("explain", _explain, about))
    add_group(explain)
    explain.add_argument("image", type=Path, metavar="IMAGE", help="an image file")
    explain.add_argument("-o", "--output", type=Path, required=True, metavar="FILE.png", help="the picture")
    explain.add_argument("--method", choices=METHODS, default=USUAL, help=f"default {USUAL}")
    explain.add_argument("--seed", type=int, metavar="N", help="one seed's map instead of the mean over all")
    about = "for this class instead of the predicted one"
    explain.add_argument("--class", dest="class_name", metavar="NAME", help=about)
    explain.add_argument("--page", type=int, default=1, metavar="N", help="of a file with several, the first is 1")
    explain.add_argument("--device", choices=("auto", "cuda", "mps", "cpu"), default="auto", help="default auto")
    worker = command("worker", _worker, None)
    add_group(worker)
    worker.add_argument("--identity", metavar="ID", help=IDENTITY)
    worker.add_argument("--idle", type=float, help="seconds without a question after which it ends")
    worker.add_argument("--spare", type=int, help="bytes that an image may take beyond the models")


def _predict(args: argparse.Namespace) -> int:
    group = group_of(args)
    from colora.prediction.predict import predict_images
    from colora.prediction.table import prediction_table
    from colora.system.spreadsheet import csv_bytes  # pandas, which a worker does without

    if args.csv and not args.csv.absolute().parent.is_dir():
        raise UserError(f"There is no folder {args.csv.parent} for the table.", field="csv")
    with Bar(group.name, unit="") as bar:
        found = predict_images(group, args.images, bar, args.device)
    if args.csv:
        write_bytes(args.csv, csv_bytes(prediction_table(found)))
    if args.pdf:
        _write_pages(found, args.pdf)
    if args.json:
        return print_json(found)
    _show(found)
    if args.csv:
        print(f"{args.csv} has a line for each image.")
    if args.pdf:
        print(f"{args.pdf} has a page for each image.")
    return 0


def _write_pages(found: dict[str, Any], folder: Path) -> None:
    """A PDF an image, named after it; of two with the same name the later one has a number. Raises UserError where an
    image is another one now than was predicted."""
    from colora.data.encoded import eight_bit, png
    from colora.data.prepare import image_checksum, read_pages
    from colora.report.scan import scan_pdf

    folder.mkdir(parents=True, exist_ok=True)
    taken: set[str] = set()
    for image in found["images"]:
        path, page = Path(image["path"]), image.get("page", 0)
        whole = read_pages(path, found["image_size"], page, 1)
        if not whole or str(image_checksum(whole[0].prepared)) != image["checksum"]:
            raise UserError(f"{path} was changed while it was predicted: predict it again.")
        name = path.stem + (f"-page-{page + 1}" if "page" in image else "")
        names = chain([name], (f"{name}-{i}" for i in count(2)))
        name = next(n for n in names if n.casefold() not in taken)  # on some disks A is a
        taken.add(name.casefold())
        write_bytes(folder / f"{name}.pdf", scan_pdf(found, image, png(eight_bit(whole[0].pixels)), datetime.now(UTC)))


def _show(found: dict[str, Any]) -> None:
    from colora.prediction.answer import by_whom, share

    for image in found["images"]:
        mean, unsure = image["mean"], image["unsure"]
        shares = "  ".join(f"{one_line(name)} {p:.3f}" for name, p in mean["probabilities"].items())
        page = f", page {image['page'] + 1}" if "page" in image else ""
        print(f"{one_line(image['path'])}{page}: {one_line(mean['prediction'])}  ({shares})")
        votes = ", ".join(f"{one_line(name)} {n}" for name, n in image["agreement"].items())
        print(
            f"  entropy {mean['entropy']:.3f} nats, more unsure than {share(unsure['share'])} of {unsure['of']:,} "
            f"test images; votes of the seeds: {votes}"
        )
        if point := image["operating_point"]:
            print(f"  {one_line(_yes_or_no(found, point))}")
        if near := image["nearest"]:
            print(f"  nearest training images: {', '.join(one_line(row['label']) for row in near)}")
        if met := image["met"]:
            print(f"  This very picture {met['says']}, as {one_line(met['image_id'])}: no test of the models.")
        if image["doubt"]["high"]:
            print(f"  {' '.join([image['doubt']['says'], *image['doubt']['reasons']])}")
    for volume in found["volumes"]:
        shares = "  ".join(f"{one_line(name)} {p:.3f}" for name, p in volume["by_class"].items())
        print(f"{one_line(volume['path'])}, {volume['frames']:,} pages, {volume['rule']}: {shares}")
    for row in found["refused"]:
        print(f"{one_line(row['path'])}: not predicted: {one_line(row['reason'])}")
    for told in says_not_counted(found):
        print(told)
    for warning in found["image_warnings"]:
        print(f"Note: {one_line(warning)}")
    for warning in found["warnings"]:
        print(f"Note on the training: {one_line(warning)}")
    if asked := found["operating_point"]:
        print(f"The question: {one_line(_question(asked))}")
    if not found["has_features"]:
        print(f"Note: nearest images and distances are not known: colora features {found['name']} makes them.")
    print(f"By {by_whom(found)}; selection: {found['selection']['says']}.")
    print(found["notice"])


def _yes_or_no(found: dict[str, Any], point: dict[str, Any]) -> str:
    asked = found["operating_point"]
    answer = "yes" if point["positive"] else "no"
    return f"{', '.join(asked['positives'])}: {answer} ({point['score']:.3f}, from {asked['threshold']:.3f} on)"


def _question(asked: dict[str, Any]) -> str:
    """`CNV, DME against the rest, ...; on 116 test images sensitivity 0.95 [0.88, 0.98], specificity ...`."""
    worth = [f"{name} {_estimate(asked[name])}" for name in ("sensitivity", "specificity")]
    changed = f" {asked['changed']}" if asked["changed"] else ""
    return f"{asked['says']}; on {asked['n']:,} test images {', '.join(worth)}.{changed}"


def _estimate(found: dict[str, Any]) -> str:
    """`0.95 [0.88, 0.98]`, or why it cannot be said."""
    if found["value"] is None:
        return f"not estimable ({found['reason']})"
    between = "" if found["low"] is None else f" [{found['low']:.3f}, {found['high']:.3f}]"
    return f"{found['value']:.3f}{between}"


def _features(args: argparse.Namespace) -> int:
    group = group_of(args)
    from colora.prediction.features import keep_features

    with Bar(group.name, unit="") as bar:
        made = keep_features(group, bar)
    said = f"made of {seeds_text(made)}" if made else "there already"
    return say(args, {"name": group.name, "made": made}, f"{group.name}: {said}.")


def _explain(args: argparse.Namespace) -> int:
    if args.output.suffix.lower() != ".png":
        raise UserError(f"{args.output}: the picture is a PNG, so its name must end in .png.", field="output")
    if not args.output.absolute().parent.is_dir():
        raise UserError(f"There is no folder {args.output.parent} for the picture.", field="output")
    image = named_place(args.image, "image")
    if exists(args.output) and exists(image) and args.output.samefile(image):
        raise UserError(f"{args.output} is the image itself, which is not written over.", field="output")
    if args.page < 1:
        raise UserError(f"--page counts from 1, not {args.page}.", field="page")
    group = group_of(args)
    from colora.data.encoded import png
    from colora.prediction.explained import explain_image

    with Bar(group.name, unit="") as bar:
        asked = (args.method, args.seed, args.class_name, args.page - 1)
        found = explain_image(group, image, *asked, bar, args.device)
    write_bytes(args.output, png(found.picture))
    told = {"name": group.name, "image": str(args.image), "picture": str(args.output), **found.document()}
    if args.json:
        return print_json(told)
    seeds = seeds_text(list(found.attributed.seeds))
    method = METHODS[args.method]
    print(f"{args.output}: {method.title} ({method.source}) of {seeds}, for {one_line(found.class_name)} "
          f"(mean probability of all seeds {found.probability:.3f}).")
    figures = [f"{check}: {text}." for check, text in found.checks.figures.items()]
    for sentence in (method.about, found.checks.verdict, *found.checks.warnings, *figures, NO_FINDING, told["notice"]):
        print(sentence)
    return 0


def _worker(args: argparse.Namespace) -> int:
    from colora.prediction.worker import IDLE_SECONDS, SPARE_BYTES, serve

    idle = IDLE_SECONDS if args.idle is None else args.idle
    if not 0 <= idle <= LONGEST_IDLE:
        raise UserError(f"--idle takes seconds from 0 to {LONGEST_IDLE:,}, not {idle:g}.")
    serve(group_of(args), idle, SPARE_BYTES if args.spare is None else args.spare)
    return 0
