"""What of the sent picture the model sees, and the final selection: what is known before a model is needed."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from pentimento_shared.framing import Framing, asked_size, framing, generated_size
from pentimento_shared.geometry import Layout, Rect, Size, context_rect, work_layout
from pentimento_shared.pixels import Pixels
from pentimento_shared.settings import AS_WORKED, MASK_MODES, MASKED_CONTENTS, Value

from .arrays import Float, cropped, from_float, from_rgb, split_alpha, to_array, to_pixels, to_rgb
from .fill import masked_fill, without_transparency
from .masks import Mask, bounds, changed, inverse, selection
from .models import ModelInfo
from .request import EngineError, Request
from .resample import framed, framed_mask, unframed

FILL: Final = MASKED_CONTENTS[1]


@dataclass(frozen=True)
class Canvas:
    """The picture at hand.

    `context` is where the worked crop lies in the sent picture; `source` is that crop (None for txt2img), `mask` the
    final selection [h, w] of the sent picture, after grow and feather. `canvas` and `place` are the whole document's
    size and the crop's rectangle in it, for the recipe. `depth` is what the result has, bits of a sample. `framing`
    says how the crop lies in the picture at hand, `layout` how that lies in the model's. `as_worked`: the result stays
    of the framing's size.
    """

    context: Rect
    canvas: Size
    place: Rect
    depth: int
    framing: Framing
    layout: Layout
    as_worked: bool = False
    source: Pixels | None = None
    mask: Mask | None = None
    outpaint_fill: str = ""

    @property
    def colour_channels(self) -> int:
        """1 for a grey source, else 3."""
        return 1 if self.source is not None and self.source.channels < 3 else 3

    @property
    def size(self) -> Size:
        """The result's."""
        return self.framing.size if self.as_worked else self.context.size

    def rgb(self) -> Float:
        """The crop in its framing as [h, w, 3] in 0..1, transparent px filled."""
        return framed(self.crop(), self.framing)

    def crop(self, content: str = "") -> Float:
        """The crop itself as [h, w, 3] in 0..1: transparent px filled, and what is under the selection where the masked
        content says so."""
        filled, mask = self._filled(), self.mask_crop()
        if content != FILL or mask is None or self.source is None:
            return filled
        _, alpha = split_alpha(self.source)
        return masked_fill(filled, alpha, mask.astype(np.float32) / np.float32(255))

    def mask_crop(self) -> Mask | None:
        """The final selection over the crop."""
        if self.mask is None:
            return None
        return self.mask[self.context.y : self.context.bottom, self.context.x : self.context.right]

    def unchanged(self, resized: Callable[[], Float]) -> Pixels:
        """The source as a result: its own levels, or `resized()` [h, w, 3] where the framing is of another size."""
        if self.source is None:
            raise ValueError("a canvas without a source has no pixels")
        if self.size != self.context.size:
            return self.delivered(resized())
        return to_pixels(to_array(self.source)[..., : self.colour_channels])

    def delivered(self, picture: Float) -> Pixels:
        """The result's px from a picture [h, w, 3] of the framing's size.

        Of the context's size and without alpha; what the framing left out has the source's own levels. As worked and
        of another size: with the source's alpha in the same framing, if it has one.
        """
        colours = from_rgb(picture, self.colour_channels)
        if self.source is not None and self.size != self.context.size:
            _, alpha = split_alpha(self.source)
            planes = [colours] if alpha is None else [colours, framed_mask(alpha, self.framing)[..., None]]
            return from_float(np.concatenate(planes, axis=2), self.depth)
        if self.source is None or not self.framing.scaled:
            return from_float(colours, self.depth)
        box = self.framing.box
        levels = to_array(self.source)[..., : self.colour_channels].copy()
        part = to_array(from_float(unframed(colours, self.framing), self.depth))
        levels[box.y : box.bottom, box.x : box.right] = part
        return to_pixels(levels)

    def going_on(self, source: Pixels) -> Canvas:
        """The same with the crop painted over; one that has come to another size stays there."""
        if source.size == self.context.size:
            return replace(self, source=source)
        return replace(self, source=source, framing=framing(source.size, source.size, ""))

    def _filled(self) -> Float:
        """The crop as [h, w, 3] in 0..1, transparent px filled."""
        if self.source is None:
            raise ValueError("a canvas without a source has no pixels")
        colour, alpha = split_alpha(self.source)
        mask = self.mask_crop()
        return to_rgb(without_transparency(colour, alpha, None if mask is None else mask > 0, self.outpaint_fill))


def prepare(request: Request, info: ModelInfo) -> Canvas:
    """The canvas of a request. Raises EngineError for a missing picture or mask, other sizes, an empty selection, and
    SettingError for a size that no picture may have."""
    settings = request.settings
    if request.task == "txt2img":
        size = generated_size(settings, info.native_size)
        whole = Rect.of(size)
        layout = work_layout(size, info.native_size.area, info.max_pixels, info.multiple)
        return Canvas(whole, size, whole, int(settings["depth"]), Framing(size, whole, whole), layout)
    if request.image is None:
        raise EngineError(f"{request.task} needs a picture to start from: send it as image.", "image")
    whole = Rect.of(request.image.size)
    mask, context = None, whole
    if request.task == "inpaint":
        chosen, box = _selected(request)
        mask = changed(chosen, int(settings["grow"]), int(settings["feather"]))
        if request.region is None:
            context = _context(request, box, whole.size)
    region = request.region
    if region is not None and region.context.size != whole.size:
        detail = (
            f"The region is {_by(region.context.size)} px, the image sent for it {_by(whole.size)} px; they must agree."
        )
        raise EngineError(detail, "region", list(region.context), f"a context of {_by(whole.size)} px")
    canvas, place = (whole.size, context) if region is None else (region.canvas, region.context)
    frame, layout = _sizes(settings, context.size, info)
    return Canvas(
        context,
        canvas,
        place,
        request.image.depth,
        frame,
        layout,
        settings.get("result_size") == AS_WORKED,
        cropped(request.image, context),
        mask,
        str(settings.get("outpaint_fill", "")),
    )


def _sizes(settings: Mapping[str, Value], source: Size, info: ModelInfo) -> tuple[Framing, Layout]:
    """How a source lies in the picture at hand, and how that lies in the model's.

    A size that was asked for is worked at as it is from about the native size up to the largest that the model can, as
    that of a generated picture is: at strength 1 the two are the same picture.
    """
    most = max(info.native_size.area, info.max_pixels)
    plain = framing(source, source, "")
    native = 0 if settings["upscale_first"] == "off" else info.native_size.area
    layout = work_layout(source, native, most, info.multiple)
    if "resize_mode" not in settings:
        return plain, layout
    asked = asked_size(settings, source)
    if asked is None and (settings["result_size"] != AS_WORKED or layout.scale == 1):
        return plain, layout
    if asked is None:
        asked = Size(*(math.floor(side + 1e-6) for side in layout.covered))
    return framing(source, asked, str(settings["resize_mode"])), work_layout(asked, native, most, info.multiple)


def _selected(request: Request) -> tuple[Mask, Rect]:
    """The selection as it was sent, and its bounds. Raises EngineError."""
    if request.mask is None or request.image is None:
        raise EngineError("inpaint needs a selection: send it as mask, 255 = change.", "mask")
    if request.mask.channels != 1:
        allowed = "a grey picture (PNG colour type L)"
        raise EngineError(
            f"The mask has {request.mask.channels} channels; allowed: {allowed}.",
            "mask",
            request.mask.channels,
            allowed,
        )
    if request.mask.size != request.image.size:
        sizes = f"The mask is {_by(request.mask.size)} px, the image {_by(request.image.size)} px; make them one size."
        raise EngineError(sizes, "mask", _by(request.mask.size), _by(request.image.size))
    inverted = request.settings["mask_mode"] == MASK_MODES[1]
    chosen = selection(inverse(request.mask) if inverted else request.mask)
    box = bounds(chosen)
    if box is None and inverted:
        raise EngineError(
            f"Everything is selected, and mask_mode is {MASK_MODES[1]}: nothing is left to be changed.",
            "mask_mode",
            MASK_MODES[1],
            f"{MASK_MODES[0]}, or a selection that leaves something out",
        )
    if box is None:
        raise EngineError(
            "The selection is empty: nothing is selected to be changed.", "mask", 0, "at least one px above 0"
        )
    return chosen, box


def _context(request: Request, box: Rect, size: Size) -> Rect:
    """From the selection before grow and feather: a plugin that crops by the same rule gets the same context."""
    settings = request.settings
    context = settings["context"]
    grow, feather = int(settings["grow"]), int(settings["feather"])
    return context_rect(box, size, context if isinstance(context, str) else int(context), grow, feather)


def _by(size: Size) -> str:
    return f"{size.width}x{size.height}"
