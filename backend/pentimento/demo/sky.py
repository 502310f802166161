"""The sky with its clouds, sun, moon and stars, and what falls from it."""

from __future__ import annotations

import numpy as np

from pentimento.demo.canvas import Canvas, dot, rows_cols
from pentimento.demo.light import mix, vec
from pentimento.demo.noise import field, rng_of, smoothstep
from pentimento.demo.scene import Scene


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
