"""The training set: renders that share a layout in several looks, and things seen from near beside the same place
without them. Both lie on disk as memory-mapped arrays."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import count
from pathlib import Path
from typing import Final

import numpy as np

from pentimento.demo.captions import disc_words
from pentimento.demo.render import other_look, render_scene
from pentimento.demo.scene import Scene, draw_scene, posed_scene

LOOKS: Final = 6
"""Pictures per layout."""
SIZE: Final = 256
NEAR: Final = 384
"""Side of the pictures of things: windows of `SIZE` in them show a thing from nearer than the whole picture does."""
NEAR_SEEDS: Final = 5_000_000
"""Seeds from here on are those of things."""
HELD_OUT: Final = 10_000_000
"""Seeds from here on are never trained on."""


def posed(seed: int) -> bool:
    """Whether a layout of the training set is one of the posed ones: three of eight are."""
    return seed % 8 < 3 and seed < HELD_OUT


@lru_cache(maxsize=20_000)
def group_scenes(seed: int) -> tuple[Scene, ...]:
    """The scenes of one layout: the first is a photo, the others change its light, season or style."""
    rng = np.random.default_rng([seed, 70])
    base = (posed_scene if posed(seed) else draw_scene)(seed).with_look(style="photo")
    return (base, *(other_look(base, rng) for _ in range(LOOKS - 1)))


@lru_cache(maxsize=20_000)
def thing_scenes(number: int) -> tuple[Scene, Scene]:
    """A scene with something to name in it, small enough to have surroundings, and the same without it."""
    drawn = (_thing_scene(seed) for seed in count(NEAR_SEEDS + 1000 * number))
    scene = next(s for s in drawn if s.subject or disc_words(s))
    return scene, replace(scene, subject=None, disc=0.0)


def _thing_scene(seed: int) -> Scene:
    scene, rng = draw_scene(seed, smaller=0.8), np.random.default_rng([seed, 71])
    if rng.random() < 0.5:
        scene = scene.with_look(style="photo")
    # The moon would be too rare otherwise: it takes night and a clear sky.
    return scene.with_look(time="night", weather="clear") if rng.random() < 0.25 else scene


def opened(path: Path, shape: tuple[int, ...], dtype: type[np.generic]) -> np.ndarray:
    """The array in a file, made (all zero) where it does not exist yet."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"{path.stem}.{os.getpid()}.npy")
        np.lib.format.open_memmap(temporary, "w+", dtype, shape).flush()
        temporary.rename(path)
    return np.lib.format.open_memmap(path, "r+")


def open_pictures(folder: Path, groups: int) -> np.ndarray:
    """The layouts of a training set: (groups, LOOKS, SIZE, SIZE, 3) uint8."""
    return opened(folder / "pictures.npy", (groups, LOOKS, SIZE, SIZE, 3), np.uint8)


def open_things(folder: Path, things: int) -> np.ndarray:
    """The things of a training set, with and without: (things, 2, NEAR, NEAR, 3) uint8."""
    return opened(folder / "things.npy", (things, 2, NEAR, NEAR, 3), np.uint8)


def render_all(pictures: np.ndarray, scenes: Callable[[int], Sequence[Scene]], part: int, parts: int) -> None:
    """Render every `parts`-th row of an array (rows, pictures, side, side, 3) from `part` on; what is there is kept."""
    side = pictures.shape[2]
    for row in range(part, len(pictures), parts):
        if not pictures[row, -1].any():
            for place, scene in enumerate(scenes(row)):
                pictures[row, place] = render_scene(scene, side, side).picture
