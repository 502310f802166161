"""Stable Diffusion 3 and 3.5 (Esser et al., arXiv 2403.03206): a rectified flow transformer that reads two CLIP text
encoders and T5, of which T5 may be left out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3 import StableDiffusion3Pipeline
from torch.nn.functional import pad

from pentimento_shared.geometry import Size

from ..loaded import LoadedModel
from ..noise_scales import NoiseScale, flow_scale
from ..prompts.encoding import clip_states
from ..prompts.flattening import Flat
from ..prompts.t5 import t5_states
from .family import Embeds, Family, Predict, Told
from .sdxl import FIRST, SECOND

TOKENS: Final = 256
"""Tokens that T5 reads for it."""


def scale(config: Mapping[str, Any], latents: Size) -> NoiseScale:
    return flow_scale(config, latents.area // 4)


def encode(model: LoadedModel, flat: Flat, clip_skip: int) -> Embeds:
    """Both CLIPs' states side by side, brought to T5's width by zeros, and T5's behind them."""
    first, second = (clip_states(model, flat, clip, clip_skip) for clip in (FIRST, SECOND))
    width = model.components["transformer"].config.joint_attention_dim
    clip = torch.cat([first.tokens, second.tokens], dim=-1)
    clip = pad(clip, (0, width - clip.shape[-1]))
    if model.components.get("text_encoder_3") is None:
        sentences = clip.new_zeros((1, TOKENS, width))
    else:
        sentences = t5_states(model, flat, TOKENS, 3)
    return Embeds(torch.cat([clip, sentences], dim=1), torch.cat([first.pooled, second.pooled], dim=-1))


def ask(model: LoadedModel, told: Told) -> Predict:
    transformer: Any = model.components["transformer"]

    def predict(latents: torch.Tensor, timestep: float, embeds: Embeds) -> torch.Tensor:
        return transformer(
            hidden_states=latents,
            timestep=torch.full((len(latents),), timestep, device=model.device),
            encoder_hidden_states=embeds.tokens,
            pooled_projections=embeds.pooled,
            return_dict=False,
        )[0]

    return predict


FAMILY = Family(
    StableDiffusion3Pipeline,
    ("transformer", "vae", "text_encoder", "text_encoder_2", "text_encoder_3"),
    scale,
    encode,
    ask,
    dtype=torch.bfloat16,
)
