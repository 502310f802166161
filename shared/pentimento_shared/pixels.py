"""Pixels and their PNG: 8 and 16 bit, grey and RGB with or without alpha, both ways, fast in plain Python.

zlib frees the interpreter while it works and nothing else here runs longer than a few ms at a time, so an
editor's window stays alive while another thread of it encodes or decodes.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, NamedTuple

from .geometry import Size
from .png_file import (
    GREY,
    GREY_ALPHA,
    RGB,
    RGBA,
    SIGNATURE,
    PixelsError,
    PngFile,
    PngHeader,
    chunk,
    header_chunk,
    parse,
    read_png_header,
    read_png_text,
    text_chunk,
)
from .png_filters import ROWS_AT_ONCE, Unfilter, filtered
from .png_samples import Pass, converter, passes, scatter, unpacker

__all__ = [
    "MAX_PIXELS",
    "MAX_SIDE",
    "Pixels",
    "PixelsError",
    "PngHeader",
    "decode_png",
    "encode_png",
    "read_png_header",
    "read_png_text",
]

MAX_SIDE: Final = 16384
"""Longest side that is decoded, px."""
MAX_PIXELS: Final = 8192 * 8192
"""Most pixels that are decoded."""

_STRIP: Final = 2**20
"""Bytes compressed at a time: large enough to lose under 1 % to starting anew, small enough to share out."""
_READ: Final = 2**18
"""Bytes of rows inflated at a time, or more where ROWS_AT_ONCE take more."""
_FEED: Final = 2**16
"""Bytes of the zlib stream given to zlib at a time; it copies what it has not used yet at every call."""
_COLOR_TYPES: Final = {1: GREY, 2: GREY_ALPHA, 3: RGB, 4: RGBA}


@dataclass(frozen=True)
class Pixels:
    """A picture in memory.

    `data` is rows from top to bottom without padding, channels interleaved: 1 = L, 2 = LA, 3 = RGB, 4 = RGBA,
    alpha not premultiplied. A sample is one byte (`depth` 8) or two, big-endian (`depth` 16), and uses the
    full range 0 to 2**depth - 1. Raises PixelsError when the parts do not fit: an unknown kind, an empty
    size, another length than width * height * channels * depth / 8.
    """

    size: Size
    channels: int
    depth: int
    data: bytes

    def __post_init__(self) -> None:
        width, height = self.size
        if width < 1 or height < 1:
            raise PixelsError(f"Pixels of {width} x {height} do not exist: at least 1 x 1 is needed.")
        if self.channels not in _COLOR_TYPES:
            raise PixelsError(f"Pixels have 1 (L), 2 (LA), 3 (RGB) or 4 (RGBA) channels, not {self.channels}.")
        if self.depth not in (8, 16):
            raise PixelsError(f"Pixels have 8 or 16 bits a sample, not {self.depth}.")
        if len(self.data) != height * self.row_bytes:
            raise PixelsError(
                f"{width} x {height} pixels of {self.channels} channels and {self.depth} bits take "
                f"{height * self.row_bytes} bytes, not {len(self.data)}."
            )

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.size.width * self.channels * self.depth // 8


def encode_png(pixels: Pixels, text: Mapping[str, str] | None = None, level: int = 1) -> bytes:
    """The pixels as a PNG: the same bytes for the same input, on any number of cores.

    `text`: keyword (1 to 79 ASCII characters) -> any text, stored as iTXt in UTF-8 before the picture.
    `level`: zlib's, 0 (stored, fastest) to 9 (smallest). Large pictures are compressed in up to four threads.
    Raises PixelsError for a keyword that PNG does not allow or another level.
    """
    if level not in range(10):
        raise PixelsError(f"The compression level is {level}; 0 to 9 are allowed.")
    kind = _COLOR_TYPES[pixels.channels]
    header = PngHeader(pixels.size, pixels.channels, pixels.depth, kind, pixels.depth, interlaced=False)
    pieces = [SIGNATURE, *header_chunk(header)]
    for keyword, value in (text or {}).items():
        pieces += text_chunk(keyword, value)
    for piece in _deflated(pixels, level):
        pieces += chunk(b"IDAT", piece)
    pieces += chunk(b"IEND", b"")
    return b"".join(pieces)


def decode_png(data: bytes, max_pixels: int = MAX_PIXELS, max_side: int = MAX_SIDE) -> Pixels:
    """The pixels of any PNG, interlaced ones too.

    Grey of 1, 2 and 4 bits and palettes become 8-bit L and RGB; transparent colours (tRNS) become alpha;
    everything else stays as it is stored, bit for bit. Colour profiles and gamma are not applied. No more is
    inflated than the header's size asks for. Raises PixelsError when it is not a PNG, is damaged, cut short,
    or (before anything is inflated) larger than `max_side` px on a side or `max_pixels` in all.
    """
    _check_limits(read_png_header(data).size, max_pixels, max_side)
    file = parse(data)
    convert = converter(file)
    strips = _whole_canvas(file) if file.header.interlaced else _strips(file, _Inflater(file.stream))
    # join() frees the interpreter while it copies; one growing buffer would not.
    picture = b"".join([convert(strip) for strip in strips])
    return Pixels(file.header.size, file.header.channels, file.header.depth, picture)


class _Method(NamedTuple):
    """How a picture is compressed: its rows' filter and zlib's strategy."""

    up: bool
    strategy: int


_METHODS: Final = (
    _Method(up=True, strategy=zlib.Z_RLE),  # photographs and painting: smallest and twice as fast
    _Method(up=True, strategy=zlib.Z_DEFAULT_STRATEGY),
    _Method(up=False, strategy=zlib.Z_DEFAULT_STRATEGY),  # flat colours, dithering, repeated patterns
)


def _deflated(pixels: Pixels, level: int) -> Iterator[bytes]:
    """The zlib stream of the filtered rows in pieces, one for each strip of rows.

    Each strip is compressed on its own, several at once, and ends on a byte boundary (Z_FULL_FLUSH), so that
    the pieces make one stream in a row; an empty last block closes it.
    """
    method = _best_method(pixels, level)
    height, stride = pixels.size.height, pixels.row_bytes
    step = max(1, _STRIP // stride)
    firsts = range(0, height, step)

    def strip(first: int) -> tuple[bytes, bytes]:
        rows = filtered(pixels.data, stride, first, min(first + step, height), method.up)
        return rows, _raw_deflate(rows, level, method.strategy)

    checksum, start = 1, b"\x78\x01"
    with ThreadPoolExecutor(min(4, os.cpu_count() or 1, len(firsts))) as pool:
        for rows, compressed in pool.map(strip, firsts) if len(firsts) > 1 else map(strip, firsts):
            checksum = zlib.adler32(rows, checksum)
            yield start + compressed
            start = b""
    yield b"\x03\x00" + checksum.to_bytes(4, "big")


def _raw_deflate(rows: bytes, level: int, strategy: int) -> bytes:
    deflater = zlib.compressobj(level, zlib.DEFLATED, -zlib.MAX_WBITS, zlib.DEF_MEM_LEVEL, strategy)
    return deflater.compress(rows) + deflater.flush(zlib.Z_FULL_FLUSH)


def _best_method(pixels: Pixels, level: int) -> _Method:
    """The method that makes the least of four bands of rows, spread over the picture."""
    if level == 0:
        return _Method(up=False, strategy=zlib.Z_DEFAULT_STRATEGY)
    height, stride = pixels.size.height, pixels.row_bytes
    rows = min(height, max(2, 2**14 // stride))
    bands = [(height - rows) * place // 3 for place in range(4)]

    def cost(method: _Method) -> int:
        sample = b"".join([filtered(pixels.data, stride, row, row + rows, method.up) for row in bands])
        return len(_raw_deflate(sample, level, method.strategy))

    return min(_METHODS, key=cost)


def _check_limits(size: Size, max_pixels: int, max_side: int) -> None:
    if max(size) > max_side or size.area > max_pixels:
        raise PixelsError(
            f"The picture is {size.width} x {size.height} pixels; at most {max_side} on a side and "
            f"{max_pixels} in all are allowed. Scale it down or crop it."
        )


class _Inflater:
    """The zlib stream of a PNG, inflated piece by piece and never further than asked for."""

    def __init__(self, stream: Sequence[memoryview]) -> None:
        self._stream = stream
        self._zlib = zlib.decompressobj()
        self._input = (part[at : at + _FEED] for part in stream for at in range(0, len(part), _FEED))

    def read(self, count: int) -> bytes:
        """The next `count` bytes. Raises PixelsError when the stream ends before them or is damaged."""
        parts: list[bytes] = []
        missing = count
        while missing:
            part = self._step(missing)
            if part is None:
                raise PixelsError("The PNG's picture data ends too early: rows are missing. Export it again.")
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def finish(self) -> None:
        """Raises PixelsError when the stream goes on, or does not end with its own checksum."""
        while not self._zlib.eof:
            part = self._step(1)
            if part:
                raise PixelsError("The PNG holds more picture data than its size asks for. Export it again.")
            if part is None:
                raise PixelsError("The PNG's picture data is cut short at its end. Export it again.")

    def _step(self, most: int) -> bytes | None:
        """At most `most` more bytes, maybe none yet; None at the end of the input."""
        pending = self._zlib.unconsumed_tail or (None if self._zlib.eof else next(self._input, None))
        if pending is None:
            return None
        try:
            return self._zlib.decompress(pending, most)
        except zlib.error as error:
            raise PixelsError(f"The PNG's picture data is damaged ({error}). Export it again.") from error


def _strips(file: PngFile, inflater: _Inflater) -> Iterator[bytes]:
    """Strips of rows of unpacked samples, from the top."""
    yield from _pass_strips(file.header, passes(file.header)[0], inflater)
    inflater.finish()


def _whole_canvas(file: PngFile) -> Iterator[bytes]:
    """All unpacked samples of an interlaced picture, in one strip."""
    header, inflater = file.header, _Inflater(file.stream)
    pixel = max(1, header.pixel_bits // 8)
    canvas = bytearray(header.size.area * pixel)
    for part in passes(header):
        scatter(canvas, header.size.width, part, b"".join(_pass_strips(header, part, inflater)), pixel)
    inflater.finish()
    yield bytes(canvas)


def _pass_strips(header: PngHeader, part: Pass, inflater: _Inflater) -> Iterator[bytes]:
    stride = header.row_bytes(part.size.width)
    unfilter = Unfilter(stride, max(1, header.pixel_bits // 8))
    unpack = unpacker(header.bit_depth, part.size.width)
    step = max(ROWS_AT_ONCE, _READ // (stride + 1))
    for row in range(0, part.size.height, step):
        count = min(step, part.size.height - row)
        yield unpack(unfilter.rows(inflater.read(count * (stride + 1))))
