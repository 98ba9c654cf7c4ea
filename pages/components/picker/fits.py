"""Which networks files of weights fit, asked of `colora weights fits` beside the pages, which do without torch.

An answer is kept by the file's path, size and time of change, for all sessions; of several files one process is asked.
"""

from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import streamlit as st

from colora.system.errors import UserError
from pages.components.beside import Job, answered, jobs
from pages.components.runs import file_stamp

KEPT, KEPT_SECONDS = 512, 3600
BEGUN = "Looking into the file"
Answer = dict[str, Any]  # `networks.fits.examine`


def examined(path: Path, spec: str, partial: bool) -> Job:
    """The look at one file for a launch with this backbone; begun where there is none."""
    return _asked([path], [f"--backbone={spec}", *(["--partial-weights"] if partial else [])])


def of_one(job: Job) -> Answer:
    """What `examined` has found. Raises UserError where the command could not be asked."""
    return answered(job)["files"][0]


def fits_of(paths: Sequence[Path]) -> tuple[list[Answer | None], Job | None]:
    """The answers as far as they are known, and the process that is at the others. Raises UserError where it could not
    be asked."""
    kept, keys = _kept(), [_key(path) for path in paths]
    unknown = [path for path, key in zip(paths, keys, strict=True) if key not in kept]
    job = _asked(unknown, []) if unknown else None
    if job and not job.under_way:
        for path, answer in zip(unknown, answered(job)["files"], strict=True):
            kept[_key(path)] = answer
        job = None
    found = [kept.get(key) for key in keys]
    while len(kept) > KEPT:
        kept.popitem(last=False)
    return found, job


def says(answer: Answer | None) -> str:
    """`fits ResNet-18 (to layer3)`."""
    if answer is None:
        return "looking which network it fits …"
    if answer["why"]:
        return "no file of weights"
    titles = [fit["title"] for fit in answer["fits"]]
    return f"fits {' and '.join(titles)}" if titles else "fits no network here"


def why_not(error: UserError) -> str:
    return f"Which networks the files fit is not known: {error}"


def _asked(paths: Sequence[Path], flags: list[str]) -> Job:
    key = ("weights fits", *map(_key, paths), *flags)
    arguments = ["weights", "fits", *map(str, paths), *flags]
    return jobs().get(key) or jobs().start(key, arguments, KEPT_SECONDS, BEGUN)


def _key(path: Path) -> Any:
    return str(path), file_stamp(path)


@st.cache_resource(show_spinner=False)
def _kept() -> OrderedDict[Any, Answer]:
    return OrderedDict()
