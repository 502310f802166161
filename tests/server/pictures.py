"""PNG files for the server's tests, whole and broken."""

from __future__ import annotations

import random
import struct
import zlib

from pentimento_shared.geometry import Size
from pentimento_shared.pixels import Pixels, encode_png


def picture(width: int = 64, height: int = 64, channels: int = 3, depth: int = 8) -> bytes:
    """A gradient, every byte different from its neighbours."""
    count = width * height * channels * depth // 8
    return encode_png(Pixels(Size(width, height), channels, depth, bytes(k * 7 % 251 for k in range(count))))


def noise(width: int, height: int) -> bytes:
    """An RGB picture that does not compress."""
    return encode_png(Pixels(Size(width, height), 3, 8, random.Random(0).randbytes(width * height * 3)))


def mask(width: int = 64, height: int = 64) -> bytes:
    """White in the left half, black in the right, a soft step between."""
    row = bytes(255 if x < width // 2 else 128 if x == width // 2 else 0 for x in range(width))
    return encode_png(Pixels(Size(width, height), 1, 8, row * height))


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, rows: bytes, color_type: int = 0) -> bytes:
    """A hand-made 8-bit PNG: the header may promise anything, `rows` are what is inside."""
    header = struct.pack(">IIBBBBB", width, height, 8, color_type, 0, 0, 0)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)
