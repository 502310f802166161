"""The selection: 0 = keep, highest = change, and nothing is ever thresholded."""

from __future__ import annotations

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

from pentimento_shared.geometry import Rect, Size, reach
from pentimento_shared.pixels import Pixels

from .arrays import Float, to_array, to_pixels

Mask = NDArray[np.uint8]
"""[height, width], 255 = change."""

FEATHER_DEVIATIONS: Final = 3.5
"""A feather of r px is a Gaussian of r / 3.5 px, cut off at r: GIMP's meaning of a feather radius."""


def selection(pixels: Pixels) -> Mask:
    """The mask in pixels of 1 channel; 16-bit levels are rounded to 8 bit, and no level above 0 becomes 0."""
    levels = to_array(pixels)[..., 0]
    if pixels.depth == 8:
        return levels.astype(np.uint8)
    rounded = (levels.astype(np.uint32) * 255 + 32767) // 65535
    return np.maximum(rounded, levels > 0).astype(np.uint8)


def inverse(pixels: Pixels) -> Pixels:
    """The mask of 1 channel that selects what this one does not."""
    return to_pixels(2**pixels.depth - 1 - to_array(pixels))


def bounds(mask: Mask) -> Rect | None:
    """The smallest rectangle with all px above 0, or None when there is none."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not rows.size:
        return None
    x, y = int(columns[0]), int(rows[0])
    return Rect(x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1)


def grown(mask: Mask, px: int) -> Mask:
    """The greatest value within `px` px (Euclidean) of each px: grey-scale dilation by a disk."""
    if px == 0:
        return mask
    result = mask.copy()
    height = mask.shape[0]
    for dy in range(-px, px + 1):
        rows = _wider(mask, math.isqrt(px * px - dy * dy))
        above, below = max(0, dy), max(0, -dy)
        if above < height and below < height:
            np.maximum(
                result[above : height - below],
                rows[below : height - above],
                out=result[above : height - below],
            )
    return result


def _wider(mask: Mask, px: int) -> Mask:
    """Greatest value within `px` px to the left and right, by doubling windows (O(log px) passes)."""
    width, span = mask.shape[1], 1
    padded = np.pad(mask, ((0, 0), (px, px)))
    wanted = 2 * px + 1
    while span < wanted:
        shift = min(span, wanted - span)
        padded = np.maximum(padded[:, : padded.shape[1] - shift], padded[:, shift:])
        span += shift
    return padded[:, :width]


def feathered(mask: Mask, px: int) -> Mask:
    """The mask with soft edges: nothing farther than `px` px from the selection is touched.

    Beyond the picture the selection goes on as it is at the border, so it does not fade there.
    """
    if px == 0:
        return mask
    offsets = np.arange(-px, px + 1)
    kernel = np.exp(-0.5 * (offsets * FEATHER_DEVIATIONS / px) ** 2)
    kernel /= kernel.sum()
    soft = mask.astype(np.float64)
    for axis in (0, 1):
        soft = _convolved(soft, kernel, axis)
    return np.rint(soft).clip(0, 255).astype(np.uint8)


def _convolved(array: NDArray[np.float64], kernel: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    px = len(kernel) // 2
    widths = [(px, px) if k == axis else (0, 0) for k in range(2)]
    padded = np.pad(array, widths, mode="edge")
    length = array.shape[axis]
    return sum(
        (weight * np.take(padded, range(start, start + length), axis) for start, weight in enumerate(kernel)),
        start=np.zeros_like(array),
    )


def changed(mask: Mask, grow: int, feather: int) -> Mask:
    """The mask grown by `grow` px, then feathered by `feather` px; only where it can change is computed."""
    box = bounds(mask)
    if box is None or reach(grow, feather) == 0:
        return mask
    size = Size(mask.shape[1], mask.shape[0])
    # Farther than the reach the selection is 0, as it is beyond the canvas; at its border the part ends with it.
    part = box.grown(reach(grow, feather)).intersect(Rect.of(size))
    rows, columns = slice(part.y, part.bottom), slice(part.x, part.right)
    result = mask.copy()
    result[rows, columns] = feathered(grown(mask[rows, columns], grow), feather)
    return result


def latent_selection(mask: Float, factor: int) -> Float:
    """[H, W] in 0..1 of the work picture -> [H / factor, W / factor]: the greatest value under each latent px.

    A latent px that reaches past the selection's edge takes part, so the seam can adapt; what lies outside the
    selection is hidden by the layer mask afterwards.
    """
    height, width = mask.shape
    return mask.reshape(height // factor, factor, width // factor, factor).max(axis=(1, 3))
