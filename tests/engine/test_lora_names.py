"""LoRA files in the names of Stability's and Black Forest Labs' published code, against diffusers' own tables."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel

from pentimento.engine.extras.keys import DENOISER, parse_key, weight_names

SD15: dict[str, Any] = {
    "block_out_channels": (320, 640, 1280, 1280),
    "cross_attention_dim": 768,
    "attention_head_dim": 8,
}
SDXL: dict[str, Any] = {
    "block_out_channels": (320, 640, 1280),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
    "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
    "transformer_layers_per_block": (1, 2, 10),
    "attention_head_dim": (5, 10, 20),
    "cross_attention_dim": 2048,
    "use_linear_projection": True,
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 2816,
}


@pytest.mark.parametrize("config", [SD15, SDXL], ids=["sd15", "sdxl"])
def test_every_weight_of_a_unet_goes_by_its_published_name(config):
    """Each weight under the name that we take, a number of its own in it, comes out under its own at diffusers."""
    with torch.device("meta"):
        unet = UNet2DConditionModel(**config)
    modules = [name.removesuffix(".weight") for name, part in unet.named_parameters() if name.endswith(".weight")]
    matrices = [name for name in modules if unet.get_submodule(name).weight.ndim > 1]  # pyright: ignore
    table = weight_names(DENOISER, matrices)
    theirs = {flat: module for flat, (module,) in table.items() if flat != module.replace(".", "_")}
    published = {module: _dotted(flat) for flat, module in theirs.items() if flat.startswith(_BEGINNINGS)}
    assert set(published) == set(matrices)
    numbers = {module: torch.tensor(float(number)) for number, module in enumerate(matrices)}
    begin = "model.diffusion_model."
    parts = [(module, part) for module in matrices for part in ("weight", "bias")]
    checkpoint = {f"{begin}{published[module]}.{part}": numbers[module] for module, part in parts}
    converted = convert_ldm_unet_checkpoint(checkpoint, dict(unet.config))
    for name, part in converted.items():
        assert part is numbers[name.rpartition(".")[0]], name
    assert {name.rpartition(".")[0] for name in converted} == set(matrices)


_BEGINNINGS = ("input_blocks", "middle_block", "output_blocks", "time_embed_0", "time_embed_2", "label_emb", "out_2")
_INNER = ("input_blocks", "middle_block", "output_blocks", "in_layers", "out_layers", "emb_layers", "skip_connection")
_WORDS = (
    *_INNER,
    "time_embed",
    "label_emb",
    "transformer_blocks",
    "proj_in",
    "proj_out",
    "to_q",
    "to_k",
    "to_v",
    "to_out",
)


def _dotted(flat: str) -> str:
    """A name of the published code with its dots again."""
    for word in _WORDS:
        flat = flat.replace(word, word.replace("_", "~"))
    return flat.replace("_", ".").replace("~", "_")


FLUX = [
    *(
        f"transformer_blocks.{k}.{part}"
        for k in range(2)
        for part in ("attn.to_q", "attn.to_k", "attn.to_v", "ff.net.2")
    ),
    *(f"single_transformer_blocks.{k}.{part}" for k in range(3) for part in ("attn.to_q", "proj_mlp", "proj_out")),
]


@pytest.mark.parametrize(
    ("name", "modules"),
    [
        (
            "lora_unet_double_blocks_1_img_attn_qkv.lora_down.weight",
            tuple(f"transformer_blocks.1.attn.to_{part}" for part in "qkv"),
        ),
        ("transformer.transformer_blocks.0.attn.to_q.lora_A.weight", ("transformer_blocks.0.attn.to_q",)),
        ("transformer_blocks.0.attn.to_q.lora_A.weight", ("transformer_blocks.0.attn.to_q",)),
        ("diffusion_model.single_blocks.2.linear2.lora_B.weight", ("single_transformer_blocks.2.proj_out",)),
        ("base_model.model.transformer_blocks.1.ff.net.2.lora_A.default.weight", ("transformer_blocks.1.ff.net.2",)),
    ],
)
def test_flux_goes_by_both_names(name, modules):
    key = parse_key(name)
    assert key is not None
    assert weight_names(DENOISER, FLUX)[key.module] == modules


@pytest.mark.parametrize("name", ["unet.conv_in.weight", "lora_unet_x.lora_side.weight", "emb_params", ""])
def test_names_of_no_known_form(name):
    assert parse_key(name) is None
