"""Stable Diffusion XL (Podell et al., arXiv 2307.01952), base: two CLIP text encoders and a UNet that is told sizes.

The refiner is left out: a base model and one more pass at low strength do what it does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import torch
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline

from ..loaded import LoadedModel
from ..prompts.encoding import Clip, clip_states
from ..prompts.flattening import Flat, is_empty
from .family import Embeds, Family, Predict, Told
from .stable_diffusion import ask_unet, guides_itself, scale

FIRST: Final = Clip(normed=False, least_skip=2)
SECOND: Final = Clip("tokenizer_2", "text_encoder_2", normed=False, least_skip=2)
"""Both are read before their last layer and without its norm; clip skip 1 and 2 are the same, as in AUTOMATIC1111."""


def encode(model: LoadedModel, flat: Flat, clip_skip: int) -> Embeds:
    """Both encoders' states side by side, and what the second makes of the first chunk as a whole. Of a prompt without
    words both are zeros, as the model was trained and AUTOMATIC1111 does it."""
    first, second = (clip_states(model, flat, clip, clip_skip) for clip in (FIRST, SECOND))
    tokens = torch.cat([first.tokens, second.tokens], dim=-1)
    if is_empty(flat):
        return Embeds(torch.zeros_like(tokens), torch.zeros_like(second.pooled))
    return Embeds(tokens, second.pooled)


def ask(model: LoadedModel, told: Told) -> Predict:
    """The original's size and the target's are both the work picture's, and nothing was cropped: the most that the
    model was trained to make of a size."""
    width, height = told.size
    sizes = torch.tensor([[height, width, 0, 0, height, width]], device=model.device, dtype=torch.float32)

    def conditioning(embeds: Embeds) -> Mapping[str, torch.Tensor]:
        if embeds.pooled is None:
            raise ValueError("SDXL without pooled embeddings")
        return {"text_embeds": embeds.pooled, "time_ids": sizes.expand(len(embeds.pooled), -1)}

    return ask_unet(model, told, conditioning)


FAMILY = Family(
    StableDiffusionXLPipeline, ("unet", "vae", "text_encoder", "text_encoder_2"), scale, encode, ask, guides_itself
)
