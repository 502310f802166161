"""A PNG file as its parts: header, palette, texts, the compressed picture. No picture is inflated here.

Source: Portable Network Graphics (PNG) Specification, Third Edition, W3C, https://www.w3.org/TR/png-3/.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from .geometry import Size

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
MAX_TEXT: Final = 16 * 2**20
"""Most bytes that one compressed text may inflate to."""

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6
DEPTHS: Final = {
    GREY: (1, 2, 4, 8, 16),
    RGB: (8, 16),
    PALETTE: (1, 2, 4, 8),
    GREY_ALPHA: (8, 16),
    RGBA: (8, 16),
}
"""PNG colour type -> the bit depths that exist for it."""
STORED_CHANNELS: Final = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
"""PNG colour type -> samples of one pixel in the file."""

_OTHER_FORMATS: Final = (
    (b"\xff\xd8\xff", "a JPEG"),
    (b"GIF8", "a GIF"),
    (b"RIFF", "a WebP"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"BM", "a BMP"),
    (b"8BPS", "a Photoshop"),
    (b"%PDF", "a PDF"),
    (b"\0\0\0", "an AVIF or HEIC"),
)


class PixelsError(ValueError):
    """The pixels or the PNG are not usable; the message is a sentence that says why, for the user."""


@dataclass(frozen=True)
class PngHeader:
    """What a PNG says of itself before its picture begins.

    `size` in px, `channels` (1 to 4: L, LA, RGB, RGBA) and `depth` (8 or 16) are those of the decoded Pixels;
    `color_type` and `bit_depth` are the file's own: a palette is color_type 3, a 1-bit drawing has bit_depth
    1.
    """

    size: Size
    channels: int
    depth: int
    color_type: int
    bit_depth: int
    interlaced: bool

    @property
    def pixel_bits(self) -> int:
        """Bits of one pixel in the file."""
        return STORED_CHANNELS[self.color_type] * self.bit_depth

    def row_bytes(self, width: int) -> int:
        """Bytes of one row of `width` px in the file, without its filter byte."""
        return (width * self.pixel_bits + 7) // 8


@dataclass(frozen=True)
class PngFile:
    """A PNG taken apart: header, the palette's RGB bytes, tRNS chunk or None, the zlib stream in pieces."""

    header: PngHeader
    palette: bytes
    transparency: bytes | None
    stream: tuple[memoryview, ...]


def parse(data: bytes) -> PngFile:
    """The parts of a PNG, every checksum verified. Raises PixelsError for what is not a whole PNG."""
    header, palette, transparency = None, b"", None
    stream: list[memoryview] = []
    for kind, body in chunks(data):
        if kind == b"IDAT":
            stream.append(body)
        elif kind == b"IHDR":
            header = _image_header(body)
        elif kind == b"PLTE":
            palette = bytes(body)
        elif kind == b"tRNS" and not stream:
            transparency = bytes(body)
    if not stream:
        raise PixelsError("The PNG holds no picture: it has no IDAT chunk. Export it again.")
    return PngFile(_complete(header, palette, transparency), palette, transparency, tuple(stream))


def read_png_header(data: bytes) -> PngHeader:
    """Size and kind of a PNG, read up to where its picture begins and without inflating anything.

    It sets no limit to the size: look before decoding. Raises PixelsError when it is not a PNG, when what
    comes before the picture is damaged or when no picture comes.
    """
    header, palette, transparency = None, b"", None
    for kind, body in chunks(data, until=b"IDAT"):
        if kind == b"IHDR":
            header = _image_header(body)
        elif kind == b"PLTE":
            palette = bytes(body)
        elif kind == b"tRNS":
            transparency = bytes(body)
        elif kind == b"IEND":
            raise PixelsError("The PNG holds no picture: it has no IDAT chunk. Export it again.")
    return _complete(header, palette, transparency)


def read_png_text(data: bytes) -> dict[str, str]:
    """All texts of a PNG by their keyword: tEXt, zTXt and iTXt, before or after the picture; the last wins.

    Raises PixelsError when it is not a whole PNG, or a compressed text is damaged or larger than MAX_TEXT.
    """
    read_png_header(data)
    readers = {b"tEXt": _latin_text, b"zTXt": _compressed_text, b"iTXt": _unicode_text}
    return dict(readers[kind](bytes(body)) for kind, body in chunks(data) if kind in readers)


def chunks(data: bytes, until: bytes = b"") -> Iterator[tuple[bytes, memoryview]]:
    """(type, body) of each chunk up to and with IEND, checksums verified; ends before the first `until`.

    What follows IEND is ignored, as every other reader does. Raises PixelsError at the first damage.
    """
    _check_signature(data)
    view, position = memoryview(data), len(SIGNATURE)
    kind = b""
    while kind != b"IEND":
        length, kind = _chunk_start(view, position)
        if (kind == b"IHDR") != (position == len(SIGNATURE)):
            raise PixelsError("The PNG is damaged: its header is not where it belongs. Export it again.")
        if kind == until:
            return
        end = position + 8 + length
        if end + 4 > len(view):
            raise _truncated(len(view))
        body = view[position + 8 : end]
        if zlib.crc32(body, zlib.crc32(kind)) != int.from_bytes(view[end : end + 4], "big"):
            raise PixelsError(
                f"The PNG is damaged: the checksum of its {_name(kind)} part at byte {position} is wrong. "
                "Copy or export it again."
            )
        yield kind, body
        position = end + 4


def chunk(kind: bytes, body: bytes) -> tuple[bytes, bytes, bytes]:
    """A chunk in three pieces, to be joined in this order: length and type, body, checksum."""
    checksum = zlib.crc32(body, zlib.crc32(kind))
    return len(body).to_bytes(4, "big") + kind, body, checksum.to_bytes(4, "big")


def header_chunk(header: PngHeader) -> tuple[bytes, bytes, bytes]:
    """The IHDR chunk of that header, in the pieces of `chunk`."""
    kind = (header.bit_depth, header.color_type, 0, 0, int(header.interlaced))
    return chunk(b"IHDR", struct.pack(">IIBBBBB", *header.size, *kind))


def text_chunk(keyword: str, text: str) -> tuple[bytes, bytes, bytes]:
    """An uncompressed iTXt chunk, in the pieces of `chunk`. PixelsError for what PNG does not allow."""
    if not (1 <= len(keyword) <= 79 and keyword.isascii() and keyword.isprintable()) or keyword.strip() != keyword:
        raise PixelsError(f"A PNG text cannot be called {keyword!r}: 1 to 79 ASCII characters are allowed.")
    if "\0" in text:
        raise PixelsError(f"The text {keyword!r} holds a NUL character, which PNG does not allow. Take it out.")
    return chunk(b"iTXt", keyword.encode("ascii") + b"\0\0\0\0\0" + text.encode("utf-8"))


def _check_signature(data: bytes) -> None:
    start = bytes(data[: len(SIGNATURE)])
    if start == SIGNATURE:
        return
    if not start:
        raise PixelsError("The picture is empty: 0 bytes. Send a PNG file.")
    if SIGNATURE.startswith(start):
        raise _truncated(len(start))
    looks = [f"it looks like {name} file" for magic, name in _OTHER_FORMATS if start.startswith(magic)]
    looks.append(f"it starts with the bytes {start.hex(' ')}")
    raise PixelsError(f"The picture is not a PNG file: {looks[0]}. Save it as PNG.")


def _chunk_start(view: memoryview, position: int) -> tuple[int, bytes]:
    if position + 8 > len(view):
        raise _truncated(len(view))
    return int.from_bytes(view[position : position + 4], "big"), bytes(view[position + 4 : position + 8])


def _truncated(length: int) -> PixelsError:
    return PixelsError(f"The PNG is cut short after {length} bytes. Copy or export it again.")


def _name(kind: bytes) -> str:
    return kind.decode("ascii") if kind.isalpha() else f"0x{kind.hex()}"


def _image_header(body: memoryview) -> PngHeader:
    if len(body) != 13:
        raise PixelsError(f"The PNG is damaged: its header has {len(body)} bytes, not 13. Export it again.")
    width, height, bit_depth, color_type, compression, filtering, interlace = struct.unpack(">IIBBBBB", body)
    if not (1 <= width < 2**31 and 1 <= height < 2**31):
        raise PixelsError(f"The PNG says it is {width} x {height} pixels. At least 1 x 1 is needed.")
    if bit_depth not in DEPTHS.get(color_type, ()):
        raise PixelsError(
            f"The PNG says it is of colour type {color_type} with {bit_depth} bits, which does not exist. "
            "Export it again."
        )
    if compression or filtering or interlace > 1:
        raise PixelsError(
            f"The PNG is stored in an unknown way (compression {compression}, filter {filtering}, interlace "
            f"{interlace}; 0, 0 and 0 or 1 are known). Export it again."
        )
    channels, depth = STORED_CHANNELS[color_type], max(8, bit_depth)
    return PngHeader(Size(width, height), channels, depth, color_type, bit_depth, bool(interlace))


def _complete(header: PngHeader | None, palette: bytes, transparency: bytes | None) -> PngHeader:
    """The header with the channels that palette and tRNS make of the stored ones. Both are checked."""
    if header is None:  # chunks() lets nothing through before IHDR
        raise PixelsError("The PNG has no header. Export it again.")
    if header.color_type == PALETTE and (not palette or len(palette) % 3 or len(palette) > 768):
        raise PixelsError(f"The PNG's palette has {len(palette)} bytes; 3 each for 1 to 256 colours are needed.")
    wanted = {GREY: 2, RGB: 6}.get(header.color_type)
    if transparency is not None and wanted is not None and len(transparency) != wanted:
        raise PixelsError(f"The PNG's transparent colour has {len(transparency)} bytes instead of {wanted}.")
    channels = 3 if header.color_type == PALETTE else STORED_CHANNELS[header.color_type]
    with_alpha = transparency is not None and header.color_type in (GREY, RGB, PALETTE)
    return replace(header, channels=channels + with_alpha)


def _latin_text(body: bytes) -> tuple[str, str]:
    keyword, _, text = body.partition(b"\0")
    return keyword.decode("latin-1"), text.decode("latin-1")


def _compressed_text(body: bytes) -> tuple[str, str]:
    keyword, _, rest = body.partition(b"\0")
    return keyword.decode("latin-1"), _inflated(rest[1:], keyword).decode("latin-1")


def _unicode_text(body: bytes) -> tuple[str, str]:
    keyword, _, rest = body.partition(b"\0")
    compressed = rest[:1] == b"\1"
    text = [*rest[2:].split(b"\0", 2), b"", b""][2]  # after the language and the translated keyword
    # Another program's broken UTF-8 shows as U+FFFD: the other texts of the file stay readable.
    text = _inflated(text, keyword) if compressed else text
    return keyword.decode("latin-1"), text.decode("utf-8", "replace")


def _inflated(data: bytes, keyword: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        text = inflater.decompress(data, MAX_TEXT)
    except zlib.error as error:
        raise PixelsError(f"The PNG's compressed text {keyword!r} is damaged ({error}).") from error
    if not inflater.eof:
        raise PixelsError(f"The PNG's text {keyword!r} is cut short or inflates to more than {MAX_TEXT} bytes.")
    return text
