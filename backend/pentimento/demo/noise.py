"""Smooth random fields, the same at every picture size because their grids are fixed and only the sampling changes."""

from __future__ import annotations

import numpy as np
from PIL import Image

Array = np.ndarray


def rng_of(seed: int, tag: int) -> np.random.Generator:
    """An independent generator for one part of the scene of a seed."""
    return np.random.default_rng([seed, 7, tag])


def field(rng: np.random.Generator, height: int, width: int, rows: float, cols: float, octaves: int = 4) -> Array:
    """Fractal value noise (H, W) float32, about 0 +- 1; `rows` x `cols` cells in the coarsest octave."""
    total = np.zeros((height, width), np.float32)
    gain, norm = 1.0, 0.0
    for octave in range(octaves):
        shape = (max(2, round(rows * 2**octave) + 1), max(2, round(cols * 2**octave) + 1))
        grid = rng.standard_normal(shape, dtype=np.float32)
        if shape[0] < height * 2 and shape[1] < width * 2:
            image = Image.fromarray(grid).resize((width, height), Image.Resampling.BICUBIC)
            total += gain * np.asarray(image)
        norm += gain * gain
        gain *= 0.5
    return total / np.float32(norm**0.5 * 0.75)


def scattered(tag: int, count: int, aspect: float) -> Array:
    """Points that lie apart and are the same in every picture: (N, 3) float32 of x, y and a size 0..1.

    x and y are in heights of the picture, whose width is `aspect` of them; `count` fall on a square. A small model
    learns a pattern that never moves with a fraction of the pictures that a random one takes.
    """
    found = []
    for square in range(int(np.ceil(aspect))):
        points = rng_of(tag, square).random((count * 12, 3), dtype=np.float32)
        kept: list[Array] = []
        for point in points:
            if len(kept) < count and all(np.hypot(*(point - one)[:2]) > 0.55 / count**0.5 for one in kept):
                kept.append(point)
        found += [point + np.array((square, 0, 0), np.float32) for point in kept]
    points = np.stack(found)
    return points[points[:, 0] <= aspect]


def smoothstep(low: float, high: float, value: Array) -> Array:
    """0 below `low`, 1 above `high`, smooth between."""
    part = np.clip((value - low) / (high - low), 0.0, 1.0)
    return part * part * (3.0 - 2.0 * part)


def blur(image: Array, radius: float) -> Array:
    """Gaussian-like blur of an (H, W) or (H, W, 3) float image; the radius is in pixels (three box passes)."""
    size = max(1, round(radius))
    for _ in range(2):
        for axis in (0, 1):
            pad = [(0, 0)] * image.ndim
            pad[axis] = (size + 1, size)
            total = np.cumsum(np.pad(image, pad, mode="edge"), axis=axis, dtype=np.float32)
            n = image.shape[axis]
            upper = np.take(total, np.arange(2 * size + 1, 2 * size + 1 + n), axis=axis)
            image = (upper - np.take(total, np.arange(n), axis=axis)) / np.float32(2 * size + 1)
    return image
