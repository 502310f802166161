"""What a training step sees: pairs (same layout, other look), things put into their place, and windows of cached
latents, with captions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
from transformers import CLIPTokenizer

from pentimento.demo.captions import caption, disc_words, look_caption, subject_phrase, unlike, unusual
from pentimento.demo.data import LOOKS, group_scenes, posed, thing_scenes
from pentimento.demo.scene import Scene
from pentimento.demo.styles import TILE
from pentimento.demo.subjects import PAINTERS
from pentimento.demo.text import LENGTH

GRID: Final = TILE // 4
"""Windows lie at multiples of so many latents, so that hatching, dabs and pixels keep to theirs."""
ZOOMS: Final = (64, 96)
"""Sides in latents at which the pictures of things are kept; windows of 64 are seen."""


class Latents(NamedTuple):
    """The cached latents of a training set, memory-mapped float16."""

    groups: np.ndarray
    """(N, LOOKS, 4, side, side): layouts in their looks."""
    things: tuple[np.ndarray, ...] = ()
    """(N, 2, 4, side, side) each: pictures with a thing and the same without it, one array for each of `ZOOMS`."""

    @classmethod
    def opened(cls, folder: Path, side: int) -> Latents:
        """Those of pictures of `side` pixels that were encoded in a training folder."""
        near = [folder / f"things-{zoom}.npy" for zoom in ZOOMS]
        whole = side // 4 == min(ZOOMS)
        things = tuple(np.load(path, mmap_mode="r") for path in near if whole and path.exists())
        return cls(np.load(folder / f"latents-{side}.npy", mmap_mode="r"), things)


EVERY: Final = (0, 1000)
"""All timesteps."""
RESTYLED: Final = (200, 850)
"""Those at which another look of the same layout is aimed at: below, what is left to do is the look itself; above, the
layout can hardly be read."""
SELECTED: Final = 0.35
"""Share of pairs that show their look in one place alone, as midway of sampling in a selection."""
COLLAGES: Final = 0.15
"""Share of pairs that are one picture of two looks, with no caption.

Guidance goes away from what the model sees without a caption. Were that the surroundings of a selection all over, a
night in a day would be driven to black.
"""
EASY: Final = 0.45
"""Share that is kept of posed layouts without mountains: peaks take longest to learn."""
HIDDEN: Final = (200, 1000)
"""Those at which a thing is put into a place that lacks it."""
SURROUNDED: Final = (200, 930)
"""Those of them at which its surroundings can be made out: above, a caption that does not tell the light and the style
would ask for a mean of them all."""
FOREIGN: Final = 0.6
"""Share of hidden things whose place is begun as that of another picture.

Sampling begins it as a guess that does not belong there. Only this tells how far the place goes: a place that is begun
as it is without the thing cannot be told from its surroundings, and things grow until the selection cuts them off.
"""
EMPTIED: Final = 0.15
"""Share of hidden places to which nothing but their surroundings belongs."""


class Sample(NamedTuple):
    """One thing to learn; pictures are latents (4, h, w)."""

    source: np.ndarray
    """What img2img would start from; the target itself for plain samples."""
    target: np.ndarray
    """What the caption asks for."""
    part: np.ndarray
    """(h, w): where the target is to be seen already, 0 the source .. 1 the target."""
    words: str
    span: tuple[int, int] = EVERY
    """The timesteps at which it is learnt, the first and the one after the last."""


class Batch(NamedTuple):
    """What a step trains on: samples stacked."""

    source: torch.Tensor
    target: torch.Tensor
    part: torch.Tensor
    """(N, 1, h, w)"""
    tokens: torch.Tensor
    span: torch.Tensor
    """(N, 2) int64"""


@dataclass(frozen=True)
class Mix:
    """How often things happen in a batch."""

    pairs: float = 0.4
    """Samples whose source is another look of the target's layout: what img2img asks for."""
    patches: float = 0.25
    """Samples that lack their thing in one place only: what inpainting asks for."""
    near: float = 0.1
    """Samples of things and their names, often from near."""
    short: float = 0.2
    empty: float = 0.10
    crops: float = 0.0


class Spot(NamedTuple):
    """A thing in a scene; places and lengths are fractions of the picture's side."""

    x: float
    y: float
    reach: float
    """Radius of a circle about it that holds it whole: a house's corners, most of the moon's glow."""
    words: str


def spots(scene: Scene, rng: np.random.Generator) -> list[Spot]:
    """What can be asked for in one place: the main subject, the sun or the moon."""
    found = []
    if scene.subject:
        thing = scene.subject
        _, half_width = PAINTERS[thing.kind]
        reach = thing.size * float(np.hypot(half_width, 0.5))
        found.append(Spot(thing.x, thing.y - thing.size / 2, reach, subject_phrase(rng, thing, unusual(scene))))
    if words := disc_words(scene):
        found.append(Spot(scene.disc_x, scene.disc_y, 2.1 * scene.disc, str(rng.choice(words))))
    return found


def patch(rng: np.random.Generator, side: int, spot: Spot) -> np.ndarray:
    """A soft ellipse (side, side) float32 about a spot, 0 inside, 1 outside.

    All of the thing lies inside, about its middle: one that met the edge would teach that what is asked for in a place
    is cut off by it, and one that could lie anywhere would be learnt as a blur.
    """
    rows, cols = (np.mgrid[0:side, 0:side] + 0.5) / side
    room = spot.reach * rng.uniform(1.1, 1.4)
    tall, wide = room * rng.uniform(1.0, 1.15, 2)
    y, x = np.array((spot.y, spot.x)) + 0.4 * (room - spot.reach) * rng.uniform(-1, 1, 2)
    away = (np.hypot((rows - y) / tall, (cols - x) / wide) - 1) * min(tall, wide) * side
    return np.clip(away / 2 + 0.5, 0, 1).astype(np.float32)


def mixed(rng: np.random.Generator, side: int) -> np.ndarray:
    """How much of the target is to be seen (side, side) float32: nothing yet, or evenly some, as midway of sampling."""
    return np.full((side, side), 0.0 if rng.random() < 0.35 else rng.random(), np.float32)


def selection(rng: np.random.Generator, side: int) -> np.ndarray:
    """A soft ellipse (side, side) float32 anywhere, 0 inside, 1 outside, where sampling keeps the source."""
    x, y, reach = rng.uniform((0.2, 0.2, 0.2), (0.8, 0.8, 0.44))
    return patch(rng, side, Spot(x, y, reach, ""))


def draw_layout(latents: np.ndarray, rng: np.random.Generator, window: int, mix: Mix, pair: bool) -> Sample:
    """A layout as it is, or a `pair`: begun in another look. Below the whole side it is a window of it.

    Whole ones that are learnt as they are, as text to image wants them, are posed. Some pairs show their look in one
    place alone, and some are one picture of two looks, told by no caption.
    """
    group, want, have = int(rng.integers(len(latents))), int(rng.integers(LOOKS)), int(rng.integers(LOOKS))
    if not pair:
        have = want
        while window == latents.shape[-1] and not drawn_from(group, rng):
            group = int(rng.integers(len(latents)))
    scenes = group_scenes(group)
    told = unlike(scenes[want].look, scenes[have].look)
    side = latents.shape[-1]
    y, x = rng.integers(0, (side - window) // GRID + 1, 2) * GRID
    at = (slice(None), slice(y, y + window), slice(x, x + window))
    if window == side and not pair:
        words = whole_words(scenes[want], rng, mix)
    elif window == side:
        words = caption(scenes[want], rng, mix.short, mix.empty, told)
    else:
        words = look_caption(scenes[want], rng, mix.empty, told)
    source, target = latents[group, have][at], latents[group, want][at]
    lot = rng.random() if pair else 1.0
    if lot < COLLAGES:
        both = target + (source - target) * selection(rng, window)
        return Sample(both, both, mixed(rng, window), "", RESTYLED)
    part = mixed(rng, window)
    if lot < COLLAGES + SELECTED:
        part *= 1 - selection(rng, window)
    return Sample(source, target, part, words, RESTYLED if pair else EVERY)


def drawn_from(group: int, rng: np.random.Generator) -> bool:
    """Whether a layout is taken for what is drawn from words alone: posed ones are, the easy ones less often."""
    return posed(group) and (group_scenes(group)[0].far == "mountains" or rng.random() < EASY)


def whole_words(scene: Scene, rng: np.random.Generator, mix: Mix) -> str:
    """A caption of a picture that is drawn from words alone: nearly always they tell whatever is not as usual in it.

    Where they do not, the model learns a mean of all looks; "a house" is to be one by day, and no mist.
    """
    if rng.random() < mix.empty:
        return ""
    return caption(scene, rng, mix.short) if rng.random() < 0.2 else caption(scene, rng, 0.0, told=unusual(scene))


def draw_thing(zooms: tuple[np.ndarray, ...], rng: np.random.Generator, window: int, mix: Mix, hidden: bool) -> Sample:
    """A thing from far or near, whole and named; `hidden`: its place is begun without it, or with something else."""
    zoom = zooms[int(rng.integers(len(zooms)))]
    number, side = int(rng.integers(len(zoom))), zoom.shape[-1]
    scene, _ = thing_scenes(number)
    named = spots(scene, rng)
    spot = named[int(rng.integers(len(named)))]
    room = side - window
    left, top = (
        int(np.clip(round((at + rng.uniform(-0.2, 0.2) * window / side) * side - window / 2), 0, room) // GRID * GRID)
        for at in (spot.x, spot.y)
    )
    at = (slice(None), slice(top, top + window), slice(left, left + window))
    spot = Spot((spot.x * side - left) / window, (spot.y * side - top) / window, spot.reach * side / window, spot.words)
    target, (words, span) = zoom[number, 0][at], thing_words(scene, spot.words, rng, mix)
    if not hidden:
        return Sample(target, target, mixed(rng, window), words)
    part = np.maximum(mixed(rng, window), patch(rng, window, spot))
    other = int(rng.integers(len(zoom))) if rng.random() < FOREIGN else number
    return Sample(zoom[other, 1][at], target, part, words, span)


def draw_place(zooms: tuple[np.ndarray, ...], rng: np.random.Generator, window: int, mix: Mix) -> Sample:
    """A place begun as that of another picture, to which nothing but its surroundings belongs."""
    zoom = zooms[int(rng.integers(len(zooms)))]
    number, other = rng.integers(len(zoom), size=2)
    top, left = rng.integers(0, (zoom.shape[-1] - window) // GRID + 1, 2) * GRID
    at = (1, slice(None), slice(top, top + window), slice(left, left + window))
    scene = thing_scenes(int(number))[1]
    words = "" if rng.random() < mix.empty else caption(scene, rng, 0.0, told=unusual(scene))
    part = np.maximum(mixed(rng, window), selection(rng, window))
    return Sample(zoom[other][at], zoom[number][at], part, words, HIDDEN)


def thing_words(scene: Scene, name: str, rng: np.random.Generator, mix: Mix) -> tuple[str, tuple[int, int]]:
    """A caption that names the thing (alone, with the look, or with all the rest), and the timesteps at which it can
    be told from this where nothing is there yet."""
    lot = rng.random()
    if lot < mix.empty / 2:
        return "", SURROUNDED
    if lot < 0.5:
        implied = {"color", "time"} if "moon" in name else {"color"}
        return name, SURROUNDED if unusual(scene) - implied else HIDDEN
    if lot < 0.75:
        return f"{name}, {look_caption(scene, rng, 0.0, unusual(scene) | {'time'})}", HIDDEN
    return caption(scene, rng, 0.0, told=unusual(scene)), HIDDEN


def draw_sample(latents: Latents, rng: np.random.Generator, window: int, mix: Mix) -> Sample:
    """A sample of `window` x `window` latents."""
    lot = rng.random()
    whole = latents.groups.shape[-1] == window
    if latents.things and whole and mix.pairs <= lot < mix.pairs + mix.patches + mix.near:
        hidden = lot < mix.pairs + mix.patches
        if hidden and rng.random() < EMPTIED:
            return draw_place(latents.things, rng, window, mix)
        return draw_thing(latents.things, rng, window, mix, hidden)
    return draw_layout(latents.groups, rng, window, mix, lot < mix.pairs)


def draw_batch(latents: Latents, tokenizer: CLIPTokenizer, rng: np.random.Generator, size: int, mix: Mix) -> Batch:
    """A random batch from cached latents, with captions made up on the spot.

    With probability `mix.crops` it is 4 times as many windows of half the side, or 16 times as many of a quarter,
    captioned with their look alone: they teach what a style looks like from near at a fraction of the price.
    """
    divided = int(rng.integers(1, 3)) * 2 if rng.random() < mix.crops else 1
    window = latents.groups.shape[-1] // divided
    drawn = [draw_sample(latents, rng, window, mix) for _ in range(size * divided**2)]
    sources, targets, parts, texts, spans = zip(*drawn, strict=True)
    tokens = tokenizer(
        list(texts), padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"
    ).input_ids
    source, target, part = (torch.from_numpy(np.stack(x)).float() for x in (sources, targets, parts))
    return Batch(source, target, part[:, None], tokens, torch.tensor(spans))
