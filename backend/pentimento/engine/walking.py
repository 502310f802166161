"""What a solver walks and what it says on the way. A solver is a generator: it asks for the model's estimate of the
picture at a point, is sent the estimate, and returns where it has come to.

So one solver is one short function, in whatever loop the model is called: diffusers' pipelines call it their own way,
and cancel, preview and soft masks have their place between two questions.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch

from .noise_scales import NoiseScale


class Look(NamedTuple):
    """Asks for the estimate of x0 at latents `x` = x0 + `sigma` e; the question belongs to step `step` (0..)."""

    x: torch.Tensor
    sigma: float
    step: int


class Seen(NamedTuple):
    """The answer: the latents that were looked at, in which px may have been put back, and the estimate of x0 there."""

    x: torch.Tensor
    denoised: torch.Tensor


@dataclass(frozen=True)
class Course:
    """From noise to picture: falling `sigmas` and a last 0, on the model's noise scale; a rise means fresh noise.

    `noise()` draws standard normal noise of the latents' shape, each picture's own.
    """

    sigmas: tuple[float, ...]
    scale: NoiseScale
    noise: Callable[[], torch.Tensor]

    def steps(self) -> Iterator[tuple[int, float, float]]:
        """(step number from 0, its sigma, the next) of every step that falls."""
        falling = (pair for pair in pairwise(self.sigmas) if pair[1] < pair[0])
        for step, (sigma, target) in enumerate(falling):
            yield step, sigma, target


Walk = Generator[Look, Seen, torch.Tensor]
Solver = Callable[[torch.Tensor, Course], Walk]
"""(latents x0 + sigma e at the first sigma, course) -> the questions on the way; returns the latents at the last."""


def toward(x: torch.Tensor, denoised: torch.Tensor, ratio: float) -> torch.Tensor:
    """`x` with its distance from `denoised` scaled by `ratio`; at 0 exactly `denoised`.

    With ratio target/sigma this is the exact solution of the probability flow ODE for an estimate that stays, with its
    square the mean of the reverse SDE's.
    """
    return denoised + ratio * (x - denoised)
