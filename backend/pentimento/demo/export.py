"""Writes the trained parts as a plain diffusers folder that any stock Stable Diffusion pipeline loads,
and reads it back."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from transformers import CLIPTextModel, CLIPTokenizer

from pentimento.demo import denoiser, text
from pentimento.demo.autoencoder import encoded
from pentimento.demo.data import HELD_OUT
from pentimento.demo.render import render
from pentimento.demo.unet import SIDE, build_unet

DESCRIPTION = (
    "A small diffusion model of our own, trained from scratch on procedurally drawn landscapes, for trying Pentimento "
    "without a download. It restyles pictures well at strengths 0.3 to 0.6: dawn, sunset, night and overcast light; "
    "autumn and winter; ink, pencil, oil, watercolor and pixel art. Text to image gives a plain landscape in that "
    "light and style with a house, a sailboat, a lighthouse, a balloon, a cactus or a tree. It knows no people, no "
    "animals and no text."
)


def preview_map(vae: AutoencoderKL, count: int = 32) -> tuple[list[list[float]], list[float]]:
    """The least-squares map from latents to RGB in 0..1: a row of three per latent channel, and the bias."""
    rows, colors = [], []
    for k in range(count):
        picture = render(HELD_OUT + 7000 + k).picture.astype(np.float32)
        x = torch.from_numpy(picture.transpose(2, 0, 1)[None] / 127.5 - 1)
        with torch.no_grad():
            latents = encoded(vae, x)[0].numpy() * vae.config["scaling_factor"]
        rows.append(latents.reshape(4, -1).T)
        small = picture.reshape(picture.shape[0] // 4, 4, picture.shape[1] // 4, 4, 3).mean(axis=(1, 3)) / 255
        colors.append(small.reshape(-1, 3))
    a = np.concatenate(rows)
    fit, *_ = np.linalg.lstsq(
        np.concatenate([a, np.ones((len(a), 1), a.dtype)], axis=1), np.concatenate(colors), rcond=None
    )
    rounded = np.round(fit.astype(np.float64), 4).tolist()
    return rounded[:4], rounded[4]


def model_page(vae: AutoencoderKL, cfg_scale: float) -> dict[str, Any]:
    """What `pentimento.json` says about the model."""
    matrix, bias = preview_map(vae)
    return {
        "id": "demo",
        "name": "Pentimento demo (landscapes)",
        "family": "sd15",
        "native_size": [SIDE, SIDE],
        "max_pixels": 262144,
        "multiple": 16,
        "min_steps": 8,
        "defaults": {"sampler": "DPM++ 2M", "schedule": "SGM Uniform", "steps": 20, "cfg_scale": cfg_scale},
        # What stays around a selection says another light than the prompt; guidance would go beyond the difference.
        "task_defaults": {"inpaint": {"cfg_scale": 2.0}},
        "preview": {"matrix": matrix, "bias": bias},
        "description": DESCRIPTION,
        "license": "Apache-2.0",
    }


def export(folder: Path, target: Path, cfg_scale: float) -> int:
    """Write FOLDER's averaged weights to `target`, whole or not at all; gives its size in bytes."""
    tokenizer = CLIPTokenizer.from_pretrained(str(folder / "tokenizer"))
    unet, encoder = build_unet(), text.build_encoder(tokenizer)
    torch.nn.ModuleList([unet, encoder]).load_state_dict(
        torch.load(folder / "denoiser.pt", map_location="cpu")["average"]
    )
    vae = AutoencoderKL.from_pretrained(folder / "vae").eval()
    scheduler = DPMSolverMultistepScheduler(
        num_train_timesteps=1000,
        trained_betas=denoiser.training_betas(),
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        steps_offset=1,
        solver_order=2,
    )
    scheduler.register_to_config(clip_sample=False, set_alpha_to_one=False)
    page = model_page(vae, cfg_scale)
    target.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix="model-", dir=folder))
    for name, part in (("unet", unet), ("text_encoder", encoder), ("vae", vae)):
        part.half().save_pretrained(fresh / name, safe_serialization=True)
        _forget_origin(fresh / name / "config.json")
    scheduler.save_pretrained(fresh / "scheduler")
    shutil.copytree(folder / "tokenizer", fresh / "tokenizer")
    index = {
        "_class_name": "StableDiffusionPipeline",
        "_diffusers_version": "0.42.1",
        "feature_extractor": [None, None],
        "image_encoder": [None, None],
        "requires_safety_checker": False,
        "safety_checker": [None, None],
        "scheduler": ["diffusers", "DPMSolverMultistepScheduler"],
        "text_encoder": ["transformers", "CLIPTextModel"],
        "tokenizer": ["transformers", "CLIPTokenizer"],
        "unet": ["diffusers", "UNet2DConditionModel"],
        "vae": ["diffusers", "AutoencoderKL"],
    }
    (fresh / "model_index.json").write_text(json.dumps(index, indent=2) + "\n")
    (fresh / "pentimento.json").write_text(json.dumps(page, indent=1) + "\n")
    fresh.chmod(0o755)
    old = folder / f"{fresh.name}-old"
    if target.exists():
        shutil.move(target, old)
    shutil.move(fresh, target)
    shutil.rmtree(old, ignore_errors=True)
    return sum(f.stat().st_size for f in target.rglob("*") if f.is_file())


def _forget_origin(config: Path) -> None:
    """Take out of a configuration where its weights were loaded from: a folder of the machine that trained them."""
    values = json.loads(config.read_text())
    values.pop("_name_or_path", None)
    config.write_text(json.dumps(values, indent=2) + "\n")


def resume(folder: Path, source: Path) -> list[str]:
    """Put an exported model back where training goes on from: `vae`, `tokenizer` and `denoiser.pt` in FOLDER.

    What the architecture has in another shape than `source` starts anew; gives the names of those weights. A text
    encoder that was taught in FOLDER (`encoder.pt`) takes the place of the exported one.
    Raises FileExistsError rather than overwrite a checkpoint.
    """
    if (folder / "denoiser.pt").exists():
        raise FileExistsError(
            f"{folder / 'denoiser.pt'} exists: move it away to start from {source}, or just go on with it"
        )
    AutoencoderKL.from_pretrained(source / "vae", dtype=torch.float32).save_pretrained(folder / "vae")
    shutil.copytree(source / "tokenizer", folder / "tokenizer", dirs_exist_ok=True)
    unet = build_unet()
    fresh = unet.state_dict()
    stored = UNet2DConditionModel.from_pretrained(source / "unet", dtype=torch.float32).state_dict()
    taken = {name: value for name, value in stored.items() if name in fresh and fresh[name].shape == value.shape}
    unet.load_state_dict(taken, strict=False)
    encoder = CLIPTextModel.from_pretrained(str(source / "text_encoder"), dtype=torch.float32)
    if (folder / "encoder.pt").exists():
        encoder.load_state_dict(torch.load(folder / "encoder.pt"))
    weights = torch.nn.ModuleList([unet, encoder]).state_dict()
    denoiser.save(folder / "denoiser.pt", {"weights": weights, "average": weights, "optimiser": None, "step": 0})
    return [name for name in fresh if name not in taken]
