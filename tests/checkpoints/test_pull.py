"""`pentimento models pull` as a process of its own against a hub of the test's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pentimento.pulling import HubFile, PullError, Wanted, choose

from . import files
from .hub import Hub

ROOT = Path(__file__).parents[2]
INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
    "safety_checker": ["stable_diffusion", "StableDiffusionSafetyChecker"],
    "image_encoder": [None, None],
}
WEIGHTS = "diffusion_pytorch_model.safetensors"


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    lora = files.write(tmp_path / "made" / "ink.safetensors", files.LORA_SD15).read_bytes()
    hub = Hub(
        "anna/harbour",
        {
            "model_index.json": json.dumps(INDEX).encode(),
            "README.md": b"words",
            "unet/config.json": b"{}",
            f"unet/{WEIGHTS}": bytes(range(256)) * 100_000,  # the library writes in pieces of 10 MB
            "unet/diffusion_pytorch_model.bin": b"a pickle",
            "vae/config.json": b'{"a": 1}',
            f"vae/{WEIGHTS}": bytes(range(255, -1, -1)) * 40,
            "safety_checker/model.safetensors": b"s" * 5000,
            "loras/ink.safetensors": lora,
            "old.ckpt": b"a pickle",
            "../../outside.json": b"{}",
        },
    )
    try:
        yield hub
    finally:
        hub.close()


def command(hub: Hub, home: Path, *words: str) -> subprocess.Popen[str]:
    environ = {key: value for key, value in os.environ.items() if not key.startswith("HF_")}
    paths = os.pathsep.join([str(ROOT / "backend"), str(ROOT / "shared")])
    environ.update(HF_ENDPOINT=hub.url, PENTIMENTO_HOME=str(home), PYTHONPATH=paths, HF_HOME=str(home / "hf"))
    run = [sys.executable, "-m", "pentimento", "models", *words]
    return subprocess.Popen(run, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def done(process: subprocess.Popen[str]) -> tuple[int, str]:
    out, err = process.communicate(timeout=60)
    return process.returncode, out + err


def test_a_model_in_pieces_after_the_process_was_killed(hub, tmp_path):
    home = tmp_path / "home"
    models = home / "data" / "models"
    hub.limit = 15_000_000
    process = command(hub, home, "pull", "anna/harbour")
    until = time.monotonic() + 60
    while not (parts := list(models.rglob("*.part"))) or parts[0].stat().st_size < 10_000_000:
        assert time.monotonic() < until
        assert process.poll() is None, done(process)
        time.sleep(0.05)
    process.kill()
    process.communicate()
    here = parts[0].stat().st_size
    hub.limit = None
    assert done(command(hub, home, "pull", "anna/harbour"))[0] == 0
    ranges = [asked for _, path, asked in hub.asked if path.endswith(f"unet/{WEIGHTS}")]
    assert ranges == [None, f"bytes={here}-"]
    assert sum(path.endswith("unet/config.json") for _, path, _ in hub.asked) == 1
    got = {path.relative_to(models).as_posix(): path.read_bytes() for path in models.rglob("*") if path.is_file()}
    wanted = ("model_index.json", "unet/config.json", f"unet/{WEIGHTS}", "vae/config.json", f"vae/{WEIGHTS}")
    assert got == {f"harbour/{name}": hub.files[name] for name in wanted}
    assert not any("agent" in path or "telemetry" in path for _, path, _ in hub.asked)
    code, said = done(command(hub, home, "pull", "anna/harbour"))
    assert (code, "is there already. Remove it first" in said) == (1, True)


def test_what_came_damaged_does_not_count(hub, tmp_path):
    hub.wrong.add(f"vae/{WEIGHTS}")
    code, said = done(command(hub, tmp_path, "pull", "anna/harbour"))
    assert code == 1
    assert f"anna/harbour:vae/{WEIGHTS} came damaged (its hash is another). Pull it again." in said
    assert not (tmp_path / "data" / "models" / "harbour").exists()
    hub.wrong.clear()
    assert done(command(hub, tmp_path, "pull", "anna/harbour"))[0] == 0


def test_one_file_goes_where_its_kind_lies(hub, tmp_path):
    assert done(command(hub, tmp_path, "pull", "anna/harbour:loras/ink.safetensors"))[0] == 0
    here = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    assert here == [tmp_path / "data" / "models" / "loras" / "ink.safetensors"]


def test_what_is_refused_says_what_to_do(hub, tmp_path):
    for what, words in (
        ("anna/other", "has no model anna/other, or it is private"),
        ("anna/harbour:old.ckpt", "old.ckpt is a pickle"),
        ("anna/harbour:nothing.safetensors", "say which file is meant (owner/name:file): unet/"),
    ):
        code, said = done(command(hub, tmp_path, "pull", what))
        assert (code, words in said) == (1, True), said
    del hub.files["model_index.json"]
    assert (
        "is no model in diffusers' folder format; say which file" in done(command(hub, tmp_path, "pull", hub.repo))[1]
    )
    hub.close()
    assert "cannot be reached" in done(command(hub, tmp_path, "pull", hub.repo))[1]


@pytest.mark.parametrize("text", ["", "a", "a/b/c", "/b", "a/", "../b", "a/.."])
def test_names_that_are_none(text):
    with pytest.raises(PullError, match="is not of the form"):
        Wanted.parse(text)


def test_weights_are_fetched_once():
    def there(*names: str) -> list[HubFile]:
        return [HubFile(name, 1, "", False) for name in names]

    plain, half = (f"unet/diffusion_pytorch_model{which}safetensors" for which in (".", ".fp16."))
    vae, vae_half = (f"vae/diffusion_pytorch_model{which}safetensors" for which in (".", ".fp16."))
    rest = there("unet/diffusion_pytorch_model.non_ema.safetensors", "unet/config.json", "onnx/model.safetensors")

    def chosen(names: tuple[str, ...], full: bool = False) -> list[str]:
        return [file.path for file in choose([*there(*names), *rest], INDEX, full)]

    both = (plain, half, vae, vae_half)
    assert chosen(both) == ["unet/config.json", half, vae_half]
    assert chosen(both, full=True) == ["unet/config.json", plain, vae]
    assert chosen((plain, half, vae)) == ["unet/config.json", plain, vae]
