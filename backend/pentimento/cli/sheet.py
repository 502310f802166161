"""A contact sheet: the pictures of a grid side by side, with what changes written at its margins."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import PIL.Image
from PIL import ImageDraw, ImageFont
from PIL.Image import Image, Resampling

from pentimento.engine.arrays import to_array
from pentimento_shared.pixels import decode_png
from pentimento_shared.variants import Axis, Grid

LONGEST_SIDE: Final = 8000
"""px of the whole sheet; pictures are scaled down to fit, all by the same factor."""
LEAST_CELL: Final = 96
_GAP: Final = 8
_BACK: Final = (255, 255, 255)
_INK: Final = (32, 32, 32)
_CHECKS: Final = ((204, 204, 204), (170, 170, 170))
_CHECK_PX: Final = 8
_MARGIN_LINES: Final = 6
"""Lines of a label at most; the rest of a long one is left out."""


class _Look(NamedTuple):
    """Sizes of a sheet, px: of a cell, of its letters, and of the margin for the labels of rows."""

    cell: tuple[int, int]
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont
    line: int
    margin: int


def make_sheet(grid: Grid, files: Sequence[Path], legend: str) -> bytes:
    """The sheet as PNG (8-bit RGB): x from left to right, y downwards, a block for each z, the legend below.

    `files` are the pictures of the grid's cells, PNG of any size.
    """
    columns, rows, blocks = (len(grid.axes[k].values) if k < len(grid.axes) else 1 for k in range(3))
    pictures = [_shown(file) for file in files]
    widest, highest = max(each.width for each in pictures), max(each.height for each in pictures)
    factor = min(1.0, LONGEST_SIDE / (columns * widest), LONGEST_SIDE / (rows * blocks * highest))
    cell = max(LEAST_CELL, round(widest * factor)), max(LEAST_CELL, round(highest * factor))
    look = _look(grid, cell)
    parts = [_block(grid, z, pictures[z * rows * columns : (z + 1) * rows * columns], look) for z in range(blocks)]
    parts.append(_text(legend, parts[0].width, look, left=True))
    sheet = PIL.Image.new("RGB", (parts[0].width + 2 * _GAP, sum(p.height + _GAP for p in parts) + _GAP), _BACK)
    top = _GAP
    for part in parts:
        sheet.paste(part, (_GAP, top))
        top += part.height + _GAP
    buffer = io.BytesIO()
    sheet.save(buffer, "PNG")
    return buffer.getvalue()


def _look(grid: Grid, cell: tuple[int, int]) -> _Look:
    size = max(12, min(cell) // 12)
    font = ImageFont.load_default(size)
    line = size + size // 3
    labels = _labels(grid.axes[1]) if len(grid.axes) > 1 else []
    longest = max((_width(label, font) for label in labels), default=0)
    return _Look(cell, font, line, min(longest, cell[0]) + _GAP if labels else 0)


def _block(grid: Grid, z: int, pictures: Sequence[Image], look: _Look) -> Image:
    """The pictures of one z below the labels of x and beside those of y; its own label on top."""
    x = grid.axes[0]
    y, depth = (grid.axes[k] if k < len(grid.axes) else None for k in (1, 2))
    width = look.margin + len(x.values) * (look.cell[0] + _GAP)
    heads = [_text(label, look.cell[0], look) for label in _labels(x)]
    title = [] if depth is None else [_text(_labels(depth)[z], width, look)]
    rows = 1 if y is None else len(y.values)
    top = sum(part.height + _GAP for part in title) + max(head.height for head in heads) + _GAP
    block = PIL.Image.new("RGB", (width, top + rows * (look.cell[1] + _GAP)), _BACK)
    for part in title:
        block.paste(part, (0, 0))
    for column, head in enumerate(heads):
        block.paste(head, (look.margin + column * (look.cell[0] + _GAP), top - _GAP - head.height))
    for row in range(rows):
        place = top + row * (look.cell[1] + _GAP)
        if y is not None:
            label = _text(_labels(y)[row], look.margin - _GAP, look)
            block.paste(label, (0, place + max(0, (look.cell[1] - label.height) // 2)))
        for column in range(len(x.values)):
            picture = _fitted(pictures[row * len(x.values) + column], look.cell)
            left = look.margin + column * (look.cell[0] + _GAP)
            block.paste(picture, (left + (look.cell[0] - picture.width) // 2, place))
    return block


def _labels(axis: Axis) -> list[str]:
    """What stands at the margin, with the axis's name before the first value."""
    return [axis.title(value) for value in axis.values]


def _shown(file: Path) -> Image:
    """The picture as 8-bit RGB, over checks where it is transparent."""
    levels = to_array(decode_png(file.read_bytes()))
    if levels.dtype.itemsize == 2:
        levels = np.rint(levels / 257)
    colours = np.repeat(levels[..., :1], 3, axis=2) if levels.shape[2] < 3 else levels[..., :3]
    if levels.shape[2] in (2, 4):
        y, x = np.mgrid[: levels.shape[0], : levels.shape[1]] // _CHECK_PX
        below, alpha = np.array(_CHECKS, float)[(x + y) % 2], levels[..., -1:] / 255
        colours = np.rint(colours * alpha + below * (1 - alpha))
    return PIL.Image.fromarray(colours.astype(np.uint8))


def _fitted(picture: Image, cell: tuple[int, int]) -> Image:
    """The picture within a cell; never enlarged."""
    factor = min(1.0, cell[0] / picture.width, cell[1] / picture.height)
    size = max(1, round(picture.width * factor)), max(1, round(picture.height * factor))
    return picture if size == picture.size else picture.resize(size, Resampling.LANCZOS)


def _text(text: str, width: int, look: _Look, left: bool = False) -> Image:
    """A label of that width, its words on as many lines as they need."""
    lines = _lines(text, width, look.font)
    image = PIL.Image.new("RGB", (width, max(1, len(lines)) * look.line), _BACK)
    draw = ImageDraw.Draw(image)
    for number, line in enumerate(lines):
        indent = 0 if left else max(0, (width - _width(line, look.font)) // 2)
        draw.text((indent, number * look.line), line, _INK, look.font)
    return image


def _lines(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if lines[-1] and _width(longer, font) > width:
            lines.append(word)
        else:
            lines[-1] = longer
    return lines if len(lines) <= _MARGIN_LINES else [*lines[: _MARGIN_LINES - 1], lines[_MARGIN_LINES - 1] + " ..."]


def _width(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> int:
    return round(font.getlength(text))
