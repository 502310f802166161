"""Real single files of LDM's layout, written here at small width, load offline and bit for bit."""

from __future__ import annotations

import hashlib
import socket
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate import init_empty_weights
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from safetensors.torch import load_file, save_file
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from pentimento.engine.checkpoints.architecture import configuration, load_config
from pentimento.engine.checkpoints.clip_words import clip_words
from pentimento.engine.checkpoints.header import read_header
from pentimento.engine.checkpoints.recognise import recognise
from pentimento.engine.checkpoints.single_file import IncompleteFile, clip_tokenizer, load_pipeline, load_vae
from pentimento.engine.engine import Engine
from pentimento.engine.models import ModelLibrary
from pentimento.engine.prompts.resolving import PromptFiles
from pentimento.engine.request import EngineError, Request, Result
from pentimento_shared.recipe import settings_from_infotext
from pentimento_shared.settings import validate

from . import ldm

MILLIONS = {
    "sd15": {"unet": 859_520_964, "vae": 83_653_863, "text_encoder": 123_060_480},
    "sd2": {"unet": 865_910_724, "vae": 83_653_863, "text_encoder": 340_387_840},
    "sdxl": {
        "unet": 2_567_463_684,
        "vae": 83_653_863,
        "text_encoder": 123_060_480,
        "text_encoder_2": 694_659_840,
    },
}
"""Published numbers of parameters."""


@pytest.fixture
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library is told that it may use the network, and there is none."""

    def refuse(*_arguments: Any) -> None:
        raise AssertionError("the network was asked")

    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.mark.parametrize("family", MILLIONS)
def test_the_shipped_configurations_are_those_architectures(family):
    config = load_config(family)
    makers = {
        "unet": UNet2DConditionModel.from_config,
        "vae": AutoencoderKL.from_config,
        "text_encoder": lambda values: CLIPTextModel(CLIPTextConfig(**values)),
        "text_encoder_2": lambda values: CLIPTextModelWithProjection(CLIPTextConfig(**values)),
    }
    with init_empty_weights():
        models = {part: makers[part](config[part]) for part in MILLIONS[family]}
    assert {part: sum(p.numel() for p in model.parameters()) for part, model in models.items()} == MILLIONS[family]


def test_the_shipped_vocabulary_is_clips():
    ids, merges = clip_words()
    assert (len(ids), len(merges), ids["<|endoftext|>"]) == (49408, 48894, 49407)
    # As every program that reads CLIP's tokens has them.
    assert clip_tokenizer("!")("a photo of a cat").input_ids == [49406, 320, 1125, 539, 320, 2368, 49407]
    assert clip_tokenizer("!").pad_token_id == 0


@pytest.mark.parametrize(("family", "channels"), [("sd15", 4), ("sd15", 9), ("sd2", 4), ("sdxl", 4), ("sdxl", 9)])
def test_a_single_file_gives_the_same_weights_and_widths(tmp_path, no_network, family, channels):
    pipeline = ldm.small_pipeline(family, channels)
    path = ldm.write_single_file(pipeline, tmp_path / "small.safetensors")
    header = read_header(path)
    found = recognise(header, path.stem)
    assert (found.kind, found.family, found.inpaint, found.problem) == ("checkpoint", family, channels == 9, "")
    config = configuration(header, found)
    loaded = load_pipeline(path, config, type(pipeline), torch.float32).components
    for part in MILLIONS[family]:
        ours, theirs = loaded[part].state_dict(), pipeline.components[part].state_dict()
        assert ours.keys() == theirs.keys()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs), part
        for name in ("num_attention_heads", "attention_head_dim", "hidden_act", "scaling_factor"):
            assert _plain(loaded[part], name) == _plain(pipeline.components[part], name)
    assert loaded["scheduler"].config.prediction_type == ("v_prediction" if family == "sd2" else "epsilon")


def _plain(module: Any, name: str) -> Any:
    value = getattr(module.config, name, None)
    return list(value) if isinstance(value, tuple) else value


@pytest.mark.parametrize(
    ("lacking", "words"),
    [
        ("model.diffusion_model.middle_block.0.in_layers.2.weight", "some tensors of the UNet or the VAE"),
        ("first_stage_model.decoder.conv_out.bias", "some tensors of the UNet or the VAE"),
        ("cond_stage_model.transformer.text_model.final_layer_norm.bias", r"the text encoder's final_layer_norm\.bias"),
    ],
)
def test_a_file_that_lacks_a_tensor_says_which(tmp_path, lacking, words):
    pipeline = ldm.small_pipeline("sd15")
    path = ldm.write_single_file(pipeline, tmp_path / "small.safetensors")
    tensors = load_file(path)
    del tensors[lacking]
    save_file(tensors, path, ldm.RESOLUTION)
    header = read_header(path)
    config = configuration(header, recognise(header))
    with pytest.raises(IncompleteFile, match=words):
        load_pipeline(path, config, type(pipeline), torch.float32)


@pytest.mark.parametrize("names", ["ldm", "ldm in a checkpoint", "diffusers"])
def test_a_vae_of_its_own(tmp_path, no_network, names):
    vae = ldm.small_pipeline("sdxl", seed=5).vae
    tensors = vae.state_dict() if names == "diffusers" else ldm.vae_names(vae)
    if "checkpoint" in names:
        tensors = ldm.named("first_stage_model.", tensors)
    path = tmp_path / "vae.safetensors"
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path)
    assert recognise(read_header(path)).kind == "vae"
    loaded = load_vae(path, read_header(path), load_config("sdxl")["vae"], torch.float32)
    theirs = vae.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in loaded.state_dict().items())
    assert loaded.config["scaling_factor"] == 0.13025


def test_a_vae_that_lacks_a_tensor_says_so(tmp_path):
    tensors = ldm.vae_names(ldm.small_pipeline("sd15").vae)
    del tensors["decoder.conv_out.bias"]
    path = tmp_path / "vae.safetensors"
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path)
    with pytest.raises(IncompleteFile, match="some tensors of the VAE"):
        load_vae(path, read_header(path), load_config("sd15")["vae"], torch.float32)


def test_no_other_failure_is_taken_for_a_tensor_that_is_missing(tmp_path):
    class Unfinished(StableDiffusionPipeline):
        def register_modules(self, **modules: Any) -> None:
            raise NotImplementedError("not on this machine")

    path = ldm.write_single_file(ldm.small_pipeline("sd15"), tmp_path / "small.safetensors")
    header = read_header(path)
    with pytest.raises(NotImplementedError, match="not on this machine"):
        load_pipeline(path, configuration(header, recognise(header)), Unfinished, torch.float32)


class Painter:
    """Paints 64 x 64 px with the models of a folder, two steps."""

    def __init__(self, folder: Path) -> None:
        self.engine = Engine(ModelLibrary([folder]), device="cpu", prompt_files=PromptFiles.below(folder / "words"))

    def paint(self, **settings: object) -> Result:
        asked = {"prompt": "a (harbour:1.2)", "steps": 2, "width": 64, "height": 64, **settings}
        request = Request("txt2img", validate("txt2img", asked), (4,))
        return next(event for event in self.engine.run(request, lambda: False) if isinstance(event, Result))


@pytest.mark.parametrize("family", ["sd15", "sd2", "sdxl"])
def test_a_job_with_a_single_file_gives_the_folders_picture(tmp_path, no_network, family):
    pipeline = ldm.small_pipeline(family)
    pipeline.save_pretrained(tmp_path / "folder")
    ldm.write_single_file(pipeline, tmp_path / "file.safetensors")
    painter = Painter(tmp_path)
    by_folder, by_file = painter.paint(model="folder"), painter.paint(model="file")
    assert by_file.pixels == by_folder.pixels
    assert by_file.recipe.model["hash"] == hashlib.sha256((tmp_path / "file.safetensors").read_bytes()).hexdigest()
    assert painter.engine.loaded == ("folder", "file")


def test_a_job_with_another_vae(tmp_path):
    ldm.write_single_file(ldm.small_pipeline("sd15"), tmp_path / "file.safetensors")
    other = ldm.small_pipeline("sd15", seed=7).vae
    tensors = {name: tensor.contiguous().clone() for name, tensor in ldm.vae_names(other).items()}
    (tmp_path / "vae").mkdir()
    save_file(tensors, tmp_path / "vae" / "other.safetensors")
    painter = Painter(tmp_path)
    own, with_vae = painter.paint(model="file"), painter.paint(model="file", vae="other")
    assert with_vae.pixels != own.pixels
    assert with_vae.recipe.settings["vae"] == "other"
    assert "VAE: other" in with_vae.recipe.to_infotext()
    assert settings_from_infotext(with_vae.recipe.to_infotext())["vae"] == "other"
    assert painter.paint(model="file").pixels == own.pixels
    with pytest.raises(EngineError, match=r"vae is 'othr'; there is: other\. Did you mean other\?"):
        painter.paint(model="file", vae="othr")


@pytest.mark.parametrize("family", ["sd15", "sdxl"])
def test_a_file_without_a_vae_paints_with_the_one_that_is_chosen(tmp_path, no_network, family):
    pipeline = ldm.small_pipeline(family)
    ldm.write_single_file(pipeline, tmp_path / "whole.safetensors")
    tensors = load_file(tmp_path / "whole.safetensors")
    rest = {name: tensor for name, tensor in tensors.items() if not name.startswith("first_stage_model.")}
    save_file(rest, tmp_path / "bare.safetensors", ldm.RESOLUTION)
    (tmp_path / "vae").mkdir()
    vae = {name: tensor.contiguous().clone() for name, tensor in ldm.vae_names(pipeline.vae).items()}
    save_file(vae, tmp_path / "vae" / "soft.safetensors")
    painter = Painter(tmp_path)
    assert [info.has_vae for info in painter.engine.library.list()] == [False, True]
    assert not painter.engine.library.refused()
    with pytest.raises(
        EngineError, match=r"The model bare has no VAE of its own\. Choose one as SD VAE: soft\."
    ) as told:
        painter.paint(model="bare")
    assert told.value.field == "vae"
    whole = painter.paint(model="whole", vae="soft")
    assert painter.paint(model="bare", vae="soft").pixels == whole.pixels
    (tmp_path / "bare.pentimento.json").write_text('{"defaults": {"vae": "soft"}}')
    assert painter.engine.library.get("bare").defaults == {"vae": "soft"}
