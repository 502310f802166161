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

    Without a source (txt2img) all three are the picture. `result` has the source's depth and colour channels.
    """
    if kind == "raw" or source is None:
        return result
    base = to_array(source).astype(np.uint32)
    top = 2**source.depth - 1
    colours = base.shape[2] - 1 if source.channels in (2, 4) else base.shape[2]
    alpha = base[..., colours] if colours < base.shape[2] else None
    painted = base[..., :colours].copy()
    painted[context.y : context.bottom, context.x : context.right] = to_array(result)
    if mask is None:
        return _packed(painted, alpha, source.depth)
    opacity = selection(mask).astype(np.uint32) * (top // 255)
    if kind == "layer":
        return _packed(painted, opacity, source.depth)
    if alpha is None:
        return _packed(_mixed(base[..., :colours], painted, opacity[..., None], top), None, source.depth)
    return _packed(*_over(base[..., :colours], alpha, painted, opacity, top), source.depth)


def _mixed(
    below: NDArray[np.uint32], above: NDArray[np.uint32], opacity: NDArray[np.uint32], top: int
) -> NDArray[np.uint32]:
    """Linear blend, rounded to the nearest level: exactly `below` at opacity 0 and `above` at `top`."""
    wide = below.astype(np.uint64) * (top - opacity) + above.astype(np.uint64) * opacity
    return ((wide + top // 2) // top).astype(np.uint32)


def _over(
    below: NDArray[np.uint32],
    alpha: NDArray[np.uint32],
    above: NDArray[np.uint32],
    opacity: NDArray[np.uint32],
    top: int,
) -> tuple[NDArray[np.uint32], NDArray[np.uint32]]:
    """Porter and Duff's *over* of an opaque picture at `opacity` on a picture with straight alpha."""
    kept = alpha.astype(np.uint64) * (top - opacity)
    weight = kept + opacity.astype(np.uint64) * top
    wide = (
        below.astype(np.uint64) * kept[..., None]
        + above.astype(np.uint64) * (opacity.astype(np.uint64) * top)[..., None]
    )
    safe = np.maximum(weight, 1)
    colour = ((wide + safe[..., None] // 2) // safe[..., None]).astype(np.uint32)
    untouched = (opacity == 0)[..., None]
    return np.where(untouched, below, colour), ((weight + top // 2) // top).astype(np.uint32)


def _packed(colour: NDArray[np.uint32], alpha: NDArray[np.uint32] | None, depth: int) -> Pixels:
    channels = colour if alpha is None else np.concatenate([colour, alpha[..., None]], axis=2)
    return to_pixels(channels.astype(np.uint8 if depth == 8 else np.uint16))
