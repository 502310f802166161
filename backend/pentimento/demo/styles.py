"""Turns a painted scene into a drawing: watercolor, oil, ink, pencil, flat illustration or pixel art."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import numpy as np
from PIL import Image, ImageDraw

from pentimento.demo.canvas import Canvas
from pentimento.demo.light import mix, vec
from pentimento.demo.noise import blur, field, rng_of, smoothstep
from pentimento.demo.scene import Scene

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


def watercolor(scene: Scene, canvas: Canvas) -> np.ndarray:
    """Pale washes with soft bleeding, darker rims where a wash dried, paper grain and bare paper here and there."""
    height, width = canvas.depth.shape
    rng = rng_of(scene.seed, 50)
    unit = height / 256
    aspect = width / height
    wobble = field(rng, height, width, 12, 12 * aspect, 2)
    ys = np.clip(np.arange(height)[:, None] + wobble * 1.3 * unit, 0, height - 1).astype(np.int32)
    xs = np.clip(np.arange(width)[None, :] + np.roll(wobble, height // 3, axis=0) * 1.3 * unit, 0, width - 1).astype(
        np.int32
    )
    color = blur(canvas.color[ys, xs], 1.0 * unit)
    grey = color.mean(axis=-1, keepdims=True)
    color = np.clip(grey + (color - grey) * 1.3, 0, 1)
    wash = field(rng, height, width, 5, 5 * aspect, 4)
    density = np.clip(0.80 + 0.13 * wash, 0.5, 1.0)
    paper = vec((0.985, 0.97, 0.935))
    color = paper - (paper - color * 0.97) * density[..., None]
    gaps = outlines(canvas, 1.2 * unit) * smoothstep(-0.3, 0.6, wobble)
    color = mix(color, paper, gaps * 0.6)
    wide = blur(color, 4.0 * unit)
    rim = luma(wide) - luma(color)
    color = color - np.clip(np.abs(rim) * 1.3 - 0.012, 0, 0.2)[..., None]
    grain = field(rng, height, width, 64, 64 * aspect, 2)
    return color * (1 + 0.022 * grain)[..., None]


def oil(scene: Scene, canvas: Canvas) -> np.ndarray:
    """Dabs of thick, saturated paint: broad ones first, then finer ones; lit from the upper left."""
    height, width = canvas.depth.shape
    rng = rng_of(scene.seed, 51)
    unit = height / 256
    grey = canvas.color.mean(axis=-1, keepdims=True)
    rich = np.clip(grey + (canvas.color - grey) * 1.35, 0, 1)
    rich = np.clip((rich - 0.5) * 1.08 + 0.5, 0, 1)
    under = Image.fromarray((blur(rich, 3 * unit) * 255).astype(np.uint8))
    relief = Image.new("L", (width, height), 128)
    inks, bumps = ImageDraw.Draw(under), ImageDraw.Draw(relief)
    flow = field(rng, height, width, 2, 2 * width / height, 2) * 1.3
    tone = luma(blur(canvas.color, 2 * unit))
    for share, long, wide in ((0.03, 20, 8), (0.07, 12, 5)):
        n = int(share * height * width / unit**2 * 0.75)
        ys, xs = rng.integers(0, height, n), rng.integers(0, width, n)
        dy, dx = np.gradient(tone)
        steep = np.hypot(dx, dy)[ys, xs] > 0.02 / unit
        angle = np.where(steep, np.arctan2(dx[ys, xs], -dy[ys, xs]), flow[ys, xs])
        half = long * unit * rng.uniform(0.35, 0.6, n)
        ax, ay = np.cos(angle) * half, np.sin(angle) * half
        jitter = rng.normal(0, 0.045, (n, 1)) + rng.normal(0, 0.015, (n, 3))
        colors = (np.clip(rich[ys, xs] + jitter, 0, 1) * 255).astype(np.int32).tolist()
        heights = rng.integers(96, 160, n).tolist()
        ends = np.stack([xs - ax, ys - ay, xs + ax, ys + ay], axis=1).tolist()
        size = max(1, round(wide * unit))
        for end, color, bump in zip(ends, colors, heights, strict=True):
            inks.line(end, fill=tuple(color), width=size)
            bumps.line(end, fill=bump, width=size)
    color = np.asarray(under, np.float32) / 255
    bump = np.asarray(relief, np.float32) / 255
    emboss = np.zeros_like(bump)
    emboss[1:, 1:] = bump[1:, 1:] - bump[:-1, :-1]
    return color + np.clip(blur(emboss, 1) * 0.8, -0.14, 0.16)[..., None]


def hatch(height: int, width: int, period: float, angle: float, wobble: np.ndarray) -> np.ndarray:
    """Parallel lines (H, W), a wave 0..1 with a period in pixels."""
    ys, xs = np.arange(height, dtype=np.float32)[:, None], np.arange(width, dtype=np.float32)[None, :]
    phase = (xs * np.cos(angle) + ys * np.sin(angle)) / period + wobble
    return 0.5 + 0.5 * np.sin(phase * 2 * np.pi)


def ink(scene: Scene, canvas: Canvas) -> np.ndarray:
    """Black ink on cream paper: contours, hatching in the half-tones, solid black in the dark."""
    height, width = canvas.depth.shape
    rng = rng_of(scene.seed, 52)
    unit = height / 256
    tone = blur(luma(canvas.color), 1.5 * unit)
    if scene.look.time == "night":
        tone = np.clip(tone, 0, 1) ** 0.62
    wobble = field(rng, height, width, 6, 6 * width / height, 2) * 0.25
    one = hatch(height, width, 8 * unit, 0.8, wobble)
    two = hatch(height, width, 8 * unit, 2.3, wobble)
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
    rng = rng_of(scene.seed, 53)
    unit = height / 256
    tone = blur(luma(canvas.color), 1.0 * unit)
    tone = 0.42 + 0.58 * np.clip((tone - 0.04) / 0.86, 0, 1) ** 0.8
    wobble = field(rng, height, width, 5, 5 * width / height, 2) * 0.3
    lines = hatch(height, width, 7.0 * unit, 0.72, wobble) - 0.5
    tone = tone + lines * 0.3 * np.clip((0.99 - tone) * 2.2, 0, 1)
    tone = tone + 0.02 * field(rng, height, width, 60, 60 * width / height, 1)
    tone = tone * (1 - 0.5 * outlines(canvas, 1.0 * unit))
    return np.clip(tone, 0.12, 0.97)[..., None] * vec((1.0, 1.0, 1.01))


def flat(scene: Scene, canvas: Canvas) -> np.ndarray:
    """A poster: plain areas in few, saturated colours (the painter left texture out already)."""
    color = canvas.color
    grey = color.mean(axis=-1, keepdims=True)
    return fewer(grey + (color - grey) * 1.5, 6)


def fewer(color: np.ndarray, steps: int, dither: np.ndarray | float = 0.0) -> np.ndarray:
    """Colours rounded to `steps` + 1 levels, closer to each other in the dark, so that a night keeps some of them."""
    spread = np.clip(color, 0, 1) ** 0.7 * steps + dither
    return (np.clip(np.round(spread), 0, steps) / steps) ** (1 / 0.7)


BAYER: Final = (np.asarray(((0, 2), (3, 1)), np.float32) + 0.5) / 4 - 0.5
"""The ordered 2 x 2 dither of old screens, -0.5 .. 0.5."""


def pixel(scene: Scene, canvas: Canvas) -> np.ndarray:
    """Blocks of 1/32 of the height in few, saturated colours, dithered."""
    height, width = canvas.depth.shape
    block = max(2, round(height / 32))
    rows, cols = -(-height // block), -(-width // block)
    padded = np.pad(canvas.color, ((0, rows * block - height), (0, cols * block - width), (0, 0)), mode="edge")
    small = padded.reshape(rows, block, cols, block, 3).mean(axis=(1, 3))
    grey = small.mean(axis=-1, keepdims=True)
    dither = np.tile(BAYER, (-(-rows // 2), -(-cols // 2)))[:rows, :cols, None]
    small = fewer(grey + (small - grey) * 1.3, 6, 0.6 * dither)
    return np.repeat(np.repeat(small, block, axis=0), block, axis=1)[:height, :width]


PAINTERS: Final[dict[str, Callable[[Scene, Canvas], np.ndarray]]] = {
    "photo": photo, "watercolor": watercolor, "oil": oil, "ink": ink, "pencil": pencil, "flat": flat, "pixel": pixel,
}  # fmt: skip


def apply_style(scene: Scene, canvas: Canvas) -> np.ndarray:
    """The finished picture (H, W, 3) uint8 in the style of the scene's look."""
    color = PAINTERS[scene.look.style](scene, canvas)
    return (np.clip(color, 0, 1) * 255 + 0.5).astype(np.uint8)
