"""How the command line names groups: by the name that `colora list` prints, or by a path; one of them, or many.

Names are looked up in the runs folder in use: --runs-dir, else COLORA_RUNS_DIR, else `runs` where the command is given.
What has a slash, or begins with a dot or a tilde, is a path. No torch.
"""

import argparse
import os
import re
from difflib import get_close_matches
from pathlib import Path

from colora.runs.folder import Group, open_group, same_group
from colora.runs.listing import list_groups
from colora.system.errors import UserError
from colora.system.typed import LONGEST_NAME, at_home, exists, is_dir, shortened

SEED = re.compile(r"seed-\d+")
MOST_NAMED = 2_000  # names among which the nearest is looked for: of ten times as many that would take seconds
IDENTITY = "do nothing where the name has come to another one than this (identity, in group.json)"
WHERE = "folder of all groups (default COLORA_RUNS_DIR, else runs)"


def default_runs_dir() -> Path:
    """As the app does, but for the folder `runs` beside app.py, which a command elsewhere does not know."""
    return at_home(os.environ.get("COLORA_RUNS_DIR") or "runs", "set COLORA_RUNS_DIR to a whole path")


def add_runs_dir(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--runs-dir", type=Path, default=default_runs_dir(), help=WHERE)


def add_group(parser: argparse.ArgumentParser, about: str = "name or path of the group") -> None:
    """One group, and the runs folder in which its name is looked up."""
    parser.add_argument("group", metavar="GROUP", help=about)
    add_runs_dir(parser)


def add_groups(parser: argparse.ArgumentParser) -> None:
    """One or many."""
    parser.add_argument("groups", metavar="GROUP", nargs="+", help="names or paths of one or many groups")
    add_runs_dir(parser)


def place_of(text: str, runs_dir: Path) -> Path:
    """The folder that a name or a path means; it need not exist."""
    path = at_home(text, field="group")
    written_as_path = len(path.parts) > 1 or os.sep in text or "/" in text or text.startswith((".", "~"))
    in_use = Path(runs_dir) / text
    if written_as_path or (not exists(in_use) and is_dir(path)):
        return path
    return in_use


def runs_folders(args: argparse.Namespace) -> list[Path]:
    """The runs folders that a command may write to, none where it has to do with none."""
    named = vars(args)
    if "run_dir" in named:
        return [named["run_dir"].absolute().parent.parent]
    if "runs_dir" not in named:
        return []
    texts = [*named.get("groups", ()), *([named["group"]] if named.get("group") else [])]
    return [place_of(text, args.runs_dir).absolute().parent for text in texts] or [args.runs_dir]


def group_of(args: argparse.Namespace) -> Group:
    """The one group that was named. Raises UserError where there is none, or not the one of --identity any more."""
    if (identity := vars(args).get("identity")) is not None:
        return meant([args.group], args.runs_dir, identity)
    return _named(args.group, args.runs_dir)


def groups_of(args: argparse.Namespace) -> list[Group]:
    """The groups that were named, each once, in that order. Raises UserError before anything is done to any of them."""
    if (identity := vars(args).get("identity")) is not None:
        return [meant(args.groups, args.runs_dir, identity)]
    found = [_named(text, args.runs_dir) for text in args.groups]
    return list({group.path.resolve(): group for group in found}.values())


def meant(groups: list[str], runs_dir: Path, identity: str) -> Group:
    """The one group that was named, where it still has this identity. Raises UserError where it has not."""
    if len(groups) != 1:
        raise UserError("--identity goes with one group.")
    return same_group(place_of(groups[0], runs_dir), identity)


def queued_of(text: str, runs_dir: Path) -> tuple[Group, str]:
    """A group and the folder of one of its seeds, or "" for all: `first`, `first/seed-03`, or a path of either."""
    head, _, last = text.rstrip("/").rpartition("/")
    return (_named(head, runs_dir), last) if head and SEED.fullmatch(last) else (_named(text, runs_dir), "")


def _named(text: str, runs_dir: Path) -> Group:
    path = place_of(text, runs_dir)
    if path.parent == Path(runs_dir) and not exists(path):
        known = [group.name for group in list_groups(runs_dir)[:MOST_NAMED]] if len(text) <= LONGEST_NAME else []
        close = get_close_matches(text, known, n=1, cutoff=0.5)
        where = f"did you mean '{close[0]}'?" if close else "see colora list, and colora trash for what was removed."
        raise UserError(f"There is no group '{shortened(text)}' in {runs_dir}: {where}", field="group")
    return open_group(path)
