"""The picture in the making, and how things are laid and lit on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pentimento.demo.light import Color, Light, mix, saturated, vec
from pentimento.demo.scene import Look


@dataclass
class Canvas:
    """The picture in the making. `color` (H, W, 3) sRGB 0..1, `depth` (H, W) 0 near .. 1 sky, `region`
    (H, W) for outlines."""

    color: np.ndarray
    depth: np.ndarray
    region: np.ndarray
    subject: np.ndarray
    light: Light
    look: Look
    texture: float
    left_lit: bool
    regions: int = 1

    def put(
        self,
        cover: np.ndarray,
        color: np.ndarray,
        depth: np.ndarray | float,
        window: tuple[slice, slice] | None = None,
    ) -> None:
        """Lay a region with soft `cover` over what is there."""
        w = window or (slice(None), slice(None))
        self.color[w] = mix(self.color[w], color, cover)
        solid = cover > 0.5
        self.depth[w] = np.where(solid, depth, self.depth[w])
        self.region[w] = np.where(solid, self.regions, self.region[w])
        self.regions += 1


def haze_of(look: Look) -> float:
    """How thick the air is: 0 thin, 1 nothing to be seen far away."""
    base = {"clear": 0.5, "clouds": 0.5, "fog": 1.0, "rain": 0.78, "snowfall": 0.78}[look.weather]
    return min(1.0, base + (0.12 if look.time == "dawn" else 0.0))


def lit(canvas: Canvas, albedo: np.ndarray, facing: np.ndarray | float, depth: np.ndarray | float) -> np.ndarray:
    """Albedo in the scene's light, seen through the air. `facing` is 0 in shade, 1 turned to the sun."""
    light = canvas.light
    facing = np.asarray(facing, np.float32)
    color = albedo * (vec(light.shade) + (facing[..., None] if facing.ndim else facing) * vec(light.sun))
    if light.glow == 0.0:
        color = saturated(color, 0.62)
    depth = np.asarray(depth, np.float32)
    thick = haze_of(canvas.look)
    part = np.clip(depth * depth * thick * 0.9, 0, 0.93)
    if canvas.look.weather == "fog":
        part = np.clip(depth * 1.15, 0.12, 0.95)
    return mix(color, light.haze, part)


def dot(color: np.ndarray, x: float, y: float, radius: float, ink: np.ndarray | Color, part: float) -> None:
    """A soft dot of `ink` at pixel (x, y), mixed into `color` in place."""
    height, width = color.shape[:2]
    rows = np.arange(max(int(y - radius - 1), 0), min(int(y + radius + 2), height))
    cols = np.arange(max(int(x - radius - 1), 0), min(int(x + radius + 2), width))
    if len(rows) and len(cols):
        away = np.hypot(rows[:, None] + 0.5 - y, cols[None, :] + 0.5 - x)
        window = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
        color[window] = mix(color[window], ink, np.clip(radius - away + 0.45, 0, 1) * part)


def rows_cols(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    """Pixel centres as fractions: (H, 1) and (1, W)."""
    height, width = canvas.depth.shape
    return (np.arange(height, dtype=np.float32)[:, None] + 0.5) / height, (
        np.arange(width, dtype=np.float32)[None, :] + 0.5
    ) / width


def edge(canvas: Canvas, ridge: np.ndarray) -> np.ndarray:
    """Soft coverage (H, W) of what lies below a ridge (W,), given as fractions of the height."""
    ys, _ = rows_cols(canvas)
    return np.clip((ys - ridge[None, :]) * canvas.depth.shape[0] + 0.5, 0, 1)
