"""Seeds as people type them: 0-2,7."""

import re

from colora.system.errors import UserError
from colora.system.typed import bare, shortened

SEED_DIGITS = 9


def parse_seeds(text: str) -> list[int]:
    """`"0-2,7"` -> `[0, 1, 2, 7]`: distinct, ascending. Raises UserError for anything else."""
    seeds: set[int] = set()
    for part in filter(None, map(bare, re.split("[,;]", text))):
        first, dash, last = part.partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise UserError(
                f"Seeds are whole numbers and ranges such as 0-9 or 0,3,5; got '{shortened(part)}'.", field="seeds"
            )
        if len(first) > SEED_DIGITS or len(last) > SEED_DIGITS:
            raise UserError(f"A seed has at most {SEED_DIGITS} digits; got '{shortened(part)}'.", field="seeds")
        low, high = int(first), int(last or first)
        if high < low or high - low >= 1000:
            raise UserError(f"The range '{part}' runs backwards or holds more than 1,000 seeds.", field="seeds")
        seeds.update(range(low, high + 1))
    if not seeds:
        raise UserError("At least one seed is needed, for example 0-2.", field="seeds")
    return sorted(seeds)


def format_seeds(seeds: list[int]) -> str:
    """The inverse of `parse_seeds`: `[0, 1, 2, 7]` -> `"0-2,7"`."""
    parts: list[list[int]] = []
    for seed in sorted(seeds):
        if parts and seed == parts[-1][-1] + 1:
            parts[-1].append(seed)
        else:
            parts.append([seed])
    return ",".join(str(p[0]) if len(p) == 1 else f"{p[0]}-{p[-1]}" for p in parts)
