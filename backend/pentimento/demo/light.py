"""The light of each time of day: sky colours, sunlight, shade and haze, chosen by eye in display (sRGB) space."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

Color = tuple[float, float, float]


@dataclass(frozen=True)
class Light:
    """Colours are sRGB 0..1. The sky goes from `zenith` over `middle` to `low`; land is albedo x (shade
    + sun x facing)."""

    zenith: Color
    middle: Color
    low: Color
    sun: Color
    shade: Color
    haze: Color
    disc: Color
    cloud: Color
    cloud_shade: Color
    glow: float
    """Strength of the halo around the sun or the moon."""
    night: float
    """0 by day, 1 at night: how much lamps and stars show."""


LIGHTS: Final[dict[str, Light]] = {
    "day": Light(
        zenith=(0.22, 0.47, 0.80), middle=(0.48, 0.71, 0.92), low=(0.80, 0.90, 0.96),
        sun=(0.62, 0.59, 0.50), shade=(0.52, 0.55, 0.62), haze=(0.76, 0.86, 0.94), disc=(1.0, 0.98, 0.86),
        cloud=(1.0, 1.0, 1.0), cloud_shade=(0.76, 0.81, 0.88), glow=0.35, night=0.0,
    ),
    "dawn": Light(
        zenith=(0.50, 0.60, 0.82), middle=(0.88, 0.75, 0.84), low=(1.0, 0.87, 0.76),
        sun=(0.56, 0.40, 0.34), shade=(0.46, 0.43, 0.55), haze=(0.97, 0.84, 0.82), disc=(1.0, 0.93, 0.80),
        cloud=(1.0, 0.88, 0.86), cloud_shade=(0.80, 0.68, 0.79), glow=0.45, night=0.1,
    ),
    "sunset": Light(
        zenith=(0.24, 0.19, 0.44), middle=(0.84, 0.36, 0.36), low=(1.0, 0.70, 0.26),
        sun=(0.76, 0.36, 0.12), shade=(0.27, 0.19, 0.31), haze=(0.96, 0.53, 0.30), disc=(1.0, 0.86, 0.46),
        cloud=(1.0, 0.58, 0.36), cloud_shade=(0.52, 0.26, 0.41), glow=0.8, night=0.35,
    ),
    "night": Light(
        zenith=(0.02, 0.03, 0.11), middle=(0.05, 0.08, 0.22), low=(0.11, 0.17, 0.36),
        sun=(0.15, 0.19, 0.31), shade=(0.11, 0.145, 0.26), haze=(0.10, 0.15, 0.31), disc=(0.97, 0.96, 0.86),
        cloud=(0.20, 0.25, 0.40), cloud_shade=(0.08, 0.11, 0.23), glow=0.4, night=1.0,
    ),
    "overcast": Light(
        zenith=(0.53, 0.56, 0.61), middle=(0.65, 0.68, 0.71), low=(0.78, 0.80, 0.81),
        sun=(0.10, 0.10, 0.10), shade=(0.62, 0.64, 0.66), haze=(0.73, 0.75, 0.77), disc=(0.9, 0.9, 0.9),
        cloud=(0.74, 0.76, 0.78), cloud_shade=(0.50, 0.53, 0.57), glow=0.0, night=0.1,
    ),
}  # fmt: skip


def vec(color: Color) -> np.ndarray:
    """A colour as a (3,) float32 array."""
    return np.asarray(color, np.float32)


def mix(a: np.ndarray, b: np.ndarray | Color, part: np.ndarray | float) -> np.ndarray:
    """Linear blend of colour images; `part` (H, W) or scalar, 0 gives `a`."""
    part = np.asarray(part, np.float32)
    part = part[..., None] if part.ndim else part
    return a + (np.asarray(b, np.float32) - a) * part


def saturated(color: np.ndarray, factor: float) -> np.ndarray:
    """A colour image (H, W, 3) with its distance from grey multiplied: 0 gives grey, above 1 stronger colours."""
    grey = color.mean(axis=-1, keepdims=True)
    return grey + (color - grey) * factor
