"""Small random-weight Stable Diffusion models in diffusers' folder format: every path of the engine, fast."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from tokenizers.pre_tokenizers import ByteLevel
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection, CLIPTokenizer

WIDTH: Final = 32
SIDE: Final = 64
"""Native side, px: 16 latents of 4 px."""
Parts = dict[str, Any]
"""Components or configurations by name. The annotations of the libraries' constructors are narrower than what they
take."""


def build_tiny_model(folder: Path, prediction_type: str = "v_prediction", seed: int = 0) -> Path:
    """Writes a random-weight model of Stable Diffusion 1.5's architecture into `folder` and returns it.

    The autoencoder has a factor of 4, the UNet two levels; native size 64 x 64 px, sides in multiples of 8.
    """
    torch.manual_seed(seed)
    small_sd(StableDiffusionPipeline, prediction_type, layers=2).save_pretrained(folder, safe_serialization=True)
    return folder


def small_clip(projected: bool = False, layers: int = 3) -> CLIPTextModel | CLIPTextModelWithProjection:
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


def small_vae(channels: int = 4, **more: object) -> AutoencoderKL:
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


def small_unet(**more: object) -> UNet2DConditionModel:
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


def small_diffusion(prediction_type: str = "epsilon") -> DDIMScheduler:
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


def small_sd(pipeline: type[Any], prediction_type: str = "epsilon", layers: int = 3, **unet: object) -> Any:
    """A pipeline of Stable Diffusion 1's architecture."""
    parts: Parts = {
        "vae": small_vae(),
        "text_encoder": small_clip(layers=layers),
        "tokenizer": clip_tokenizer(),
        "unet": small_unet(**unet),
        "scheduler": small_diffusion(prediction_type),
        "safety_checker": None,
        "feature_extractor": None,
    }
    return pipeline(**parts, requires_safety_checker=False)


def clip_tokenizer() -> CLIPTokenizer:
    """A tokenizer that spells every word in letters, and so knows all words."""
    letters = sorted(ByteLevel.alphabet())
    words = [*letters, *(letter + "</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    return CLIPTokenizer(vocab={word: k for k, word in enumerate(words)}, merges=[], model_max_length=77)
