"""Files with weights that a test needs the header of: whole safetensors files, of zeros."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

Shapes = Mapping[str, Sequence[int]]


def write(path: Path, shapes: Shapes, metadata: Mapping[str, str] | None = None) -> Path:
    """A safetensors file of float16 zeros with those tensors."""
    header: dict[str, object] = {"__metadata__": dict(metadata)} if metadata else {}
    end = 0
    for name, shape in shapes.items():
        size = 2
        for side in shape:
            size *= side
        header[name] = {"dtype": "F16", "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(header).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        # Sparse: a file as long as the header says, without its bytes.
        file.truncate(8 + len(text) + end)
    return path


UNET = "model.diffusion_model."
_ATTENTION = f"{UNET}input_blocks.1.1."
_CLIP = "cond_stage_model.transformer.text_model.embeddings.token_embedding.weight"
_OPEN_CLIP = "cond_stage_model.model.token_embedding.weight"
_VAE = {"first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3)}


def unet(channels: int, width: int, linear: bool) -> Shapes:
    """The telling tensors of a Stable Diffusion UNet whose text is `width` wide."""
    return {
        f"{UNET}input_blocks.0.0.weight": (320, channels, 3, 3),
        f"{_ATTENTION}proj_in.weight": (320, 320) if linear else (320, 320, 1, 1),
        f"{_ATTENTION}transformer_blocks.0.attn2.to_k.weight": (320, width),
    }


SD15: Shapes = {**unet(4, 768, False), **_VAE, _CLIP: (49408, 768)}
SD15_INPAINT: Shapes = {**unet(9, 768, False), **_VAE, _CLIP: (49408, 768)}
SD21: Shapes = {**unet(4, 1024, True), **_VAE, _OPEN_CLIP: (49408, 1024)}
SDXL: Shapes = {
    **unet(4, 2048, True),
    **_VAE,
    f"{UNET}label_emb.0.0.weight": (1280, 2816),
    "conditioner.embedders.0.transformer.text_model.embeddings.token_embedding.weight": (49408, 768),
    "conditioner.embedders.1.model.token_embedding.weight": (49408, 1280),
}
FLUX: Shapes = {
    "double_blocks.0.img_attn.norm.key_norm.scale": (128,),
    "img_in.weight": (3072, 64),
}
SD35: Shapes = {f"{UNET}joint_blocks.{k}.context_block.adaLN_modulation.1.bias": (64,) for k in range(38)}
LORA_SDXL: Shapes = {
    "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_down.weight": (8, 2048),
    "lora_unet_input_blocks_4_1_transformer_blocks_0_attn2_to_k.lora_up.weight": (640, 8),
}
LORA_SD15: Shapes = {
    "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.lora_A.weight": (8, 768),
    "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.lora_B.weight": (320, 8),
}
LORA_FLUX: Shapes = {"transformer.single_transformer_blocks.0.attn.to_k.lora_A.weight": (16, 3072)}
VAE: Shapes = {"decoder.conv_in.weight": (512, 4, 3, 3), "encoder.conv_in.weight": (128, 3, 3, 3)}
EMBEDDING: Shapes = {"emb_params": (3, 768)}
EMBEDDING_SDXL: Shapes = {"clip_l": (2, 768), "clip_g": (2, 1280)}
