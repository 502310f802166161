"""Stable Diffusion 1.x and 2.x: a UNet that reads one CLIP text encoder. 2.x differs only in its configuration."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline

from pentimento_shared.geometry import Size

from ..loaded import LoadedModel
from ..noise_scales import NoiseScale
from ..prompts.encoding import ONLY, clip_states
from ..prompts.flattening import Flat
from .family import Embeds, Family, Predict, Told

Conditioning = Callable[[Embeds], Mapping[str, torch.Tensor]]
"""From embeddings to what a UNet is told in `added_cond_kwargs`."""


def scale(config: Mapping[str, Any], latents: Size) -> NoiseScale:
    return NoiseScale.of(config)


def encode(model: LoadedModel, flat: Flat, clip_skip: int) -> Embeds:
    return Embeds(clip_states(model, flat, ONLY, clip_skip).tokens)


def ask(model: LoadedModel, told: Told) -> Predict:
    return ask_unet(model, told, lambda embeds: {})


def ask_unet(model: LoadedModel, told: Told, conditioning: Conditioning) -> Predict:
    """How a UNet is asked. One for inpainting is given mask and masked picture beside the latents; one that was
    distilled to guide itself (Meng et al., arXiv 2210.03142) is given the scale."""
    unet: Any = model.components["unet"]
    scale = _guidance(model, told.cfg_scale) if guides_itself(model) else None

    def predict(latents: torch.Tensor, timestep: float, embeds: Embeds) -> torch.Tensor:
        count = len(latents)
        if told.seen is not None:
            latents = torch.cat([latents, told.seen.to(latents).expand(count, -1, -1, -1)], dim=1)
        return unet(
            latents,
            torch.tensor(timestep, device=model.device, dtype=torch.float32),
            encoder_hidden_states=embeds.tokens,
            timestep_cond=None if scale is None else scale.expand(count, -1),
            added_cond_kwargs=dict(conditioning(embeds)),
            return_dict=False,
        )[0]

    return predict


def guides_itself(model: LoadedModel) -> bool:
    """Whether the UNet takes the guidance scale as an input, as latent consistency models do."""
    return model.components["unet"].config.time_cond_proj_dim is not None


def _guidance(model: LoadedModel, scale: float) -> torch.Tensor:
    """[1, width]: the embedding of the scale less 1, as such models were trained."""
    width = model.components["unet"].config.time_cond_proj_dim
    # A method of the pipeline that does not look at its own pipeline.
    embedded = StableDiffusionPipeline.get_guidance_scale_embedding
    return embedded(None, torch.tensor([scale - 1.0]), width).to(model.device, model.dtype)  # pyright: ignore[reportArgumentType]


FAMILY = Family(StableDiffusionPipeline, ("unet", "vae", "text_encoder"), scale, encode, ask, guides_itself)
