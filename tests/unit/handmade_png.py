"""PNG files written byte by byte as the specification reads: slow, to check the fast code against."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

SIGNATURE = b"\x89PNG\r\n\x1a\n"
SAMPLES = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
"""PNG colour type -> samples a pixel."""
ADAM7 = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))
"""x, y, step in x, step in y of each pass."""

Pixel = tuple[int, ...]


@dataclass(frozen=True)
class Drawing:
    """A picture by its stored samples: `pixels[y][x]` is a tuple of numbers below 2**bit_depth."""

    color_type: int
    bit_depth: int
    pixels: Sequence[Sequence[Pixel]]
    palette: tuple[Pixel, ...] = ()
    transparent: Pixel = ()
    """Grey and RGB: the transparent pixel; palette: alpha of its first colours."""

    @property
    def width(self) -> int:
        return len(self.pixels[0])

    @property
    def height(self) -> int:
        return len(self.pixels)

    def png(self, filters: Callable[[int], int] = lambda row: 0, interlaced: bool = False) -> bytes:
        """The file; `filters` says which filter the n-th row of the file has."""
        chunks = [chunk(b"IHDR", ihdr(self.width, self.height, self.bit_depth, self.color_type, interlaced))]
        if self.palette:
            chunks.append(chunk(b"PLTE", b"".join(map(bytes, self.palette))))
        if self.transparent:
            two_bytes = b"".join(struct.pack(">H", sample) for sample in self.transparent)
            chunks.append(chunk(b"tRNS", bytes(self.transparent) if self.palette else two_bytes))
        chunks.append(chunk(b"IDAT", zlib.compress(self.stored_rows(filters, interlaced))))
        return SIGNATURE + b"".join(chunks) + chunk(b"IEND", b"")

    def stored_rows(self, filters: Callable[[int], int], interlaced: bool) -> bytes:
        """What the IDAT chunks hold, inflated."""
        steps = ADAM7 if interlaced else ((0, 0, 1, 1),)
        stored = bytearray()
        count = 0
        for x, y, dx, dy in steps:
            rows = [row[x::dx] for row in self.pixels[y::dy]]
            above = b""
            for row in rows if rows and rows[0] else []:
                packed = pack([sample for pixel in row for sample in pixel], self.bit_depth)
                kind = filters(count)
                stored += bytes([kind]) + filtered(kind, packed, above or bytes(len(packed)), self.pixel_bytes)
                above, count = packed, count + 1
        return bytes(stored)

    @property
    def pixel_bytes(self) -> int:
        return max(1, SAMPLES[self.color_type] * self.bit_depth // 8)

    def decoded(self) -> tuple[int, int, bytes]:
        """(channels, depth, bytes) of the picture as we promise to decode it."""
        pixels = [self._decoded_pixel(pixel) for row in self.pixels for pixel in row]
        depth = 16 if self.bit_depth == 16 else 8
        return len(pixels[0]), depth, pack([sample for pixel in pixels for sample in pixel], depth)

    def _decoded_pixel(self, pixel: Pixel) -> Pixel:
        if self.palette:
            alpha = dict(enumerate(self.transparent))
            return self.palette[pixel[0]] + ((alpha.get(pixel[0], 255),) if self.transparent else ())
        largest, full = 2**self.bit_depth - 1, 2 ** max(8, self.bit_depth) - 1
        scaled = tuple(sample * full // largest for sample in pixel)
        return scaled + ((0 if pixel == self.transparent else full,) if self.transparent else ())


def pack(samples: Sequence[int], bits: int) -> bytes:
    """Samples of so many bits one after the other, the last byte filled up with zeros."""
    text = "".join(f"{sample:0{bits}b}" for sample in samples)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[at : at + 8], 2) for at in range(0, len(text), 8))


def filtered(kind: int, row: bytes, above: bytes, pixel: int) -> bytes:
    """A row through filter 0 to 4, as section 9 of the specification has it."""
    result = bytearray()
    for place, value in enumerate(row):
        a = row[place - pixel] if place >= pixel else 0
        b = above[place]
        c = above[place - pixel] if place >= pixel else 0
        p = a + b - c
        paeth = min((abs(p - a), 0, a), (abs(p - b), 1, b), (abs(p - c), 2, c))[2]
        result.append((value - (0, a, b, (a + b) // 2, paeth)[kind]) % 256)
    return bytes(result)


def ihdr(width: int, height: int, bit_depth: int = 8, color_type: int = 0, interlaced: bool = False) -> bytes:
    """The body of a header chunk."""
    return struct.pack(">IIBBBBB", width, height, bit_depth, color_type, 0, 0, interlaced)


def chunk(kind: bytes, body: bytes) -> bytes:
    """A chunk with its length and checksum."""
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def file_of(*chunks: bytes) -> bytes:
    """A file of these chunks, and IEND."""
    return SIGNATURE + b"".join(chunks) + chunk(b"IEND", b"")
