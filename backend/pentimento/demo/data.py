"""The training set: groups of renders that share a layout, kept as one memory-mapped array on disk."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np

from pentimento.demo.render import other_look, render_scene
from pentimento.demo.scene import Scene, draw_scene

LOOKS: Final = 6
"""Pictures per layout."""
SIZE: Final = 256
HELD_OUT: Final = 10_000_000
"""Seeds from here on are never trained on."""


@lru_cache(maxsize=20_000)
def group_scenes(seed: int) -> tuple[Scene, ...]:
    """The scenes of one layout: the first is a photo, the others change its light, season or style."""
    rng = np.random.default_rng([seed, 70])
    base = draw_scene(seed).with_look(style="photo")
    return (base, *(other_look(base, rng) for _ in range(LOOKS - 1)))


def open_pictures(folder: Path, groups: int) -> np.ndarray:
    """The array (groups, LOOKS, SIZE, SIZE, 3) uint8 of a training set, made (all zero) where it does not exist yet."""
    path = folder / "pictures.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f"pictures.{os.getpid()}.npy")
        np.lib.format.open_memmap(temporary, "w+", np.uint8, (groups, LOOKS, SIZE, SIZE, 3)).flush()
        temporary.rename(path)
    return np.lib.format.open_memmap(path, "r+")


def render_groups(folder: Path, groups: int, part: int, parts: int) -> None:
    """Render every `parts`-th group from `part` on; groups that are there already are kept."""
    pictures = open_pictures(folder, groups)
    for group in range(part, min(groups, len(pictures)), parts):
        if not pictures[group, -1].any():
            for look, scene in enumerate(group_scenes(group)):
                pictures[group, look] = render_scene(scene, SIZE, SIZE).picture
