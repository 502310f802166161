"""Pixels of Krita's nodes, in and out, a strip at each step. Everything here belongs to Krita's UI thread."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import krita

from pentimento_shared.document import Steps, Strips
from pentimento_shared.geometry import Rect, Size
from pentimento_shared.pixels import Pixels

from . import colors
from .colors import ColorSpace
from .qt import QtCore

_RAW_PIXELS: Final = 1 << 17
"""Pixels of a strip that crosses as it is: some ms."""
_TABLE_PIXELS: Final = 1 << 15
"""Pixels of a strip that goes through a table, or through Krita's own conversion: 10 to 20 ms."""
_LINEAR_GREY: Final = ("GRAYA", "F32", "Gray-D50-elle-V2-g10.icc")

ReadStrip = Callable[[int, int, int, int], bytes]
"""Bytes of the pixels in x, y, width, height."""
Convert = Callable[[bytes, Size], bytes]
"""Bytes of pixels in another colour space."""


def color_space(thing: krita.Document | krita.Node) -> ColorSpace:
    """The colour space of a document or a layer."""
    model, depth, profile = thing.colorModel(), thing.colorDepth(), thing.colorProfile()
    # Half of the range is half of the light: profiles by other makers do not say in their names that they are linear.
    color = krita.ManagedColor(model, depth, profile)
    color.setComponents([0.5] * (1 if model == "GRAYA" else 3) + [1.0])
    color.setColorSpace(*_LINEAR_GREY)
    light = color.components()[0]  # with the curves of sRGB, gamma 1.8 and 2.2: 0.18 to 0.29
    return ColorSpace(model, depth, profile, 0.4 < light < 0.6)


@contextmanager
def conversion(space: ColorSpace, to: ColorSpace) -> Iterator[Convert]:
    """Krita's own conversion, in a document that nobody sees: in the artist's it would be an undo step."""
    document = krita.Krita.instance().createDocument(1, 1, "pentimento", space.model, space.depth, space.profile, 72.0)

    def convert(data: bytes, size: Size) -> bytes:
        node = document.createNode("strip", "paintlayer")
        node.setPixelData(QtCore.QByteArray(data), 0, 0, *size)
        node.setColorSpace(to.model, to.depth, to.profile)
        return bytes(node.pixelData(0, 0, *size))

    try:
        yield convert
    finally:
        document.close()


def read(read_strip: ReadStrip, rect: Rect, space: ColorSpace, convert: Convert | None = None) -> Steps[Strips]:
    """What `read_strip` gives in `rect`, as it crosses from `space`; `convert` brings it there first."""
    yield from colors.prepare(space)
    pieces: list[bytes] = []
    for strip in strips(rect, _RAW_PIXELS if space.raw and convert is None else _TABLE_PIXELS):
        data = read_strip(*strip)
        pieces.append(colors.outward(data if convert is None else convert(data, strip.size), space))
        yield
    return Strips(rect.size, space.channels, space.crossing_depth, tuple(pieces))


def read_mask(read_strip: ReadStrip, rect: Rect, within: Rect | None = None) -> Steps[Strips]:
    """What `read_strip` gives in `rect`, 1 byte a pixel; 0 outside `within`."""
    pieces: list[bytes] = []
    for strip in strips(rect, _RAW_PIXELS):
        inside = strip if within is None else strip.intersect(within)
        pieces.append(_padded(read_strip(*inside), inside, strip) if not inside.empty else bytes(strip.size.area))
        yield
    return Strips(rect.size, 1, 8, tuple(pieces))


def write(node: krita.Node, pixels: Pixels, place: Rect, space: ColorSpace) -> Steps[None]:
    """Puts what came across into a layer whose colour space is `space`."""
    yield from colors.prepare(space)
    data = memoryview(pixels.data)
    for strip in strips(place, _RAW_PIXELS if space.raw else _TABLE_PIXELS):
        rows = data[(strip.y - place.y) * pixels.row_bytes : (strip.bottom - place.y) * pixels.row_bytes]
        node.setPixelData(QtCore.QByteArray(colors.inward(bytes(rows), pixels.channels, space)), *strip)
        yield


def write_mask(selection: krita.Selection, mask: Pixels, place: Rect) -> Steps[None]:
    """Puts a mask of 1 channel, 8 or 16 bit, into a selection."""
    data = memoryview(mask.data)
    for strip in strips(place, _RAW_PIXELS if mask.depth == 8 else _TABLE_PIXELS):
        rows = bytes(data[(strip.y - place.y) * mask.row_bytes : (strip.bottom - place.y) * mask.row_bytes])
        levels = rows if mask.depth == 8 else colors.eight_bit(rows)
        selection.setPixelData(QtCore.QByteArray(levels), *strip)
        yield


def strips(rect: Rect, pixels: int) -> Iterator[Rect]:
    """Whole rows of `rect`, from the top, about so many pixels at a time."""
    step = max(1, pixels // rect.width)
    for y in range(rect.y, rect.bottom, step):
        yield Rect(rect.x, y, rect.width, min(step, rect.bottom - y))


def _padded(data: bytes, inside: Rect, strip: Rect) -> bytes:
    """The rows of `inside` with zeros around them, so that they fill `strip`."""
    if inside == strip:
        return data
    left, right = bytes(inside.x - strip.x), bytes(strip.right - inside.right)
    rows = (data[at : at + inside.width] for at in range(0, len(data), inside.width))
    above, below = bytes((inside.y - strip.y) * strip.width), bytes((strip.bottom - inside.bottom) * strip.width)
    return above + b"".join(left + row + right for row in rows) + below
