"""What the painting starts from where there is no picture, or where there shall be none. Float RGB throughout."""

from __future__ import annotations

from itertools import product
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from pentimento_shared.geometry import Rect

from .arrays import Float
from .color import fill_transparent
from .masks import bounds

_RIM: Final = 16
"""Px around what is to be filled that are looked at: the nearest ones are what counts."""
UNKNOWN: Final = 0.5
"""Mid grey, where nothing is known at all."""
RELAXATIONS: Final = 8
"""Rounds at each scale: from here on a fill between two colours has no visible steps."""
_FAR: Final = 1e9
"""Where a px is that is not known yet: farther than any other."""


def smooth_fill(colour: Float, weight: Float) -> Float:
    """[h, w, c] everywhere: `colour` where `weight` ([h, w] in 0..1) is 1, blending into what is around elsewhere.

    A membrane over what is known, the smoother the farther from it: push-pull interpolation (Gortler et al., "The
    Lumigraph", 1996) with bilinear steps back down, each px then relaxed towards the mean of its neighbours.
    """
    box = bounds((weight < 1).view(np.uint8))
    if box is None:
        return colour
    part = box.grown(_RIM).intersect(Rect(0, 0, weight.shape[1], weight.shape[0]))
    rows, columns = slice(part.y, part.bottom), slice(part.x, part.right)
    result = colour.copy()
    result[rows, columns] = _membrane(colour[rows, columns], weight[rows, columns])
    return result


def _membrane(colour: Float, weight: Float) -> Float:
    height, width = weight.shape
    if max(height, width) == 1:
        return np.where((weight > 0)[..., None], colour, np.float32(UNKNOWN))
    even = ((0, height % 2), (0, width % 2))
    weights = np.pad(weight, even)
    sums = np.pad(colour * weight[..., None], (*even, (0, 0)))
    blocks = (weights.shape[0] // 2, 2, weights.shape[1] // 2, 2)
    block_weight = weights.reshape(blocks).sum(axis=(1, 3))
    mean = sums.reshape(*blocks, -1).sum(axis=(1, 3)) / np.maximum(block_weight, 1e-12)[..., None]
    coarse = _membrane(mean.astype(np.float32), np.minimum(block_weight, 1).astype(np.float32))
    filled = _mixed(_doubled(coarse)[:height, :width], colour, weight)
    for _ in range(RELAXATIONS):
        filled = _mixed(_near_mean(filled), colour, weight)
    return filled


def masked_fill(colour: Float, alpha: Float | None, mask: Float) -> Float:
    """[h, w, c]: what lies under `mask` ([h, w] in 0..1) taken from what is kept, as far as it is masked."""
    known = (1 - mask).astype(np.float32)
    return _mixed(colour, smooth_fill(colour, known if alpha is None else known * alpha), mask)


def outpainted(colour: Float, alpha: Float, selected: NDArray[np.bool_], fill: str) -> Float:
    """`colour` with the selected px that have no picture (alpha 0) made up by one of `settings.OUTPAINT_FILLS`."""
    beyond = selected & (alpha == 0)
    if not beyond.any():
        return colour
    if alpha.max() == 0:
        return np.where(beyond[..., None], np.float32(UNKNOWN), colour)
    made = nearest_fill(colour, alpha > 0) if fill == "edge" else smooth_fill(colour, alpha)
    if fill == "noise":
        made = made + clouds(*colour.shape) @ _spread(colour[alpha > 0])
    return np.where(beyond[..., None], made.clip(0, 1), colour)


def nearest_fill(colour: Float, known: NDArray[np.bool_]) -> Float:
    """Each px with the colour of the nearest known one (Euclidean); at least one is known."""
    box = bounds((~known).view(np.uint8))
    if box is None:
        return colour
    # The nearest known px touches an unknown one: what lies farther in need not be looked at.
    part = box.grown(1).intersect(Rect(0, 0, known.shape[1], known.shape[0]))
    rows, columns = slice(part.y, part.bottom), slice(part.x, part.right)
    result = colour.copy()
    result[rows, columns] = _flooded(colour[rows, columns], known[rows, columns])
    return result


def _flooded(colour: Float, known: NDArray[np.bool_]) -> Float:
    """By jump flooding (Rong and Tan, "Jump Flooding in GPU with Applications to Voronoi Diagram", 2006)."""
    height, width = known.shape
    rows, columns = np.mgrid[:height, :width].astype(np.float32)
    # Of each px the nearest known one that was heard of: its row and column, and how far it is, squared.
    row, column = (np.where(known, place, _FAR).astype(np.float32) for place in (rows, columns))
    distance = np.where(known, 0, np.inf).astype(np.float32)
    jump = 1 << max(height, width).bit_length()
    # The last rounds once more: alone, jump flooding is off by a px here and there.
    for step in (*(jump >> k for k in range(1, jump.bit_length())), 2, 1):
        for dy, dx in product((-step, 0, step), repeat=2):
            if abs(dy) >= height or abs(dx) >= width:
                continue
            here = slice(max(0, -dy), height - max(0, dy)), slice(max(0, -dx), width - max(0, dx))
            there = slice(max(0, dy), height + min(0, dy)), slice(max(0, dx), width + min(0, dx))
            theirs = (row[there] - rows[here]) ** 2 + (column[there] - columns[here]) ** 2
            nearer = theirs < distance[here]
            for own, other in ((distance[here], theirs), (row[here], row[there]), (column[here], column[there])):
                np.copyto(own, other, where=nearer)
    return colour[row.astype(np.intp), column.astype(np.intp)]


def clouds(height: int, width: int, channels: int) -> Float:
    """[h, w, c]: noise of mean 0 and deviation 1 with as much in each octave, as pictures have; always the same."""
    rng = np.random.default_rng(0)
    octaves = max(1, max(height, width).bit_length() - 1)
    total = np.zeros(((height >> octaves) + 2, (width >> octaves) + 2, channels), np.float32)
    for octave in reversed(range(octaves)):
        size = (height >> octave) + 2, (width >> octave) + 2
        total = _doubled(total)[: size[0], : size[1]] + rng.standard_normal((*size, channels), np.float32)
    total = total[:height, :width]
    return (total - total.mean(axis=(0, 1))) / np.maximum(total.std(axis=(0, 1)), 1e-6)


def without_transparency(colour: Float, alpha: Float | None, selected: NDArray[np.bool_] | None, fill: str) -> Float:
    """[h, w, c] with every px of alpha 0 filled: the selected ones by `fill`, the others from their neighbours."""
    if alpha is None:
        return colour
    filled = fill_transparent(colour, alpha)
    if selected is None:
        return filled
    return outpainted(filled, alpha, selected, fill)


def _mixed(below: Float, above: Float, opacity: Float) -> Float:
    """Exactly `below` at opacity 0 and `above` at 1."""
    part = opacity[..., None]
    return ((1 - part) * below + part * above).astype(np.float32, copy=False)


def _spread(colours: Float) -> Float:
    """[c, c]: what makes of independent noise such that varies as these colours [n, c] do, channels together."""
    values, axes = np.linalg.eigh(np.cov(colours, rowvar=False, bias=True).reshape(2 * (colours.shape[1],)))
    return (axes * np.sqrt(values.clip(0)) @ axes.T).astype(np.float32)


def _near_mean(array: Float) -> Float:
    """Of each px and its four neighbours."""
    padded = np.pad(array, ((1, 1), (1, 1), (0, 0)), mode="edge")
    around = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
    return ((array + around) / np.float32(5)).astype(np.float32, copy=False)


def _doubled(array: Float) -> Float:
    """Twice as large, bilinear."""
    size = (2 * array.shape[1], 2 * array.shape[0])
    planes = [Image.fromarray(np.ascontiguousarray(array[..., k]), "F") for k in range(array.shape[2])]
    return np.stack([np.asarray(plane.resize(size, Image.Resampling.BILINEAR)) for plane in planes], axis=2)
