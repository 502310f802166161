"""The configuration of a single file's components, in diffusers' words: its family's, with the widths that it has.

`configs/FAMILY.json` hold the published architectures. Numbers of channels, layers, levels are read from the header,
so pruned and small models of a family fit too; what no shape tells (heads, activation) is the family's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from .header import Header
from .recognise import SD15, UNET, Recognised

Config = Mapping[str, Any]

CONFIGS: Final = Path(__file__).parent / "configs"
VAE_PREFIX: Final = "first_stage_model."
_CLIP_PREFIXES: Final = ("cond_stage_model.transformer.text_model.", "conditioner.embedders.0.transformer.text_model.")
_OPEN_CLIP_PREFIXES: Final = ("cond_stage_model.model.", "conditioner.embedders.1.model.")
_HEAD: Final = 64
"""Channels of one attention head, in all text encoders and in the UNets of Stable Diffusion 2 and XL."""
_READ_LAYERS: Final = 23
"""Of OpenCLIP-H's 24 layers Stable Diffusion 2 reads the last but one; diffusers leaves the last out of its model."""


class UnknownShape(Exception):
    """A file that is laid out as its family and whose tensors have shapes that no such model has."""


def load_config(family: str) -> Config:
    """The published architecture of that family: its pipeline's name, and each component's configuration."""
    return json.loads((CONFIGS / f"{family}.json").read_text("utf-8"))


def configuration(header: Header, found: Recognised) -> Config:
    """`load_config` of the recognised family with this file's own numbers. Raises UnknownShape."""
    config = dict(load_config(found.family))
    scheduler = {**config["scheduler"], "prediction_type": found.prediction}
    if "ztsnr" in header.tensors:
        scheduler["rescale_betas_zero_snr"] = True
    try:
        for part in ("text_encoder", "text_encoder_2"):
            if part in config:
                config[part] = _text_encoder(header, config[part])
        config["unet"] = _unet(header, config["unet"], found, config.get("text_encoder_2"))
        config["vae"] = vae_config(header, config["vae"], VAE_PREFIX)
    except (IndexError, KeyError, ValueError, ZeroDivisionError) as error:
        raise UnknownShape(f"{type(error).__name__}: {error}") from error
    return {**config, "scheduler": scheduler}


class _Level(NamedTuple):
    channels: int
    layers: int
    depth: int
    """Transformer blocks after each layer; 0 where the level has no attention."""


def _unet(header: Header, base: Config, found: Recognised, pooling: Config | None) -> dict[str, Any]:
    levels = _levels(header)
    depths = [max(1, level.depth) for level in levels]
    names = ["DownBlock2D" if level.depth == 0 else "CrossAttnDownBlock2D" for level in levels]
    own: dict[str, Any] = {
        "in_channels": header.shape(f"{UNET}input_blocks.0.0.weight")[1],
        "block_out_channels": [level.channels for level in levels],
        "layers_per_block": levels[0].layers,
        "down_block_types": names,
        "up_block_types": [name.replace("Down", "Up") for name in reversed(names)],
        "transformer_layers_per_block": 1 if set(depths) == {1} else depths,
        "cross_attention_dim": _text_width(header),
    }
    if found.family != SD15:
        own["attention_head_dim"] = [max(1, level.channels // _HEAD) for level in levels]
    if pooling is not None:
        told = header.shape(f"{UNET}label_emb.0.0.weight")[1]
        own["projection_class_embeddings_input_dim"] = told
        own["addition_time_embed_dim"] = (told - pooling["projection_dim"]) // 6
    return {**base, **own}


def _levels(header: Header) -> list[_Level]:
    """The UNet's way down: blocks in a row, a downsampling between two levels."""
    levels: list[_Level] = []
    channels = layers = depth = 0
    for number in range(1, 100):
        block = f"{UNET}input_blocks.{number}."
        if shape := header.shape(f"{block}0.in_layers.2.weight"):
            channels, layers = shape[0], layers + 1
            depth = _count(header, f"{block}1.transformer_blocks.")
        elif f"{block}0.op.weight" in header.tensors:
            levels.append(_Level(channels, layers, depth))
            layers = 0
        else:
            break
    return [*levels, _Level(channels, layers, depth)]


def _text_width(header: Header) -> int:
    return next(
        tensor.shape[1]
        for name, tensor in header.tensors.items()
        if name.startswith(UNET) and name.endswith(".attn2.to_k.weight")
    )


def vae_config(header: Header, base: Config, prefix: str) -> dict[str, Any]:
    """A VAE's configuration by its tensors below `prefix`, in the names of LDM or of diffusers; `base` without any."""
    for down, block in (("encoder.down.", "block"), ("encoder.down_blocks.", "resnets")):
        channels = [
            shape[0]
            for level in range(_count(header, f"{prefix}{down}"))
            if (shape := header.shape(f"{prefix}{down}{level}.{block}.0.conv1.weight"))
        ]
        if channels:
            own = {
                "block_out_channels": channels,
                "down_block_types": ["DownEncoderBlock2D"] * len(channels),
                "up_block_types": ["UpDecoderBlock2D"] * len(channels),
                "layers_per_block": _count(header, f"{prefix}{down}0.{block}."),
                "latent_channels": header.shape(f"{prefix}decoder.conv_in.weight")[1],
            }
            return {**base, **own}
    return dict(base)


def _text_encoder(header: Header, base: Config) -> dict[str, Any]:
    if base["hidden_act"] == "quick_gelu":
        names = ("embeddings.token_embedding.weight", "encoder.layers.", "mlp.fc1.weight", "")
        prefixes = _CLIP_PREFIXES
    else:
        names = ("token_embedding.weight", "transformer.resblocks.", "mlp.c_fc.weight", "text_projection")
        prefixes = _OPEN_CLIP_PREFIXES
    words, layers, inner, projection = names
    for prefix in prefixes:
        if shape := header.shape(prefix + words):
            count = _count(header, prefix + layers)
            projects = header.shape(prefix + projection) if base["architectures"] != ["CLIPTextModel"] else ()
            return {
                **base,
                "vocab_size": shape[0],
                "hidden_size": shape[1],
                "num_attention_heads": max(1, shape[1] // _HEAD),
                "num_hidden_layers": count if projects or not projection else min(count, _READ_LAYERS),
                "intermediate_size": header.shape(f"{prefix}{layers}0.{inner}")[0],
                **({"projection_dim": projects[1]} if projects else {}),
            }
    return dict(base)


def _count(header: Header, prefix: str) -> int:
    """How many numbers follow `prefix` in the tensors' names."""
    return len({name[len(prefix) :].split(".", 1)[0] for name in header.tensors if name.startswith(prefix)})
