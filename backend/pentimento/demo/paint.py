"""Paints a scene as a lit picture (before any drawing style) together with its depth, regions and subject mask."""

from __future__ import annotations

from typing import Final

import numpy as np

from pentimento.demo.canvas import Canvas, lit, rows_cols
from pentimento.demo.land import hills, mountains, plain, water
from pentimento.demo.light import LIGHTS, mix, vec
from pentimento.demo.noise import blur, smoothstep
from pentimento.demo.scene import Scene, Subject
from pentimento.demo.sky import sky, weather
from pentimento.demo.subjects import Sprite, draw_subject_sprite

SKY_DEPTH: Final = 1.0


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
    if scene.far == "mountains":
        mountains(scene, canvas)
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
