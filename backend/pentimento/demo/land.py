"""Mountains, hills, plains and water."""

from __future__ import annotations

from typing import Final

import numpy as np

from pentimento.demo.canvas import Canvas, dot, edge, haze_of, lit, rows_cols
from pentimento.demo.light import Color, mix, vec
from pentimento.demo.noise import rng_of, scattered
from pentimento.demo.scene import Scene

WHITE: Final[Color] = (0.93, 0.95, 1.0)
ROCKS: Final[dict[str, Color]] = {
    "summer": (0.30, 0.33, 0.36),
    "spring": (0.30, 0.35, 0.36),
    "autumn": (0.36, 0.30, 0.28),
    "winter": (0.32, 0.36, 0.44),
}
SNOWLINES: Final = {"winter": 0.45, "spring": 0.36, "summer": 0.26, "autumn": 0.3}
"""How far down from a peak snow lies, in heights of the range. There is rock below it even in winter: snow alone has no
outline against a pale sky."""


def grass_color(scene: Scene) -> Color:
    """What the ground is covered with."""
    if scene.look.season == "winter":
        return WHITE if scene.ground != "desert" else (0.9, 0.88, 0.88)
    if scene.ground == "desert":
        return (0.90, 0.69, 0.42)
    return {"summer": (0.36, 0.56, 0.20), "spring": (0.50, 0.70, 0.28), "autumn": (0.72, 0.54, 0.24)}[scene.look.season]


def mountains(scene: Scene, canvas: Canvas) -> None:
    """A range of plain peaks, the lower before the higher, each with a lit and a shaded side and a cap of snow."""
    height, width = canvas.depth.shape
    rng = rng_of(scene.seed, 11)
    ys, xs = rows_cols(canvas)
    aspect, base, depth = width / height, scene.horizon + 0.03, 0.68
    tall = {"mountains": 0.46, "lake": 0.27, "sea": 0.14}.get(scene.ground, 0.2)
    count = max(2, round(3 * aspect))
    tops = tall * rng.uniform(0.62, 1.0, count)
    places = aspect * (np.arange(count) + 0.5 + rng.uniform(-0.3, 0.3, count)) / count
    sharp, away = height / 2.5, -1 if canvas.left_lit else 1
    rock: Color = (0.60, 0.36, 0.25) if scene.ground == "desert" else ROCKS[scene.look.season]
    # By the moon snow shines more than it would by its share of the light, or the peaks would be lost in the sky.
    snow_color = vec(WHITE) * (1 + canvas.light.night**2 * vec((1.6, 1.3, 0.8)))
    for top, place in sorted(zip(tops, places, strict=True), reverse=True):
        across = xs * aspect - place
        below = ys - (base - top)
        # The edge between the sides leans away from the light.
        facing = 0.5 + 0.42 * np.clip((away * across + 0.25 * below) * sharp, -1, 1)
        albedo = np.broadcast_to(vec(rock), (height, width, 3))
        if scene.ground != "desert":
            snow = np.clip((tall * SNOWLINES[scene.look.season] - below) * sharp + 0.5, 0, 1)
            albedo = mix(albedo, snow_color, snow * np.ones((1, width)))
        canvas.put(edge(canvas, base - top + np.abs(across[0]) / 1.1), lit(canvas, albedo, facing, depth), depth)


def hills(scene: Scene, canvas: Canvas, tag: int, base: float, tall: float, depth: float, *, far_depth: float) -> None:
    """A row of soft hills, somewhat darker than the ground in front."""
    height, width = canvas.depth.shape
    rng = rng_of(scene.seed, tag)
    ys, xs = rows_cols(canvas)
    across = xs[0] * width / height
    turns = across * rng.uniform(0.7, 1.2) + rng.random()
    ridge = base - tall * (0.55 + 0.32 * np.sin(2 * np.pi * turns) + 0.1 * np.sin(2 * np.pi * (2.3 * turns + 0.2)))
    cover = edge(canvas, ridge)
    slope = np.gradient(ridge) * width
    facing = np.clip(0.6 + 0.4 * (slope if not canvas.left_lit else -slope), 0.05, 1.0)[None, :]
    wood: Color = (0.20, 0.36, 0.19) if scene.look.season in ("summer", "spring") else (0.60, 0.33, 0.14)
    wood = (0.60, 0.66, 0.74) if scene.look.season == "winter" else wood
    wood = (0.72, 0.48, 0.30) if scene.ground == "desert" else wood
    albedo = np.broadcast_to(mix(vec(grass_color(scene)), wood, 0.55), (height, width, 3))
    place = np.clip(
        far_depth + (depth - far_depth) * np.clip((ys - ridge[None, :]) / max(base - ridge.min(), 0.02), 0, 1),
        0,
        1,
    )
    canvas.put(cover, lit(canvas, albedo, facing * np.ones((height, 1), np.float32), place), place)


def plain(scene: Scene, canvas: Canvas, start: float) -> None:
    """The ground in front: meadow, sand or snow, from a softly bent line at `start` to the lower edge."""
    height, width = canvas.depth.shape
    ys, xs = rows_cols(canvas)
    rng = rng_of(scene.seed, 20)
    ridge = start + 0.012 * np.sin(2 * np.pi * (xs[0] * width / height * 0.7 + rng.random()))
    cover = edge(canvas, ridge)
    below = np.clip((ys - scene.horizon) / (1 - scene.horizon), 0, 1)
    depth = np.broadcast_to(0.5 * (1 - below) ** 1.5 + 0.02, (height, width)).astype(np.float32)
    near = below * np.ones((1, width), np.float32)
    albedo = np.broadcast_to(vec(grass_color(scene)), (height, width, 3)) * (1.08 - 0.3 * near)[..., None]
    facing = 0.7 * np.ones_like(near)
    if scene.ground == "desert":
        bent = ys + 0.02 * np.sin(2 * np.pi * xs * width / height)
        rows = np.clip((bent - scene.horizon) / (1 - scene.horizon), 0, None)
        facing = 0.66 + 0.2 * np.sin(2 * np.pi * 6 * rows**0.6) * np.clip(near * 3, 0.2, 1)
    elif scene.look.season == "spring":
        albedo = flowers(scene, albedo)
    canvas.put(cover, lit(canvas, albedo, facing, depth), depth)


def flowers(scene: Scene, albedo: np.ndarray) -> np.ndarray:
    """Flowers on the meadow, larger in front."""
    height, width = albedo.shape[:2]
    albedo = np.array(albedo)
    colors: tuple[Color, ...] = ((0.95, 0.35, 0.40), (0.97, 0.95, 0.95))
    for x, y, kind in scattered(22, 40, width / height):
        place = y**1.3
        cy = (scene.horizon + 0.07 + (0.92 - scene.horizon) * place) * height
        dot(albedo, x * height, cy, (1.4 + 2.4 * place) * height / 256, colors[int(kind * 2)], 1.0)
    return albedo


def water(scene: Scene, canvas: Canvas) -> None:
    """Water from the horizon down: it mirrors what was painted above it, with waves and the sun's path."""
    height, width = canvas.depth.shape
    ys, xs = rows_cols(canvas)
    light = canvas.light
    line_y = scene.horizon
    first = round(line_y * height)
    below = np.clip((ys - line_y) / (1 - line_y), 0, 1) * np.ones((1, width), np.float32)
    calm = scene.ground == "lake"
    stripes = np.sin(7.0 / (below + 0.1)) * np.clip(below * 12, 0, 1)
    rows = 2 * first - np.arange(height)[:, None]
    if not calm:
        rows = first - (first - rows) * 0.55
    rows = np.clip(rows, 0, max(first - 1, 0)).astype(np.int32)
    mirror = canvas.color[rows, np.arange(width)[None, :]]
    deep: Color = (0.07, 0.27, 0.40) if not calm else (0.08, 0.24, 0.30)
    body = vec(deep) * (vec(light.shade) * 1.25 + vec(light.sun) * 0.8)
    color = mix(mirror, body, np.clip((0.32 if calm else 0.42) + 0.34 * below, 0, 0.86))
    if canvas.texture:
        color = color * (1 + (0.06 if calm else 0.14) * stripes)[..., None]
    else:
        color = mix(color, light.haze, (stripes > 0.6) * 0.22)
    gloomy = scene.look.time == "overcast" or scene.look.weather in ("rain", "snowfall", "fog")
    if scene.disc and not gloomy:
        spread = 0.03 + scene.disc * 0.6 + 0.10 * below
        path = np.exp(-(((xs - scene.disc_x) / spread) ** 2))
        glint = np.clip(0.5 + (0.7 if canvas.texture else 9.0) * np.sin(6.0 / (below + 0.06)), 0, 1)
        color = mix(color, light.disc, np.clip(path * glint * (0.35 + light.glow), 0, 0.92))
    depth = (0.62 * (1 - below) ** 2 + 0.03).astype(np.float32)
    cover = np.clip((ys - line_y) * height + 0.5, 0, 1) * np.ones((1, width), np.float32)
    color = mix(color, light.haze, np.clip((1 - below * 5), 0, 1) * 0.35 * haze_of(scene.look))
    canvas.put(cover, color, depth)
