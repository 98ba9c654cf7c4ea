"""Pages of images with their predictions, as pictures to keep: the paper's figures 11 and 12."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from colora.plots.style import class_colour

CELL, GAP, LINE, MARGIN = 132, 8, 20, 28  # pixels
PAPER, INK, PALE, WRONG, RIGHT = "#ffffff", "#13262c", "#5a6a70", "#b3261e", "#1f7a4d"


@dataclass(frozen=True)
class Cell:
    """One image (S, S) uint8, or None where it cannot be read, with the predicted class and the score under it."""

    image: np.ndarray | None
    predicted: int
    right: bool
    score: float


def contact_sheet(
    blocks: dict[int, Sequence[Cell]], class_names: Sequence[str], title: str, caption: Sequence[str], columns: int = 5
) -> Image.Image:
    """A block of cells a true class, two blocks side by side, under `title` and over the lines of `caption`."""
    rows = max((-(-len(cells) // columns) for cells in blocks.values()), default=0)
    block_width = columns * (CELL + GAP) - GAP
    block_height = 2 * LINE + rows * (CELL + LINE + GAP)
    beside = min(2, len(blocks)) or 1
    below = -(-len(blocks) // beside)
    width = 2 * MARGIN + beside * block_width + (beside - 1) * MARGIN
    lines = [part for text in caption for part in _wrapped(text, _font(14), width - 2 * MARGIN)]
    height = MARGIN + 40 + below * block_height + LINE * len(lines) + MARGIN
    sheet = Image.new("RGB", (width, height), PAPER)
    draw = ImageDraw.Draw(sheet)
    draw.text((MARGIN, MARGIN - 6), title, INK, _font(22))
    for number, (c, cells) in enumerate(blocks.items()):
        left = MARGIN + (number % beside) * (block_width + MARGIN)
        top = MARGIN + 40 + (number // beside) * block_height
        _block(sheet, draw, left, top, class_names, c, cells, columns)
    y = MARGIN + 40 + below * block_height
    for text in lines:
        draw.text((MARGIN, y), text, PALE, _font(14))
        y += LINE
    return sheet


def _block(
    sheet: Image.Image,
    draw: ImageDraw.ImageDraw,
    left: int,
    top: int,
    class_names: Sequence[str],
    c: int,
    cells: Sequence[Cell],
    columns: int,
) -> None:
    draw.rectangle((left, top + 4, left + 5, top + LINE + 2), class_colour(c))
    draw.text((left + 13, top + 2), f"True class: {class_names[c]}", INK, _font(17))
    for position, cell in enumerate(cells):
        x = left + (position % columns) * (CELL + GAP)
        y = top + 2 * LINE - 6 + (position // columns) * (CELL + LINE + GAP)
        draw.rectangle((x, y, x + CELL - 1, y + CELL - 1), "#000000")
        if cell.image is not None:
            side = Image.fromarray(cell.image).resize((CELL, CELL), Image.Resampling.BICUBIC)
            sheet.paste(side.convert("RGB"), (x, y))
        else:
            draw.text((x + 8, y + CELL // 2 - 8), "cannot be read", "#dbe6e9", _font(12))
        draw.ellipse((x, y + CELL + 5, x + 9, y + CELL + 14), class_colour(cell.predicted))
        answer = class_names[cell.predicted] if cell.right else f"wrong: {class_names[cell.predicted]}"
        value = f"{cell.score:.2f}"
        room = CELL - 16 - _font(12).getlength(value)
        draw.text((x + 13, y + CELL + 2), _cut(answer, _font(12), room), RIGHT if cell.right else WRONG, _font(12))
        draw.text((x + CELL - _font(12).getlength(value), y + CELL + 2), value, PALE, _font(12))


@cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)


@lru_cache(maxsize=1024)  # a class's name stands under many images
def _cut(text: str, font: ImageFont.FreeTypeFont, room: float) -> str:
    """The text, or its beginning with three dots where there is no room for it."""
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(text + "...") > room:
        text = text[:-1]
    return text + "..."


def _wrapped(text: str, font: ImageFont.FreeTypeFont, room: float) -> list[str]:
    lines, line = [], ""
    for word in text.split():
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > room:
            lines.append(line)
            longer = word
        line = longer
    return [*lines, line]
