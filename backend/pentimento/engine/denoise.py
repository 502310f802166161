"""The one denoising loop: txt2img, img2img and inpaint differ only in where the latents start and what is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline

from .loading import LoadedModel
from .noise import Seed, noise_for
from .prompts.guidance import Conditions, guided
from .samplers import Plan
from .stepper import Stepper

PIPELINES: Final[dict[str, type[Any]]] = {"sd15": StableDiffusionPipeline}
"""Family -> the diffusers pipeline whose loop runs. A pipeline for text-to-image serves all tasks: it takes the
starting latents as they are given, and a callback after each step."""

FRACTION_HAIR: Final = 1e-4
"""Slack for comparing a mask value with a noise fraction: a value of 1 is free from the start at strength 1."""


@dataclass(frozen=True)
class Source:
    """What the latents start from and return to.

    `latents` [1, c, h, w]: the encoded source. `selection` [1, 1, h, w] in 0..1, or None when everything may change.
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
    cfg_scale: float,
    seeds: Sequence[Seed],
    latent_shape: tuple[int, int, int],
    source: Source | None,
    on_step: Callable[[Step], None],
) -> torch.Tensor:
    """Latents [n, c, h, w] (float32, scaled as the model's UNet has them), one picture per seed.

    `conditions` are each picture's own, for the plan's steps. Without a source the latents start from pure noise, as
    they do at strength 1. With a selection each latent px of mask value m is held at the noised source until the
    remaining noise fraction falls to m (differential diffusion, Levin and Fried, arXiv 2306.00950); the noise of the
    held part is that of the start. `on_step` may raise to stop the loop.
    """
    noise, generators = noise_for(seeds, latent_shape)
    noise = noise.to(model.device)
    keep = None if source is None else _Keep(plan, source, noise)

    def fresh_noise() -> torch.Tensor:
        drawn = [torch.randn(latent_shape, generator=generator) for generator in generators]
        return torch.stack(drawn).to(model.device)

    # Never passed on by the pipeline: its own configuration would bring back the model's sigmas.
    scheduler = Stepper(plan, model.components["scheduler"].config, model.dtype, fresh_noise)
    looks = plan.evaluations
    unet = _Guided(model.components["unet"], conditions, cfg_scale, (look.step for look in looks))
    pipeline = PIPELINES[model.info.family](
        **{**model.components, "scheduler": scheduler, "unet": unet}, requires_safety_checker=False
    )
    pipeline.set_progress_bar_config(disable=True)

    def after_look(_: Any, index: int, __: Any, tensors: dict[str, Any]) -> dict[str, Any]:
        if keep is not None:
            tensors["latents"] = keep(tensors["latents"], index + 1)
        number = looks[index + 1].step if index + 1 < len(looks) else plan.count
        on_step(Step(number, plan.count, (index + 1) / len(looks), scheduler.denoised))
        return tensors

    factor = pipeline.vae_scale_factor
    result = pipeline(
        # Only their number and type are looked at.
        prompt_embeds=torch.cat([each.positives[0].embeds[0][:, :1] for each in conditions]),
        height=latent_shape[1] * factor,
        width=latent_shape[2] * factor,
        num_inference_steps=plan.count,
        # Guidance is within the UNet as this pipeline sees it; a distilled one is told the scale and guides itself.
        guidance_scale=cfg_scale if unet.distilled else 1.0,
        latents=_start(plan, noise, keep),
        output_type="latent",
        callback_on_step_end=after_look,
        callback_on_step_end_tensor_inputs=["latents"],
    )
    return result.images


class _Guided:
    """The UNet as the pipeline sees it: guided by the conditions of the step that runs.

    The pipeline's own guidance knows one prompt that stays the same, and prompts of one length. `steps` has the step
    (0..) that each call belongs to.
    """

    def __init__(self, unet: Any, conditions: Sequence[Conditions], cfg_scale: float, steps: Iterable[int]) -> None:
        self.config, self.dtype = unet.config, unet.dtype
        self.distilled = unet.config.time_cond_proj_dim is not None
        self._unet = unet
        self._conditions, self._cfg_scale = conditions, 1.0 if self.distilled else cfg_scale
        self._steps = iter(steps)

    def __call__(
        self, latents: torch.Tensor, timestep: Any, timestep_cond: torch.Tensor | None = None, **_: Any
    ) -> tuple[torch.Tensor]:
        def predict(pictures: torch.Tensor, embeds: torch.Tensor) -> torch.Tensor:
            scale = None if timestep_cond is None else timestep_cond[:1].expand(len(pictures), -1)
            return self._unet(pictures, timestep, encoder_hidden_states=embeds, timestep_cond=scale, return_dict=False)[
                0
            ]

        return (guided(predict, latents, self._conditions, self._cfg_scale, next(self._steps)),)


def _start(plan: Plan, noise: torch.Tensor, keep: _Keep | None) -> torch.Tensor:
    # A picture under so much noise has this variance; at strength 1 there is no picture, only the noise.
    pure = noise * (1 + float(plan.sigmas[0]) ** 2) ** 0.5
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
