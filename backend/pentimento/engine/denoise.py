"""The one denoising loop: txt2img, img2img and inpaint differ only in where the latents start and what is kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import torch

from .families.family import Told
from .families.registry import family_of, guided_by
from .loaded import LoadedModel
from .noise import Seed, noise_for
from .prompts.guidance import Conditions, guided
from .samplers import Evaluation, Plan
from .walking import Seen

FRACTION_HAIR: Final = 1e-4
"""Slack for comparing a mask value with a noise fraction: a value of 1 is free from the start at strength 1."""


@dataclass(frozen=True)
class Source:
    """What the latents start from and return to.

    `latents` [1 or n, c, h, w]: the encoded source, one for all pictures or for each its own. `selection` [1, 1, h, w]
    in 0..1, or None when everything may change.
    """

    latents: torch.Tensor
    selection: torch.Tensor | None = None


@dataclass(frozen=True)
class Step:
    """The model was asked once more; some samplers do so twice a step.

    `number` of `steps` steps are done, and `share` (0..1) of all there is to ask. `denoised` [n, c, h, w] is the
    picture as the model now sees it.
    """

    number: int
    steps: int
    share: float
    denoised: torch.Tensor


def denoise(
    model: LoadedModel,
    plan: Plan,
    *,
    conditions: Sequence[Conditions],
    told: Told,
    seeds: Sequence[Seed],
    latent_shape: tuple[int, int, int],
    source: Source | None,
    on_step: Callable[[Step], None],
) -> torch.Tensor:
    """Latents [n, c, h, w] (float32, scaled as the model has them), one picture per seed.

    `conditions` are each picture's own, for the plan's steps; `told` is the same for all. Without a source the latents
    start from pure noise, as they do at strength 1. With a selection each latent px of mask value m is held at the
    noised source until the remaining noise fraction falls to m (differential diffusion, Levin and Fried, arXiv
    2306.00950); the noise of the held part is that of the start. `on_step` may raise to stop the loop.
    """
    noise, generators = noise_for(seeds, latent_shape)
    noise = noise.to(model.device)
    keep = None if source is None else _Keep(plan, source, noise)

    def fresh_noise() -> torch.Tensor:
        drawn = [torch.randn(latent_shape, generator=generator) for generator in generators]
        return torch.stack(drawn).to(model.device)

    ask, cfg_scale = family_of(model).ask(model, told), guided_by(model, told.cfg_scale)
    scale, looks = plan.scale, plan.evaluations

    def denoised(x: torch.Tensor, look: Evaluation) -> torch.Tensor:
        """The model's estimate of x0. Latents stay in float32 all the way, whatever the model computes in."""
        seen, timestep = (x / scale.unit(look.sigma)).to(model.dtype), scale.told(look.sigma)
        output = guided(lambda px, embeds: ask(px, timestep, embeds), seen, conditions, cfg_scale, look.step)
        return scale.estimate(output.float(), x, look.sigma)

    walk = plan.sampler.solver(_start(plan, noise, keep), plan.course(fresh_noise))
    x, end = next(walk).x, len(looks)
    for index, look in enumerate(looks):
        x = x if keep is None else keep(x, index)
        estimate = denoised(x, look)
        try:
            x = walk.send(Seen(x, estimate)).x
        except StopIteration as arrived:
            x = arrived.value
        number = looks[index + 1].step if index + 1 < end else plan.count
        on_step(Step(number, plan.count, (index + 1) / end, estimate))
    return x if keep is None else keep(x, end)


def _start(plan: Plan, noise: torch.Tensor, keep: _Keep | None) -> torch.Tensor:
    # At strength 1 there is no picture: the model sees the noise and nothing else.
    pure = noise * plan.scale.unit(float(plan.sigmas[0]))
    if keep is None:
        return pure
    return keep(pure if plan.from_noise else keep.noised(float(plan.sigmas[0])), 0)


class _Keep:
    """Holds the part of the latents that the selection does not free yet at the source, noised as the model expects."""

    def __init__(self, plan: Plan, source: Source, noise: torch.Tensor) -> None:
        self._plan = plan
        self._source = source
        self._noise = noise

    def noised(self, sigma: float) -> torch.Tensor:
        """The source under noise of that sigma."""
        return self._source.latents + sigma * self._noise

    def __call__(self, latents: torch.Tensor, index: int) -> torch.Tensor:
        """The latents before evaluation `index`, px that are held during its step put back; after the last evaluation
        the picture, px that were never free put back."""
        if self._source.selection is None:
            return latents
        looks = self._plan.evaluations
        over = index == len(looks)
        fraction = self._plan.scale.fraction(looks[index - over].begin)
        held = self._source.selection < fraction - FRACTION_HAIR
        return torch.where(held, self.noised(0.0 if over else looks[index].sigma), latents)
