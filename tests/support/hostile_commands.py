"""Commands that nobody should trust (fuzz): each kind puts its files where the command finds them and returns the
arguments. A new kind is one function with `@kind`.
"""

import argparse
import json
from collections.abc import Callable
from contextlib import suppress
from random import Random

import hostile_files
from fuzz_place import SMALL, Place
from hostile_files import changed, damaged, hostile_text

from colora.cli.main import _parser
from colora.data.cuts import cuts_folder
from colora.distillation.journals import verdicts_folder
from colora.runs.trash import trash_folder

KINDS: dict[str, Callable[[Place, Random], list[str]]] = {}


def kind(make: Callable[[Place, Random], list[str]]) -> Callable[[Place, Random], list[str]]:
    KINDS[make.__name__] = make
    return make


def value_of(place: Place, rng: Random, dest: str) -> str:
    """Something that this option or argument may well be given."""
    npz = place.template.parent / "tiny.npz"
    group = rng.choice(("first", "failed", "trained", "waiting", str(place.runs / "first"), "none"))
    dataset = rng.choice((f"npz:{npz}", f"folder:{place.at / 'folder'}", "phantom", "octmnist"))
    known = {
        "group": group, "groups": group, "targets": f"{group}/seed-00", "name": rng.choice(("new", "hard", "first")),
        "dataset": dataset, "weights": "none", "images": str(place.at / "a.png"), "file": str(place.at / "out.csv"),
        "score": "entropy", "whose": "best", "seeds": "0-1", "exclude": "artefact,hard", "readers": "ann",
        "reader": "ann", "image": "train-0001", "cut": "hard", "after": "2026-01-01", "size": "28", "gpus": "none",
        "before": "2100-01-01T00:00+02:00", "backbone": rng.choice(("resnet18:layer1", "texturenet")),
        "image_size": "32", "class_names": "A,B", "data_dir": str(place.at), "vary": "lr=1e-3,1e-4",
        "slurm": "time=1:00:00", "entries": "old", "run_dir": str(place.at), "identity": "x", "text": "a note",
        "new_name": "back", "prefix": "new", "keep": "5", "drop": "1", "csv": str(place.at / "out.csv"),
        "pdf": str(place.at / "paper"),
    }  # fmt: skip
    return known.get(dest, "1")


@kind
def arguments(place: Place, rng: Random) -> list[str]:
    """Any command with any options, whatever they are called, sound ones and others."""
    parser, found = _parser(), []
    while True:
        last = parser
        for action in parser._actions:
            if isinstance(action, argparse._SubParsersAction):
                name = rng.choice(list(action.choices)) if rng.random() < 0.97 else hostile_text(rng)
                found.append(name)
                if name not in action.choices:
                    return found
                parser = action.choices[name]
                break
        if parser is last:
            break
    hostile = rng.choice((0.1, 0.3, 0.6))

    def value(action: argparse.Action) -> str:
        if rng.random() < hostile:
            return hostile_text(rng)
        return str(rng.choice(list(action.choices))) if action.choices else value_of(place, rng, action.dest)

    for action in parser._actions:
        if not action.option_strings:
            many = {"+": (1, 1, 2, 3), "*": (0, 1, 2), "?": (0, 1)}.get(action.nargs, (action.nargs or 1,))
            found += [value(action) for _ in range(rng.choice(many))]
    options = [a for a in parser._actions if a.option_strings and a.dest not in ("help", "runs_dir")]
    for action in options:
        if (action.required and rng.random() < 0.95) or rng.random() < min(0.3, 3 / len(options)):
            flag = rng.choice(action.option_strings)
            if action.nargs == 0:
                found.append(flag)
            else:
                found += [f"{flag}={value(action)}"] if rng.random() < 0.7 else [flag, value(action)]
    if any(action.dest == "runs_dir" for action in parser._actions):
        found += ["--runs-dir", str(place.runs) if rng.random() < 0.9 else hostile_text(rng)]
    if rng.random() < 0.05:
        found.insert(rng.randrange(len(found) + 1), hostile_text(rng))
    return found


def on(place: Place, *arguments: str, json: bool = False) -> list[str]:
    return [*arguments, "--runs-dir", str(place.runs), *(["--json"] if json else [])]


def _launch(place: Place, dataset: str, weights: str = "none") -> list[str]:
    small = SMALL | {"weights": weights, "dataset": dataset}
    flags = [part for name, value in small.items() for part in (f"--{name.replace('_', '-')}", str(value))]
    return on(place, "launch", "--name", "new", "--seeds", "0", *flags, json=True)


@kind
def npz(place: Place, rng: Random) -> list[str]:
    place.put(rng, path := place.at / "data.npz", hostile_files.npz(rng))
    if rng.random() < 0.6:
        return _launch(place, f"npz:{path}")
    return on(place, "evaluate", "trained", "--dataset", f"npz:{path}", "--split", rng.choice(("train", "val", "test")))


@kind
def own_images(place: Place, rng: Random) -> list[str]:
    """A folder whose folders and files are renamed, moved and linked, or a table of it, sound and then changed."""
    root = place.at / "folder"
    words = ("train", "test", "val", "1", "AMD1", "AMD2", "DME1", "masks", "@eaDir", ".x", "x_mask.png", "a" * 255)
    paths = sorted(root.rglob("*"))
    content = "path,label,set,patient\n" + "".join(
        f"{path.relative_to(place.at)},{path.parent.name},{rng.choice(('train', 'TEST', 'val', ''))},{n // 3}\n"
        for n, path in enumerate(paths)
        if path.is_file()
    )
    for path in rng.sample(paths, rng.choice((0, 0, 1, 2, 8))):
        name = rng.choice(words) if rng.random() < 0.7 else hostile_text(rng)
        with suppress(OSError, ValueError):  # a name that no file can have
            target = rng.choice((root, path.parent)) / name
            target.symlink_to(rng.choice(paths)) if rng.random() < 0.3 else path.rename(target)
    spec = f"folder:{root}"
    if rng.random() < 0.5:
        told = damaged(rng, content.encode()) if rng.random() < 0.5 else hostile_files.csv(rng)
        table = place.at / f"labels{rng.choice(('.csv', '.tsv', '.xlsx', '.parquet'))}"
        place.put(rng, table, told if rng.random() < 0.7 else content.encode(rng.choice(("utf-16", "cp1252"))))
        spec = f"table:{table}"
    options = [["--ignore-splits"], ["--quick"], ["--cut", "clean"], ["--class-names", hostile_text(rng)]]
    options += [["--patient-pattern", hostile_text(rng)], ["--data-roots", str(rng.choice((root, place.at)))]]
    kind_of = [["--columns", rng.choice(("path=path,label=set", hostile_text(rng)))]]
    if spec.startswith("folder:"):
        kind_of = [["--layout", rng.choice(("classes", "class-number"))]]
    chosen = [part for option in options + kind_of if rng.random() < 0.2 for part in option]
    return on(place, "data", "check", spec, *chosen, json=rng.random() < 0.5)


@kind
def weights(place: Place, rng: Random) -> list[str]:
    from colora.networks.backbones import build

    model = build("resnet18:layer1", 2, 32).state_dict()
    tensors = {name: value for name, value in model.items() if not name.startswith("head.")}
    ending, content = hostile_files.weights(rng, tensors)
    place.put(rng, path := place.at / f"weights{ending}", content)
    return _launch(place, f"npz:{place.template.parent / 'tiny.npz'}", str(path))


@kind
def model(place: Place, rng: Random) -> list[str]:
    """The selected model of a finished seed, or its predictions of an epoch."""
    path = place.runs / "trained" / "seed-00" / "model.safetensors"
    content = path.read_bytes()
    place.put(rng, path, hostile_files._safetensors(rng, content) if rng.random() < 0.6 else damaged(rng, content))
    dataset = f"npz:{place.template.parent / 'tiny.npz'}"
    if rng.random() < 0.5:
        return on(place, "predict", "trained", str(place.at / "a.png"), json=True)
    return on(place, "evaluate", "trained", "--dataset", dataset, json=True)


@kind
def features(place: Place, rng: Random) -> list[str]:
    """What the selected model of a finished seed sees of its images."""
    path = place.runs / "trained" / "seed-00" / "predictions" / "features.safetensors"
    content = path.read_bytes()
    place.put(rng, path, hostile_files._safetensors(rng, content) if rng.random() < 0.6 else damaged(rng, content))
    command = rng.choice((["predict", "trained", str(place.at / "a.png")], ["features", "trained"]))
    return on(place, *command, json=rng.random() < 0.5)


@kind
def tables(place: Place, rng: Random) -> list[str]:
    path = place.runs / "first" / "seed-00" / "predictions" / f"{rng.choice(('train', 'train', 'test'))}.parquet"
    place.put(rng, path, hostile_files.table(rng, path.read_bytes()))
    command = rng.choice((["distil", "first", "--keep", "5", "--name", "new"], ["show", "first"], ["list"]))
    return on(place, *command, json=rng.random() < 0.5)


@kind
def verdicts(place: Place, rng: Random) -> list[str]:
    path = verdicts_folder(place.runs) / "ann.jsonl"
    event = json.loads(path.read_text())
    for reader in rng.choice((("ann",), ("ann", "bob"), ("bob", "x" * 80))):
        place.put(rng, verdicts_folder(place.runs) / f"{reader}.jsonl", hostile_files.journal(rng, event))
    out, given = str(place.at / "out.csv"), place.write("in.csv", hostile_files.csv(rng))
    commands = (
        "verdicts list", "verdicts agreement ann bob", f"verdicts export {out}", f"verdicts import {given}",
        "verdicts rm --reader ann", "verdicts rm --reader ann --after 2026-01-01", "verdicts rm --undo",
        "distil first --keep 5 --name new --exclude artefact --correct-labels",
        "distil first --rule verdicts --exclude hard --name new --readers ann",
    )  # fmt: skip
    return on(place, *rng.choice(commands).split(), json=rng.random() < 0.5)


@kind
def csv(place: Place, rng: Random) -> list[str]:
    place.put(rng, path := place.at / "in.csv", hostile_files.csv(rng))
    return on(place, "verdicts", "import", str(path), *rng.choice(([], ["--reader", "bob"])), json=True)


@kind
def cuts(place: Place, rng: Random) -> list[str]:
    path = cuts_folder(place.runs) / "hard.json"
    document = json.loads(path.read_text())
    content = json.dumps(changed(rng, document)).encode()
    place.put(rng, path, damaged(rng, path.read_bytes()) if rng.random() < 0.4 else content)
    commands = [["show", "hard"], ["list"], ["compare", "hard", "--plan"], ["rm", "hard"], ["rm", "hard", "--undo"]]
    if rng.random() < 0.2:
        return [*_launch(place, "phantom"), "--cut", rng.choice(("hard", str(path)))]
    return on(place, "cut", *rng.choice(commands), json=rng.random() < 0.5)


@kind
def trash(place: Place, rng: Random) -> list[str]:
    stamp = rng.choice(("20260131T120000000000Z", "x", "20260131T120000000000Z.20260131T120000000001Z"))
    name = rng.choice(("a", "first", "hard.cut", "first.seed-00", "\udcff", "b" * 200, "-x", "a b", ".going.a"))
    place.put(rng, trash_folder(place.runs) / f"{name}.{stamp}", b"{}")
    log = place.runs / ".colora" / "audit.jsonl"
    if rng.random() < 0.3:
        place.put(rng, log, damaged(rng, log.read_bytes()))
    entry = rng.choice((f"{name}.{stamp}", name, "old"))
    renamed = ["put-back", entry, "--as", hostile_text(rng)]
    commands = (["list"], ["empty"], ["delete", entry], ["put-back", entry], renamed)
    return on(place, "trash", *rng.choice(commands), json=rng.random() < 0.5)


@kind
def images(place: Place, rng: Random) -> list[str]:
    paths = []
    for i in range(rng.randint(1, 3)):
        ending, content = hostile_files.image(rng)
        folder = place.at / "folder" / rng.choice(("ONE", "TWO", "FOUR"))
        place.put(rng, path := folder / f"{rng.choice(('ONE-1-', 'x', 'é', chr(0xDCFF)))}{i}{ending}", content)
        paths.append(str(path))
    if rng.random() < 0.6:
        asked = paths if rng.random() < 0.6 else [str(place.at / "folder")]
        options = [["--csv", str(place.at / "out.csv")], ["--pdf", str(place.at / "paper")]]
        chosen = [part for option in options if rng.random() < 0.2 for part in option]
        return on(place, "predict", "trained", *asked, *chosen, json=rng.random() < 0.5)
    if rng.random() < 0.5:
        return _launch(place, f"folder:{place.at / 'folder'}")
    return on(place, "evaluate", "trained", "--dataset", f"folder:{place.at / 'folder'}")
