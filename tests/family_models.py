"""A small random-weight model of each family's true architecture, in diffusers' folder format; made in a second."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_inpaint import StableDiffusionInpaintPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_inpaint import (
    StableDiffusionXLInpaintPipeline,
)
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from tests.models import clip_tokenizer

WIDTH: Final = 32
SIDE: Final = 64
"""Native side, px: 16 latents of 4 px."""
Parts = dict[str, Any]
"""Components or configurations by name. The annotations of the libraries' constructors are narrower than what they
take."""


def _clip(projected: bool = False, layers: int = 3) -> CLIPTextModel | CLIPTextModelWithProjection:
    tokenizer = clip_tokenizer()
    config: Parts = {
        "vocab_size": len(tokenizer),
        "hidden_size": WIDTH,
        "intermediate_size": 37,
        "num_attention_heads": 4,
        "num_hidden_layers": layers,
        "projection_dim": WIDTH,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    return (CLIPTextModelWithProjection if projected else CLIPTextModel)(CLIPTextConfig(**config))


def _vae(channels: int = 4, **more: object) -> AutoencoderKL:
    config: Parts = {
        "block_out_channels": (4, 8, 8),
        "norm_num_groups": 2,
        "layers_per_block": 1,
        "latent_channels": channels,
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
        **more,
    }
    return AutoencoderKL(**config)


def _unet(**more: object) -> UNet2DConditionModel:
    config: Parts = {
        "sample_size": SIDE // 4,
        "block_out_channels": (32, 64),
        "layers_per_block": 1,
        "cross_attention_dim": WIDTH,
        "attention_head_dim": 8,
        "norm_num_groups": 16,
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        **more,
    }
    return UNet2DConditionModel(**config)


def _diffusion(prediction_type: str = "epsilon") -> DDIMScheduler:
    config: Parts = {
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "beta_schedule": "scaled_linear",
        "prediction_type": prediction_type,
        "clip_sample": False,
        "set_alpha_to_one": False,
        "steps_offset": 1,
    }
    return DDIMScheduler(**config)


def _sd(pipeline: type[Any], prediction_type: str = "epsilon", **unet: object) -> Any:
    parts: Parts = {
        "vae": _vae(),
        "text_encoder": _clip(),
        "tokenizer": clip_tokenizer(),
        "unet": _unet(**unet),
        "scheduler": _diffusion(prediction_type),
        "safety_checker": None,
        "feature_extractor": None,
    }
    return pipeline(**parts, requires_safety_checker=False)


def _sdxl(pipeline: type[Any], **unet: object) -> Any:
    config: Parts = {
        "cross_attention_dim": 2 * WIDTH,
        "attention_head_dim": (2, 4),
        "use_linear_projection": True,
        "addition_embed_type": "text_time",
        "addition_time_embed_dim": 8,
        "transformer_layers_per_block": (1, 2),
        "projection_class_embeddings_input_dim": 6 * 8 + WIDTH,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        **unet,
    }
    second = clip_tokenizer()
    second.pad_token = "!"  # SDXL's second tokenizer pads with another token than its first
    parts: Parts = {
        "vae": _vae(force_upcast=True),
        "text_encoder": _clip(),
        "tokenizer": clip_tokenizer(),
        "text_encoder_2": _clip(projected=True),
        "tokenizer_2": second,
        "unet": _unet(**config),
        "scheduler": _diffusion(),
    }
    return pipeline(**parts)


MAKERS: Final[Mapping[str, Callable[[], Any]]] = {
    "sd15": lambda: _sd(StableDiffusionPipeline),
    "sd2": lambda: _sd(StableDiffusionPipeline, "v_prediction", use_linear_projection=True, attention_head_dim=(4, 8)),
    "sdxl": lambda: _sdxl(StableDiffusionXLPipeline),
    "sd15-inpaint": lambda: _sd(StableDiffusionInpaintPipeline, in_channels=9),
    "sdxl-inpaint": lambda: _sdxl(StableDiffusionXLInpaintPipeline, in_channels=9),
}
"""Name -> a pipeline of random weights."""


def build(name: str, home: Path) -> Path:
    """Writes the model of that name into a folder of that name below `home`, and returns it."""
    torch.manual_seed(0)
    folder = home / name
    MAKERS[name]().save_pretrained(folder, safe_serialization=True)
    # FLUX.1's and SD 3's transformers do not say a size that a small model could be worked at.
    (folder / "pentimento.json").write_text(json.dumps({"native_size": [SIDE, SIDE]}))
    return folder
