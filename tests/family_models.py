"""A small random-weight model of each family's true architecture, in diffusers' folder format; made in a second."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.flux.pipeline_flux import FluxPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_inpaint import StableDiffusionInpaintPipeline
from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3 import StableDiffusion3Pipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_inpaint import (
    StableDiffusionXLInpaintPipeline,
)
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from transformers import (
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

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


def _t5(width: int) -> Parts:
    """A T5 encoder and a tokenizer that spells words in letters."""
    letters = [(chr(code), -3.0) for code in range(33, 127)]
    vocab = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0), *letters]
    config: Parts = {"vocab_size": len(vocab), "d_model": width, "d_kv": 8, "d_ff": 37, "num_layers": 2, "num_heads": 4}
    tokenizer: Any = T5Tokenizer
    return {
        "encoder": T5EncoderModel(T5Config(**config)),
        "tokenizer": tokenizer(vocab=vocab, extra_ids=0, model_max_length=512),
    }


def _flux(dev: bool) -> FluxPipeline:
    transformer: Parts = {
        "patch_size": 1,
        "in_channels": 64,
        "num_layers": 1,
        "num_single_layers": 1,
        "attention_head_dim": 16,
        "num_attention_heads": 2,
        "joint_attention_dim": WIDTH,
        "pooled_projection_dim": WIDTH,
        "axes_dims_rope": (4, 4, 8),
        "guidance_embeds": dev,
    }
    t5 = _t5(WIDTH)
    parts: Parts = {
        "vae": _vae(16, use_quant_conv=False, use_post_quant_conv=False, scaling_factor=0.3611, shift_factor=0.1159),
        "text_encoder": _clip(),
        "tokenizer": clip_tokenizer(),
        "text_encoder_2": t5["encoder"],
        "tokenizer_2": t5["tokenizer"],
        "transformer": FluxTransformer2DModel(**transformer),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0 if dev else 1.0, use_dynamic_shifting=dev),
    }
    return FluxPipeline(**parts)


def _sd3() -> StableDiffusion3Pipeline:
    """Of 3.5 medium's kind: normed queries and keys, and a second attention in its first layers."""
    transformer: Parts = {
        "sample_size": SIDE // 4,
        "patch_size": 2,
        "in_channels": 16,
        "out_channels": 16,
        "num_layers": 2,
        "attention_head_dim": 8,
        "num_attention_heads": 4,
        "joint_attention_dim": 3 * WIDTH,
        "caption_projection_dim": WIDTH,
        "pooled_projection_dim": 2 * WIDTH,
        "pos_embed_max_size": 32,
        "dual_attention_layers": (0,),
        "qk_norm": "rms_norm",
    }
    t5, second = _t5(3 * WIDTH), clip_tokenizer()
    second.pad_token = "!"
    parts: Parts = {
        "vae": _vae(16, use_quant_conv=False, use_post_quant_conv=False, scaling_factor=1.5305, shift_factor=0.0609),
        "text_encoder": _clip(projected=True),
        "tokenizer": clip_tokenizer(),
        "text_encoder_2": _clip(projected=True),
        "tokenizer_2": second,
        "text_encoder_3": t5["encoder"],
        "tokenizer_3": t5["tokenizer"],
        "transformer": SD3Transformer2DModel(**transformer),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0),
    }
    return StableDiffusion3Pipeline(**parts)


MAKERS: Final[Mapping[str, Callable[[], Any]]] = {
    "sd15": lambda: _sd(StableDiffusionPipeline),
    "sd2": lambda: _sd(StableDiffusionPipeline, "v_prediction", use_linear_projection=True, attention_head_dim=(4, 8)),
    "sdxl": lambda: _sdxl(StableDiffusionXLPipeline),
    "sd15-inpaint": lambda: _sd(StableDiffusionInpaintPipeline, in_channels=9),
    "flux-dev": lambda: _flux(dev=True),
    "flux-schnell": lambda: _flux(dev=False),
    "sd3": _sd3,
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
