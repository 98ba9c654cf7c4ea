"""A launch in a moment: of a model that was built, matched with its weights and tried before, nothing of it again.

`colora params` and `colora preflight` have answered, for the very same settings; their answers hold as long as the file
of weights is the one that was matched, and as many runs share a device. Where that is not so, or was never asked,
`NotKnown` is raised before anything is made, and `launch` goes the long way. Data, cut, name and rights are looked at,
memory and disk asked, at each launch. Imports no torch.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Self

from colora.data.dataset import Dataset
from colora.engines.groups import ahead, make_groups
from colora.runs.access import named_place
from colora.runs.folder import Group
from colora.settings.config import KNOWN_WEIGHTS, RunConfig
from colora.system.files import FileStamp, file_stamp
from colora.training.estimate import Trial
from colora.training.preflight import Preflight


class NotKnown(Exception):
    """What was asked before is missing, or does not hold for this launch."""


@dataclass(frozen=True)
class Known:
    """What was found out about one group's model."""

    tried: Trial  # a GPU's with the memory that is free now
    classes: int  # with which it was tried
    at_once: int  # runs on one device, for which it was
    weights: tuple[Path, FileStamp] | None  # the file that fits, as it was then; None of random ones

    @classmethod
    def of(cls, params: dict[str, Any], preflight: dict[str, Any]) -> Self:
        """From the documents that the two commands print."""
        matched = params["weights_file"]
        weights = (Path(matched["path"]), tuple(matched["stamp"])) if matched else None
        return cls(Trial(**preflight["measured"]), preflight["classes"], preflight["at_once"], weights)


def launch_known(
    runs_dir: Path, configs: dict[str, RunConfig], seeds: list[int], known: Mapping[str, Known], **options: Any
) -> list[Group]:
    """`launch.launch_groups` on this machine, with its options, of groups whose models are `known` by their names.
    Raises NotKnown, and UserError as that does; then no folder was made."""

    def look(name: str, config: RunConfig, runs: int, data: Dataset) -> Preflight:
        one = known[name]
        _check_weights(config, one)
        return ahead(config, len(seeds), Path(runs_dir), partial(_trial, one), runs=runs, data=data)

    return make_groups(runs_dir, configs, seeds, look, **options)


def _check_weights(config: RunConfig, one: Known) -> None:
    if config.weights == "none":
        return
    if config.weights not in KNOWN_WEIGHTS:
        named_place(config.weights, "weights")
    if one.weights is None or file_stamp(one.weights[0]) != one.weights[1]:
        raise NotKnown


def _trial(one: Known, classes: int, at_once: int) -> Trial:
    if (classes, at_once) != (one.classes, one.at_once):
        raise NotKnown
    return one.tried
