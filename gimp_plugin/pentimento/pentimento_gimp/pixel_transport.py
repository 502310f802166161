"""How pixels cross between GIMP's buffers and ours: the formats, and strips of rows in both directions.

Babl converts on the way, so a format's name is all that depends on the image's precision and profile.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterator
from typing import Final, NamedTuple

from gi.repository import Babl, Gegl, Gimp

from pentimento_shared.document import Steps, Strips
from pentimento_shared.geometry import Rect, Size
from pentimento_shared.pixels import Pixels

_STRIP: Final = 2**20
"""Bytes that cross at a time: a few ms, so that a window stays alive."""
_FRAMED_ROWS: Final = 64
_EIGHT_BITS: Final = (Gimp.Precision.U8_LINEAR, Gimp.Precision.U8_NON_LINEAR, Gimp.Precision.U8_PERCEPTUAL)
_NON_LINEAR: Final = (
    Gimp.Precision.U8_NON_LINEAR,
    Gimp.Precision.U16_NON_LINEAR,
    Gimp.Precision.U32_NON_LINEAR,
    Gimp.Precision.HALF_NON_LINEAR,
    Gimp.Precision.FLOAT_NON_LINEAR,
    Gimp.Precision.DOUBLE_NON_LINEAR,
)
_PERCEPTUAL: Final = (
    Gimp.Precision.U8_PERCEPTUAL,
    Gimp.Precision.U16_PERCEPTUAL,
    Gimp.Precision.U32_PERCEPTUAL,
    Gimp.Precision.HALF_PERCEPTUAL,
    Gimp.Precision.FLOAT_PERCEPTUAL,
    Gimp.Precision.DOUBLE_PERCEPTUAL,
)
_SIXTEEN_BITS: Final = (Gimp.Precision.U16_LINEAR, Gimp.Precision.U16_NON_LINEAR, Gimp.Precision.U16_PERCEPTUAL)


class Form(NamedTuple):
    """What samples mean while they cross: a Babl format by name, with its channels and bits a sample."""

    name: str
    channels: int
    depth: int

    @property
    def pixel_bytes(self) -> int:
        return self.channels * self.depth // 8


def depth_of(image: Gimp.Image) -> int:
    """Bits a sample that an image's pixels and masks cross with: 8 or 16."""
    return 8 if image.get_precision() in _EIGHT_BITS else 16


def picture_form(image: Gimp.Image, drawable: Gimp.Drawable) -> Form:
    """The form of a layer's pixels: its own channels and primaries, a perceptual curve, alpha not premultiplied.

    The curve is the profile's own where that is what the image's samples have, so that nothing is converted; sRGB's
    where they are linear, by the precision or by the profile.
    """
    letters = "Y" if drawable.is_gray() else "RGB"
    alpha = drawable.has_alpha()
    model = "".join(letter + ("'" if _own_curve(image) else "~") for letter in letters) + ("A" if alpha else "")
    depth = depth_of(image)
    space = Babl.format_get_space(drawable.get_format())
    # The name of a format in a space is known to Babl, and so to GEGL, once the format was asked for.
    return Form(Babl.get_name(Babl.format_with_space(f"{model} u{depth}", space)), len(letters) + alpha, depth)


def blend_space(image: Gimp.Image) -> Gimp.LayerColorSpace:
    """The space in which a new layer is laid over what is below, so that nothing changes where it is transparent.

    GIMP's own choice, linear light, converts what is below and back, and does not get it back to the bit in float
    images, nor in deeper ones whose profile has a curve of its own.
    """
    precision = image.get_precision()
    exact = precision in _EIGHT_BITS or (precision in _SIXTEEN_BITS and image.get_color_profile() is None)
    if exact or precision not in (*_NON_LINEAR, *_PERCEPTUAL):
        return Gimp.LayerColorSpace.AUTO
    own = precision in _NON_LINEAR
    return Gimp.LayerColorSpace.RGB_NON_LINEAR if own else Gimp.LayerColorSpace.RGB_PERCEPTUAL


def profile(image: Gimp.Image) -> bytes:
    """The ICC profile of pixels in picture_form."""
    own = image.get_effective_color_profile()
    return bytes(
        (own if _own_curve(image) else Gimp.ColorProfile.new_srgb_trc_from_color_profile(own)).get_icc_profile()
    )


def _own_curve(image: Gimp.Image) -> bool:
    return image.get_precision() in _NON_LINEAR and not image.get_effective_color_profile().is_linear()


def mask_form(depth: int) -> Form:
    """The form of selections and layer masks, which GIMP keeps linear in every image."""
    return Form(f"Y u{depth}", 1, depth)


def extent(drawable: Gimp.Drawable) -> Rect:
    """Where a layer, mask or selection lies, canvas px."""
    _, x, y = drawable.get_offsets()
    return Rect(x, y, drawable.get_width(), drawable.get_height())


def read(drawable: Gimp.Drawable, rect: Rect, form: Form) -> Steps[Strips]:
    """The pixels in `rect` (canvas px); 0 in every channel where the drawable has none."""
    parts: list[bytes] = []
    for part in strips(drawable, rect, form):
        parts.append(part)
        yield
    return Strips(rect.size, form.channels, form.depth, tuple(parts))


def strips(drawable: Gimp.Drawable, rect: Rect, form: Form) -> Iterator[bytes]:
    """The samples in `rect` (canvas px) from the top, some rows at a time; 0 where the drawable has none."""
    buffer, place = drawable.get_buffer(), extent(drawable)
    for rows in _rows(rect.size, form):
        area = Gegl.Rectangle.new(rect.x - place.x, rect.y - place.y + rows.start, rect.width, len(rows))
        yield _swapped(buffer.get(area, 1.0, form.name, Gegl.AbyssPolicy.NONE), form)


def framed(pixels: Pixels, at: Rect, rect: Rect) -> Steps[Strips]:
    """Pixels without alpha, which fill `at`, as a part of `rect`: opaque there and transparent elsewhere."""
    channels = pixels.channels + 1
    pixel_bytes = channels * pixels.depth // 8
    left, right = bytes((at.x - rect.x) * pixel_bytes), bytes((rect.right - at.right) * pixel_bytes)
    parts = [bytes((at.y - rect.y) * rect.width * pixel_bytes)]
    for top in range(0, at.height, _FRAMED_ROWS):
        rows = range(top, min(top + _FRAMED_ROWS, at.height))
        for row in rows:
            row_data = pixels.data[row * pixels.row_bytes : (row + 1) * pixels.row_bytes]
            parts += [left, _opaque(row_data, pixels.channels, pixels.depth), right]
        yield
    parts.append(bytes((rect.bottom - at.bottom) * rect.width * pixel_bytes))
    return Strips(rect.size, channels, pixels.depth, tuple(parts))


def with_alpha(pixels: Pixels, alpha: Pixels) -> Strips:
    """The pixels, with or without an alpha channel, with `alpha` (1 channel, as deep) as theirs."""
    code = "B" if pixels.depth == 8 else "H"
    data = pixels.data if pixels.channels in (2, 4) else _opaque(pixels.data, pixels.channels, pixels.depth)
    channels = pixels.channels + pixels.channels % 2
    samples = array(code, data)
    samples[channels - 1 :: channels] = array(code, alpha.data)
    return Strips(pixels.size, channels, pixels.depth, (samples.tobytes(),))


def write(drawable: Gimp.Drawable, pixels: Pixels, form: Form) -> Steps[None]:
    """Fills a drawable of the pixels' size. Pixels without alpha become opaque where `form` has alpha."""
    buffer, stride = drawable.get_buffer(), pixels.row_bytes
    for rows in _rows(pixels.size, form):
        samples = pixels.data[rows.start * stride : rows.stop * stride]
        if pixels.channels < form.channels:
            samples = _opaque(samples, pixels.channels, pixels.depth)
        area = Gegl.Rectangle.new(0, rows.start, pixels.size.width, len(rows))
        buffer.set(area, form.name, _swapped(samples, form))
        yield
    buffer.flush()


def _opaque(samples: bytes, channels: int, depth: int) -> bytes:
    """Opaque pixels with an alpha channel.

    Babl adds one too, but where a profile has a curve of its own it converts the colours on that way: some hundred
    levels off in 16 bits.
    """
    code = "B" if depth == 8 else "H"
    source = array(code, samples)
    result = array(code, b"\xff" * (len(samples) // channels * (channels + 1)))
    for channel in range(channels):
        result[channel :: channels + 1] = source[channel::channels]
    return result.tobytes()


def scaled(size: Size, scale: float) -> Size:
    """That size made smaller, at least 1 px both ways."""
    return Size(max(1, round(size.width * scale)), max(1, round(size.height * scale)))


def thumbnail(drawable: Gimp.Drawable, canvas: Size, scale: float, form: str) -> bytes:
    """The drawable in its place on the canvas, smaller, in a format of 8 bits a sample."""
    place, size = extent(drawable), scaled(canvas, scale)
    area = Gegl.Rectangle.new(round(-place.x * scale), round(-place.y * scale), *size)
    return bytes(drawable.get_buffer().get(area, scale, form, Gegl.AbyssPolicy.NONE))


def dimmed(rgba: bytes, selected: bytes | None) -> bytes:
    """A small picture, paler where it is not selected; None: as it is."""
    if selected is None:
        return rgba
    picture = bytearray(rgba)
    picture[3::4] = bytes(
        alpha * (80 + 175 * mask // 255) // 255 for alpha, mask in zip(rgba[3::4], selected, strict=True)
    )
    return bytes(picture)


def _rows(size: Size, form: Form) -> Iterator[range]:
    step = max(1, _STRIP // (size.width * form.pixel_bytes))
    for top in range(0, size.height, step):
        yield range(top, min(top + step, size.height))


def _swapped(samples: bytes, form: Form) -> bytes:
    """GEGL's samples have this machine's byte order, ours are big-endian; the way back is the same."""
    if form.depth == 8 or sys.byteorder == "big":
        return samples
    words = array("H", samples)
    words.byteswap()
    return words.tobytes()
