"""Paints a scene as a lit picture (before any drawing style) together with its depth, regions and subject mask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from pentimento.demo.light import LIGHTS, Color, Light, mix, vec
from pentimento.demo.noise import blur, field, line, rng_of, smoothstep
from pentimento.demo.scene import Look, Scene, Subject
from pentimento.demo.subjects import Sprite, draw_subject_sprite

SKY_DEPTH = 1.0
WHITE: Color = (0.93, 0.95, 1.0)
ROCKS: Final[dict[str, Color]] = {
    "summer": (0.42, 0.45, 0.44),
    "spring": (0.42, 0.46, 0.44),
    "autumn": (0.48, 0.42, 0.38),
    "winter": (0.46, 0.49, 0.56),
}


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
        grey = color.mean(axis=-1, keepdims=True)
        color = grey + (color - grey) * 0.62
    depth = np.asarray(depth, np.float32)
    thick = haze_of(canvas.look)
    part = np.clip(depth * depth * thick * 0.9, 0, 0.93)
    if canvas.look.weather == "fog":
        part = np.clip(depth * 1.15, 0.12, 0.95)
    return mix(color, light.haze, part)


def sky(scene: Scene, canvas: Canvas) -> None:
    """Gradient, stars, sun or moon, clouds."""
    light, look = canvas.light, scene.look
    height, width = canvas.depth.shape
    ys = np.linspace(0, 1, height, dtype=np.float32)[:, None] / scene.horizon
    xs = np.linspace(0, 1, width, dtype=np.float32)[None, :]
    if canvas.texture == 0.0:
        ys = np.floor(ys * 5) / 5 + 0.1
    part = np.clip(ys, 0, 1)
    column = np.where(part[..., None] < 0.55, mix(vec(light.zenith), vec(light.middle), part / 0.55),
                      mix(vec(light.middle), vec(light.low), np.clip((part - 0.55) / 0.45, 0, 1) ** 1.3))  # fmt: skip
    color = np.broadcast_to(column.reshape(height, 1, 3), (height, width, 3)).astype(np.float32)
    aspect = width / height
    away = np.hypot((xs - scene.disc_x) * aspect, np.linspace(0, 1, height, dtype=np.float32)[:, None] - scene.disc_y)
    cloudy = look.weather != "clear" or look.time == "overcast"
    gloomy = look.time == "overcast" or look.weather in ("rain", "snowfall", "fog")
    if light.night and look.time == "night" and look.weather in ("clear", "clouds"):
        color = stars(scene, color)
    if scene.disc and not gloomy:
        halo = np.exp(-np.maximum(away - scene.disc, 0) / (0.16 if look.time != "night" else 0.09))
        if canvas.texture == 0.0:
            halo = np.ceil(halo * 4 - 0.35) / 4
        color = mix(color, light.disc, np.clip(halo * light.glow, 0, 0.85))
        soft = 1.2 / height
        disc = np.clip((scene.disc - away) / soft + 0.5, 0, 1)
        face = vec(light.disc)
        if look.time == "night" and canvas.texture:
            spots = field(rng_of(scene.seed, 3), height, width, 24, 24 * aspect, 2)
            face = vec(light.disc) * (1 - 0.07 * smoothstep(0.1, 0.9, spots))[..., None]
        color = mix(color, face, disc)
    if cloudy:
        color = clouds(scene, canvas, color, gloomy)
    elif scene.seed % 2 == 0:
        color = clouds(scene, canvas, color, False, amount=-0.55)
    if look.weather in ("fog", "rain", "snowfall"):
        color = mix(color, light.haze, 0.55 if look.weather == "fog" else 0.3)
        if look.time != "night":
            grey = color.mean(axis=-1, keepdims=True)
            color = grey + (color - grey) * 0.7
    canvas.color[:] = color


def dot(color: np.ndarray, x: float, y: float, radius: float, ink: np.ndarray | Color, part: float) -> None:
    """A soft dot of `ink` at pixel (x, y), mixed into `color` in place."""
    height, width = color.shape[:2]
    rows = np.arange(max(int(y - radius - 1), 0), min(int(y + radius + 2), height))
    cols = np.arange(max(int(x - radius - 1), 0), min(int(x + radius + 2), width))
    if len(rows) and len(cols):
        away = np.hypot(rows[:, None] + 0.5 - y, cols[None, :] + 0.5 - x)
        window = (slice(rows[0], rows[-1] + 1), slice(cols[0], cols[-1] + 1))
        color[window] = mix(color[window], ink, np.clip(radius - away + 0.45, 0, 1) * part)


def stars(scene: Scene, color: np.ndarray) -> np.ndarray:
    """Stars as soft dots, the same ones at every size."""
    height, width = color.shape[:2]
    rng = rng_of(scene.seed, 2)
    color = color.copy()
    for x, y, bright, big in zip(*rng.random((4, 70)), strict=True):
        radius = (0.9 + 1.5 * big * big) * height / 256
        dot(
            color,
            x * width,
            y * scene.horizon * height * 0.95,
            radius,
            (1.0, 0.98, 0.9),
            0.45 + 0.55 * bright,
        )
    return color


def clouds(scene: Scene, canvas: Canvas, color: np.ndarray, gloomy: bool, amount: float = 0.0) -> np.ndarray:
    """Clouds from fractal noise, lit from above, flatter toward the horizon."""
    height, width = canvas.depth.shape
    light = canvas.light
    aspect = width / height
    noise = field(rng_of(scene.seed, 4), height, width, 7, 2.6 * aspect, 5)
    lifted = np.roll(noise, -max(2, height // 32), axis=0)
    bias = 0.35 if gloomy else -0.1
    density = noise + bias + amount
    if canvas.texture == 0.0:
        cover = np.clip((density - 0.25) * 22, 0, 1) * 0.9
        face = vec(light.cloud) * np.ones_like(color)
    else:
        cover = smoothstep(0.0, 0.85, density) * (0.95 if not gloomy else 0.9)
        face = mix(
            np.broadcast_to(vec(light.cloud), color.shape),
            light.cloud_shade,
            smoothstep(-0.35, 0.6, lifted - noise * 0.35 + 0.12),
        )
    ys = np.linspace(0, 1, height, dtype=np.float32)[:, None] / scene.horizon
    cover = cover * np.clip((1.02 - ys) * 4, 0, 1)
    return mix(color, face, cover)


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


def hills(scene: Scene, canvas: Canvas, tag: int, base: float, tall: float, depth: float, far_depth: float) -> None:
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


def place_subject(scene: Scene, canvas: Canvas, subject: Subject, main: bool) -> None:
    """Draw one subject with its contact shadow or reflection."""
    height, width = canvas.depth.shape
    sprite = draw_subject_sprite(subject, scene.seed, width, height, scene.look.season, canvas.left_lit)
    below = min(max((subject.y - scene.horizon) / (1 - scene.horizon), 0.0), 1.0)
    depth = 0.5 * (1 - below) ** 1.5 + 0.01 if subject.kind not in ("balloon", "birds") else 0.22
    if subject.kind == "sailboat":
        reflect(canvas, sprite, round(subject.y * height))
    elif subject.kind not in ("balloon", "birds") and canvas.light.glow:
        shadow(canvas, sprite)
    window, part = clip_window(sprite, height, width)
    if window is None:
        return
    albedo, cover, lamp = sprite.albedo[part], sprite.cover[part], sprite.lamp[part]
    color = lit(canvas, albedo, 0.85, depth * 0.8)
    canvas.put(cover, mix(color, (1.0, 0.80, 0.38), lamp * min(canvas.light.night * 1.3, 1.0)), depth, window)
    seen = np.round(cover * 255).astype(np.uint8)
    canvas.subject[window] = (
        np.maximum(canvas.subject[window], seen) if main else np.minimum(canvas.subject[window], 255 - seen)
    )
    if canvas.light.night > 0.3 and lamp.any():
        glow(canvas, sprite)


def clip_window(sprite: Sprite, height: int, width: int) -> tuple[tuple[slice, slice] | None, tuple[slice, slice]]:
    """Where a sprite meets the picture: the picture's window (None: nowhere) and the part of the sprite."""
    h, w = sprite.cover.shape
    top, left, low, right = (
        max(sprite.top, 0),
        max(sprite.left, 0),
        min(sprite.top + h, height),
        min(sprite.left + w, width),
    )
    part = (slice(top - sprite.top, low - sprite.top), slice(left - sprite.left, right - sprite.left))
    return (None, part) if top >= low or left >= right else ((slice(top, low), slice(left, right)), part)


def shadow(canvas: Canvas, sprite: Sprite) -> None:
    """A soft flat shadow at the foot, thrown away from the sun."""
    height, width = canvas.depth.shape
    h, w = sprite.cover.shape
    ys, xs = rows_cols(canvas)
    shift = (0.28 if canvas.left_lit else -0.28) * w
    cy, cx = sprite.top + h - 0.01 * h, sprite.left + w / 2 + shift
    away = np.hypot((xs * width - cx) / (0.62 * w), (ys * height - cy) / (0.055 * h + 1.5))
    canvas.color *= (1 - 0.42 * smoothstep(0.0, 0.75, 1.25 - away))[..., None]


def reflect(canvas: Canvas, sprite: Sprite, foot: int) -> None:
    """The sprite upside down in the water below its foot, paler and broken by ripples."""
    height, width = canvas.depth.shape
    h = round(sprite.cover.shape[0] * 0.7)
    rows = np.round(np.linspace(sprite.cover.shape[0] - 1, 0, h)).astype(np.int32)
    swing = np.round(np.sin(np.arange(h) * 2.1 * 256 / height) * 1.6 * height / 256 * canvas.texture).astype(np.int32)
    cols = np.clip(np.arange(sprite.cover.shape[1])[None, :] + swing[:, None], 0, sprite.cover.shape[1] - 1)
    fade = np.linspace(0.62, 0.12, h, dtype=np.float32)[:, None]
    mirrored = Sprite(
        sprite.albedo[rows[:, None], cols],
        sprite.cover[rows[:, None], cols] * fade,
        sprite.lamp,
        foot,
        sprite.left,
    )
    window, part = clip_window(mirrored, height, width)
    if window is not None:
        color = lit(canvas, mirrored.albedo[part] * 0.8, 0.6, 0.1)
        canvas.color[window] = mix(canvas.color[window], color, mirrored.cover[part])


def glow(canvas: Canvas, sprite: Sprite) -> None:
    """Warm light around lamps in the dark."""
    height, width = canvas.depth.shape
    window, part = clip_window(sprite, height, width)
    if window is None:
        return
    lamp = np.zeros((height, width), np.float32)
    lamp[window] = sprite.lamp[part]
    halo = blur(lamp, height / 28)
    canvas.color += (halo * 0.75 * canvas.light.night)[..., None] * vec((1.0, 0.66, 0.28))


def weather(scene: Scene, canvas: Canvas) -> None:
    """What falls from the sky, drawn over everything."""
    height, width = canvas.depth.shape
    look = scene.look
    if look.weather not in ("rain", "snowfall"):
        return
    ys, xs = rows_cols(canvas)
    rng = rng_of(scene.seed, 40)
    aspect = width / height
    if look.weather == "rain":
        grid = rng.random((24, 256), dtype=np.float32)
        u = ((xs * aspect + ys * 0.22) * 86 + 0 * ys).astype(np.int32)
        v = ((ys * 7 + rng.random(256, dtype=np.float32)[u & 255]).astype(np.int32)) % 24
        streak = (grid[v, u & 255] > 0.84) * 0.36
        canvas.color[:] = mix(canvas.color, vec(canvas.light.haze) * 0.6 + 0.4 * vec((0.8, 0.85, 0.9)), streak)
        return
    bright = 0.95 if canvas.light.night < 1 else 0.75
    for x, y, r in zip(*rng.random((3, 130)), strict=True):
        dot(
            canvas.color,
            x * width,
            y * height,
            (0.8 + 2.2 * r * r) * height / 256,
            (bright, bright, bright),
            0.9,
        )


def paint(scene: Scene, width: int, height: int) -> Canvas:
    """Paint a scene in its own light, without its drawing style. Colours come out in 0..1."""
    canvas = Canvas(
        color=np.zeros((height, width, 3), np.float32),
        depth=np.full((height, width), SKY_DEPTH, np.float32),
        region=np.zeros((height, width), np.int16),
        subject=np.zeros((height, width), np.uint8),
        light=LIGHTS[scene.look.time],
        look=scene.look,
        texture=0.0 if scene.look.style in ("flat", "pixel") else 1.0,
        left_lit=scene.disc_x < 0.5,
    )
    sky(scene, canvas)
    tall = {"mountains": 0.36, "lake": 0.28, "sea": 0.16}.get(scene.ground, 0.22)
    if scene.far == "mountains":
        if scene.ground == "mountains":
            mountains(scene, canvas, 10, scene.horizon + 0.02, tall * 1.05, 0.88)
        mountains(scene, canvas, 11, scene.horizon + 0.03, tall * 0.72, 0.72)
    elif scene.far == "hills":
        hills(scene, canvas, 12, scene.horizon + 0.02, 0.15, 0.70, far_depth=0.80)
    if scene.ground in ("sea", "lake"):
        if scene.ground == "lake":
            hills(scene, canvas, 13, scene.horizon + 0.01, 0.07, 0.60, far_depth=0.64)
        water(scene, canvas)
        if scene.shore < 0.96:
            plain(scene, canvas, scene.shore)
    else:
        hills(scene, canvas, 14, scene.horizon + 0.05, 0.09, 0.50, far_depth=0.56)
        plain(scene, canvas, scene.horizon + 0.055)
    order = [(s, False) for s in scene.extras] + ([(scene.subject, True)] if scene.subject else [])
    for subject, main in sorted(order, key=lambda pair: pair[0].y):
        place_subject(scene, canvas, subject, main)
    weather(scene, canvas)
    np.clip(canvas.color, 0, 1, out=canvas.color)
    return canvas
