"""Which weight of a model each tensor of a LoRA file belongs to, in the names that the trainers use.

kohya's scripts and LyCORIS write `lora_unet_down_blocks_0_..._to_q.lora_down.weight` (SDXL with the block names of
Stability's own code), diffusers and peft `unet.down_blocks.0...to_q.lora_A.weight`. Dots and underscores are made one,
so a table of a model's own weights answers for all of them. Free of torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final, NamedTuple

DENOISER: Final = "denoiser"
"""Stands for the component that denoises, whatever a pipeline calls it."""
ENCODERS: Final = ("text_encoder", "text_encoder_2", "text_encoder_3")

PARTS: Final[Mapping[str, str]] = {
    ".lora_up.weight": "up",
    ".lora_down.weight": "down",
    ".lora_mid.weight": "mid",
    ".lora_B.weight": "up",
    ".lora_A.weight": "down",
    ".lora_B.default.weight": "up",
    ".lora_A.default.weight": "down",
    ".lora.up.weight": "up",
    ".lora.down.weight": "down",
    ".lora_linear_layer.up.weight": "up",
    ".lora_linear_layer.down.weight": "down",
    "_lora.up.weight": "up",
    "_lora.down.weight": "down",
    ".hada_w1_a": "w1_a",
    ".hada_w1_b": "w1_b",
    ".hada_w2_a": "w2_a",
    ".hada_w2_b": "w2_b",
    ".hada_t1": "t1",
    ".hada_t2": "t2",
    ".lokr_w1": "k1",
    ".lokr_w1_a": "k1_a",
    ".lokr_w1_b": "k1_b",
    ".lokr_w2": "k2",
    ".lokr_w2_a": "k2_a",
    ".lokr_w2_b": "k2_b",
    ".lokr_t2": "kt2",
    ".diff": "diff",
    ".dora_scale": "magnitude",
    ".lora_magnitude_vector": "magnitude",
    ".lora_magnitude_vector.weight": "magnitude",
    ".alpha": "alpha",
}
"""How a tensor's name ends -> what it is."""
_SUFFIX: Final = re.compile(
    "(?P<module>.+?)(?P<suffix>" + "|".join(map(re.escape, sorted(PARTS, key=len, reverse=True))) + ")"
)
_PREFIXES: Final[Sequence[tuple[str, str]]] = (
    ("lora_unet_", DENOISER),
    ("lora_transformer_", DENOISER),
    ("lora_te1_", "text_encoder"),
    ("lora_te2_", "text_encoder_2"),
    ("lora_te3_", "text_encoder_3"),
    ("lora_te_", "text_encoder"),
    ("lycoris_", DENOISER),
    ("text_encoder_2_", "text_encoder_2"),
    ("text_encoder_3_", "text_encoder_3"),
    ("text_encoder_", "text_encoder"),
    ("unet_", DENOISER),
    ("transformer_blocks_", DENOISER),
    ("transformer_", DENOISER),
    ("diffusion_model_", DENOISER),
    ("base_model_model_", DENOISER),
)
"""How a flat name begins -> the component; the first that fits is taken off."""
_KEPT: Final = ("transformer_blocks_",)
"""Beginnings that belong to the weight's own name and stay."""


class Key(NamedTuple):
    """A tensor's place: the component, the weight's name in it with underscores for dots, and which part it is."""

    component: str
    module: str
    part: str


def parse_key(name: str) -> Key | None:
    """The place of the tensor of that name; None for a name of no known form."""
    found = _SUFFIX.fullmatch(name)
    if not found:
        return None
    flat = found["module"].replace(".", "_").replace("_processor_", "_")
    for prefix, component in _PREFIXES:
        if flat.startswith(prefix):
            rest = flat if prefix in _KEPT else flat[len(prefix) :]
            return Key(component, rest.removeprefix("text_model_"), PARTS[found["suffix"]])
    return Key(DENOISER, flat, PARTS[found["suffix"]])


def weight_names(component: str, modules: Iterable[str], layers_per_block: int = 2) -> dict[str, tuple[str, ...]]:
    """Flat name -> the modules whose weights, one below the other, it stands for.

    `modules` are all modules of the component that have a weight. Each goes by its own name and by those that other
    software has for it; `layers_per_block` is the UNet's.
    """
    modules = tuple(modules)
    found: dict[str, tuple[str, ...]] = {}
    for module in modules:
        for name in (module, *_aliases(component, module, modules, layers_per_block)):
            flat = name.replace(".", "_")
            found.setdefault(flat.removeprefix("text_model_") if component in ENCODERS else flat, (module,))
    if any(module.startswith("single_transformer_blocks.") for module in modules):
        found.update(_flux_names(modules))
    return found


def _aliases(component: str, module: str, modules: Sequence[str], layers_per_block: int) -> Iterator[str]:
    if component in ENCODERS:
        # diffusers' first LoRA files call the encoder's projections as they call the UNet's.
        yield re.sub(r"self_attn\.([qkv])_proj$", r"self_attn.to_\1", module).replace("out_proj", "to_out")
        return
    if module.endswith("to_out.0"):
        yield module.removesuffix(".0")
    block = _ldm_block(module, modules, layers_per_block)
    if block is not None:
        yield block


_RESNET: Final[Mapping[str, str]] = {
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
_OUTER: Final[Mapping[str, str]] = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "add_embedding.linear_1": "label_emb.0.0",
    "add_embedding.linear_2": "label_emb.0.2",
    "conv_out": "out.2",
}
_BLOCK: Final = re.compile(
    r"(?:(?P<side>down|up)_blocks\.(?P<block>\d+)|mid_block)"
    r"\.(?P<kind>resnets|attentions|downsamplers|upsamplers)\.(?P<index>\d+)\.(?P<rest>.+)"
)


def _ldm_block(module: str, modules: Sequence[str], layers: int) -> str | None:
    """A UNet module's name in the code that Stable Diffusion was published with; None for what has none there.

    There the blocks of each side are one list, a sampler counting as one: each level of the way down has `layers` of
    them and a downsampler, each of the way up `layers` + 1.
    """
    if module in _OUTER:
        return _OUTER[module]
    found = _BLOCK.fullmatch(module)
    if not found:
        return None
    kind, index, rest = found["kind"], int(found["index"]), found["rest"]
    inner = _RESNET.get(rest, rest) if kind == "resnets" else rest
    if not found["side"]:
        return f"middle_block.{2 * index + (kind == 'attentions')}.{inner}"
    block = int(found["block"])
    if kind == "downsamplers":
        return f"input_blocks.{(block + 1) * (layers + 1)}.0.op"
    if found["side"] == "down":
        return f"input_blocks.{1 + block * (layers + 1) + index}.{int(kind == 'attentions')}.{inner}"
    if kind == "upsamplers":
        attends = any(name.startswith(f"up_blocks.{block}.attentions.") for name in modules)
        return f"output_blocks.{block * (layers + 1) + layers}.{1 + attends}.conv"
    return f"output_blocks.{block * (layers + 1) + index}.{int(kind == 'attentions')}.{inner}"


_FLUX_DOUBLE: Final[Mapping[str, tuple[str, ...]]] = {
    "img_attn.qkv": ("attn.to_q", "attn.to_k", "attn.to_v"),
    "txt_attn.qkv": ("attn.add_q_proj", "attn.add_k_proj", "attn.add_v_proj"),
    "img_attn.proj": ("attn.to_out.0",),
    "txt_attn.proj": ("attn.to_add_out",),
    "img_mlp.0": ("ff.net.0.proj",),
    "img_mlp.2": ("ff.net.2",),
    "txt_mlp.0": ("ff_context.net.0.proj",),
    "txt_mlp.2": ("ff_context.net.2",),
    "img_mod.lin": ("norm1.linear",),
    "txt_mod.lin": ("norm1_context.linear",),
}
_FLUX_SINGLE: Final[Mapping[str, tuple[str, ...]]] = {
    "linear1": ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp"),
    "linear2": ("proj_out",),
    "modulation.lin": ("norm.linear",),
}


def _flux_names(modules: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The names of FLUX.1's published code, in which queries, keys and values are one weight."""
    sides = (
        ("double_blocks", "transformer_blocks", _FLUX_DOUBLE),
        ("single_blocks", "single_transformer_blocks", _FLUX_SINGLE),
    )
    for theirs, ours, names in sides:
        count = len({name.split(".")[1] for name in modules if name.startswith(f"{ours}.")})
        for block in range(count):
            for name, parts in names.items():
                flat = f"{theirs}.{block}.{name}".replace(".", "_")
                yield flat, tuple(f"{ours}.{block}.{part}" for part in parts)
