"""A small random-weight model of each family's true architecture, in diffusers' folder format; made in a second."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import torch
from diffusers.models.transformers.transformer_flux import FluxTransformer2DModel
from diffusers.models.transformers.transformer_sd3 import SD3Transformer2DModel
from diffusers.pipelines.flux.pipeline_flux import FluxPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_inpaint import StableDiffusionInpaintPipeline
from diffusers.pipelines.stable_diffusion_3.pipeline_stable_diffusion_3 import StableDiffusion3Pipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_inpaint import (
    StableDiffusionXLInpaintPipeline,
)
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from transformers import (
    T5Config,
    T5EncoderModel,
    T5Tokenizer,
)

from tests.models import (
    SIDE,
    WIDTH,
    Parts,
    clip_tokenizer,
    small_clip,
    small_diffusion,
    small_sd,
    small_unet,
    small_vae,
)


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
        "vae": small_vae(force_upcast=True),
        "text_encoder": small_clip(),
        "tokenizer": clip_tokenizer(),
        "text_encoder_2": small_clip(projected=True),
        "tokenizer_2": second,
        "unet": small_unet(**config),
        "scheduler": small_diffusion(),
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
        "vae": small_vae(
            16, use_quant_conv=False, use_post_quant_conv=False, scaling_factor=0.3611, shift_factor=0.1159
        ),
        "text_encoder": small_clip(),
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
        "vae": small_vae(
            16, use_quant_conv=False, use_post_quant_conv=False, scaling_factor=1.5305, shift_factor=0.0609
        ),
        "text_encoder": small_clip(projected=True),
        "tokenizer": clip_tokenizer(),
        "text_encoder_2": small_clip(projected=True),
        "tokenizer_2": second,
        "text_encoder_3": t5["encoder"],
        "tokenizer_3": t5["tokenizer"],
        "transformer": SD3Transformer2DModel(**transformer),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0),
    }
    return StableDiffusion3Pipeline(**parts)


MAKERS: Final[Mapping[str, Callable[[], Any]]] = {
    "sd15": lambda: small_sd(StableDiffusionPipeline),
    "sd2": lambda: small_sd(
        StableDiffusionPipeline, "v_prediction", use_linear_projection=True, attention_head_dim=(4, 8)
    ),
    "sdxl": lambda: _sdxl(StableDiffusionXLPipeline),
    "sd15-inpaint": lambda: small_sd(StableDiffusionInpaintPipeline, in_channels=9),
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
