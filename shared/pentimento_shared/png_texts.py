"""The texts of a PNG file that may be anybody's: its picture is passed over unread, however large the file is."""

from __future__ import annotations

import struct
from collections.abc import Collection
from typing import BinaryIO, Final

from .png_file import MAX_TEXT, SIGNATURE, PixelsError, chunk, read_png_text

_TEXTS: Final = (b"tEXt", b"zTXt", b"iTXt")
_MOST_CHUNKS: Final = 1 << 20
_HEADER: Final = b"".join(chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)))
_END: Final = b"".join([*chunk(b"IDAT", b""), *chunk(b"IEND", b"")])
"""Before and after a text that is read by itself: the picture of 1 x 1 px that it shall belong to."""


def read_texts(file: BinaryIO, keywords: Collection[str]) -> dict[str, str]:
    """The texts of a PNG with these keywords; the last of one name wins.

    Raises PixelsError when it is no PNG, is cut short, or holds a text that is damaged or larger than MAX_TEXT.
    """
    start = file.read(len(SIGNATURE))
    found: dict[str, str] = {}
    if start != SIGNATURE:
        return read_png_text(start)  # which says what it is instead
    for _ in range(_MOST_CHUNKS):
        head = file.read(8)
        length, kind = int.from_bytes(head[:4], "big"), head[4:]
        if len(head) < 8:
            raise PixelsError("The PNG is cut short. Copy or export it again.")
        if kind == b"IEND":
            return found
        if kind in _TEXTS:
            found |= _wanted(_body(file, length), head, keywords)
        else:
            file.seek(length + 4, 1)
    raise PixelsError(f"The PNG has more than {_MOST_CHUNKS} parts. Export it again.")


def _body(file: BinaryIO, length: int) -> bytes:
    """A text chunk's body with its checksum."""
    if length > MAX_TEXT:
        raise PixelsError(f"The PNG holds a text of {length} bytes; at most {MAX_TEXT} are read.")
    body = file.read(length + 4)
    if len(body) < length + 4:
        raise PixelsError("The PNG is cut short. Copy or export it again.")
    return body


def _wanted(body: bytes, head: bytes, keywords: Collection[str]) -> dict[str, str]:
    if body.partition(b"\0")[0].decode("latin-1") not in keywords:
        return {}
    return read_png_text(SIGNATURE + _HEADER + head + body + _END)
