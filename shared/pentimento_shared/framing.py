"""Img2img at a size of its own: how the source lies in a picture of that size. Pure functions over whole px."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from .geometry import Rect, Size
from .pixels import MAX_PIXELS, MAX_SIDE
from .settings import RESIZE_MODES, SettingError, Value

AUTOMATIC: Final = "automatic"
LEAST_SIDE: Final = 8
"""No picture has a shorter side, px."""


class Framing(NamedTuple):
    """How a source lies in a picture of another size.

    The px `box` of the source fill `place` of a picture of `size`. What the box leaves out is not seen; what the place
    leaves out is filled from its edge. Both are whole px, so each axis has its own factor, and no px is shared.
    """

    size: Size
    box: Rect
    place: Rect

    @property
    def scaled(self) -> bool:
        """Whether the picture is anything but the source itself."""
        return self.box != Rect.of(self.size) or self.place != self.box


def framing(source: Size, size: Size, mode: str) -> Framing:
    """The source in a picture of `size` by one of AUTOMATIC1111's resize modes (`settings.RESIZE_MODES`)."""
    whole, full = Rect.of(source), Rect.of(size)
    across, down = size.width / source.width, size.height / source.height
    if mode == RESIZE_MODES[1]:
        return Framing(size, _centred(_over(size, max(across, down)), whole), full)
    if mode == RESIZE_MODES[2]:
        factor = min(across, down)
        return Framing(size, whole, _centred(_over(source, 1 / factor), full))
    return Framing(size, whole, full)


def asked_size(settings: Mapping[str, Value], source: Size) -> Size | None:
    """The size that an img2img's settings ask for, None when they ask for none.

    A side left automatic follows the other in the source's proportions. Raises SettingError for two answers at once,
    and for a size that no picture may have.
    """
    width, height = (int(settings[name]) if settings[name] != AUTOMATIC else None for name in ("width", "height"))
    scale = float(settings["scale_by"])
    if width is None and height is None:
        if scale == 1:
            return None
        return _checked("scale_by", scale, Size(round(source.width * scale), round(source.height * scale)))
    if scale != 1:
        detail = f"scale_by is {scale:g}, and a width or height is given, too; leave one of the two out."
        raise SettingError("scale_by", scale, "1 beside a width or height", detail)
    if width is None:
        width = round(source.width * (height or 0) / source.height)
        return _checked("height", height, Size(width, height or 0))
    return _checked("width", width, Size(width, height or round(source.height * width / source.width)))


def generated_size(settings: Mapping[str, Value], native: Size) -> Size:
    """The size of a generated picture; a side left automatic is that of the model's native size."""
    width, height = settings["width"], settings["height"]
    return Size(
        native.width if width == AUTOMATIC else int(width), native.height if height == AUTOMATIC else int(height)
    )


def _checked(name: str, value: Value | None, size: Size) -> Size:
    if min(size) >= LEAST_SIDE and max(size) <= MAX_SIDE and size.area <= MAX_PIXELS:
        return size
    allowed = f"sides from {LEAST_SIDE} to {MAX_SIDE} px, {MAX_PIXELS / 1e6:.0f} million px in all"
    detail = f"{name} is {value:g}, which makes a picture of {size.width} x {size.height} px; allowed: {allowed}."
    raise SettingError(name, value, allowed, detail)


def _over(size: Size, factor: float) -> Size:
    return Size(round(size.width / factor), round(size.height / factor))


def _centred(size: Size, within: Rect) -> Rect:
    """A rectangle of that size, at most as large as `within` and at least 1 px, in its middle."""
    width, height = (max(1, min(side, most)) for side, most in zip(size, within.size, strict=True))
    return Rect(within.x + (within.width - width) // 2, within.y + (within.height - height) // 2, width, height)
