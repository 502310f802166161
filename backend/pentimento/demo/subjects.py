"""The things that stand, float or fly in a landscape, drawn as small antialiased sprites."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

import numpy as np
from PIL import Image, ImageDraw

from pentimento.demo.light import Color
from pentimento.demo.scene import COLORS, Subject

OVERSAMPLE: Final = 3


class Sprite(NamedTuple):
    """A drawn subject: albedo (h, w, 3) 0..1, coverage (h, w) 0..1, lamp (h, w) 0..1; `top`, `left` in
    picture pixels."""

    albedo: np.ndarray
    cover: np.ndarray
    lamp: np.ndarray
    top: int
    left: int


class Pen:
    """Draws in a subject's own units: x from -1 to 1 around its centre, y from 0 (foot) to 1 (top); x
    and y equally long."""

    def __init__(self, height: float, half: float) -> None:
        self.scale = height * OVERSAMPLE
        self.half = half
        self.size = (max(4, int(2 * half * self.scale) + 4), max(4, int(1.06 * self.scale) + 4))
        self.color = Image.new("RGB", self.size)
        self.cover = Image.new("L", self.size)
        self.lamp = Image.new("L", self.size)
        self._draws = [ImageDraw.Draw(i) for i in (self.color, self.cover, self.lamp)]

    def _at(self, x: float, y: float) -> tuple[float, float]:
        return (x + self.half) * self.scale + 2, self.size[1] - 2 - y * self.scale

    def _inks(self, color: Color, lamp: float) -> tuple[tuple[int, int, int], int, int]:
        r, g, b = (round(255 * min(max(c, 0.0), 1.0)) for c in color)
        return (r, g, b), 255, round(255 * lamp)

    def poly(self, points: Sequence[tuple[float, float]], color: Color, lamp: float = 0.0) -> None:
        """A filled polygon."""
        for draw, ink in zip(self._draws, self._inks(color, lamp), strict=True):
            draw.polygon([self._at(*p) for p in points], fill=ink)

    def box(self, x0: float, y0: float, x1: float, y1: float, color: Color, lamp: float = 0.0) -> None:
        """A filled upright rectangle."""
        self.poly(((x0, y0), (x1, y0), (x1, y1), (x0, y1)), color, lamp)

    def disc(self, x: float, y: float, rx: float, ry: float, color: Color, lamp: float = 0.0) -> None:
        """A filled ellipse."""
        (left, top), (right, low) = self._at(x - rx, y + ry), self._at(x + rx, y - ry)
        for draw, ink in zip(self._draws, self._inks(color, lamp), strict=True):
            draw.ellipse((left, top, right, low), fill=ink)

    def stroke(self, points: Sequence[tuple[float, float]], width: float, color: Color) -> None:
        """A line of a given width with round joints."""
        for draw, ink in zip(self._draws, self._inks(color, 0.0), strict=True):
            draw.line(
                [self._at(*p) for p in points],
                fill=ink,
                width=max(1, round(width * self.scale)),
                joint="curve",
            )


def tint(color: Color, factor: float) -> Color:
    """A colour made darker (< 1) or lighter (> 1)."""
    if factor <= 1:
        return (color[0] * factor, color[1] * factor, color[2] * factor)
    part = min(factor - 1, 1.0)
    return (
        color[0] + (1 - color[0]) * part,
        color[1] + (1 - color[1]) * part,
        color[2] + (1 - color[2]) * part,
    )


def house(pen: Pen, rng: np.random.Generator, color: Color, season: str, left_lit: bool) -> None:
    near, side = (color, tint(color, 0.72)) if left_lit else (tint(color, 0.8), tint(color, 0.95))
    roof: Color = (0.36, 0.2, 0.17) if color != COLORS["red"] else (0.25, 0.24, 0.28)
    roof = (0.95, 0.96, 1.0) if season == "winter" else roof
    dark: Color = (0.16, 0.15, 0.19)
    pen.box(0.26, 0.75, 0.36, 1.0, (0.42, 0.3, 0.27))
    pen.poly(((-0.55, 0), (0.0, 0), (0.0, 0.55), (-0.275, 0.88), (-0.55, 0.55)), near)
    pen.box(0.0, 0, 0.6, 0.55, side)
    pen.poly(((-0.275, 0.9), (0.42, 0.9), (0.68, 0.5), (-0.01, 0.5)), roof)
    pen.poly(((-0.275, 0.93), (-0.62, 0.5), (-0.55, 0.47), (-0.275, 0.84)), tint(roof, 0.75))
    pen.poly(((-0.275, 0.93), (0.03, 0.49), (-0.01, 0.46), (-0.275, 0.84)), tint(roof, 0.85))
    pen.box(-0.35, 0, -0.2, 0.3, dark)
    white: Color = (0.9, 0.88, 0.82)
    for x0, y0, x1, y1 in ((0.1, 0.18, 0.25, 0.38), (0.36, 0.18, 0.51, 0.38), (-0.34, 0.46, -0.21, 0.62)):
        pen.box(x0 - 0.02, y0 - 0.02, x1 + 0.02, y1 + 0.02, white)
        pen.box(x0, y0, x1, y1, (0.26, 0.33, 0.42), 1.0)


def tree(pen: Pen, rng: np.random.Generator, color: Color, season: str, left_lit: bool) -> None:
    leaf: Color = {
        "summer": (0.22, 0.45, 0.16),
        "spring": (0.93, 0.66, 0.75),
        "autumn": (0.86, 0.40, 0.10),
        "winter": (0.84, 0.88, 0.93),
    }[season]
    bark: Color = (0.34, 0.24, 0.17)
    pen.poly(((-0.07, 0), (0.07, 0), (0.035, 0.5), (-0.035, 0.5)), bark)
    dx = -0.05 if left_lit else 0.05
    for factor, shift, shrink in ((0.68, 0.0, 1.0), (0.95, 1.0, 0.74), (1.16, 1.9, 0.42)):
        for x, y, r in ((-0.2, 0.56, 0.22), (0.2, 0.56, 0.22), (0.0, 0.72, 0.27)):
            pen.disc(x + dx * shift, y + 0.035 * shift, r * shrink, r * shrink, tint(leaf, factor))


def pine(pen: Pen, rng: np.random.Generator, color: Color, season: str, left_lit: bool) -> None:
    leaf: Color = (0.10, 0.30, 0.20)
    pen.box(-0.035, 0, 0.035, 0.2, (0.3, 0.21, 0.15))
    for k in range(4):
        low, wide, tall = 0.12 + 0.19 * k, 0.33 - 0.067 * k, 0.36
        top = min(low + tall, 1.0)
        pen.poly(((-wide, low), (0, low - 0.035), (wide, low), (0, top)), tint(leaf, 0.8))
        sign = -1 if left_lit else 1
        pen.poly(((sign * wide, low), (0, low - 0.035), (0, top)), tint(leaf, 1.13))
        if season == "winter":
            pen.poly(
                ((-wide * 0.5, low + 0.13), (0, low + 0.09), (wide * 0.5, low + 0.13), (0, top)),
                (0.92, 0.95, 1.0),
            )


def lighthouse(pen: Pen, rng: np.random.Generator, color: Color, season: str, left_lit: bool) -> None:
    white: Color = (0.93, 0.92, 0.88)
    stripe = color if color != COLORS["white"] else (0.90, 0.90, 0.88)

    def half(y: float) -> float:
        return 0.125 - 0.055 * y

    for k in range(5):
        y0, y1 = k * 0.15, (k + 1) * 0.15
        body = stripe if k % 2 == 0 else white
        pen.poly(((-half(y0), y0), (half(y0), y0), (half(y1), y1), (-half(y1), y1)), body)
        sign = 1 if left_lit else -1
        pen.poly(
            ((sign * half(y0), y0), (sign * 0.02, y0), (sign * 0.02, y1), (sign * half(y1), y1)),
            tint(body, 0.76),
        )
    pen.box(-0.12, 0.75, 0.12, 0.78, (0.2, 0.2, 0.24))
    pen.box(-0.07, 0.78, 0.07, 0.89, (0.98, 0.92, 0.66), 1.0)
    pen.box(-0.006, 0.78, 0.006, 0.89, (0.2, 0.2, 0.24))
    roof = stripe if color != COLORS["white"] else (0.5, 0.16, 0.14)
    pen.poly(((-0.095, 0.89), (0.095, 0.89), (0, 1.0)), tint(roof, 0.85))


def sailboat(pen: Pen, rng: np.random.Generator, color: Color, season: str, left_lit: bool) -> None:
    hull: Color = (0.36, 0.2, 0.13) if color != COLORS["white"] else (0.16, 0.22, 0.38)
    pen.stroke(((0, 0.1), (0, 1.0)), 0.018, (0.28, 0.2, 0.15))
    pen.poly(((0.025, 0.2), (0.46, 0.2), (0.34, 0.5), (0.025, 0.98)), color)
    pen.poly(((0.025, 0.2), (0.24, 0.2), (0.16, 0.55), (0.025, 0.98)), tint(color, 1.12 if left_lit else 0.86))
    pen.poly(((-0.025, 0.22), (-0.38, 0.22), (-0.025, 0.86)), tint(color, 0.82 if left_lit else 1.08))
    pen.poly(((-0.46, 0.16), (0.5, 0.16), (0.36, 0.0), (-0.32, 0.0)), hull)
    pen.poly(((-0.46, 0.16), (0.5, 0.16), (0.485, 0.125), (-0.43, 0.125)), (0.92, 0.88, 0.8))


def balloon(pen: Pen, rng: np.random.Generator, color: Color, season: str, left_lit: bool) -> None:
    other: Color = (0.95, 0.9, 0.78) if color != COLORS["white"] else (0.8, 0.2, 0.18)
    y, r = 0.64, 0.36
    pen.poly(((-0.3, 0.46), (0.3, 0.46), (0.075, 0.17), (-0.075, 0.17)), tint(color, 0.85))
    for k, part in enumerate((1.0, 0.72, 0.36)):
        pen.disc(0, y, r * part, r, color if k != 1 else other)
        pen.poly(
            ((-0.3 * part, 0.46), (0.3 * part, 0.46), (0.075 * part, 0.17), (-0.075 * part, 0.17)),
            color if k != 1 else other,
        )
    for x in (-0.06, 0.06):
        pen.stroke(((x, 0.18), (x * 0.8, 0.1)), 0.008, (0.25, 0.2, 0.16))
    pen.box(-0.065, 0.0, 0.065, 0.105, (0.46, 0.3, 0.16), 0.0)


def rocks(pen: Pen, rng: np.random.Generator, color: Color, season: str, left_lit: bool) -> None:
    stone: Color = (0.52, 0.49, 0.47)
    top = (0.95, 0.97, 1.0) if season == "winter" else tint(stone, 1.25)
    for x, w, h in ((-0.5, 0.42, 0.55), (0.55, 0.4, 0.45), (0.05, 0.6, 0.95)):
        a, b = float(rng.uniform(-0.15, 0.15)) * w, float(rng.uniform(0.5, 0.75)) * h
        lit, dark = (tint(stone, 0.95), tint(stone, 0.66)) if left_lit else (tint(stone, 0.66), tint(stone, 0.95))
        pen.poly(
            (
                (x - w, 0),
                (x - w * 0.72, b),
                (x + a - w * 0.2, h),
                (x + a + w * 0.3, h * 0.9),
                (x + w * 0.8, b * 0.8),
                (x + w, 0),
            ),
            lit,
        )
        pen.poly(
            (
                (x + a, h * 0.7),
                (x + a + w * 0.3, h * 0.9),
                (x + w * 0.8, b * 0.8),
                (x + w, 0),
                (x + a + w * 0.1, 0),
            ),
            dark,
        )
        pen.poly(((x - w * 0.72, b), (x + a - w * 0.2, h), (x + a + w * 0.3, h * 0.9), (x + a, h * 0.7)), top)


def cactus(pen: Pen, rng: np.random.Generator, color: Color, season: str, left_lit: bool) -> None:
    green: Color = (0.22, 0.46, 0.24)

    def limb(points: Sequence[tuple[float, float]], width: float) -> None:
        for ink, grow, shift in ((tint(green, 0.66), 1.0, 0.0), (green, 0.62, -0.16 if left_lit else 0.16)):
            moved = [(x + shift * width, y) for x, y in points]
            pen.stroke(moved, width * grow, ink)
            for x, y in moved[:: len(moved) - 1]:
                pen.disc(x, y, width * grow / 2, width * grow / 2, ink)

    limb(((-0.02, 0.36), (-0.28, 0.38), (-0.3, 0.7)), 0.14)
    limb(((0.02, 0.26), (0.28, 0.3), (0.3, 0.58)), 0.14)
    limb(((0, 0.02), (0, 0.88)), 0.22)


def birds(pen: Pen, rng: np.random.Generator, color: Color, season: str, left_lit: bool) -> None:
    ink: Color = (0.13, 0.13, 0.16)
    for left, low, s in ((-0.5, 0.3, 0.42), (0.35, 0.66, 0.5), (0.5, 0.12, 0.32)):
        x, y = left + float(rng.uniform(-0.08, 0.08)), low + float(rng.uniform(-0.06, 0.06))
        wing = [
            (x - s, y + 0.22 * s),
            (x - s * 0.55, y + 0.38 * s),
            (x, y),
            (x + s * 0.55, y + 0.38 * s),
            (x + s, y + 0.2 * s),
        ]
        under = [(x + s * 0.52, y + 0.2 * s), (x, y - 0.16 * s), (x - s * 0.52, y + 0.2 * s)]
        pen.poly(wing + under, ink)


PAINTERS: Final[dict[str, tuple[Callable[[Pen, np.random.Generator, Color, str, bool], None], float]]] = {
    "house": (house, 0.72),
    "tree": (tree, 0.56),
    "pine": (pine, 0.36),
    "cactus": (cactus, 0.44),
    "lighthouse": (lighthouse, 0.16),
    "sailboat": (sailboat, 0.54),
    "balloon": (balloon, 0.38),
    "rocks": (rocks, 1.1),
    "birds": (birds, 1.05),
}
"""Each subject's painter and half its width, in units of its height."""


def draw_subject_sprite(subject: Subject, seed: int, width: int, height: int, season: str, left_lit: bool) -> Sprite:
    """Draw a subject for a picture of `width` x `height` pixels. The sprite may reach over the picture's edges."""
    painter, half = PAINTERS[subject.kind]
    pen = Pen(subject.size * height, half)
    rng = np.random.default_rng([seed, 11, round(subject.x * 1e6)])
    painter(pen, rng, COLORS[subject.color or "white"], season, left_lit)
    n = OVERSAMPLE
    w, h = (-(-side // n) for side in pen.size)

    def down(image: Image.Image) -> np.ndarray:
        padded = Image.new(image.mode, (w * n, h * n))
        padded.paste(image, (0, h * n - image.height))
        return np.asarray(padded.reduce(n), np.float32) / 255.0

    cover, albedo = down(pen.cover), down(pen.color)
    albedo = albedo / np.maximum(cover, 1e-3)[..., None]
    left = round(subject.x * width - w / 2)
    top = round(subject.y * height) - h
    return Sprite(np.minimum(albedo, 1.0), cover, down(pen.lamp), top, left)
