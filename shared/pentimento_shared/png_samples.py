"""Stored samples to plain ones: few bits, palettes, a transparent colour, interlaced passes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from .geometry import Size
from .png_file import GREY, PALETTE, RGB, PixelsError, PngFile, PngHeader

_ALL_BYTES: Final = bytes(range(256))
_ADAM7: Final = (
    (0, 0, 8, 8),
    (4, 0, 8, 8),
    (0, 4, 4, 8),
    (2, 0, 4, 4),
    (0, 2, 2, 4),
    (1, 0, 2, 2),
    (0, 1, 1, 2),
)
"""The seven passes of Adam7 as (x, y, step in x, step in y)."""


class Pass(NamedTuple):
    """Part of a picture, stored as a picture of its own: its pixel (i, j) lies at (x + i*dx, y + j*dy)."""

    x: int
    y: int
    dx: int
    dy: int
    size: Size


def passes(header: PngHeader) -> tuple[Pass, ...]:
    """In the order of the file: the whole picture, or the passes of Adam7 that hold pixels."""
    if not header.interlaced:
        return (Pass(0, 0, 1, 1, header.size),)
    width, height = header.size
    every = (Pass(x, y, dx, dy, Size(-((x - width) // dx), -((y - height) // dy))) for x, y, dx, dy in _ADAM7)
    return tuple(part for part in every if part.size.width > 0 and part.size.height > 0)


def scatter(canvas: bytearray, canvas_width: int, part: Pass, samples: bytes, pixel: int) -> None:
    """Lays the samples of an Adam7 pass (`pixel` bytes each pixel) into a canvas of whole rows."""
    length, stride = part.size.width * pixel, canvas_width * pixel
    for j in range(part.size.height):
        row = samples[j * length : (j + 1) * length]
        start = (part.y + j * part.dy) * stride
        for byte in range(pixel):
            at = start + part.x * pixel + byte
            canvas[at : start + stride : part.dx * pixel] = row[byte::pixel]


def unpacker(bits: int, width: int) -> Callable[[bytes], bytes]:
    """Takes rows of samples of `bits` (1, 2, 4; 8 and more stay) apart into a byte each; values unchanged."""
    if bits >= 8:
        return lambda rows: rows
    mask = (1 << bits) - 1
    table = [bytes((byte >> shift) & mask for shift in range(8 - bits, -1, -bits)) for byte in range(256)]
    stride = (width * bits + 7) // 8

    def unpack(rows: bytes) -> bytes:
        # The last byte of a row may hold more samples than the row has px: those are cut off.
        starts = range(0, len(rows), stride)
        return b"".join([b"".join([table[b] for b in rows[at : at + stride]])[:width] for at in starts])

    return unpack


def converter(file: PngFile) -> Callable[[bytes], bytes]:
    """Makes the decoded L, LA, RGB or RGBA of unpacked samples, any number of whole pixels at a time."""
    header, transparency = file.header, file.transparency
    if header.color_type == PALETTE:
        return lambda samples: _through_palette(samples, file.palette, transparency)
    scale = 255 // ((1 << header.bit_depth) - 1) if header.bit_depth < 8 else 1
    table = bytes(min(255, value * scale) for value in range(256))
    sample_bytes = header.depth // 8
    key = _transparent_pixel(header, transparency, scale)

    def convert(samples: bytes) -> bytes:
        scaled = samples.translate(table) if scale != 1 else samples
        return scaled if key is None else _with_alpha(scaled, key, sample_bytes)

    return convert


def _transparent_pixel(header: PngHeader, transparency: bytes | None, scale: int) -> bytes | None:
    """The bytes of a decoded pixel that is transparent by the tRNS chunk."""
    if transparency is None or header.color_type not in (GREY, RGB):
        return None
    if header.depth == 16:
        return transparency
    # 16 bits are stored for every sample; only those of the bit depth count.
    return bytes((value & ((1 << header.bit_depth) - 1)) * scale for value in transparency[1::2])


def _with_alpha(pixels: bytes, key: bytes, sample_bytes: int) -> bytes:
    """The pixels with an alpha that is 0 where a pixel's bytes are `key` and full elsewhere."""
    size = len(key)
    differs = 0
    for byte, value in enumerate(key):
        table = b"\xff" * value + b"\0" + b"\xff" * (255 - value)
        differs |= int.from_bytes(pixels[byte::size].translate(table), "big")
    alpha = differs.to_bytes(len(pixels) // size, "big")
    planes = [pixels[byte::size] for byte in range(size)] + [alpha] * sample_bytes
    return _interleaved(planes)


def _through_palette(indexes: bytes, palette: bytes, transparency: bytes | None) -> bytes:
    colors = len(palette) // 3
    beyond = indexes.translate(None, _ALL_BYTES[:colors])
    if beyond:
        raise PixelsError(
            f"The PNG is damaged: a pixel has colour {beyond[0]} of a palette of {colors}. Export it again."
        )
    tables = [palette[color::3].ljust(256, b"\0") for color in range(3)]
    if transparency is not None:
        tables.append(transparency[:256].ljust(256, b"\xff"))  # colours without an entry are opaque
    return _interleaved([indexes.translate(table) for table in tables])


def _interleaved(planes: list[bytes]) -> bytes:
    result = bytearray(len(planes) * len(planes[0]))
    for place, plane in enumerate(planes):
        result[place :: len(planes)] = plane
    return bytes(result)
