"""Turns a painted scene into a drawing: watercolor, oil, ink, pencil, flat illustration or pixel art."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from pentimento.demo.canvas import Canvas
from pentimento.demo.light import mix, saturated, vec
from pentimento.demo.noise import blur, smoothstep
from pentimento.demo.scene import Scene

TILE: Final = 32
"""Units after which a drawing's pattern repeats: eight latents, the stride of the UNet's lowest level."""
HATCH: Final = 8
"""Units from line to line of a hatching, a divisor of `TILE`."""
SHADES: Final = 8
"""Steps of brightness from black to white in pixel art."""
DITHER: Final = np.asarray(((0.25, 0.75), (0.75, 0.25)), np.float32)
"""Thresholds of 2 x 2 blocks: what lies midway between two shades is a checkerboard of both."""
WEIGHTS: Final = np.asarray((0.299, 0.587, 0.114), np.float32)


def luma(color: np.ndarray) -> np.ndarray:
    """Brightness (H, W) of an sRGB image."""
    return color @ WEIGHTS


def outlines(canvas: Canvas, radius: float) -> np.ndarray:
    """Lines (H, W) 0..1 along the borders of regions, about `radius` pixels wide."""
    region = canvas.region
    lines = np.zeros(region.shape, np.float32)
    lines[:-1] = region[1:] != region[:-1]
    lines[:, :-1] = np.maximum(lines[:, :-1], region[:, 1:] != region[:, :-1])
    tone = luma(canvas.color)
    steep = np.abs(np.diff(tone, axis=0, prepend=tone[:1])) + np.abs(np.diff(tone, axis=1, prepend=tone[:, :1]))
    lines = np.maximum(lines, np.clip((steep - 0.16) * 5, 0, 1))
    return np.clip(blur(lines, radius) * (2 * radius + 1) * 1.15, 0, 1)


def photo(scene: Scene, canvas: Canvas) -> np.ndarray:
    """A little bloom around what is bright."""
    height = canvas.color.shape[0]
    bright = np.clip(canvas.color - 0.72, 0, 1)
    return canvas.color + 0.30 * blur(bright, height / 40)


def grain(height: int) -> float:
    """Pixels to a unit of a drawing's pattern: whole ones from 256 px on, so that it repeats by the pixel.

    A pattern that keeps to a fixed grid of `TILE` units is the same in every picture, which a small model can learn.
    """
    return height / 256 if height < 256 else float(height // 256)


def watercolor(scene: Scene, canvas: Canvas) -> np.ndarray:
    """Pale washes: blurred, with darker rims where they dried and bare paper along the contours."""
    unit = grain(canvas.depth.shape[0])
    color = blur(canvas.color, 1.5 * unit)
    color = np.clip(saturated(color, 1.5), 0, 1)
    paper = vec((0.985, 0.97, 0.935))
    color = paper - (paper - color) * 0.8
    rim = luma(blur(color, 4.0 * unit)) - luma(color)
    color = color * (1 - np.clip(np.abs(rim) * 3 - 0.02, 0, 0.36))[..., None]
    return mix(color, paper, outlines(canvas, 0.6 * unit) * 0.45 * np.clip(luma(color) * 1.7 - 0.4, 0, 1))


def oil(scene: Scene, canvas: Canvas) -> np.ndarray:
    """Dabs of thick, saturated paint along what is painted; lit from the upper left."""
    height, width = canvas.depth.shape
    unit = grain(height)
    rich = np.clip(saturated(canvas.color, 1.4), 0, 1)
    rich = np.clip((rich - 0.5) * 1.1 + 0.5, 0, 1)
    under = Image.fromarray((blur(rich, 2 * unit) * 255).astype(np.uint8))
    relief = Image.new("L", (width, height), 128)
    inks, bumps = ImageDraw.Draw(under), ImageDraw.Draw(relief)
    dy, dx = np.gradient(luma(blur(canvas.color, 2 * unit)))
    rng, size = np.random.default_rng(51), max(1, round(6 * unit))
    tops, lefts = (np.arange(-TILE, side / unit + TILE, TILE) for side in (height, width))
    for _ in range(48):
        y, x, turn, light, bump = rng.random(5)
        cy, cx = (np.ravel(p) for p in np.meshgrid((tops + TILE * y) * unit, (lefts + TILE * x) * unit, indexing="ij"))
        ys, xs = (np.clip(p, 0, n - 1).astype(np.int32) for p, n in ((cy, height), (cx, width)))
        steep = np.hypot(dx, dy)[ys, xs] > 0.02 / unit
        angle = np.where(steep, np.arctan2(dx[ys, xs], -dy[ys, xs]), 0.2 + 1.1 * turn)
        ax, ay = np.cos(angle) * 6 * unit, np.sin(angle) * 6 * unit
        paint = rich[ys, xs] * (0.9 + 0.2 * light) + 0.07 * (light - 0.5)
        colors = (np.clip(paint, 0, 1) * 255).astype(np.int32).tolist()
        ends = np.stack([cx - ax, cy - ay, cx + ax, cy + ay], axis=1).tolist()
        for end, color in zip(ends, colors, strict=True):
            inks.line(end, fill=tuple(color), width=size)
            bumps.line(end, fill=round(96 + 64 * bump), width=size)
    color, raised = (np.asarray(image, np.float32) / 255 for image in (under, relief))
    emboss = np.zeros_like(raised)
    emboss[1:, 1:] = raised[1:, 1:] - raised[:-1, :-1]
    return color + np.clip(blur(emboss, 1) * 1.1, -0.18, 0.2)[..., None]


def hatch(height: int, width: int, period: float, sign: int) -> np.ndarray:
    """Parallel slanting lines (H, W), a wave 0..1 with a period in pixels along the rows and the columns."""
    ys, xs = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None, :]
    return 0.5 + 0.5 * np.sin((xs + sign * ys) / period * 2 * np.pi)


def ink(scene: Scene, canvas: Canvas) -> np.ndarray:
    """Black ink on cream paper: contours, hatching in the half-tones, solid black in the dark."""
    height, width = canvas.depth.shape
    unit = grain(height)
    tone = blur(luma(canvas.color), 1.5 * unit)
    if scene.look.time == "night":
        tone = np.clip(tone, 0, 1) ** 0.62
    one, two = (hatch(height, width, HATCH * unit, sign) for sign in (1, -1))
    dark = np.clip((0.53 - tone) * 1.9, 0, 1)
    lines = np.clip((dark * 1.15 - one) * 5 + 0.4, 0, 1) * (dark > 0.02)
    lines = np.maximum(lines, np.clip((dark * 1.5 - 0.55 - two) * 5 + 0.4, 0, 1))
    lines = np.maximum(lines, smoothstep(0.78, 0.9, dark))
    contour, black = outlines(canvas, 1.0 * unit), smoothstep(0.7, 0.9, dark)
    lines = np.maximum(lines, contour * 0.9 * (1 - black)) * (1 - contour * 0.9 * black)
    return mix(np.broadcast_to(vec((0.97, 0.955, 0.915)), (height, width, 3)), (0.07, 0.065, 0.08), lines * 0.96)


def pencil(scene: Scene, canvas: Canvas) -> np.ndarray:
    """Graphite on white paper: soft grey hatching over a smudged tone, thin contours."""
    height, width = canvas.depth.shape
    unit = grain(height)
    tone = blur(luma(canvas.color), 1.0 * unit)
    tone = 0.42 + 0.58 * np.clip((tone - 0.04) / 0.86, 0, 1) ** 0.8
    lines = hatch(height, width, HATCH * unit, 1) - 0.5
    tone = tone + lines * 0.3 * np.clip((0.99 - tone) * 2.2, 0, 1)
    tone = tone * (1 - 0.6 * outlines(canvas, 1.0 * unit))
    return np.clip(tone, 0.12, 0.97)[..., None] * vec((1.0, 1.0, 1.01))


def flat(scene: Scene, canvas: Canvas) -> np.ndarray:
    """A poster: plain areas in strong colors (the painter left texture out already)."""
    return saturated(canvas.color, 1.6)


def pixel(scene: Scene, canvas: Canvas) -> np.ndarray:
    """Blocks of 1/32 of the height in saturated colors of few shades, dithered between them."""
    height, width = canvas.depth.shape
    block = max(2, round(height / 32))
    rows, cols = -(-height // block), -(-width // block)
    padded = np.pad(canvas.color, ((0, rows * block - height), (0, cols * block - width), (0, 0)), mode="edge")
    small = padded.reshape(rows, block, cols, block, 3).mean(axis=(1, 3))
    small = saturated(small, 1.4)
    tone = luma(small) * SHADES
    threshold = np.tile(DITHER, (-(-rows // 2), -(-cols // 2)))[:rows, :cols]
    small = small + ((np.floor(tone + threshold) - tone) / SHADES)[..., None]
    return np.repeat(np.repeat(small, block, axis=0), block, axis=1)[:height, :width]


PAINTERS: Final[dict[str, Callable[[Scene, Canvas], np.ndarray]]] = {
    "photo": photo, "watercolor": watercolor, "oil": oil, "ink": ink, "pencil": pencil, "flat": flat, "pixel": pixel,
}  # fmt: skip


def apply_style(scene: Scene, canvas: Canvas) -> np.ndarray:
    """The finished picture (H, W, 3) uint8 in the style of the scene's look."""
    color = PAINTERS[scene.look.style](scene, canvas)
    return (np.clip(color, 0, 1) * 255 + 0.5).astype(np.uint8)
