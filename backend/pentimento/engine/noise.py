"""The noise that pictures begin with, drawn on the CPU from seeds alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import torch

PARALLEL: Final = 0.9995
"""From this cosine up two noises count as parallel: between them an arc is no different from a line."""


class Seed(NamedTuple):
    """Where one picture's noise comes from: that of `seed`, turned by `strength` (0..1) towards that of `variation`."""

    seed: int
    variation: int = 0
    strength: float = 0.0


def noise_for(seeds: Sequence[Seed], shape: tuple[int, ...]) -> tuple[torch.Tensor, list[torch.Generator]]:
    """Standard normal noise [n, *shape] in float32, drawn on the CPU from one generator per seed, and the generators.

    So picture k of a batch gets the noise that its seed alone gives, on any device; stochastic samplers go on drawing
    from the same generators, a variation's too: the variation seed gives what the picture begins with and no more.
    """
    generators = [torch.Generator("cpu").manual_seed(seed.seed) for seed in seeds]
    noises = [torch.randn(shape, generator=generator) for generator in generators]
    for k, seed in enumerate(seeds):
        if seed.strength > 0:
            other = torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed.variation))
            noises[k] = slerp(noises[k], other, seed.strength)
    return torch.stack(noises), generators


def slerp(low: torch.Tensor, high: torch.Tensor, way: float) -> torch.Tensor:
    """From `low` (way 0) to `high` (way 1) along the arc between them, each end exact.

    Shoemake, "Animating rotation with quaternion curves", SIGGRAPH 1985: sin((1 - way) w) / sin w * low
    + sin(way w) / sin w * high, with w the angle between them as vectors. Unlike a line it passes through noise that is
    as strong as that at its ends.
    """
    if way in (0.0, 1.0):
        return high if way else low
    one, other = low.double(), high.double()
    cosine = (one * other).sum() / (one.norm() * other.norm())
    if cosine > PARALLEL:
        return torch.lerp(low, high, way)
    angle = torch.acos(cosine)
    mixed = torch.sin((1 - way) * angle) * one + torch.sin(way * angle) * other
    return (mixed / torch.sin(angle)).to(low.dtype)
