"""A multipart/form-data body that goes out in pieces.

requests would first copy all parts into one buffer, in one go with the interpreter locked: an editor's window stands
still for that long when the pictures are large.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

_PIECE: Final = 2**20


class Part(NamedTuple):
    """One file of a form: the field's name, the file's name and MIME type (all plain ASCII), and its bytes."""

    name: str
    file: str
    kind: str
    data: bytes


class FormData:
    """The body of a request, of known length; it can be sent again (RFC 7578)."""

    def __init__(self, parts: Sequence[Part]) -> None:
        self._boundary: Final = uuid.uuid4().hex
        self._chunks: Final[tuple[bytes, ...]] = tuple(self._framed(parts))

    @property
    def content_type(self) -> str:
        return f"multipart/form-data; boundary={self._boundary}"

    def __len__(self) -> int:
        return sum(map(len, self._chunks))

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            for at in range(0, len(chunk), _PIECE):
                yield chunk[at : at + _PIECE]

    def _framed(self, parts: Sequence[Part]) -> Iterator[bytes]:
        for part in parts:
            head = f'Content-Disposition: form-data; name="{part.name}"; filename="{part.file}"'
            yield f"--{self._boundary}\r\n{head}\r\nContent-Type: {part.kind}\r\n\r\n".encode("ascii")
            yield part.data
            yield b"\r\n"
        yield f"--{self._boundary}--\r\n".encode("ascii")
