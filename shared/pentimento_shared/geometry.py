"""Which pixels to send, and at what size the model works. Pure functions over whole pixels; origin top left, y down."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

AUTOMATIC_PADDING: Final = 32
"""Least padding of the automatic context, px."""
AUTOMATIC_SHARE: Final = 0.25
"""Automatic padding as a share of the selection's longer side, so that the context grows with the box."""
AUTOMATIC_ASPECT: Final = 2.0
"""Longest side over shortest that the automatic context aims at: models know few slivers."""
EXACT_FROM: Final = 0.81
"""From this share of the native area on, a context is worked pixel by pixel: resampling by under 12 % gains nothing."""


class Size(NamedTuple):
    """Width and height in whole px."""

    width: int
    height: int

    @property
    def area(self) -> int:
        return self.width * self.height


class Rect(NamedTuple):
    """A rectangle of whole px: `x <= px < x + width`. Empty when a side is 0 or less."""

    x: int
    y: int
    width: int
    height: int

    @classmethod
    def of(cls, size: Size) -> Rect:
        """The rectangle of that size at the origin."""
        return cls(0, 0, size.width, size.height)

    @property
    def right(self) -> int:
        return self.x + self.width

    @property
    def bottom(self) -> int:
        return self.y + self.height

    @property
    def size(self) -> Size:
        return Size(self.width, self.height)

    @property
    def empty(self) -> bool:
        return self.width <= 0 or self.height <= 0

    def grown(self, by: int) -> Rect:
        """This rectangle with `by` px more (fewer when negative) on each of its four sides."""
        return Rect(self.x - by, self.y - by, self.width + 2 * by, self.height + 2 * by)

    def intersect(self, other: Rect) -> Rect:
        """What both cover; empty (width and height 0) when they do not meet."""
        x, y = max(self.x, other.x), max(self.y, other.y)
        right, bottom = min(self.right, other.right), min(self.bottom, other.bottom)
        return Rect(x, y, max(0, right - x), max(0, bottom - y))

    def contains(self, other: Rect) -> bool:
        return self.x <= other.x and self.y <= other.y and self.right >= other.right and self.bottom >= other.bottom

    def inside(self, size: Size) -> Rect:
        """Shifted, not shrunk, to lie inside a canvas; a side longer than the canvas becomes as long as it."""
        width, height = min(self.width, size.width), min(self.height, size.height)
        x = min(max(self.x, 0), size.width - width)
        y = min(max(self.y, 0), size.height - height)
        return Rect(x, y, width, height)


Context = int | str
"""A padding in px, or one of settings.CONTEXTS: "automatic", "selection", "canvas"."""


def reach(grow: int, feather: int) -> int:
    """How far, in px, `grow` and `feather` carry a selection's edge outward: nothing beyond is selected."""
    return grow + feather


def context_rect(selection: Rect, canvas: Size, context: Context, grow: int = 0, feather: int = 0) -> Rect:
    """The rectangle of the canvas that the model gets to see.

    `selection` is the bounding box of all px with a mask value above 0, in canvas px, not empty and inside the canvas.
    `grow` and `feather` (px) are those of the settings: the box is widened by their reach before padding. The result
    lies inside the canvas and contains the widened box as far as the canvas does. Raises ValueError for an empty
    selection or an unknown context word.
    """
    if selection.empty or not Rect.of(canvas).contains(selection):
        raise ValueError(f"the selection {tuple(selection)} is empty or outside the canvas {tuple(canvas)}")
    box = selection.grown(reach(grow, feather)).intersect(Rect.of(canvas))
    if context == "canvas":
        return Rect.of(canvas)
    if context == "selection":
        return box
    if context == "automatic":
        padding = max(AUTOMATIC_PADDING, math.ceil(AUTOMATIC_SHARE * max(box.size)))
        return _widened(box.grown(padding)).inside(canvas)
    if isinstance(context, str):
        raise ValueError(f"unknown context {context!r}")
    return box.grown(context).inside(canvas)


def _widened(rect: Rect) -> Rect:
    """`rect` with its shorter side lengthened around the same centre until no side is over AUTOMATIC_ASPECT longer."""
    least = math.ceil(max(rect.size) / AUTOMATIC_ASPECT)
    dx, dy = max(0, least - rect.width), max(0, least - rect.height)
    return Rect(rect.x - dx // 2, rect.y - dy // 2, rect.width + dx, rect.height + dy)


class Layout(NamedTuple):
    """How a context lies in the picture that the model works on.

    A context px at (x, y) lies at (scale * x, scale * y) of the work picture: one factor, no shift. The work picture is
    wider than scale * context by less than `multiple` px a side; that rest is padding (a reflection of the context).
    """

    context: Size
    work: Size
    scale: float

    @property
    def covered(self) -> tuple[float, float]:
        """Width and height, in px of the work picture, that the context fills; the rest is padding."""
        return self.context.width * self.scale, self.context.height * self.scale


def work_layout(context: Size, native_area: int, max_pixels: int, multiple: int) -> Layout:
    """The size at which a model works on a context of this size, and the factor between the two.

    Small contexts are scaled up to `native_area` px (their detail comes from there), contexts between that and
    `max_pixels` are worked as they are, larger ones are scaled down to `max_pixels`. With a `native_area` of 0 nothing
    is scaled up. Each side of `work` is a multiple of `multiple` px, reached by padding. Raises ValueError for an empty
    context.
    """
    if min(context) < 1:
        raise ValueError(f"the context {tuple(context)} is empty")
    scale = _scale(context.area, native_area, max(native_area, max_pixels))
    width, height = (max(multiple, _ceil_to(side * scale, multiple)) for side in context)
    return Layout(context, Size(width, height), scale)


def _scale(area: int, native_area: int, max_pixels: int) -> float:
    if area > max_pixels:
        return math.sqrt(max_pixels / area)
    if area < EXACT_FROM * native_area:
        return math.sqrt(native_area / area)
    return 1.0


def _ceil_to(length: float, multiple: int) -> int:
    # A factor like 256/91 lands a hair above a whole multiple; that hair must not cost a whole block of padding.
    return math.ceil(length / multiple - 1e-6) * multiple
