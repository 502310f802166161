"""Mountains, hills, plains and water."""

from __future__ import annotations

from typing import Final

import numpy as np

from pentimento.demo.canvas import Canvas, dot, edge, haze_of, lit, rows_cols
from pentimento.demo.light import Color, mix, vec
from pentimento.demo.noise import field, line, rng_of, smoothstep
from pentimento.demo.scene import Scene

WHITE: Final[Color] = (0.93, 0.95, 1.0)
ROCKS: Final[dict[str, Color]] = {
    "summer": (0.42, 0.45, 0.44),
    "spring": (0.42, 0.46, 0.44),
    "autumn": (0.48, 0.42, 0.38),
    "winter": (0.46, 0.49, 0.56),
}


def grass_color(scene: Scene) -> Color:
    """What the ground is covered with."""
    if scene.look.season == "winter":
        return WHITE if scene.ground != "desert" else (0.9, 0.88, 0.88)
    if scene.ground == "desert":
        return (0.90, 0.69, 0.42)
    return {"summer": (0.36, 0.56, 0.20), "spring": (0.50, 0.70, 0.28), "autumn": (0.72, 0.54, 0.24)}[scene.look.season]


def mountains(scene: Scene, canvas: Canvas, tag: int, base: float, tall: float, depth: float) -> None:
    """A range with a lit and a shaded side to each rib, snow on top."""
    height, width = canvas.depth.shape
    rng = rng_of(scene.seed, tag)
    ridge = line(rng, width, 3.2 * width / height, 6, 0.52)
    ridge = base - tall * (0.55 + 0.38 * np.tanh(ridge))
    cover = edge(canvas, ridge)
    ys, _ = rows_cols(canvas)
    below = np.clip((ys - ridge[None, :]) / max(tall, 0.05), 0, 2)
    ribs = field(rng, height, width, 9, 9 * width / height, 4)
    slope = np.gradient(ridge) * width * 0.55
    turned = (slope if not canvas.left_lit else -slope)[None, :] * np.exp(-below * 2.2)
    turned = turned + np.gradient(ribs, axis=1) * width * 0.028 * (1 if canvas.left_lit else -1)
    facing = 0.5 + 0.5 * np.tanh(turned * 1.5)
    if canvas.texture == 0.0:
        facing = (facing > 0.5) * 0.75 + 0.1
    rock: Color = (0.66, 0.42, 0.30) if scene.ground == "desert" else ROCKS[scene.look.season]
    snowline = {"winter": 1.1, "spring": 0.42, "summer": 0.28, "autumn": 0.3}[scene.look.season] * (
        scene.ground != "desert"
    )
    snow = np.clip((snowline - below + 0.16 * ribs) * 7, 0, 1) * (tall > 0.16)
    if scene.ground != "desert" and scene.look.season != "winter":
        foot = np.clip((below - 0.62 + 0.1 * ribs) * 4, 0, 1)
        albedo = mix(np.broadcast_to(vec(rock), (height, width, 3)), mix(vec(grass_color(scene)), rock, 0.35), foot)
    else:
        albedo = np.broadcast_to(vec(rock), (height, width, 3))
    albedo = mix(albedo, WHITE, snow)
    canvas.put(cover, lit(canvas, albedo, facing, depth), depth)


def hills(scene: Scene, canvas: Canvas, tag: int, base: float, tall: float, depth: float, *, far_depth: float) -> None:
    """A row of soft hills, with woods as a darker texture."""
    height, width = canvas.depth.shape
    rng = rng_of(scene.seed, tag)
    ridge = base - tall * (0.5 + 0.45 * np.tanh(line(rng, width, 1.6 * width / height, 3, 0.36)))
    cover = edge(canvas, ridge)
    slope = np.gradient(ridge) * width
    turned = (slope if not canvas.left_lit else -slope)[None, :]
    woods = field(rng, height, width, 16, 12 * width / height, 3)
    facing = np.clip(0.62 + 0.4 * turned - 0.16 * woods * canvas.texture, 0.05, 1.0)
    base_color = vec(grass_color(scene)) * 0.93
    wood: Color = (0.20, 0.36, 0.19) if scene.look.season in ("summer", "spring") else (0.60, 0.33, 0.14)
    wood = (0.50, 0.56, 0.62) if scene.look.season == "winter" else wood
    albedo = np.broadcast_to(base_color, (height, width, 3))
    if scene.ground != "desert":
        patches = smoothstep(0.1, 0.5, woods) * (0.75 if canvas.texture else 0.0)
        albedo = mix(albedo, wood, patches)
    ys, _ = rows_cols(canvas)
    place = np.clip(
        far_depth + (depth - far_depth) * np.clip((ys - ridge[None, :]) / max(base - ridge.min(), 0.02), 0, 1),
        0,
        1,
    )
    canvas.put(cover, lit(canvas, albedo, facing, place), place)


def ground_texture(scene: Scene, canvas: Canvas, tag: int, stretch: float, cells: int = 48) -> np.ndarray:
    """Noise (H, W) lying flat on the ground in perspective, so that it gets finer toward the horizon."""
    ys, xs = rows_cols(canvas)
    tile = field(rng_of(scene.seed, tag), 256, 256, cells, cells, 3)
    below = np.maximum(ys - scene.horizon, 0.004) + 0.03
    aspect = canvas.depth.shape[1] / canvas.depth.shape[0]
    u = ((xs - 0.5) * aspect / below * 22 / stretch + 1e4).astype(np.int32) & 255
    v = (24 / below + 0 * xs).astype(np.int32) & 255
    return tile[v, u] * np.clip((below - 0.03) * 9, 0.12, 1.0)


def plain(scene: Scene, canvas: Canvas, start: float) -> None:
    """The ground in front: meadow, sand or snow, from a wavy line at `start` to the lower edge."""
    height, width = canvas.depth.shape
    ys, _ = rows_cols(canvas)
    rng = rng_of(scene.seed, 20)
    ridge = start + 0.022 * line(rng, width, 1.4 * width / height, 3, 0.4)
    cover = edge(canvas, ridge)
    below = np.clip((ys - scene.horizon) / (1 - scene.horizon), 0, 1)
    depth = np.broadcast_to(0.5 * (1 - below) ** 1.5 + 0.02, (height, width)).astype(np.float32)
    wide = field(rng, height, width, 4, 2.5 * width / height, 3)
    fine = ground_texture(scene, canvas, 21, 3.0)
    near = below * np.ones((1, width), np.float32)
    facing = np.clip(0.72 + 0.16 * wide * canvas.texture + 0.1 * fine * canvas.texture - 0.1 * near, 0.1, 1.1)
    albedo = np.broadcast_to(vec(grass_color(scene)), (height, width, 3)) * (1.06 - 0.22 * near)[..., None]
    if scene.ground == "desert":
        wave = np.sin(np.maximum(below * 1.15 + 0.05 * wide + 0.2, 0.0) ** 0.7 * 30 + 1.2 * wide)
        facing = np.clip(
            0.6 + 0.24 * wave * (0.35 + 0.65 * canvas.texture) * np.clip(near * 3, 0.2, 1) + 0.12 * wide,
            0.05,
            1.1,
        )
    elif scene.look.season == "spring" or (scene.look.season == "summer" and scene.seed % 3 == 0):
        albedo = flowers(scene, canvas, albedo, near)
    elif scene.look.season == "autumn":
        albedo = mix(albedo, (0.62, 0.30, 0.10), smoothstep(0.1, 0.9, fine) * 0.7 * canvas.texture)
    canvas.put(cover, lit(canvas, albedo, facing, depth), depth)


def flowers(scene: Scene, canvas: Canvas, albedo: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Dots of flowers scattered on the meadow, larger in front."""
    height, width = near.shape
    rng = rng_of(scene.seed, 22)
    albedo = np.array(albedo)
    colors: tuple[Color, ...] = (
        (0.95, 0.85, 0.25),
        (0.93, 0.35, 0.35),
        (0.97, 0.95, 0.95),
        (0.72, 0.42, 0.85),
    )
    picks = rng.permutation(4)[:2]
    for x, y, k in zip(*rng.random((3, 90)), strict=True):
        place = y**1.4
        cy = (scene.horizon + 0.05 + (0.95 - scene.horizon) * place) * height
        dot(albedo, x * width, cy, (0.7 + 2.1 * place) * height / 256, vec(colors[picks[int(k * 2)]]), 1.0)
    return albedo


def water(scene: Scene, canvas: Canvas) -> None:
    """Water from the horizon down: it mirrors what was painted above it, with waves and the sun's path."""
    height, width = canvas.depth.shape
    ys, xs = rows_cols(canvas)
    light = canvas.light
    line_y = scene.horizon
    first = round(line_y * height)
    waves = ground_texture(scene, canvas, 30, 7.0)
    below = np.clip((ys - line_y) / (1 - line_y), 0, 1) * np.ones((1, width), np.float32)
    calm = scene.ground == "lake"
    shake = waves * (2.0 if calm else 5.0) * height / 256 * canvas.texture * (0.4 + below)
    rows = 2 * first - np.arange(height)[:, None] + shake
    if not calm:
        rows = first - (first - rows) * 0.55
    rows = np.clip(rows, 0, max(first - 1, 0)).astype(np.int32)
    cols = np.clip(np.arange(width)[None, :] + shake * 0.6, 0, width - 1).astype(np.int32)
    mirror = canvas.color[rows, cols]
    deep: Color = (0.07, 0.27, 0.40) if not calm else (0.08, 0.24, 0.30)
    body = vec(deep) * (vec(light.shade) * 1.25 + vec(light.sun) * 0.8)
    color = mix(mirror, body, np.clip((0.32 if calm else 0.42) + 0.34 * below, 0, 0.86))
    color = color * (1 + 0.13 * waves * canvas.texture)[..., None]
    if canvas.texture == 0.0:
        stripes = np.sin(1.0 / (below + 0.08) * 7.0) > 0.72
        color = mix(color, light.haze, stripes * 0.22)
    if not calm:
        crest = np.clip((waves - 0.75) * 3, 0, 1) * below * canvas.texture
        color = mix(color, vec(light.shade) + vec(light.sun), np.clip(crest * 0.5, 0, 0.6))
    gloomy = scene.look.time == "overcast" or scene.look.weather in ("rain", "snowfall", "fog")
    if scene.disc and not gloomy:
        spread = 0.03 + scene.disc * 0.6 + 0.10 * below
        path = np.exp(-(((xs - scene.disc_x) / spread) ** 2))
        glint = smoothstep(-0.15, 0.75, waves) if canvas.texture else (np.sin(1.0 / (below + 0.06) * 6.0) > 0.0) * 0.9
        color = mix(color, light.disc, np.clip(path * glint * (0.35 + light.glow), 0, 0.92))
    depth = (0.62 * (1 - below) ** 2 + 0.03).astype(np.float32)
    cover = np.clip((ys - line_y) * height + 0.5, 0, 1) * np.ones((1, width), np.float32)
    color = mix(color, light.haze, np.clip((1 - below * 5), 0, 1) * 0.35 * haze_of(scene.look))
    canvas.put(cover, color, depth)
