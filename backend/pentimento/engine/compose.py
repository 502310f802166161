"""Result, source and selection put together in whole levels. Free of torch: the server imports this."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from pentimento_shared.geometry import Rect
from pentimento_shared.pixels import Pixels

from .arrays import to_array, to_pixels
from .masks import selection

Kind = Literal["layer", "full", "raw"]


def composite(kind: Kind, source: Pixels | None, result: Pixels, mask: Pixels | None, context: Rect) -> Pixels:
    """One of three views of a result.

    - *raw*: the model's picture as it is, of the context's size.
    - *layer*: of the source's size; the model's colours, and alpha = the selection (inpaint) or the source's alpha
      (img2img). Outside the context the colours are the source's, under alpha 0.
    - *full*: of the source's size, flattened: the source where the selection is 0, in every byte, the result where it
      is full, rounded linear blends between.

    Without a source (txt2img) all three are the picture. `result` has the source's depth and colour channels. One of
    another size than the context has its alpha with it, and *layer* and *full* are that picture.
    """
    if source is None:
        return result
    if result.size != context.size:
        return result if kind != "raw" else _without_alpha(result)
    if kind == "raw":
        return result
    base = to_array(source)
    alpha = base[..., -1] if source.channels in (2, 4) else None
    colours = base[..., : result.channels]
    place = slice(context.y, context.bottom), slice(context.x, context.right)
    if mask is None or kind == "layer":
        painted = colours.copy()
        painted[place] = to_array(result)
        return to_pixels(_with_alpha(painted, alpha if mask is None else _opacity(mask, source.depth)))
    # Only the context is computed: the cost follows the selection, not the canvas.
    full = base.copy()
    opacity = _opacity(mask, source.depth)[place]
    below, above = (array.astype(np.uint64) for array in (colours[place], to_array(result)))
    if alpha is None:
        full[place] = _mixed(below, above, opacity[..., None], 2**source.depth - 1)
    else:
        full[place] = _with_alpha(*_over(below, alpha[place], above, opacity, 2**source.depth - 1))
    return to_pixels(full)


def _opacity(mask: Pixels, depth: int) -> NDArray[np.uint64]:
    """The selection in levels of that depth: 255 becomes 2^depth - 1."""
    return selection(mask).astype(np.uint64) * ((2**depth - 1) // 255)


def _with_alpha(
    colours: NDArray[np.unsignedinteger], alpha: NDArray[np.unsignedinteger] | None
) -> NDArray[np.unsignedinteger]:
    if alpha is None:
        return colours
    return np.concatenate([colours, alpha[..., None].astype(colours.dtype)], axis=2)


def _without_alpha(pixels: Pixels) -> Pixels:
    return to_pixels(to_array(pixels)[..., :-1]) if pixels.channels in (2, 4) else pixels


Levels = NDArray[np.uint64]


def _mixed(below: Levels, above: Levels, opacity: Levels, top: int) -> Levels:
    """Linear blend, rounded to the nearest level: exactly `below` at opacity 0 and `above` at `top`."""
    return (below * (top - opacity) + above * opacity + top // 2) // top


def _over(
    below: Levels, alpha: NDArray[np.unsignedinteger], above: Levels, opacity: Levels, top: int
) -> tuple[Levels, Levels]:
    """Porter and Duff's *over* of an opaque picture at `opacity` on a picture with straight alpha."""
    kept, taken = alpha.astype(np.uint64) * (top - opacity), opacity * top
    weight = kept + taken
    safe = np.maximum(weight, 1)[..., None]
    colour = (below * kept[..., None] + above * taken[..., None] + safe // 2) // safe
    # Under alpha 0 a colour has no weight to be kept by, and must be kept all the same.
    return np.where((opacity == 0)[..., None], below, colour), (weight + top // 2) // top
