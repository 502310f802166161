"""Rows with the filters Average and Paeth, many rows at once along a diagonal.

These filters look at the pixel to the left and at those above, so pixels of one row, or of one column, wait
for each other. Pixels on a diagonal do not: step t works on pixel t of the first row, t - 1 of the second and
so on, all in one integer with a 16-bit lane for each byte. That is four times as fast as a loop over bytes.
"""

from __future__ import annotations

from collections.abc import Sequence

_SUB, _UP, _AVERAGE, _PAETH = 1, 2, 3, 4


class _Lanes:
    """Arithmetic on integers whose 16-bit lanes hold 0 to 255 each."""

    def __init__(self, count: int) -> None:
        self.low = int.from_bytes(b"\0\xff" * count, "big")
        self._above_low = int.from_bytes(b"\1\0" * count, "big")

    def excess(self, a: int, b: int) -> int:
        """max(a - b, 0)."""
        difference = (a | self._above_low) - b
        reached = difference & self._above_low
        return difference & (reached - (reached >> 8))

    def not_over(self, a: int, b: int) -> int:
        """255 where a <= b, else 0."""
        reached = ((b | self._above_low) - a) & self._above_low
        return reached - (reached >> 8)

    def paeth(self, left: int, up: int, corner: int) -> int:
        """Which of the three is nearest to left + up - corner; see below for why.

        Let least <= largest be left and up, and the corner between them: then the distances are largest -
        corner for the least, corner - least for the largest, and the difference of these two for the corner.
        Outside of them the corner is never nearest, and one of the two distances, cut off at 0, points at the
        right one.
        """
        more = self.excess(left, up)
        least, largest = left - more, up + more
        below, over = self.excess(largest, corner), self.excess(corner, least)
        take_least = self.not_over(below, (over >> 1) & self.low)
        take_largest = self.not_over(over, (below >> 1) & self.low)
        either = take_least | take_largest
        return (least & take_least) | (largest & take_largest) | (corner ^ (corner & either))


def unfiltered(kinds: bytes, rows: Sequence[bytes], above: bytes, pixel: int) -> list[bytes]:
    """The rows without their filters.

    `kinds` holds the filter (0 to 4) of each row, `above` the finished row before the first, `pixel` the
    bytes from a sample to the same sample of the next pixel.
    """
    lanes = _Lanes(len(rows) * pixel)
    chosen = [_rows_of(kind, kinds, pixel) for kind in range(5)]
    width, step = len(above) // pixel, 2 * len(rows) * pixel
    skewed = _skewed(rows, pixel, step)
    edge = bytearray(2 * pixel * (width + len(rows)))
    edge[1 : 2 * len(above) : 2] = above
    first_row = 8 * (step - 2 * pixel)
    left = up = 0
    steps = []
    for at in range(width + len(rows) - 1):
        corner = up
        over_first = int.from_bytes(edge[2 * pixel * at : 2 * pixel * (at + 1)], "big")
        up = (left >> (16 * pixel)) | (over_first << first_row)
        guess = (
            (left & chosen[_SUB])
            | (up & chosen[_UP])
            | (((left + up) >> 1) & chosen[_AVERAGE])
            | (lanes.paeth(left, up, corner) & chosen[_PAETH])
        )
        left = (int.from_bytes(skewed[at * step : (at + 1) * step], "big") + guess) & lanes.low
        steps.append(left.to_bytes(step, "big"))
    return _straightened(b"".join(steps), len(rows), width, pixel)


def _rows_of(kind: int, kinds: bytes, pixel: int) -> int:
    """255 in the lanes of the rows with that filter."""
    lanes = ((b"\0\xff" if found == kind else b"\0\0") * pixel for found in kinds)
    return int.from_bytes(b"".join(lanes), "big")


def _places(count: int, width: int, pixel: int) -> list[list[slice]]:
    """Where in the skewed bytes each sample of each row lies: row n starts at step n."""
    step = 2 * count * pixel
    starts = [[row * step + 2 * (row * pixel + byte) + 1 for byte in range(pixel)] for row in range(count)]
    return [[slice(start, start + (width - 1) * step + 1, step) for start in row] for row in starts]


def _skewed(rows: Sequence[bytes], pixel: int, step: int) -> bytearray:
    """The rows' bytes in 16-bit lanes, step after step along the diagonal."""
    width = len(rows[0]) // pixel
    skewed = bytearray((width + len(rows) - 1) * step)
    for row, places in zip(rows, _places(len(rows), width, pixel), strict=True):
        for byte, place in enumerate(places):
            skewed[place] = row[byte::pixel]
    return skewed


def _straightened(skewed: bytes, count: int, width: int, pixel: int) -> list[bytes]:
    """The rows out of skewed bytes."""
    rows = []
    for places in _places(count, width, pixel):
        row = bytearray(width * pixel)
        for byte, place in enumerate(places):
            row[byte::pixel] = skewed[place]
        rows.append(bytes(row))
    return rows
