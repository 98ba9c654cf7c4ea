"""Values that a setting allows and that hardly anybody means: a slip of the finger costs a night of training.

Whoever launches is asked about them first on the form, and told on the command line. Pure: of plain values alone.
"""

from typing import NamedTuple

from colora.settings.config import RunConfig

MOST_SEEDS = 30  # the paper has 10


class Usual(NamedTuple):
    """What is usual of a setting: its bounds, and what lies outside does."""

    low: float
    high: float
    below: str
    above: str


USUAL: dict[str, Usual] = {
    "lr": Usual(1e-6, 0.1, "hardly learns", "ruins most trainings"),
    "lr_head": Usual(1e-6, 0.1, "hardly trains the head", "ruins most trainings"),
    "eps": Usual(1e-12, 1e-2, "divides by nearly nothing", "slows Adam to a crawl"),
    "epochs": Usual(1, 300, "", "takes very long and learns the images by heart"),
    "batch_size": Usual(4, 1024, "makes noisy and slow steps", "leaves few steps in an epoch"),
    "image_size": Usual(28, 512, "shows little of a scan", "takes very long"),
    "rank": Usual(1, 16, "", "trains more weights than the convolution has"),
    "merge_every": Usual(1, 10_000, "", "may never merge"),
}


def unusual(config: RunConfig, seeds: int = 1) -> dict[str, str]:
    """{field: sentence} of what is far from usual, "seeds" among them; empty where nothing is."""
    found = {}
    for field, usual in USUAL.items():
        value = getattr(config, field)
        if value is not None and not usual.low <= value <= usual.high:
            found[field] = _sentence(value, usual)
    if seeds > MOST_SEEDS:
        found["seeds"] = f"{seeds:,} seeds train one after another; the paper has 10."
    return found


def _sentence(value: float, usual: Usual) -> str:
    does = usual.below if value < usual.low else usual.above
    here, low, high = map(_plain, (value, usual.low, usual.high))
    return f"{here} is far from usual ({low} to {high}): it {does}."


def _plain(value: float) -> str:
    """Without powers of ten."""
    return f"{value:.12f}".rstrip("0").rstrip(".")
