"""Colour around the model: filling what is transparent before it, matching colours after it. Float RGB throughout."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

from .arrays import Float
from .masks import Mask, grown

RING: Final = 16
"""Width in px of the ring of kept px around a selection that colours are matched to."""
LEAST_DEVIATION: Final = 1e-4
"""A reference flatter than this (0..1) has no contrast to match."""


def fill_transparent(colour: Float, alpha: Float) -> Float:
    """[h, w, c]: what lies under alpha 0 taken from the nearest opaque px, px of partial alpha left as they are.

    Push-pull interpolation (Gortler et al., "The Lumigraph", 1996): alpha-weighted means over ever larger blocks, and
    back down where a block has no px of its own. All transparent: mid grey.
    """
    if alpha.min() > 0:
        return colour
    if alpha.max() == 0:
        return np.full_like(colour, 0.5)
    filled = _push_pull(colour, alpha)
    return np.where((alpha > 0)[..., None], colour, filled)


def _push_pull(colour: Float, weight: Float) -> Float:
    height, width = weight.shape
    if max(height, width) == 1:
        return colour
    even = ((0, height % 2), (0, width % 2))
    weights = np.pad(weight, even)
    sums = np.pad(colour * weight[..., None], (*even, (0, 0)))
    blocks = (weights.shape[0] // 2, 2, weights.shape[1] // 2, 2)
    block_weight = weights.reshape(blocks).sum(axis=(1, 3))
    block_sum = sums.reshape(*blocks, -1).sum(axis=(1, 3))
    block_colour = block_sum / np.maximum(block_weight, 1e-12)[..., None]
    coarse = _push_pull(block_colour.astype(np.float32), np.minimum(block_weight, 1).astype(np.float32))
    up = coarse.repeat(2, axis=0).repeat(2, axis=1)[:height, :width]
    return np.where((weight > 0)[..., None], colour, up)


def ring_around(mask: Mask) -> NDArray[np.bool_]:
    """The kept px (mask 0) within RING px of the selection."""
    return (grown(mask, RING) > 0) & (mask == 0)


def matched(result: Float, source: Float, reference: NDArray[np.bool_]) -> Float:
    """`result` with the per-channel mean and deviation that `source` has over the reference px.

    Reinhard et al., "Color transfer between images" (2001), in RGB. Px outside the reference do not count. The identity
    when both agree there, and when there is no reference px at all.
    """
    if not reference.any():
        return result
    had, wanted = result[reference].astype(np.float64), source[reference].astype(np.float64)
    if np.array_equal(had, wanted):
        return result
    deviation = had.std(axis=0)
    gain = np.where(deviation > LEAST_DEVIATION, wanted.std(axis=0) / np.maximum(deviation, LEAST_DEVIATION), 1.0)
    return ((result - had.mean(axis=0)) * gain + wanted.mean(axis=0)).astype(np.float32)
