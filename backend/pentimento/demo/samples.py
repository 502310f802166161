"""What a training step sees: pairs (same layout, other look), patches and windows of cached latents, with captions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from transformers import CLIPTokenizer

from pentimento.demo.captions import caption, disc_words, look_caption, subject_phrase
from pentimento.demo.data import LOOKS, group_scenes
from pentimento.demo.scene import Scene
from pentimento.demo.text import LENGTH


class Batch(NamedTuple):
    """What a step trains on; all pictures are latents (N, 4, h, w)."""

    source: torch.Tensor
    """What img2img would start from; the target itself for plain samples."""
    target: torch.Tensor
    """What the caption asks for."""
    part: torch.Tensor
    """(N, 1, h, w): where the target is to be seen already, 0 the source .. 1 the target."""
    tokens: torch.Tensor
    paired: torch.Tensor
    """(N,) bool: whether source and target differ."""


@dataclass(frozen=True)
class Mix:
    """How often things happen in a batch."""

    pairs: float = 0.5
    """Samples whose source is another look of the target's layout: what img2img asks for."""
    patches: float = 0.2
    """Samples that are to be changed in one place only: what inpainting asks for."""
    things: float = 0.8
    """Share of those places that lie about a thing the caption names."""
    short: float = 0.5
    empty: float = 0.10
    crops: float = 0.0


class Spot(NamedTuple):
    """A thing in a scene; places and lengths are fractions of the picture's side."""

    x: float
    y: float
    reach: float
    """Radius of a circle about it that holds it whole, or nearly so."""
    words: str


def spots(scene: Scene, rng: np.random.Generator) -> list[Spot]:
    """What can be asked for in one place: the main subject, the sun or the moon."""
    found = []
    if scene.subject:
        thing = scene.subject
        found.append(Spot(thing.x, thing.y - thing.size / 2, 0.7 * thing.size, subject_phrase(rng, thing)))
    if words := disc_words(scene):
        found.append(Spot(scene.disc_x, scene.disc_y, 1.3 * scene.disc, str(rng.choice(words))))
    return found


def patch(rng: np.random.Generator, side: int, spot: Spot | None = None) -> np.ndarray:
    """A soft ellipse (side, side) float32, 0 inside, 1 outside: about a spot, or anywhere."""
    rows, cols = (np.mgrid[0:side, 0:side] + 0.5) / side
    if spot:
        room = spot.reach * rng.uniform(0.9, 1.6) + 0.1 * rng.random()
        tall, wide = room * rng.uniform(0.9, 1.15, 2)
        y, x = np.array((spot.y, spot.x)) + 0.3 * room * rng.uniform(-1, 1, 2)
    else:
        (y, x), (tall, wide) = rng.uniform(0.2, 0.8, 2), rng.uniform(0.14, 0.38, 2)
    away = (np.hypot((rows - y) / tall, (cols - x) / wide) - 1) * min(tall, wide) * side
    return np.clip(away / 2 + 0.5, 0, 1).astype(np.float32)


def draw_sample(
    latents: np.ndarray, rng: np.random.Generator, window: int, mix: Mix
) -> tuple[np.ndarray, np.ndarray, np.ndarray, str, bool]:
    """One sample of `window` x `window` latents: source, target, part, caption and whether source and target differ."""
    group = int(rng.integers(len(latents)))
    scenes = group_scenes(group)
    side, whole = latents.shape[-1], latents.shape[-1] == window
    want, have, origin = int(rng.integers(LOOKS)), int(rng.integers(LOOKS)), group
    kind = rng.random()
    part = np.full((window, window), 0.0 if rng.random() < 0.35 else rng.random(), np.float32)
    pair, patched = kind < mix.pairs, mix.pairs <= kind < mix.pairs + mix.patches
    spot = None
    if patched:
        named = spots(scenes[want], rng) if whole and rng.random() < mix.things else []
        # The sky's is the last: few looks have one, so it is taken twice as often as the subject.
        spot = named[-1 if rng.random() < 2 / 3 else 0] if named else None
        part = np.maximum(part * (rng.random() < 0.5), patch(rng, window, spot))
        origin = group if rng.random() < 0.5 and not spot else int(rng.integers(len(latents)))
    elif not pair:
        have = want
    new, old = scenes[want].look, scenes[have].look
    changed = frozenset(n for n in ("time", "season", "weather", "style") if getattr(new, n) != getattr(old, n))
    told = changed if pair else frozenset()
    # Even places, so that the blocks of pixel art keep to the grid.
    y, x = rng.integers(0, (side - window) // 2 + 1, 2) * 2
    at = (slice(None), slice(y, y + window), slice(x, x + window))
    if spot and rng.random() < 0.7:
        words = spot.words
    elif whole:
        words = caption(scenes[want], rng, mix.short, mix.empty, told)
    else:
        words = look_caption(scenes[want], rng, mix.empty, told)
    return latents[origin, have][at], latents[group, want][at], part, words, patched or bool(told)


def draw_batch(latents: np.ndarray, tokenizer: CLIPTokenizer, rng: np.random.Generator, size: int, mix: Mix) -> Batch:
    """A random batch from cached latents, with captions made up on the spot.

    With probability `mix.crops` it is 4 times as many windows of half the side, or 16 times as many of a quarter,
    captioned with their look alone: they teach what a style looks like from near at a fraction of the price.
    """
    divided = int(rng.integers(1, 3)) * 2 if rng.random() < mix.crops else 1
    window = latents.shape[-1] // divided
    drawn = [draw_sample(latents, rng, window, mix) for _ in range(size * divided**2)]
    sources, targets, parts, texts, paired = zip(*drawn, strict=True)
    tokens = tokenizer(
        list(texts), padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"
    ).input_ids
    source, target, part = (torch.from_numpy(np.stack(x)).float() for x in (sources, targets, parts))
    return Batch(source, target, part[:, None], tokens, torch.tensor(paired))
