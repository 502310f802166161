"""LoRA files for models of other families: two text encoders, and weights that other software keeps as one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pentimento.engine.checkpoints.places import ModelFile
from pentimento.engine.extras.files import Lora
from pentimento.engine.extras.patching import fit
from pentimento.engine.families.registry import family_of
from pentimento.engine.loading import load
from pentimento.engine.models import read_info
from pentimento.engine.request import EngineError
from tests.family_models import build

RANK = 2


def drawn(*shape: int, seed: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def written(path: Path, tensors: dict[str, torch.Tensor]) -> Lora:
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return Lora(ModelFile(path.stem, path, "lora"), 0.5, 0.8)


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "places"),
    [
        (
            "sdxl",
            {
                "lora_unet_input_blocks_0_0": ("unet", ["conv_in"]),
                "lora_unet_label_emb_0_2": ("unet", ["add_embedding.linear_2"]),
                "lora_te1_text_model_encoder_layers_1_mlp_fc1": ("text_encoder", ["encoder.layers.1.mlp.fc1"]),
                "lora_te2_text_model_encoder_layers_0_self_attn_out_proj": (
                    "text_encoder_2",
                    ["text_model.encoder.layers.0.self_attn.out_proj"],
                ),
                "text_encoder_2.text_projection": ("text_encoder_2", ["text_projection"]),
            },
        ),
        (
            "flux-dev",
            {
                "lora_unet_double_blocks_0_img_attn_qkv": (
                    "transformer",
                    [f"transformer_blocks.0.attn.to_{part}" for part in "qkv"],
                ),
                "transformer.single_transformer_blocks.0.proj_out": (
                    "transformer",
                    ["single_transformer_blocks.0.proj_out"],
                ),
                "diffusion_model.single_blocks.0.linear1": (
                    "transformer",
                    [
                        f"single_transformer_blocks.0.{part}"
                        for part in ("attn.to_q", "attn.to_k", "attn.to_v", "proj_mlp")
                    ],
                ),
                "lora_te1_text_model_encoder_layers_0_mlp_fc1": ("text_encoder", ["encoder.layers.0.mlp.fc1"]),
            },
        ),
        ("sd3", {"transformer.transformer_blocks.0.attn.to_q": ("transformer", ["transformer_blocks.0.attn.to_q"])}),
    ],
)
def test_each_weight_gets_its_rows(name, places, tmp_path):
    model = load(read_info(build(name, tmp_path / name)), torch.device("cpu"))
    tensors: dict[str, torch.Tensor] = {}
    wanted: dict[tuple[str, str], torch.Tensor] = {}
    for number, (place, (part, modules)) in enumerate(places.items()):
        weights = [model.components[part].get_submodule(module).weight for module in modules]
        up = drawn(sum(len(weight) for weight in weights), RANK, seed=number)
        down = drawn(RANK, *weights[0].shape[1:], seed=100 + number)
        tensors |= {f"{place}.lora_up.weight": up, f"{place}.lora_down.weight": down}
        change = (0.5 if part.startswith("text") else 0.8) * torch.einsum("or,r...->o...", up, down)
        for module, rows in zip(modules, change.split([len(weight) for weight in weights]), strict=True):
            wanted[part, module] = rows
    parts = {part: model.components[part] for part, _ in wanted} | {"": model.components[family_of(model).denoiser]}
    before = {
        part: {key: value.clone() for key, value in module.state_dict().items()} for part, module in parts.items()
    }
    with fit(model, [written(tmp_path / "lora.safetensors", tensors)]).over() as lay:
        lay()
        for (part, module), rows in wanted.items():
            after = model.components[part].get_submodule(module).weight
            assert torch.allclose(after - before[part][f"{module}.weight"], rows, atol=1e-5), module
    model.overlay.take_off()
    for part, module in parts.items():
        assert all(torch.equal(value, before[part][key]) for key, value in module.state_dict().items())


def test_a_lora_for_two_encoders_does_not_fit_one(tmp_path):
    model = load(read_info(build("sd15", tmp_path / "sd15")), torch.device("cpu"))
    lora = written(tmp_path / "xl.safetensors", {"text_encoder_2.text_projection.lora_A.weight": drawn(2, 32, seed=1)})
    with pytest.raises(EngineError, match=r"no weight of that model's text encoder 2\. It seems to be for .* XL\."):
        fit(model, [lora])
