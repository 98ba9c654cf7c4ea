"""A launch in this very process, in a moment, of models of which the form has been told all that needs torch.

What has to be asked once more, or takes a while, is left to `python -m colora launch`, which asks it itself: a cluster,
data with very many files, a model whose answers are not there yet, a file of weights that has changed since.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from colora.data.counts import too_large
from colora.engines.known import Known, NotKnown, launch_known
from colora.queue import worked
from colora.runs.limits import limits_of_texts
from colora.settings.config import FILES, RunConfig, absolute_paths
from colora.system.errors import Cancelled, UserError
from colora.system.files import why
from colora.system.installation import ROOT
from pages.components.command import model_answers
from pages.components.launch.taken import gpu_of, with_free_memory
from pages.components.runs import runs_dir

LOCK_SECONDS = 60  # for which another process may change the queue before a launch gives up


def launched_here(
    groups: Mapping[str, RunConfig],
    classes: Sequence[int],
    seeds: list[int],
    engine: Sequence[str],
    limits: Sequence[str],
) -> bool:
    """Make all groups, each with so many `classes` by what the form knows, and see to it that they are trained; where
    no supervisor can begin, Monitor says why. False, with nothing made, where that is the command's to do; `engine` and
    `limits` are its flags. Raises UserError in the words of its refusals, and then nothing was made."""
    configs = list(groups.values())
    if engine or not all(map(_in_a_moment, configs)):
        return False
    answers = model_answers(configs, classes)
    if answers is None:
        return False
    try:
        known = {name: _as_of_now(Known.of(*both)) for name, both in zip(groups, answers, strict=True)}
        texts = zip(limits[::2], limits[1::2], strict=True)
        asked = {flag.removeprefix("--").replace("-", "_"): text for flag, text in texts}
        given_up = time.monotonic() + LOCK_SECONDS
        late = {"should_stop": lambda: time.monotonic() > given_up}
        launch_known(runs_dir(), dict(groups), seeds, known, limits=limits_of_texts(asked), **late)
    except NotKnown:
        return False
    except Cancelled as error:
        raise UserError(f"Another process has been at work on the queue for {LOCK_SECONDS} s: try again.") from error
    except OSError as error:  # which the command says in a sentence too
        raise UserError(f"{error.filename or runs_dir()} cannot be read or written: {why(error)}.") from error
    worked.begin(runs_dir())
    return True


def _in_a_moment(config: RunConfig) -> bool:
    """Whether the data are looked at so fast that other pages of this server do not wait meanwhile, and are the same
    from where the command runs."""
    kind = config.dataset.partition(":")[0]
    if kind in FILES and (config.cut or too_large(config)):  # of a cut every image is read
        return False
    return Path.cwd() == ROOT or absolute_paths(config) == config


def _as_of_now(known: Known) -> Known:
    """Of a GPU with the memory that is free now. Raises NotKnown where its driver does not tell."""
    if known.tried.gpu_bytes is None:
        return known
    if gpu_of(known.tried.device) is None:
        raise NotKnown
    return replace(known, tried=with_free_memory(known.tried))
