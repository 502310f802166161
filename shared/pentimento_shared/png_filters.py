"""PNG's row filters over whole rows at once: bytes as lanes of one large integer, modulo 256.

Sources: PNG Third Edition, section 9, https://www.w3.org/TR/png-3/#9Filters; Warren, Hacker's Delight, 2-18.
"""

from __future__ import annotations

from typing import Final

from . import png_wavefront
from .png_file import PixelsError

NONE, SUB, UP, AVERAGE, PAETH = range(5)
ROWS_AT_ONCE: Final = 64
"""Rows to hand over at once where there are as many: the diagonal of png_wavefront is long then."""
_BAND: Final = 64 * 1024
"""Bytes filtered at once. Integers of this size stay in the cache and cost no fresh pages: 3 times faster."""


class Lanes:
    """Byte-wise arithmetic modulo 256 on integers of up to `length` bytes."""

    def __init__(self, length: int) -> None:
        self._high = int.from_bytes(b"\x80" * length, "big")
        self._low = int.from_bytes(b"\x7f" * length, "big")

    def add(self, a: int, b: int) -> int:
        # The top bit of each lane stays out of the sum, so nothing carries beyond it, and is added by xor.
        return ((a & self._low) + (b & self._low)) ^ ((a ^ b) & self._high)

    def subtract(self, a: int, b: int) -> int:
        high = self._high
        return ((a | high) - (b & self._low)) ^ ((a ^ b ^ high) & high)


def filtered(data: bytes, stride: int, first: int, last: int, up: bool) -> bytes:
    """Rows `first` to `last` (exclusive) as PNG stores them, each behind its filter byte: filter Up, or None.

    `data` is the whole picture, `stride` the bytes of a row.
    """
    step = max(1, _BAND // stride)
    lanes = Lanes(step * stride)
    parts = []
    for row in range(first, last, step):
        start, end = row * stride, min(row + step, last) * stride
        band = data[start:end]
        if up:
            above = data[start - stride : end - stride] if row else bytes(stride) + band[:-stride]
            difference = lanes.subtract(int.from_bytes(band, "big"), int.from_bytes(above, "big"))
            band = difference.to_bytes(end - start, "big")
        parts += [band[at : at + stride] for at in range(0, len(band), stride)]
    tag = b"\x02" if up else b"\x00"
    return tag + tag.join(parts)


class Unfilter:
    """Takes the filters off the rows of one picture, strip by strip from the top.

    `stride` is the bytes of a row without its filter byte, `pixel` the bytes from a sample to the same sample
    of the next pixel (1 where several pixels share a byte).
    """

    def __init__(self, stride: int, pixel: int) -> None:
        self._stride, self._pixel = stride, pixel
        self._lanes = Lanes(stride)
        self._above = bytes(stride)

    def rows(self, strip: bytes) -> bytes:
        """The next rows, without their filter bytes. Raises PixelsError for a filter that does not exist."""
        kinds = strip[:: self._stride + 1]
        if unknown := kinds.translate(None, bytes(range(5))):
            raise PixelsError(f"The PNG is damaged: a row has the filter {unknown[0]}; 0 to 4 exist. Export it again.")
        starts = range(1, len(strip), self._stride + 1)
        rows = [strip[start : start + self._stride] for start in starts]
        parts = []
        for at in range(0, len(rows), ROWS_AT_ONCE):
            parts += self._block(kinds[at : at + ROWS_AT_ONCE], rows[at : at + ROWS_AT_ONCE])
        return b"".join(parts)

    def _block(self, kinds: bytes, rows: list[bytes]) -> list[bytes]:
        slow = kinds.count(AVERAGE) + kinds.count(PAETH)
        # With few such rows, or few bytes along the diagonal, a step is mostly overhead (measured).
        if 4 * slow >= len(rows) and slow * self._pixel >= 32:
            rows = png_wavefront.unfiltered(kinds, rows, self._above, self._pixel)
        else:
            above = self._above
            for place, kind in enumerate(kinds):
                rows[place] = above = self._row(kind, rows[place], above)
        self._above = rows[-1]
        return rows

    def _row(self, kind: int, row: bytes, above: bytes) -> bytes:
        if kind == NONE:
            return row
        if kind == UP:
            total = self._lanes.add(int.from_bytes(row, "big"), int.from_bytes(above, "big"))
            return total.to_bytes(len(row), "big")
        if kind == SUB:
            return self._running_sum(row)
        return (_average if kind == AVERAGE else _paeth)(row, above, self._pixel)

    def _running_sum(self, row: bytes) -> bytes:
        # Sums over 1, 2, 4, ... pixels: each round adds the sums that end where the ones so far begin.
        total, shift = int.from_bytes(row, "big"), 8 * self._pixel
        while shift < 8 * len(row):
            total = self._lanes.add(total, total >> shift)
            shift *= 2
        return total.to_bytes(len(row), "big")


def _average(row: bytes, above: bytes, pixel: int) -> bytes:
    result = bytearray(len(row))
    for sample in range(pixel):
        left, column = 0, []
        for value, up in zip(row[sample::pixel], above[sample::pixel], strict=True):
            left = (value + ((left + up) >> 1)) & 255
            column.append(left)
        result[sample::pixel] = bytes(column)
    return bytes(result)


def _paeth(row: bytes, above: bytes, pixel: int) -> bytes:
    result = bytearray(len(row))
    for sample in range(pixel):
        left = corner = 0
        column = []
        for value, up in zip(row[sample::pixel], above[sample::pixel], strict=True):
            by_left, by_up = abs(up - corner), abs(left - corner)
            by_corner = abs(left + up - 2 * corner)
            if by_left <= by_up and by_left <= by_corner:
                left = (value + left) & 255
            elif by_up <= by_corner:
                left = (value + up) & 255
            else:
                left = (value + corner) & 255
            corner = up
            column.append(left)
        result[sample::pixel] = bytes(column)
    return bytes(result)
