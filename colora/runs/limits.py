"""How long a seed of a group may be silent, and may run: what one launch asked for, kept in group.json as "limits".

They change no result, so they are no settings of a run and in no checksum. The supervisor of this machine keeps them;
SLURM has its own time limit.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from colora.runs.documents import group_file
from colora.system.errors import UserError
from colora.system.typed import number_text, typed_number

LEAST_SILENCE_SECONDS = 30  # six heartbeats: less would end runs that only wait for their disk
KEY = "limits"


@dataclass(frozen=True)
class Limits:
    """None is no limit. Raises UserError, marking the field, for what is none."""

    max_silence: float | None = None  # seconds without a word of the training
    max_hours: float | None = None  # of a seed's processes, from each start or resume on

    def __post_init__(self) -> None:
        for field, least, unit in (("max_silence", LEAST_SILENCE_SECONDS, "seconds"), ("max_hours", 0, "hours")):
            value = getattr(self, field)
            if value is not None and not (value > 0 and value >= least and math.isfinite(value)):
                flag, than = f"--{field.replace('_', '-')}", f"of at least {least}" if least else "above 0"
                raise UserError(f"{flag} takes a number of {unit} {than}; got {value:g}.", field=field)

    def as_dict(self) -> dict[str, float]:
        """Those that are set; what group.json keeps."""
        return {field: value for field, value in asdict(self).items() if value is not None}

    def says(self) -> str:
        """`a seed is ended after 600 s of silence or 12 h of running`; empty without limits."""
        parts = []
        if self.max_silence is not None:
            parts.append(f"{number_text(self.max_silence)} s of silence")
        if self.max_hours is not None:
            parts.append(f"{number_text(self.max_hours)} h of running")
        return f"a seed is ended after {' or '.join(parts)}" if parts else ""


def limits_of_texts(texts: Mapping[str, str | None]) -> Limits:
    """Of what was typed for each field. Raises UserError where one is no number, or too small."""
    found: dict[str, float] = {}
    for field, text in texts.items():
        if text is not None:
            try:
                found[field] = typed_number(text)
            except ValueError as error:
                raise UserError(f"--{field.replace('_', '-')}: {error}.", field=field) from error
    return Limits(**found)


def limits_of(group: Path) -> Limits:
    """Of a group's folder. What cannot be read is no limit: nothing is ended for a file that is damaged."""
    try:
        found = group_file(group).get(KEY, {})
        return Limits(found.get("max_silence"), found.get("max_hours"))
    except UserError:
        return Limits()
