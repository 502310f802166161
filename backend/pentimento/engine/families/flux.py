"""FLUX.1 dev and schnell: a rectified flow transformer that reads T5, and of CLIP the prompt as a whole.

dev was distilled to guide itself by a scale of its own (`distilled_cfg_scale`), schnell to need few steps and no
guidance. A CFG scale above 1 guides both in the ordinary way besides, at twice the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from diffusers.pipelines.flux.pipeline_flux import FluxPipeline

from pentimento_shared.geometry import Size

from ..loaded import LoadedModel
from ..noise_scales import NoiseScale, flow_scale
from ..prompts.encoding import ONLY, clip_states
from ..prompts.flattening import Flat
from ..prompts.t5 import t5_states
from .family import Embeds, Family, Predict, Told
from .info import FLUX_TOKENS

PATCH: Final = 2
"""Latent px that the transformer reads as one, each way."""


def scale(config: Mapping[str, Any], latents: Size) -> NoiseScale:
    return flow_scale(config, latents.area // PATCH**2)


def encode(model: LoadedModel, flat: Flat, clip_skip: int) -> Embeds:
    tokens = t5_states(model, flat, FLUX_TOKENS[_is_guided(model)], 2)
    return Embeds(tokens, clip_states(model, flat, ONLY, 1).pooled)


def ask(model: LoadedModel, told: Told) -> Predict:
    transformer: Any = model.components["transformer"]
    scale = torch.tensor([told.distilled_cfg_scale], device=model.device) if _is_guided(model) else None

    def predict(latents: torch.Tensor, timestep: float, embeds: Embeds) -> torch.Tensor:
        count, _, height, width = latents.shape
        output = transformer(
            hidden_states=packed(latents),
            timestep=torch.full((count,), timestep / 1000, device=model.device),
            guidance=None if scale is None else scale.expand(count),
            pooled_projections=embeds.pooled,
            encoder_hidden_states=embeds.tokens,
            txt_ids=torch.zeros((embeds.tokens.shape[1], 3), device=model.device, dtype=latents.dtype),
            img_ids=_places(height // PATCH, width // PATCH).to(latents),
            return_dict=False,
        )[0]
        return unpacked(output, height, width)

    return predict


def packed(latents: torch.Tensor) -> torch.Tensor:
    """[n, c, h, w] -> [n, h / 2 * w / 2, c * 4], row by row; both sides are even."""
    count, channels, height, width = latents.shape
    patches = latents.reshape(count, channels, height // PATCH, PATCH, width // PATCH, PATCH)
    return patches.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def unpacked(patches: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """The inverse of `packed`."""
    parted = patches.unflatten(2, (-1, PATCH, PATCH)).unflatten(1, (height // PATCH, width // PATCH))
    return parted.permute(0, 3, 1, 4, 2, 5).reshape(len(patches), -1, height, width)


def _places(rows: int, columns: int) -> torch.Tensor:
    """[rows * columns, 3]: 0, the row and the column of each patch."""
    row, column = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    return torch.stack([torch.zeros_like(row), row, column], dim=-1).reshape(-1, 3)


def _is_guided(model: LoadedModel) -> bool:
    return bool(model.components["transformer"].config.guidance_embeds)


FAMILY = Family(
    FluxPipeline,
    ("transformer", "vae", "text_encoder", "text_encoder_2"),
    scale,
    encode,
    ask,
    dtype=torch.bfloat16,
)
