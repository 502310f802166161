"""A file's kind and family from its header alone; what cannot be used says why."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pentimento.engine.checkpoints.header import HeaderError, read_header
from pentimento.engine.checkpoints.recognise import Recognised, recognise

from . import files


def look(path: Path) -> Recognised:
    return recognise(read_header(path), path.stem)


@pytest.mark.parametrize(
    ("shapes", "family", "prediction", "inpaint"),
    [
        (files.SD15, "sd15", "epsilon", False),
        (files.SD15_INPAINT, "sd15", "epsilon", True),
        (files.SD21, "sd2", "v_prediction", False),
        (files.SDXL, "sdxl", "epsilon", False),
        (files.SD35, "sd3", "flow", False),
        (files.FLUX, "flux", "flow", False),
    ],
)
def test_checkpoints_of_each_family(tmp_path, shapes, family, prediction, inpaint):
    found = look(files.write(tmp_path / "model.safetensors", shapes))
    assert (found.kind, found.family, found.problem) == ("checkpoint", family, "")
    assert (found.prediction, found.inpaint) == (prediction, inpaint)


def test_what_the_unet_predicts_where_tensors_do_not_tell(tmp_path):
    base = files.write(tmp_path / "v2-1_512-base.safetensors", files.SD21)
    assert look(base).prediction == "epsilon"
    stated = files.write(tmp_path / "x.safetensors", files.SDXL, {"modelspec.prediction_type": "v"})
    assert look(stated).prediction == "v_prediction"
    marked = files.write(tmp_path / "y.safetensors", {**files.SDXL, "v_pred": (1,)})
    assert look(marked).prediction == "v_prediction"
    assert look(files.write(tmp_path / "noobai_vPred.safetensors", files.SDXL)).prediction == "v_prediction"


def test_the_parts_of_a_checkpoint(tmp_path):
    assert look(files.write(tmp_path / "a.safetensors", files.SD15)).parts == ("unet", "vae", "text_encoder")
    assert look(files.write(tmp_path / "b.safetensors", files.unet(4, 768, False))).parts == ("unet",)
    assert look(files.write(tmp_path / "c.safetensors", files.FLUX)).parts == ("transformer",)


@pytest.mark.parametrize(
    ("shapes", "kind", "family"),
    [
        (files.LORA_SDXL, "lora", "sdxl"),
        (files.LORA_SD15, "lora", "sd15"),
        (files.LORA_FLUX, "lora", "flux"),
        (files.VAE, "vae", ""),
        ({"first_stage_model.decoder.conv_in.weight": (512, 4, 3, 3)}, "vae", ""),
        (files.EMBEDDING, "embedding", "sd15"),
        (files.EMBEDDING_SDXL, "embedding", "sdxl"),
        ({"<cat>": (768,)}, "embedding", "sd15"),
        ({"control_model.input_hint_block.0.weight": (16, 3, 3, 3)}, "controlnet", ""),
        ({"text_model.encoder.layers.0.self_attn.q_proj.weight": (768, 768)}, "text_encoder", ""),
        ({"model.0.weight": (64, 3, 3, 3), "model.1.sub.0.RDB1.conv1.0.weight": (32, 64, 3, 3)}, "upscaler", ""),
        ({"body.0.weight": (64, 3, 3, 3), "body.1.weight": (64,)}, "upscaler", ""),
    ],
)
def test_other_kinds(tmp_path, shapes, kind, family):
    found = look(files.write(tmp_path / "file.safetensors", shapes))
    assert (found.kind, found.family) == (kind, family)


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        ({"conditioner.embedders.0.model.token_embedding.weight": (1, 1), **files.unet(4, 1280, True)}, "refiner"),
        (files.unet(8, 768, False), "InstructPix2Pix"),
        ({**files.FLUX, "img_in.weight": (3072, 384)}, "FLUX.1 Fill"),
        ({"distilled_guidance_layer.in_proj.weight": (8, 8), **files.FLUX}, "Chroma"),
        ({"down_blocks.0.resnets.0.conv1.weight": (320, 320, 3, 3)}, "one piece of a model in diffusers' folder"),
    ],
)
def test_what_is_known_and_not_supported_is_named(tmp_path, shapes, words):
    assert words in look(files.write(tmp_path / "file.safetensors", shapes)).problem


def test_an_unknown_architecture_says_which_keys_were_seen(tmp_path):
    shapes = {**{f"tower.{k}.w": (2,) for k in range(12)}, "mouth.w": (2,)}
    found = look(files.write(tmp_path / "odd.safetensors", shapes))
    assert found.kind == "unknown"
    assert "the keys tower (12 tensors), mouth (1 tensors)" in found.problem
    assert "Supported: Stable Diffusion 1.x, " in found.problem


def test_numbers_of_a_header(tmp_path):
    header = read_header(files.write(tmp_path / "a.safetensors", {"a": (3, 5), "b": ()}, {"title": "A"}))
    assert (header.values, header.tensors["a"].size, header.shape("b"), header.shape("no")) == (16, 30, (), ())
    assert header.metadata == {"title": "A"}


def sealed(text: bytes, data: bytes = b"") -> bytes:
    return len(text).to_bytes(8, "little") + text + data


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04 a zip",
        (2**63).to_bytes(8, "little") + b"{}",
        sealed(b"[" * 100_000),
        sealed(b"[]"),
        sealed(b'{"a": 1}'),
        sealed(b'{"a": {"dtype": "F16", "shape": [-1], "data_offsets": [0, 2]}}', b"ab"),
        sealed(b'{"a": {"dtype": "F16", "shape": [1], "data_offsets": [4, 2]}}', b"ab"),
        sealed(b'{"__metadata__": {"a": 1}}'),
        sealed(b"\xff\xfe"),
    ],
)
def test_a_file_that_is_none_is_refused(tmp_path, content):
    (tmp_path / "x.safetensors").write_bytes(content)
    with pytest.raises(HeaderError, match="is not a safetensors file"):
        read_header(tmp_path / "x.safetensors")


def test_a_truncated_file_and_a_header_that_is_too_long(tmp_path):
    path = files.write(tmp_path / "x.safetensors", {"a": (100,)})
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(HeaderError, match=r"has \d+ bytes where its header says \d+: it is truncated"):
        read_header(path)
    with path.open("wb") as file:
        file.write((100_000_001).to_bytes(8, "little"))
        file.truncate(100_000_100)
    with pytest.raises(HeaderError, match="header would have 100000001 bytes"):
        read_header(path)


def test_a_real_file_of_the_library_is_read(tmp_path):
    import torch
    from safetensors.torch import save_file

    save_file({"x": torch.zeros(2, 3), "y": torch.ones(5, dtype=torch.bfloat16)}, tmp_path / "r.safetensors")
    header = read_header(tmp_path / "r.safetensors")
    assert {name: tensor.shape for name, tensor in header.tensors.items()} == {"x": (2, 3), "y": (5,)}
    assert json.loads(json.dumps(header.metadata)) == {}
