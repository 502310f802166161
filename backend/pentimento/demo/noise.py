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


def line(rng: np.random.Generator, width: int, cells: float, octaves: int = 5, rough: float = 0.5) -> Array:
    """A fractal curve (W,) float32, about 0 +- 1: a ridge or a shore."""
    xs = np.linspace(0.0, 1.0, width, dtype=np.float32)
    total = np.zeros(width, np.float32)
    gain, norm = 1.0, 0.0
    for octave in range(octaves):
        n = max(2, round(cells * 2**octave)) + 3
        knots = rng.standard_normal(n).astype(np.float32)
        place = xs * (n - 3) + 1
        low = place.astype(np.int32)
        part = place - low
        part = part * part * (3 - 2 * part) if octave < 2 else part
        total += gain * (knots[low] * (1 - part) + knots[low + 1] * part)
        norm += gain * gain
        gain *= rough
    return total / np.float32(norm**0.5)


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
