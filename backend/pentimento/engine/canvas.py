"""What of the sent picture the model sees, and the final selection: what is known before a model is needed."""

from __future__ import annotations

from dataclasses import dataclass

from pentimento_shared.geometry import Rect, Size, context_rect
from pentimento_shared.pixels import Pixels

from .arrays import Float, cropped, split_alpha, to_rgb
from .color import fill_transparent
from .masks import Mask, bounds, changed, selection
from .request import EngineError, Request


@dataclass(frozen=True)
class Canvas:
    """The picture at hand.

    `context` is where the worked crop lies in the sent picture; `source` is that crop (None for txt2img), `mask` the
    final selection [h, w] of the sent picture, after grow and feather. `canvas` and `place` are the whole document's
    size and the crop's rectangle in it, for the recipe. `depth` is what the result has, bits of a sample.
    """

    context: Rect
    canvas: Size
    place: Rect
    depth: int
    source: Pixels | None = None
    mask: Mask | None = None

    @property
    def colour_channels(self) -> int:
        """1 for a grey source, else 3."""
        return 1 if self.source is not None and self.source.channels < 3 else 3

    def rgb(self) -> Float:
        """The crop as [h, w, 3] in 0..1, transparent px filled from their neighbours."""
        if self.source is None:
            raise ValueError("a canvas without a source has no pixels")
        colour, alpha = split_alpha(self.source)
        return to_rgb(colour if alpha is None else fill_transparent(colour, alpha))

    def mask_crop(self) -> Mask | None:
        """The final selection over the crop."""
        if self.mask is None:
            return None
        return self.mask[self.context.y : self.context.bottom, self.context.x : self.context.right]


def prepare(request: Request) -> Canvas:
    """The canvas of a request. Raises EngineError for a missing picture or mask, other sizes, an empty selection."""
    settings = request.settings
    if request.task == "txt2img":
        size = Size(int(settings["width"]), int(settings["height"]))
        return Canvas(Rect.of(size), size, Rect.of(size), int(settings["depth"]))
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
    return Canvas(context, canvas, place, request.image.depth, cropped(request.image, context), mask)


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
    chosen = selection(request.mask)
    box = bounds(chosen)
    if box is None:
        raise EngineError(
            "The selection is empty: nothing is selected to be changed.", "mask", 0, "at least one px above 0"
        )
    return chosen, box


def _context(request: Request, box: Rect, size: Size) -> Rect:
    """From the selection as sent, so that a plugin that crops by the same rule gets the same context."""
    settings = request.settings
    context = settings["context"]
    grow, feather = int(settings["grow"]), int(settings["feather"])
    return context_rect(box, size, context if isinstance(context, str) else int(context), grow, feather)


def _by(size: Size) -> str:
    return f"{size.width}x{size.height}"
