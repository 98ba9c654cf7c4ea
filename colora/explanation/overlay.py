"""A map over its picture: in colours that grow with it, and a line around where it is highest."""

import contourpy
import numpy as np
from PIL import Image, ImageDraw

from colora.data.prepare import square_of

LEVEL = 0.5  # of the largest value: what the line goes around
# matplotlib's inferno (CC0), at every eighth: light means much, to those too who see no red or green
COLOURS = np.array([
    (0, 0, 4), (40, 11, 84), (101, 21, 110), (159, 42, 99), (212, 72, 66), (245, 125, 21), (250, 193, 39),
    (252, 255, 164),
])  # fmt: skip
LINE = (0, 220, 255)
STRENGTH = 0.6  # of the colours where the map is highest, in a picture that nobody can fade


def heat(values: np.ndarray) -> np.ndarray:
    """(S, S, 4) uint8 red, green, blue, alpha from a map (S, S) in 0..1: nothing where it is 0."""
    values = np.clip(values, 0, 1)
    at = np.linspace(0, 1, len(COLOURS))
    colour = np.stack([np.interp(values, at, COLOURS[:, channel]) for channel in range(3)], axis=-1)
    return np.concatenate([colour, 255 * values[..., None]], axis=-1).round().astype(np.uint8)


def outline(values: np.ndarray, level: float = LEVEL) -> list[list[tuple[float, float]]]:
    """Lines of (x, y), in shares of the side, around where a map (S, S) is over `level`; closed also at the edge."""
    side = len(values)
    framed = np.pad(values, 1)
    lines = contourpy.contour_generator(z=framed).lines(level)
    return [[(float(x - 0.5) / side, float(y - 0.5) / side) for x, y in line] for line in lines]


def drawn(pixels: np.ndarray, values: np.ndarray, strength: float = STRENGTH) -> np.ndarray:
    """(H, W, 3) uint8: a picture (H, W) or (H, W, 3) uint8 at its own resolution under a map (S, S) in 0..1."""
    picture = Image.fromarray(pixels).convert("RGB")
    left, top, side = square_of(*picture.size)
    colours = heat(values)
    colours[..., 3] = (colours[..., 3] * strength).round()
    over = Image.fromarray(colours, "RGBA").resize((side, side), Image.Resampling.BILINEAR)
    picture.paste(over, (left, top), over)
    pen = ImageDraw.Draw(picture)
    for line in outline(values):
        pen.line([(left + x * side, top + y * side) for x, y in line], fill=LINE, width=max(1, round(side / 300)))
    return np.asarray(picture)
