"""The embedded demo model: whole, small, plain diffusers format, and obedient to strength."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img import StableDiffusionImg2ImgPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_inpaint import StableDiffusionInpaintPipeline
from PIL import Image

from pentimento.demo.studio import Studio as DemoStudio
from pentimento.engine.arrays import to_array, to_pixels
from pentimento.engine.coding import decode_pictures, encode_picture
from pentimento.engine.engine import Engine
from pentimento.engine.loading import check_weights
from pentimento.engine.models import ModelLibrary, demo_folder
from tests.engine.conftest import Studio

ROOT = Path(__file__).resolve().parents[2]
MEGABYTE = 2**20


@pytest.fixture(scope="module")
def demo() -> Studio:
    torch.set_num_threads(2)
    return Studio(Engine(ModelLibrary.standard(), device="cpu"))


@pytest.fixture(scope="module")
def harbour() -> np.ndarray:
    """[256, 256, 3] uint8: the middle of the README's picture."""
    with Image.open(ROOT / "docs" / "samples" / "harbour.png") as picture:
        return np.asarray(picture.convert("RGB"))[:, 64:320]


def test_it_is_whole_small_and_described():
    info = ModelLibrary.standard().get("demo")
    for part in ("unet", "vae", "text_encoder"):
        check_weights(info, part)
    assert sum(path.stat().st_size for path in demo_folder().rglob("*")) < 60 * MEGABYTE
    assert not [path for path in demo_folder().rglob("*.json") if "_name_or_path" in path.read_text("utf-8")]
    assert info.native_size == (256, 256)
    assert "landscape" in info.description.lower()


@pytest.mark.parametrize("task", ["txt2img", "img2img", "inpaint"])
def test_stock_pipelines_run_it(task, harbour):
    classes: dict[str, Any] = {
        "txt2img": StableDiffusionPipeline,
        "img2img": StableDiffusionImg2ImgPipeline,
        "inpaint": StableDiffusionInpaintPipeline,
    }
    pipeline = classes[task].from_pretrained(str(demo_folder()), dtype=torch.float32, use_safetensors=True)
    pipeline.set_progress_bar_config(disable=True)
    source = Image.fromarray(harbour)
    inputs = {} if task == "txt2img" else {"image": source, "strength": 0.6}
    if task == "inpaint":
        inputs |= {"mask_image": Image.new("L", source.size, 255), "height": 256, "width": 256}
    result = pipeline("a lake at sunset", num_inference_steps=4, generator=torch.Generator().manual_seed(0), **inputs)
    assert result.images[0].size == (256, 256)
    assert np.asarray(result.images[0]).std() > 10


@torch.inference_mode()
def test_a_picture_survives_the_autoencoder(demo, harbour):
    """At least 28 dB on the README's picture."""
    model = demo.engine.model(demo.engine.library.get("demo"))
    source = harbour.astype(np.float32) / 255
    back = decode_pictures(model, encode_picture(model, source))[0].clip(0, 1)
    assert -10 * np.log10(((back - source) ** 2).mean()) > 28


def test_more_strength_never_means_less_change(demo, harbour):
    """Mean distance to the source over three seeds, over the whole range."""
    change = []
    for strength in (0, 0.1, 0.3, 0.5, 0.7, 0.85, 1):
        how = {"model": "demo", "prompt": "a watercolor at sunset", "steps": 8, "seeds": (1, 2, 3)}
        made = demo.results("img2img", to_pixels(harbour), strength=strength, **how)
        change.append(np.mean([np.abs(to_array(one.pixels).astype(int) - harbour).mean() for one in made]))
    assert change[0] == 0
    assert change == sorted(change)


def test_the_sampler_does_not_decide_how_much_survives(demo, harbour):
    """At strength 0.4 all samplers and schedules change the picture by about as much as each other."""
    change = []
    for sampler, schedule in (("DPM++ 2M", "SGM Uniform"), ("Euler", "Karras"), ("DDIM", "Uniform")):
        how = {"model": "demo", "prompt": "a lake in the fog", "steps": 20, "sampler": sampler, "schedule": schedule}
        made = demo.picture("img2img", to_pixels(harbour), strength=0.4, **how)
        change.append(np.abs(to_array(made).astype(int) - harbour).mean())
    assert max(change) < 1.35 * min(change)


def test_replaying_gives_the_same_bytes(demo, harbour):
    how = {"model": "demo", "prompt": "an oil painting", "steps": 4, "sampler": "Euler a"}
    first, second = (demo.picture("img2img", to_pixels(harbour), **how) for _ in range(2))
    assert first == second


def test_the_figures_of_selections_are_of_the_weights_that_were_asked_for(tmp_path, harbour):
    """Not of others that lie beside them under the same id."""
    for name in ("a", "b"):
        shutil.copytree(demo_folder(), tmp_path / name)
    (tmp_path / "a" / "unet" / "diffusion_pytorch_model.safetensors").unlink()
    mask = np.zeros(harbour.shape[:2], np.uint8)
    mask[64:192, 64:192] = 255
    made = DemoStudio(tmp_path / "b", 3.0).inpaint(harbour, mask, "a photo at night", 1, strength=0.3)
    changed = (made != harbour).any(axis=-1)
    assert changed[96:160, 96:160].mean() > 0.9
    assert not changed[mask == 0].any()
