"""Looks at data that take a while: `colora data check` beside the server (`components.beside`).

Its answer is kept until a file at the top of the data changes, or for a while: what changes deep inside a folder leaves
no mark at its top.
"""

from typing import Any

from colora.settings.config import DATA_FIELDS, RunConfig, absolute_paths, setting_flags
from colora.settings.medmnist_info import known
from colora.settings.relevance import unused
from pages.components.beside import Job, jobs

LOOK_SECONDS = 15 * 60  # that the names of a large folder are taken for those of now
CHECK_SECONDS = 12 * 3600  # that what reading every image has found is
CUT_SECONDS = 3600  # that a page says a cut was made
LOOKING = "Looking at the data"


def arguments_of(config: RunConfig, *flags: str) -> list[str]:
    """What follows `python -m colora` to check these data; an image size is said of a set that is kept at several."""
    config = absolute_paths(config)
    values, idle = config.model_dump(exclude_defaults=True, include=set(DATA_FIELDS)), unused(config.model_dump())
    left_out = {"dataset", "image_size", *idle}
    given = {field: value for field, value in values.items() if value is not None and field not in left_out}
    if known(config.dataset):
        given["image_size"] = config.image_size
    return ["data", "check", config.dataset, *flags, *setting_flags(given)]


def names_of(config: RunConfig, stamps: Any) -> Job:
    """The look at a large folder or table by names alone; begun where there is none."""
    arguments = arguments_of(config, "--quick")
    key = (*arguments, repr(stamps))
    return jobs().get(key) or jobs().start(key, arguments, LOOK_SECONDS, LOOKING)


def check_of(config: RunConfig, stamps: Any) -> Job | None:
    """The look at every image of these data; None where nobody has asked for it."""
    return jobs().get((*arguments_of(config), repr(stamps)))


def start_check(config: RunConfig, stamps: Any) -> Job:
    arguments = arguments_of(config)
    return jobs().start((*arguments, repr(stamps)), arguments, CHECK_SECONDS, LOOKING)


def cut_of(config: RunConfig, name: str, stamps: Any) -> Job | None:
    """The cut of this name, without the leaks, that is being made or was; None where nobody has asked for it."""
    return jobs().get(_key_of_cut(config, name, stamps))


def start_cut(config: RunConfig, name: str, runs_dir: str, stamps: Any) -> Job:
    """For training at the config's image size."""
    flags = [f"--cut={name}", f"--runs-dir={runs_dir}"]
    arguments = arguments_of(config, *flags)
    if not known(config.dataset):
        arguments.append(f"--image-size={config.image_size}")
    return jobs().start(_key_of_cut(config, name, stamps), arguments, CUT_SECONDS, LOOKING)


def _key_of_cut(config: RunConfig, name: str, stamps: Any) -> Any:
    return ("cut", name, config.image_size, *arguments_of(config), repr(stamps))
