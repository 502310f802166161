"""The library: single files beside folders, and a reason for each file that is no model."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest

from pentimento.cli import main
from pentimento.engine.footprint import amount, weight_bytes
from pentimento.engine.models import BrokenModel, ModelInfo, ModelLibrary, UnknownModel, demo_folder
from pentimento.engine.request import EngineError

from . import files

FULL: files.Shapes = {
    **files.SD15,
    **{f"{files.UNET}input_blocks.{k}.0.in_layers.2.weight": (320, 320, 3, 3) for k in (1, 2, 4, 5)},
    f"{files.UNET}input_blocks.3.0.op.weight": (320, 320, 3, 3),
    "cond_stage_model.transformer.text_model.encoder.layers.0.mlp.fc1.weight": (3072, 768),
}
"""Enough of Stable Diffusion 1.5 for its configuration."""


def info_of(folder: Path, name: str, metadata: Mapping[str, str] | None = None) -> ModelInfo:
    files.write(folder / f"{name}.safetensors", FULL, metadata)
    return ModelLibrary([folder]).get(name)


def test_a_single_file_is_a_model_by_its_header(tmp_path):
    info = info_of(tmp_path / "checkpoints" / "sub", "harbour", {"modelspec.title": "Harbour\nLights\x07"})
    assert (info.family, info.native_size, info.multiple) == ("sd15", (512, 512), 16)
    assert (info.id, info.name, info.variant, info.min_steps) == ("harbour", "Harbour Lights", "", 1)
    assert info.limits["clip_skip"] == 1
    assert info.file == tmp_path / "checkpoints" / "sub" / "harbour.safetensors"
    assert ModelLibrary([tmp_path]).get("sub/harbour").file == info.file


@pytest.mark.parametrize(
    ("name", "variant", "defaults"),
    [
        ("sd_turbo", "turbo", {"steps": 4, "cfg_scale": 1.0, "sampler": "Euler a", "schedule": "SGM Uniform"}),
        (
            "x_lightning_8step",
            "lightning",
            {"steps": 8, "cfg_scale": 1.0, "sampler": "Euler", "schedule": "SGM Uniform"},
        ),
        ("dreamshaper-LCM", "lcm", {"steps": 6, "cfg_scale": 1.0, "sampler": "LCM"}),
        ("Hyper-SD15-4steps", "hyper", {"steps": 4, "cfg_scale": 1.0, "sampler": "Euler", "schedule": "SGM Uniform"}),
        ("dmd2_sdxl_4step", "dmd2", {"steps": 4, "cfg_scale": 1.0, "sampler": "LCM"}),
        ("hyperrealism_v3", "", {}),
        ("plain", "", {}),
    ],
)
def test_distilled_models_bring_their_defaults(tmp_path, name, variant, defaults):
    info = info_of(tmp_path, name)
    assert (info.variant, dict(info.defaults)) == (variant, defaults)
    assert info.min_steps == (2 if variant else 1)


def test_a_distilled_folder_brings_its_defaults_too(tmp_path, tiny_model):
    shutil.copytree(tiny_model, tmp_path / "sdxl-lightning-2step")
    library = ModelLibrary([tmp_path])
    info = library.get("sdxl-lightning-2step")
    assert (info.variant, info.defaults["steps"], info.defaults["cfg_scale"], info.min_steps) == (
        "lightning",
        2,
        1.0,
        2,
    )
    (info.folder / "pentimento.json").write_text('{"defaults": {"steps": 7}, "min_steps": 1}')
    assert (library.get(info.id).defaults, library.get(info.id).min_steps) == ({"steps": 7}, 1)


def test_what_lies_beside_a_file_is_read_anew(tmp_path):
    library = ModelLibrary([tmp_path])
    files.write(tmp_path / "plain.safetensors", FULL)
    assert library.get("plain").name == "plain"
    (tmp_path / "plain.pentimento.json").write_text('{"name": "Mine"}')
    assert library.get("plain").name == "Mine"


def test_what_lies_beside_a_file_overrides(tmp_path):
    beside = tmp_path / "plain.pentimento.json"
    beside.write_text(json.dumps({"name": "Mine", "native_size": [768, 512], "defaults": {"steps": 9}}))
    info = info_of(tmp_path, "plain")
    assert (info.name, info.native_size, info.defaults) == ("Mine", (768, 512), {"steps": 9})
    beside.write_text(json.dumps({"defaults": {"steps": 0}}))
    with pytest.raises(BrokenModel, match=r"has values beside it .*steps is 0"):
        ModelLibrary([tmp_path]).get("plain")
    beside.write_text(json.dumps({"task_defaults": {"paint": {"steps": 9}}}))
    with pytest.raises(BrokenModel, match=r"has values beside it .*'paint'"):
        ModelLibrary([tmp_path]).get("plain")
    beside.write_text("{")
    with pytest.raises(BrokenModel, match=r"has a plain\.pentimento\.json beside it that cannot be read"):
        ModelLibrary([tmp_path]).get("plain")


@pytest.mark.parametrize(
    ("shapes", "words"),
    [
        (files.LORA_SDXL, r"is no model but a LoRA for Stable Diffusion XL\. .*write <lora:thing:1> into the prompt"),
        (files.EMBEDDING, r"is no model but an embedding for Stable Diffusion 1\.x"),
        (files.VAE, r"is no model but a VAE of 4 latent channels\. .*choose it as SD VAE"),
        (
            {"tower.0.w": (2,)},
            r"has an architecture that is not known \(the keys tower \(1 tensors\)\)\. Supported: Stab",
        ),
        (files.FLUX, r"is FLUX\.1 schnell\. Its text encoders and VAE are files of their own"),
        (files.unet(4, 768, False), r"holds no text encoder and no VAE"),
        (files.SD15, r"is laid out as Stable Diffusion 1\.x, but its tensors have other shapes"),
    ],
)
def test_a_file_that_is_no_model_says_what_it_is(tmp_path, shapes, words):
    files.write(tmp_path / "checkpoints" / "thing.safetensors", shapes)
    library = ModelLibrary([tmp_path])
    with pytest.raises(BrokenModel, match=f"The model 'thing' cannot be loaded: thing.safetensors {words}"):
        library.get("thing")
    assert library.list() == ()
    assert [file.name for file in library.refused()] == ["thing"]


def test_files_that_are_damaged_or_pickles_are_told(tmp_path):
    whole = files.write(tmp_path / "half.safetensors", FULL)
    whole.write_bytes(whole.read_bytes()[:5000])
    (tmp_path / "old.ckpt").write_bytes(b"\x80\x04")
    library = ModelLibrary([tmp_path])
    with pytest.raises(BrokenModel, match=r"half.safetensors is not a safetensors file|it is truncated"):
        library.get("half")
    with pytest.raises(BrokenModel, match=r"old\.ckpt is a pickle, .*Convert it to safetensors"):
        library.get("old.ckpt")
    with pytest.raises(UnknownModel, match="There is no model 'nothing'"):
        library.get("nothing")
    files.write(tmp_path / "odd.safetensors", {"tower.0.w": (2,)})
    told = {file.path.name: file.refused for file in library.refused()}
    assert set(told) == {"old.ckpt", "half.safetensors", "odd.safetensors"}
    assert "an architecture that is not known (the keys tower" in told["odd.safetensors"]


def test_a_lora_in_its_own_folder_is_no_model_either(tmp_path):
    files.write(tmp_path / "loras" / "ink.safetensors", files.LORA_SD15)
    with pytest.raises(BrokenModel, match=r"is no model but a LoRA .*<lora:ink:1>"):
        ModelLibrary([tmp_path]).get("ink")


def test_a_file_that_is_changed_is_read_anew(tmp_path):
    library = ModelLibrary([tmp_path])
    path = files.write(tmp_path / "a.safetensors", files.VAE)
    with pytest.raises(BrokenModel):
        library.get("a")
    path.unlink()
    files.write(path, FULL)
    assert library.get("a").family == "sd15"


def test_a_vae_by_name(tmp_path):
    files.write(tmp_path / "vae" / "Soft.safetensors", files.VAE)
    library = ModelLibrary([tmp_path])
    assert library.extra("vae", "soft.safetensors", "vae").path.stem == "Soft"
    with pytest.raises(EngineError, match=r"vae is 'sofft'; there is: Soft\. Did you mean Soft\?"):
        library.extra("vae", "sofft", "vae")
    with pytest.raises(EngineError, match="there is: none; put files into models/vae"):
        ModelLibrary([tmp_path / "vae" / "empty"]).extra("vae", "x", "vae")


def test_what_a_model_takes_is_known_before_it_is_loaded(tmp_path):
    info = info_of(tmp_path, "plain")
    count = sum(_product(shape) for shape in FULL.values())
    assert (weight_bytes(info, 2), weight_bytes(info, 4)) == (2 * count, 4 * count)
    demo = ModelLibrary([demo_folder()]).list()[0]
    stored = sum(file.stat().st_size for file in demo.folder.rglob("*.safetensors"))
    assert 0.9 * stored < weight_bytes(demo, 2) < 2.1 * stored
    assert (amount(1_720_000_000), amount(34_400_000)) == ("1.7 GB", "34 MB")


def _product(shape) -> int:
    result = 1
    for side in shape:
        result *= side
    return result


# --- the command line ---


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PENTIMENTO_HOME", str(tmp_path / "home"))
    return tmp_path / "home" / "data" / "models"


def said(capsys: pytest.CaptureFixture[str], *words: str) -> tuple[int, str]:
    code = main(["models", *words])
    captured = capsys.readouterr()
    return code, captured.out + captured.err


def test_models_are_listed_with_what_cannot_be_used(home, capsys):
    files.write(home / "harbour_turbo.safetensors", FULL)
    files.write(home / "loras" / "ink.safetensors", files.LORA_SD15)
    (home / "old.ckpt").write_bytes(b"x")
    for words in ((), ("list",)):
        code, text = said(capsys, *words)
        assert code == 0
        assert "harbour_turbo" in text
        assert "(sd15, turbo, made for 512 x 512)" in text
        assert "LoRA: ink" in text
        assert "old.ckpt is a pickle" in text
    assert {row["id"] for row in json.loads(said(capsys, "--json")[1])} == {"demo", "harbour_turbo"}


def test_a_folder_of_another_program_is_added_and_removed(home, tmp_path, capsys):
    files.write(tmp_path / "webui" / "models" / "Stable-diffusion" / "theirs.safetensors", FULL)
    root = str(tmp_path / "webui")
    assert said(capsys, "add", root) == (0, f"added {root}: 1 checkpoint\n")
    assert "theirs" in said(capsys, "list")[1]
    code, text = said(capsys, "remove", "theirs", "--yes")
    assert (code, "only what lies there is deleted" in text) == (2, True)
    assert said(capsys, "remove", root) == (0, f"{root} is not looked through any more; its files stay\n")
    assert "theirs" not in said(capsys, "list")[1]
    assert "There is no folder" in said(capsys, "add", str(tmp_path / "gone"))[1]


def test_info_says_what_a_model_takes_and_remove_deletes_it(home, capsys):
    path = files.write(home / "harbour.safetensors", FULL, {"modelspec.license": "CC0"})
    code, text = said(capsys, "info", "harbour")
    assert code == 0
    assert " MB on a GPU, " in text
    assert "CC0" in text
    assert said(capsys, "info", "harbor")[1].endswith("Did you mean harbour?\n")
    assert said(capsys, "remove", "harbour", "--yes") == (0, f"deleted {path}\n")
    assert not path.exists()
