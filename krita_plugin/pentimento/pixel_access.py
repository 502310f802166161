"""Pixels of Krita's nodes, in and out, a strip at each step. Everything here belongs to Krita's UI thread."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
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
_MIDDLE: Final = {
    "U8": b"\x80",
    "U16": struct.pack("=H", 0x8000),
    "F16": struct.pack("=e", 0.5),
    "F32": struct.pack("=f", 0.5),
}
_FULL: Final = {"U8": b"\xff", "U16": b"\xff\xff", "F16": struct.pack("=e", 1.0), "F32": struct.pack("=f", 1.0)}
_LINEAR_GREY: Final = ("GRAYA", "F32", "Gray-D50-elle-V2-g10.icc")

ReadStrip = Callable[[int, int, int, int], bytes]
"""Bytes of the pixels in x, y, width, height."""


@dataclass(frozen=True)
class Scratch:
    """Layers beside a document, in its colour space, that nobody sees: Krita's colour conversion without an undo step."""

    document: krita.Document

    def space(self) -> ColorSpace:
        """The document's colour space."""
        document = self.document
        model, depth, profile = document.colorModel(), document.colorDepth(), document.colorProfile()
        return ColorSpace(model, depth, profile, self._is_linear(model, depth))

    def converted(self, data: bytes, size: Size, space: ColorSpace, to: ColorSpace) -> bytes:
        """Pixels of one colour space in another, through Krita."""
        node = self._node()
        node.setColorSpace(space.model, space.depth, space.profile)
        node.setPixelData(QtCore.QByteArray(data), 0, 0, *size)
        node.setColorSpace(to.model, to.depth, to.profile)
        return bytes(node.pixelData(0, 0, *size))

    def _node(self) -> krita.Node:
        return self.document.createNode("pentimento", "paintlayer")

    def _is_linear(self, model: str, depth: str) -> bool:
        """Whether half of the range is half of the light. Profiles by other makers do not say so in their names."""
        node = self._node()
        pixel = _MIDDLE[depth] * (1 if model == "GRAYA" else 3) + _FULL[depth]
        node.setPixelData(QtCore.QByteArray(pixel), 0, 0, 1, 1)
        node.setColorSpace(*_LINEAR_GREY)
        light, _ = struct.unpack("=ff", bytes(node.pixelData(0, 0, 1, 1)))
        return 0.4 < light < 0.6  # the curves of sRGB, gamma 1.8 and 2.2: 0.18 to 0.29


def read(read_strip: ReadStrip, rect: Rect, space: ColorSpace, like: ColorSpace, scratch: Scratch) -> Steps[Strips]:
    """What `read_strip` gives in `rect` in the colour space `space`, as it crosses from one with the space `like`."""
    foreign = (space.model, space.depth, space.profile) != (like.model, like.depth, like.profile)
    yield from colors.prepare(like)
    pieces: list[bytes] = []
    for strip in strips(rect, _RAW_PIXELS if like.raw and not foreign else _TABLE_PIXELS):
        data = read_strip(*strip)
        if foreign:
            data = scratch.converted(data, strip.size, space, like)
        pieces.append(colors.outward(data, like))
        yield
    return Strips(rect.size, like.channels, like.crossing_depth, tuple(pieces))


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
