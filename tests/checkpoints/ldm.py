"""Small random-weight models of the true architectures, and their weights under the names of LDM's single files.

The renaming is the inverse of what diffusers does, written from the layout itself, so that the two check each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl import StableDiffusionXLPipeline
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from safetensors.torch import save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from pentimento.engine.checkpoints.architecture import load_config
from pentimento.engine.checkpoints.single_file import clip_tokenizer

Tensors = dict[str, torch.Tensor]
RESOLUTION = {"modelspec.resolution": "64x64"}

_UNET = {
    "sample_size": 16,
    "block_out_channels": (64, 128),
    "layers_per_block": 1,
    "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
    "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
}
_TEXT = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 1}


def small_pipeline(family: str, channels: int = 4, seed: int = 0) -> Any:
    """A pipeline of that family, as its checkpoints are but narrow: 64 px native, latents of 4 px."""
    torch.manual_seed(seed)
    config = load_config(family)
    vae: dict[str, Any] = {
        **config["vae"],
        "block_out_channels": (32, 32, 64),
        "layers_per_block": 1,
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
    }
    unet: dict[str, Any] = {**config["unet"], **_UNET, "in_channels": channels, "cross_attention_dim": 64}
    text: dict[str, Any] = {**config["text_encoder"], **_TEXT}
    parts: dict[str, Any] = {"scheduler": DDIMScheduler.from_config(dict(config["scheduler"]))}
    if family == "sd2":
        text["num_hidden_layers"] = 23
        unet["attention_head_dim"] = (1, 2)
    if family == "sdxl":
        unet.update(
            attention_head_dim=(1, 2),
            cross_attention_dim=64 + 128,
            transformer_layers_per_block=(1, 2),
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            addition_time_embed_dim=8,
            projection_class_embeddings_input_dim=6 * 8 + 48,
        )
        # Another width than the first's: diffusers tells the two by it.
        wide = {**_TEXT, "hidden_size": 128, "num_attention_heads": 2, "projection_dim": 48}
        second: dict[str, Any] = {**config["text_encoder_2"], **wide}
        parts["text_encoder_2"] = CLIPTextModelWithProjection(CLIPTextConfig(**second))
        parts["tokenizer_2"] = clip_tokenizer("!")
    parts["text_encoder"] = CLIPTextModel(CLIPTextConfig(**text))
    parts["tokenizer"] = clip_tokenizer(config["padding"]["tokenizer"])
    parts["unet"] = UNet2DConditionModel.from_config(unet)
    parts["vae"] = AutoencoderKL.from_config(vae)
    if family == "sdxl":
        return StableDiffusionXLPipeline(**parts)
    parts.update(safety_checker=None, feature_extractor=None)
    return StableDiffusionPipeline(**parts, requires_safety_checker=False)


def write_single_file(pipeline: Any, path: Path, metadata: Mapping[str, str] | None = None) -> Path:
    """The pipeline's weights as one safetensors file of LDM's layout."""
    parts = pipeline.components
    tensors = named("model.diffusion_model.", unet_names(parts["unet"]))
    tensors |= named("first_stage_model.", vae_names(parts["vae"]))
    if "text_encoder_2" in parts:
        tensors |= named("conditioner.embedders.0.transformer.text_model.", parts["text_encoder"].state_dict())
        tensors |= named("conditioner.embedders.1.model.", open_clip_names(parts["text_encoder_2"]))
    elif parts["text_encoder"].config.hidden_act == "gelu":
        tensors |= named("cond_stage_model.model.", open_clip_names(parts["text_encoder"]))
    else:
        tensors |= named("cond_stage_model.transformer.text_model.", parts["text_encoder"].state_dict())
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = {name: tensor.contiguous().clone() for name, tensor in tensors.items()}
    save_file(plain, path, {**RESOLUTION, **(metadata or {})})
    return path


def named(prefix: str, tensors: Mapping[str, torch.Tensor]) -> Tensors:
    return {prefix + name: tensor for name, tensor in tensors.items()}


_RESNET = {
    "norm1.": "in_layers.0.",
    "conv1.": "in_layers.2.",
    "norm2.": "out_layers.0.",
    "conv2.": "out_layers.3.",
    "time_emb_proj.": "emb_layers.1.",
    "conv_shortcut.": "skip_connection.",
}
_UNET_ENDS = {
    "conv_in.": "input_blocks.0.0.",
    "time_embedding.linear_1.": "time_embed.0.",
    "time_embedding.linear_2.": "time_embed.2.",
    "add_embedding.linear_1.": "label_emb.0.0.",
    "add_embedding.linear_2.": "label_emb.0.2.",
    "conv_norm_out.": "out.0.",
    "conv_out.": "out.2.",
}


def unet_names(unet: Any) -> Tensors:
    """A UNet's tensors with LDM's names: blocks are counted through, down and up."""
    levels, layers = len(unet.config.block_out_channels), unet.config.layers_per_block
    modules = {"mid_block.resnets.0.": "middle_block.0.", "mid_block.attentions.0.": "middle_block.1."}
    modules["mid_block.resnets.1."] = "middle_block.2."
    number = 1
    for level in range(levels):
        for layer in range(layers):
            modules[f"down_blocks.{level}.resnets.{layer}."] = f"input_blocks.{number}.0."
            modules[f"down_blocks.{level}.attentions.{layer}."] = f"input_blocks.{number}.1."
            number += 1
        modules[f"down_blocks.{level}.downsamplers.0.conv."] = f"input_blocks.{number}.0.op."
        number += 1
    number = 0
    for level in range(levels):
        attends = "CrossAttn" in unet.config.up_block_types[level]
        for layer in range(layers + 1):
            modules[f"up_blocks.{level}.resnets.{layer}."] = f"output_blocks.{number}.0."
            modules[f"up_blocks.{level}.attentions.{layer}."] = f"output_blocks.{number}.1."
            number += 1
        place = 2 if attends else 1
        modules[f"up_blocks.{level}.upsamplers.0.conv."] = f"output_blocks.{number - 1}.{place}.conv."
    return _renamed(unet.state_dict(), {**_UNET_ENDS, **modules}, _RESNET, ".resnets.")


_VAE_ATTENTION = {"group_norm.": "norm.", "to_q.": "q.", "to_k.": "k.", "to_v.": "v.", "to_out.0.": "proj_out."}


def vae_names(vae: Any) -> Tensors:
    """A VAE's tensors with LDM's names: its way up is counted from the end, its attention is of convolutions."""
    levels = len(vae.config.block_out_channels)
    modules = {"encoder.conv_norm_out.": "encoder.norm_out.", "decoder.conv_norm_out.": "decoder.norm_out."}
    for side, down, up in (("encoder", "down_blocks", "down"), ("decoder", "up_blocks", "up")):
        for level in range(levels):
            there = level if side == "encoder" else levels - 1 - level
            for layer in range(vae.config.layers_per_block + 1):
                modules[f"{side}.{down}.{level}.resnets.{layer}."] = f"{side}.{up}.{there}.block.{layer}."
            modules[f"{side}.{down}.{level}.{down[:-7]}samplers.0.conv."] = f"{side}.{up}.{there}.{up}sample.conv."
        for number in (0, 1):
            modules[f"{side}.mid_block.resnets.{number}."] = f"{side}.mid.block_{number + 1}."
        for ours, theirs in _VAE_ATTENTION.items():
            modules[f"{side}.mid_block.attentions.0.{ours}"] = f"{side}.mid.attn_1.{theirs}"
    renamed = _renamed(vae.state_dict(), modules, {"conv_shortcut.": "nin_shortcut."}, ".resnets.")
    return {
        name: tensor[:, :, None, None] if ".attn_1." in name and tensor.ndim == 2 else tensor
        for name, tensor in renamed.items()
    }


def _renamed(tensors: Tensors, modules: Mapping[str, str], inner: Mapping[str, str], only: str) -> Tensors:
    result: Tensors = {}
    for name, tensor in tensors.items():
        start = next((one for one in modules if name.startswith(one)), "")
        rest = name.removeprefix(start)
        if only in start:
            part = next((one for one in inner if rest.startswith(one)), "")
            rest = inner.get(part, "") + rest.removeprefix(part)
        result[modules.get(start, "") + rest] = tensor
    return result


_OPEN_CLIP = {
    "embeddings.token_embedding.weight": "token_embedding.weight",
    "embeddings.position_embedding.weight": "positional_embedding",
    "final_layer_norm.weight": "ln_final.weight",
    "final_layer_norm.bias": "ln_final.bias",
}
_OPEN_CLIP_LAYER = {
    "layer_norm1.": "ln_1.",
    "layer_norm2.": "ln_2.",
    "mlp.fc1.": "mlp.c_fc.",
    "mlp.fc2.": "mlp.c_proj.",
    "self_attn.out_proj.": "attn.out_proj.",
}


def open_clip_names(encoder: Any) -> Tensors:
    """A text encoder's tensors with OpenCLIP's names; Stable Diffusion 2's with the last layer, which it never uses."""
    tensors = {name.removeprefix("text_model."): tensor for name, tensor in encoder.state_dict().items()}
    result = {there: tensors[here] for here, there in _OPEN_CLIP.items()}
    count = encoder.config.num_hidden_layers
    for number in range(count if "text_projection.weight" in tensors else count + 1):
        here, there = f"encoder.layers.{min(number, count - 1)}.", f"transformer.resblocks.{number}."
        for ours, theirs in _OPEN_CLIP_LAYER.items():
            for end in ("weight", "bias"):
                result[there + theirs + end] = tensors[here + ours + end]
        for end in ("weight", "bias"):
            three = [tensors[f"{here}self_attn.{letter}_proj.{end}"] for letter in "qkv"]
            result[f"{there}attn.in_proj_{end}"] = torch.cat(three)
    if "text_projection.weight" in tensors:
        result["text_projection"] = tensors["text_projection.weight"].T
    else:
        result["text_projection"] = torch.eye(encoder.config.hidden_size)
    return result
