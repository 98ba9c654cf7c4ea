"""Several values of one setting: one group each, under names that say the value."""

from colora.config import RunConfig, make_config
from colora.errors import UserError

FIELDS = ("lr", "rank", "merge_every")  # those whose field of the form takes several values, too
MOST = 50  # groups at once; a slip of the keyboard makes no thousand


def parse_vary(text: str) -> tuple[str, list[str]]:
    """`"lr=1e-3, 3e-3"` -> `("lr", ["1e-3", "3e-3"])`. Raises UserError for anything else."""
    field, equals, values = text.partition("=")
    field = field.strip().replace("-", "_")
    parts = [part.strip() for part in values.split(",") if part.strip()]
    if not equals or field not in RunConfig.model_fields or not parts:
        raise UserError(f"'{text}' is no setting with values: write it as lr=1e-3,3e-3 or rank=1,2,4.", field="vary")
    return field, parts


def varied(name: str, config: RunConfig, field: str, values: list) -> dict[str, RunConfig]:
    """{name of the group: its config}, in the order of the values. Raises UserError for a value that is wrong, or there
    twice."""
    if len(values) > MOST:
        raise UserError(f"{field} has {len(values)} values; at most {MOST} groups are made at once.", field=field)
    groups: dict[str, RunConfig] = {}
    for value in values:
        one = make_config(config.model_dump() | {field: value})
        full = f"{name}-{suffix(field, getattr(one, field))}"
        if full in groups:
            raise UserError(f"{field}: {value} is there twice.", field=field)
        groups[full] = one
    return groups


def suffix(field: str, value: object) -> str:
    """`"lr-0.003"`: what tells a group of such a series from the others."""
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return f"{field.replace('_', '-')}-{text}"
