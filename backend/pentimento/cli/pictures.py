"""Pictures in: any file that Pillow reads becomes the PNG that the backend takes; a PNG goes as it is."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pentimento_shared.geometry import Size
from pentimento_shared.pixels import MAX_PIXELS, MAX_SIDE, PixelsError
from pentimento_shared.png_file import SIGNATURE, chunk, chunks, read_png_header

from .failures import wrong

if TYPE_CHECKING:
    from PIL.Image import Image

COLOR_CHUNKS = (b"cICP", b"iCCP", b"sRGB", b"cHRM", b"gAMA", b"pHYs")
"""What a PNG says about the meaning of its numbers and their size on paper. It stays true of the result."""


class Picture(NamedTuple):
    """A picture to send: PNG bytes, its size, what it says of its colours, and what the user should know."""

    png: bytes
    size: Size
    color: tuple[tuple[bytes, bytes], ...] = ()
    notice: str = ""


def read_picture(path: Path) -> Picture:
    """The picture in a file. Raises Failure (exit code 2) for what is no picture, naming the file."""
    data = _read(path)
    if data.startswith(SIGNATURE):
        try:
            header = read_png_header(data)
            return Picture(data, header.size, _color(data))
        except PixelsError as error:
            raise wrong(f"{path}: {error}") from error
    picture = _open(path, data)
    notice = _lost_depth(path, picture)
    upright, profile = _upright(path, picture)
    return Picture(*_as_png(upright, profile), notice)


def read_mask(path: Path) -> Picture:
    """The mask in a file as 8-bit grey: white changes, black stays.

    Colours count by their brightness; what is transparent stays. An 8-bit grey PNG goes as it is.
    """
    data = _read(path)
    if data.startswith(SIGNATURE):
        try:
            header = read_png_header(data)
        except PixelsError as error:
            raise wrong(f"{path}: {error}") from error
        if header.channels == 1 and header.depth == 8:
            return Picture(data, header.size)
    picture, _ = _upright(path, _open(path, data))
    grey = _grey(picture)
    buffer = io.BytesIO()
    grey.save(buffer, "PNG", compress_level=1)
    return Picture(buffer.getvalue(), Size(*grey.size))


def with_color(png: bytes, color: tuple[tuple[bytes, bytes], ...]) -> bytes:
    """`png` with the source's colour chunks where the standard wants them: right after the header."""
    if not color:
        return png
    end = len(SIGNATURE) + 25
    added = b"".join(part for kind, body in color for part in chunk(kind, body))
    return png[:end] + added + png[end:]


def _color(png: bytes) -> tuple[tuple[bytes, bytes], ...]:
    return tuple((kind, bytes(body)) for kind, body in chunks(png, until=b"IDAT") if kind in COLOR_CHUNKS)


def _read(path: Path) -> bytes:
    try:
        data = path.read_bytes()
    except FileNotFoundError as error:
        raise wrong(f"{path}: there is no such file.") from error
    except OSError as error:
        raise wrong(f"{path} cannot be read: {error.strerror}.") from error
    if not data:
        raise wrong(f"{path} is empty (0 bytes).")
    return data


def _open(path: Path, data: bytes) -> Image:
    import PIL.Image

    try:
        picture = PIL.Image.open(io.BytesIO(data))
        check_size(path, picture.size)
        picture.load()
    except PIL.Image.DecompressionBombError as error:
        raise wrong(f"{path}: {error}.") from error
    except PIL.UnidentifiedImageError as error:
        raise wrong(f"{path} is not a picture that can be read; PNG, JPEG, WebP and TIFF can.") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise wrong(f"{path} is damaged: {error}.") from error
    return picture


def check_size(path: Path, size: tuple[int, int]) -> None:
    """Raises Failure for a picture that is too large, naming the file."""
    if max(size) > MAX_SIDE or size[0] * size[1] > MAX_PIXELS:
        raise wrong(
            f"{path} is {size[0]} x {size[1]}; allowed: at most {MAX_SIDE} px a side and {MAX_PIXELS} px in "
            "all. Scale it down or cut out the part that matters."
        )


def _lost_depth(path: Path, picture: Image) -> str:
    bits = getattr(picture, "tag_v2", {}).get(258, 8)
    deepest = max(bits) if isinstance(bits, tuple) else bits
    if deepest > 8 and picture.mode in ("RGB", "RGBA"):
        return f"{path} has {deepest} bits per channel and was read with 8; a PNG keeps 16."
    return ""


def _upright(path: Path, picture: Image) -> tuple[Image, bytes]:
    """The picture turned as its EXIF says, in a mode that PNG has, and its ICC profile (or b"")."""
    from PIL import ImageOps

    turned = ImageOps.exif_transpose(picture)
    profile = picture.info.get("icc_profile", b"") or b""
    if turned.mode in ("L", "LA", "RGB", "RGBA", "I;16"):
        return turned, profile
    if turned.mode == "F":
        raise wrong(f"{path} holds floating-point numbers, whose white is not known; save it as 16-bit PNG.")
    if turned.mode in ("1", "P", "PA") or turned.mode.startswith("I"):
        goal = {"1": "L", "PA": "RGBA"}.get(turned.mode) or (
            "I;16" if turned.mode.startswith("I") else _palette(turned)
        )
        return turned.convert(goal), profile
    return _to_srgb(turned, profile), b""


def _palette(picture: Image) -> str:
    return "RGBA" if "transparency" in picture.info else "RGB"


def _to_srgb(picture: Image, profile: bytes) -> Image:
    """CMYK, Lab and the like as RGB: by the picture's profile where it has one, else by Pillow's formula."""
    from PIL import ImageCms

    if profile:
        try:
            srgb = ImageCms.createProfile("sRGB")
            converted = ImageCms.profileToProfile(picture, io.BytesIO(profile), srgb, outputMode="RGB")
        except ImageCms.PyCMSError:
            converted = None
        if converted is not None:
            return converted
    return picture.convert("RGB")


def _grey(picture: Image) -> Image:
    import PIL.Image

    if picture.mode == "I;16":
        # 65535 -> 255 by rounding; Pillow's own conversion clips everything above 255 to white.
        return picture.convert("I").point(lambda value: value * (1 / 257) + 0.5).convert("L")
    if picture.mode in ("LA", "RGBA"):
        black = PIL.Image.new("RGBA", picture.size, (0, 0, 0, 255))
        return PIL.Image.alpha_composite(black, picture.convert("RGBA")).convert("L")
    return picture.convert("L")


def _as_png(picture: Image, profile: bytes) -> tuple[bytes, Size, tuple[tuple[bytes, bytes], ...]]:
    buffer = io.BytesIO()
    # A profile speaks of grey or of colours (bytes 16 to 20 of its header); the other kind would be wrong.
    fits = profile[16:20] == (b"GRAY" if picture.mode in ("L", "LA", "I;16") else b"RGB ")
    icc = {"icc_profile": profile} if fits else {}
    # Metadata like EXIF stays behind: the orientation in it has been applied.
    picture.info = {}
    picture.save(buffer, "PNG", compress_level=1, **icc)
    png = buffer.getvalue()
    return png, Size(*picture.size), _color(png)
