"""The colours of every figure: seen on the light page and the dark one, and told apart by colour-blind people too."""

import tomllib
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from colora import plots
from colora.plots.compare import GROUP_COLOURS
from colora.plots.image_map import SCALE

THEMES = tomllib.loads((Path(__file__).parents[2] / ".streamlit" / "config.toml").read_text())["theme"]
# Machado, Oliveira and Fernandes 2009, table 1, severity 1.0; of linear RGB
SIGHT = {
    "usual": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}
TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def linear(colour: str) -> np.ndarray:
    """(3,) linear sRGB in [0, 1]."""
    value = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)]) / 255
    return np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)


def contrast(first: str, second: str) -> float:
    """As in WCAG 2, from 1 to 21."""
    low, high = sorted(float(TO_XYZ[1] @ linear(colour)) + 0.05 for colour in (first, second))
    return high / low


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear sRGB, in which a distance of 2.3 is just noticed."""
    x, y, z = TO_XYZ @ np.clip(rgb, 0, 1) / TO_XYZ.sum(axis=1)
    fx, fy, fz = (np.cbrt(v) if v > 0.008856 else 7.787 * v + 16 / 116 for v in (x, y, z))
    return np.array([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)])


def nearest(colours: tuple[str, ...], sight: np.ndarray) -> float:
    """The distance of the two that are most alike."""
    seen = [lab(sight @ linear(colour)) for colour in colours]
    return min(float(np.linalg.norm(a - b)) for a, b in combinations(seen, 2))


def test_contrast_and_distance_of_known_colours():
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#767676", "#ffffff") == pytest.approx(4.54, abs=0.01)
    assert lab(linear("#ff0000")) == pytest.approx([53.2, 80.1, 67.2], abs=0.1)
    red, green = linear("#e00000"), linear("#6e7000")
    assert np.linalg.norm(lab(red) - lab(green)) > 60
    assert np.linalg.norm(lab(SIGHT["deuteranopia"] @ red) - lab(SIGHT["deuteranopia"] @ green)) < 20


def along(scale: list) -> list[str]:
    """The colours of a continuous scale as a browser mixes them."""
    places, ends = [place for place, _ in scale], [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for _, c in scale]
    mixed = [np.interp(np.linspace(0, 1, 41), places, channel) for channel in np.array(ends).T]
    return ["#" + "".join(f"{round(value):02x}" for value in colour) for colour in zip(*mixed, strict=True)]


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_every_colour_stands_out_from_the_page(theme):
    page = THEMES[theme]["backgroundColor"]
    colours = {*plots.CLASS_COLOURS, *plots.SPLIT_COLOURS.values(), *GROUP_COLOURS, *along(SCALE)}
    assert min(contrast(colour, page) for colour in colours) >= 3
    assert [c.upper() for c in THEMES[theme]["chartCategoricalColors"]] == list(GROUP_COLOURS)


@pytest.mark.parametrize("sight", SIGHT)
def test_any_two_classes_splits_and_groups_are_told_apart(sight):
    assert nearest(plots.CLASS_COLOURS, SIGHT[sight]) > 20
    assert nearest(tuple(plots.SPLIT_COLOURS.values()), SIGHT[sight]) > 20
    assert nearest(GROUP_COLOURS, SIGHT[sight]) > 15
    assert nearest(along(SCALE)[::10], SIGHT[sight]) > 15  # its quarters
