"""The sky with its clouds, sun, moon and stars, and what falls from it."""

from __future__ import annotations

import numpy as np

from pentimento.demo.canvas import Canvas, dot, rows_cols
from pentimento.demo.light import mix, saturated, vec
from pentimento.demo.noise import rng_of, scattered
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
        color = mix(color, light.disc, disc)
    if cloudy:
        color = overcast(scene, canvas, color) if gloomy else clouds(scene, canvas, color)
    if look.weather in ("fog", "rain", "snowfall"):
        color = mix(color, light.haze, 0.55 if look.weather == "fog" else 0.3)
        if look.time != "night":
            color = saturated(color, 0.7)
    canvas.color[:] = color


def stars(scene: Scene, color: np.ndarray) -> np.ndarray:
    """Stars as soft dots: the same ones in every sky."""
    height, width = color.shape[:2]
    color = color.copy()
    for x, y, big in scattered(2, 34, width / height):
        radius = (1.0 + 1.5 * big * big) * height / 256
        dot(color, x * height, y * scene.horizon * height * 0.85, radius, (1.0, 0.98, 0.9), 0.6 + 0.4 * big)
    return color


def clouds(scene: Scene, canvas: Canvas, color: np.ndarray) -> np.ndarray:
    """A few heaped clouds with flat undersides."""
    height, width = canvas.depth.shape
    light = canvas.light
    ys, xs = rows_cols(canvas)
    rng = rng_of(scene.seed, 4)
    aspect = width / height
    count = max(2, round(3 * aspect))
    for k in range(count):
        x = aspect * (k + 0.5 + rng.uniform(-0.3, 0.3)) / count
        y = rng.uniform(0.14, 0.6) * scene.horizon
        size = rng.uniform(0.09, 0.14)
        away = np.full((height, width), 9.0, np.float32)
        for dx, r in ((-1.0, 0.5), (-0.35, 0.8), (0.4, 0.7), (1.0, 0.42)):
            away = np.minimum(away, np.hypot(xs * aspect - x - dx * size, ys - y) - r * size)
        away = np.maximum(away, ys - y - 0.12 * size)
        cover = np.clip(0.5 - away * height / 3, 0, 1)
        shade = np.clip((ys - y) / size + 0.55, 0, 1) * (1.0 if canvas.texture else 0.0)
        face = mix(np.broadcast_to(vec(light.cloud), color.shape), light.cloud_shade, shade * np.ones_like(cover))
        color = mix(color, face, cover * 0.95)
    return color


def overcast(scene: Scene, canvas: Canvas, color: np.ndarray) -> np.ndarray:
    """A closed ceiling: soft bars of grey from side to side."""
    ys, xs = rows_cols(canvas)
    aspect = canvas.depth.shape[1] / canvas.depth.shape[0]
    place = ys / scene.horizon
    bars = 0.5 + 0.5 * np.sin(2 * np.pi * (2.6 * place**0.8 + 0.09 * np.sin(2 * np.pi * 0.8 * xs * aspect)))
    if canvas.texture == 0.0:
        bars = (bars > 0.5) * 1.0
    face = mix(np.broadcast_to(vec(canvas.light.cloud), color.shape), canvas.light.cloud_shade, 0.8 * bars)
    return mix(color, face, np.clip((1.05 - place) * 3, 0, 1) * 0.85 * np.ones_like(bars))


def weather(scene: Scene, canvas: Canvas) -> None:
    """What falls from the sky, drawn over everything: the same drops and flakes in every picture."""
    height, width = canvas.depth.shape
    look = scene.look
    if look.weather == "rain":
        ys, xs = np.arange(height)[:, None] * 256 / height, np.arange(width)[None, :] * 256 / height
        column, along = np.divmod(xs + 0.25 * ys, 16)
        streak = (along < 2.0) * ((ys + 21 * column) % 64 < 24) * 0.45
        canvas.color[:] = mix(canvas.color, vec(canvas.light.haze) * 0.5 + 0.5 * vec((0.85, 0.9, 0.95)), streak)
    elif look.weather == "snowfall":
        bright = 0.97 if canvas.light.night < 1 else 0.8
        for x, y, big in scattered(40, 70, width / height):
            dot(canvas.color, x * height, y * height, (1.4 + 1.8 * big) * height / 256, (bright, bright, bright), 0.95)
