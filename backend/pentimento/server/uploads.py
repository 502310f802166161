"""The pictures of a request: streamed to disk, bounded, and known to be whole PNGs before a job names
them."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from typing import IO, Any, Final

from flask import Request, g
from werkzeug.exceptions import RequestEntityTooLarge

from pentimento.jobs.blobs import Draft
from pentimento_shared.geometry import Size
from pentimento_shared.pixels import MAX_PIXELS, MAX_SIDE, PixelsError, PngHeader, read_png_header
from pentimento_shared.png_file import PngFile, parse
from pentimento_shared.png_samples import passes

from .problems import refuse

MAX_UPLOAD: Final = 256 << 20
"""Bytes of one picture."""
MAX_FIELD: Final = 1 << 20
"""Bytes of the request's JSON, and of all parts together that are not files."""
MAX_PARTS: Final = 8
MIN_SIDE: Final = 8
_SIZES: Final = f"at least {MIN_SIDE} and at most {MAX_SIDE} px a side, {MAX_PIXELS} px in all"
_READ: Final = 1 << 18
_FEED: Final = 1 << 16
_FILTERS: Final = b"\0\1\2\3\4"


class UploadRequest(Request):
    """A Flask request whose files go, bounded, straight to the folder of the blobs; see `discard_drafts`."""

    def _get_file_stream(
        self,
        total_content_length: int | None,
        content_type: str | None,
        filename: str | None = None,
        content_length: int | None = None,
    ) -> IO[bytes]:
        from .services import services

        stream: Any = BoundedDraft(services().blobs.draft())
        g.setdefault("drafts", []).append(stream.draft)
        return stream


class BoundedDraft:
    """What werkzeug writes a file part to: a draft that takes MAX_UPLOAD bytes and no more."""

    def __init__(self, draft: Draft) -> None:
        self.draft = draft

    def write(self, data: bytes) -> int:
        if self.draft.size + len(data) > MAX_UPLOAD:
            raise RequestEntityTooLarge
        return self.draft.write(data)

    def read(self, size: int = -1) -> bytes:
        return self.draft.read(size)

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.draft.seek(offset, whence)

    def close(self) -> None:
        """The draft is discarded at the request's end, unless it was committed."""


def discard_drafts(_error: BaseException | None = None) -> None:
    """To be called when a request ends: what it uploaded and no job took is removed."""
    for draft in g.pop("drafts", []):
        draft.discard()


def check_picture(field: str, draft: Draft) -> PngHeader:
    """The header of an uploaded picture that is a whole PNG within the limits. Raises Refused, naming
    `field`."""
    draft.seek(0)
    data = draft.read()
    if not data:
        raise refuse(422, f"The {field} is empty: 0 bytes. Send a PNG file.", field, "0 bytes", "a PNG file")
    try:
        header = read_png_header(data)
        _check_size(field, header.size)
        _check_stream(parse(data))
    except PixelsError as error:
        raise refuse(422, f"The {field} cannot be used. {error}", field, None, "a whole PNG file") from error
    return header


def check_mask(mask: PngHeader, image: PngHeader) -> None:
    """Raises Refused unless the mask is grey without alpha, and of the image's size."""
    if mask.channels != 1:
        kind = {2: "grey with alpha", 3: "RGB", 4: "RGBA"}[mask.channels]
        raise refuse(
            422,
            f"The mask is {kind}; it must be grey without alpha, white where the picture may change.",
            "mask",
            kind,
            "a grey PNG (L, 8 or 16 bit)",
        )
    if mask.size != image.size:
        raise refuse(
            422,
            f"The mask is {_shown(mask.size)} and the image {_shown(image.size)} pixels. "
            "They must be of the same size.",
            "mask",
            _shown(mask.size),
            _shown(image.size),
        )


def _check_size(field: str, size: Size) -> None:
    if min(size) < MIN_SIDE or max(size) > MAX_SIDE or size.area > MAX_PIXELS:
        remedy = "Send a larger part of the picture." if min(size) < MIN_SIDE else "Scale it down or crop it."
        detail = f"The {field} is {_shown(size)} pixels; allowed: {_SIZES}. {remedy}"
        raise refuse(422, detail, field, _shown(size), _SIZES)


def _shown(size: Size) -> str:
    return f"{size.width} x {size.height}"


def _check_stream(file: PngFile) -> None:
    """Inflates a PNG's rows, keeping none of them. Raises PixelsError unless they are all there and no more.

    The worker decodes the picture later; here it costs a fraction of that to know that it will be able to.
    """
    header, rows = file.header, _inflated(file)
    held = next(rows, b"")
    for part in passes(header):
        stride = header.row_bytes(part.size.width) + 1
        missing = part.size.height * stride
        while missing:
            if not held:
                raise PixelsError("The PNG's picture data ends too early: rows are missing. Export it again.")
            # Whole rows are missing but for missing % stride bytes: those end the row that was begun.
            if held[missing % stride : missing : stride].translate(None, _FILTERS):
                raise PixelsError("The PNG is damaged: a row has an unknown filter. Export it again.")
            taken = min(missing, len(held))
            missing -= taken
            held = held[taken:] or next(rows, b"")
    if held:
        raise PixelsError("The PNG holds more picture data than its size asks for. Export it again.")


def _inflated(file: PngFile) -> Iterator[bytes]:
    """The inflated stream, in pieces of at most _READ bytes. Raises PixelsError for a damaged or open one."""
    inflater = zlib.decompressobj()
    try:
        for part in file.stream:
            for at in range(0, len(part), _FEED):
                piece: bytes | memoryview = part[at : at + _FEED]
                while len(piece) and not inflater.eof:
                    if data := inflater.decompress(piece, _READ):
                        yield data
                    piece = inflater.unconsumed_tail
    except zlib.error as error:
        raise PixelsError(f"The PNG's picture data is damaged ({error}). Export it again.") from error
    if not inflater.eof:
        raise PixelsError("The PNG's picture data is cut short at its end. Export it again.")
