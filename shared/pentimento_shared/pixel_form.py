"""Pixels brought into another document's form: grey or colour, 8 or 16 bits. Fast in plain Python.

Arithmetic on whole strips of samples is done in one long integer with 32 bits for each sample: no sum reaches its
neighbour, and the interpreter's own C loops do the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from .document import Picture
from .geometry import Size
from .pixels import Pixels

_STRIP: Final = 2**17
"""Bytes worked on at a time: a millisecond or so, so that an editor's window stays alive meanwhile."""
_LUMA: Final = (13933, 46871, 4732)
"""Rec. 709 weights of red, green and blue; their sum is 2^16, so that a grey stays exactly what it is."""


class Form(NamedTuple):
    """What a document's pixels look like: `grey` or colour, and the bits of a sample."""

    grey: bool
    depth: int


def form_of(pixels: Picture) -> Form:
    """The form of the document that such pixels were read from."""
    return Form(pixels.channels < 3, pixels.depth)


def fitted(pixels: Pixels, form: Form) -> Pixels:
    """The pixels in that form; alpha stays. Depth is rounded to the nearest level, colour to grey by its luma."""
    if form_of(pixels) == form:
        return pixels
    alpha = pixels.channels in (2, 4)

    def convert(strip: bytes) -> bytes:
        planes = [_plane(strip, k, pixels.channels, pixels.depth) for k in range(pixels.channels)]
        colours, rest = (planes[:-1], planes[-1:]) if alpha else (planes, [])
        if form.grey and len(colours) == 3:
            colours = [_luma(colours, pixels.depth)]
        elif not form.grey and len(colours) == 1:
            colours *= 3
        return _interleaved([_at_depth(plane, pixels.depth, form.depth) for plane in colours + rest], form.depth)

    channels = (1 if form.grey else 3) + alpha
    return Pixels(pixels.size, channels, form.depth, b"".join(_strips(pixels, convert)))


def split_alpha(pixels: Pixels) -> tuple[Pixels, Pixels]:
    """(The colours alone, the alpha as a picture of 1 channel) of pixels of 2 or 4 channels."""
    count, depth = pixels.channels - 1, pixels.depth

    def colours(strip: bytes) -> bytes:
        return _interleaved([_plane(strip, k, pixels.channels, depth) for k in range(count)], depth)

    def alpha(strip: bytes) -> bytes:
        return _plane(strip, count, pixels.channels, depth)

    return (
        Pixels(pixels.size, count, depth, b"".join(_strips(pixels, colours))),
        Pixels(pixels.size, 1, depth, b"".join(_strips(pixels, alpha))),
    )


def with_alpha(pixels: Pixels) -> Pixels:
    """Pixels of 1 or 3 channels with one more, opaque."""

    def opaque(strip: bytes) -> bytes:
        planes = [_plane(strip, k, pixels.channels, pixels.depth) for k in range(pixels.channels)]
        return _interleaved([*planes, b"\xff" * len(planes[0])], pixels.depth)

    return Pixels(pixels.size, pixels.channels + 1, pixels.depth, b"".join(_strips(pixels, opaque)))


def on_canvas(pixels: Pixels, size: Size, x: int = 0, y: int = 0) -> Pixels:
    """The pixels on a canvas of that size, their corner at (`x`, `y`) in it: cut off at its right and bottom, 0 where
    they do not reach."""
    pixel = pixels.channels * pixels.depth // 8
    had, left = pixels.size.width * pixel, bytes(x * pixel)
    kept = min(had, (size.width - x) * pixel)
    right = bytes(size.width * pixel - len(left) - kept)
    rows = min(pixels.size.height, size.height - y)
    middle = b"".join(left + pixels.data[k * had : k * had + kept] + right for k in range(rows))
    row = size.width * pixel
    return Pixels(size, pixels.channels, pixels.depth, bytes(y * row) + middle + bytes((size.height - y - rows) * row))


def _strips(pixels: Pixels, convert: Callable[[bytes], bytes]) -> Iterator[bytes]:
    pixel = pixels.channels * pixels.depth // 8
    step = _STRIP // pixel * pixel
    return (convert(pixels.data[at : at + step]) for at in range(0, len(pixels.data), step))


def _plane(strip: bytes, k: int, channels: int, depth: int) -> bytes:
    """The samples of channel `k`."""
    if depth == 8:
        return strip[k::channels]
    samples = bytearray(len(strip) // channels)
    samples[0::2], samples[1::2] = strip[2 * k :: 2 * channels], strip[2 * k + 1 :: 2 * channels]
    return bytes(samples)


def _interleaved(planes: list[bytes], depth: int) -> bytes:
    if len(planes) == 1:
        return planes[0]
    count, samples = len(planes), bytearray(sum(map(len, planes)))
    for k, plane in enumerate(planes):
        if depth == 8:
            samples[k::count] = plane
        else:
            samples[2 * k :: 2 * count], samples[2 * k + 1 :: 2 * count] = plane[0::2], plane[1::2]
    return bytes(samples)


def _at_depth(plane: bytes, depth: int, wanted: int) -> bytes:
    if depth == wanted:
        return plane
    if depth == 8:
        return _interleaved([plane, plane], 8)  # times 257
    # round(v / 257) is (255 v + 32895) / 2^16 without its remainder, for every 16-bit v.
    return _high_bytes(_lanes(plane, 16) * 255 + _everywhere(32895, len(plane) // 2), len(plane) // 2, 8)


def _luma(colours: list[bytes], depth: int) -> bytes:
    count = len(colours[0]) * 8 // depth
    weighted = sum(_lanes(plane, depth) * weight for plane, weight in zip(colours, _LUMA, strict=True))
    return _high_bytes(weighted + _everywhere(1 << 15, count), count, depth)


def _lanes(plane: bytes, depth: int) -> int:
    lanes = bytearray(len(plane) * 32 // depth)
    if depth == 8:
        lanes[0::4] = plane
    else:
        lanes[0::4], lanes[1::4] = plane[1::2], plane[0::2]
    return int.from_bytes(lanes, "little")


def _everywhere(value: int, count: int) -> int:
    return int.from_bytes(value.to_bytes(4, "little") * count, "little")


def _high_bytes(lanes: int, count: int, depth: int) -> bytes:
    """Of each 32 bits the upper 16, as samples of that depth."""
    data = lanes.to_bytes(4 * count, "little")
    return data[2::4] if depth == 8 else _interleaved([data[3::4], data[2::4]], 8)
