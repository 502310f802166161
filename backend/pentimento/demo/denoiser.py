"""The denoiser: noise curve, UNet, cached latents and the training loop with pairs (same layout, other look)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import click
import numpy as np
import torch
from diffusers.models.attention_processor import AttnProcessor
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from PIL import Image
from torch.nn import Module
from transformers import CLIPTextModel, CLIPTokenizer

from pentimento.demo.autoencoder import encoded
from pentimento.demo.captions import caption, look_caption
from pentimento.demo.data import LOOKS, group_scenes
from pentimento.demo.optimize import Optimiser
from pentimento.demo.team import Team, half
from pentimento.demo.text import LENGTH, WIDTH

WIDTHS: Final = (48, 96, 192)
HEADS: Final = 6
CLEARER: Final = 2.0
"""By how much the signal-to-noise ratio of Stable Diffusion's curve is multiplied.

A small model needs more of the source to keep its layout; the pairs see to it that the text still rules over the light.
"""
SHAPES: Final = 0.7
"""Share of samples whose timestep lies about where shapes are made out (half of them at 480 to 740 of 1000)."""
AVERAGED: Final = 5
"""Steps between two moves of the averaged weights."""
TERMINAL: Final = 0.003
"""What is left of the signal's amplitude at the last timestep."""


def training_betas() -> list[float]:
    """The 1000 betas of Stable Diffusion's curve with its SNR times `CLEARER`, stretched to (nearly) zero terminal SNR.

    Zero terminal SNR: Lin et al., arXiv 2305.08891.
    """
    kept = torch.cumprod(1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2, 0)
    snr = kept / (1 - kept) * CLEARER
    root = (snr / (1 + snr)).sqrt()
    root = (root - root[-1]) * (root[0] - TERMINAL) / (root[0] - root[-1]) + TERMINAL
    kept = root.square()
    return [float(b) for b in 1 - kept / torch.cat([torch.ones(1, dtype=torch.float64), kept[:-1]])]


def build_unet() -> UNet2DConditionModel:
    """A new UNet: attention (to itself and to the text) only at the lowest resolution, where it is cheap.

    A summary of the text also scales and shifts every block beside the time (as in DeepFloyd IF): a style or a time
    of day is about the whole picture, and attention alone was slow to carry it up to the finest resolution.
    """
    return UNet2DConditionModel(
        sample_size=64,
        in_channels=4,
        out_channels=4,
        block_out_channels=WIDTHS,
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=HEADS,  # The number of heads, whatever its name says; 32 small ones took half of the time.
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        resnet_time_scale_shift="scale_shift",
        norm_num_groups=16,
        down_block_types=("DownBlock2D", "DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
    )


def cache_latents(team: Team, folder: Path, vae: AutoencoderKL, side: int, groups: int) -> None:
    """Encode the first `groups` layouts at `side` pixels into `latents-SIDE.npy` (groups, LOOKS, 4,
    side/4, side/4) float16."""
    pictures = np.load(folder / "pictures.npy", mmap_mode="r")
    out = np.lib.format.open_memmap(folder / f"latents-{side}.npy", "r+")
    torch.nn.Module.to(vae, team.device)
    for group in range(team.rank, groups, team.size):
        stack = [
            np.asarray(Image.fromarray(p).resize((side, side), Image.Resampling.BOX)) if side != p.shape[0] else p
            for p in pictures[group]
        ]
        x = torch.from_numpy(np.stack(stack)).to(team.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad(), half(team.device):
            out[group] = encoded(vae, x).float().cpu().numpy().astype(np.float16)


class Batch(NamedTuple):
    """What a step trains on; all pictures are latents (N, 4, h, w)."""

    source: torch.Tensor
    """What img2img would start from; the target itself for plain samples."""
    target: torch.Tensor
    """What the caption asks for."""
    part: torch.Tensor
    """(N, 1, h, w): where the target is to be seen already, 0 the source .. 1 the target."""
    tokens: torch.Tensor
    paired: torch.Tensor
    """(N,) bool: whether source and target differ."""


@dataclass(frozen=True)
class Mix:
    """How often things happen in a batch."""

    pairs: float = 0.5
    """Samples whose source is another look of the target's layout: what img2img asks for."""
    patches: float = 0.12
    """Samples that are to be changed in one place only: what inpainting asks for."""
    short: float = 0.5
    empty: float = 0.10
    crops: float = 0.0


def patch(rng: np.random.Generator, side: int) -> np.ndarray:
    """A soft ellipse somewhere in a square, (side, side) float32: 0 inside, 1 outside."""
    rows, cols = (np.mgrid[0:side, 0:side] + 0.5) / side
    (y, x), (tall, wide) = rng.uniform(0.2, 0.8, 2), rng.uniform(0.14, 0.38, 2)
    away = (np.hypot((rows - y) / tall, (cols - x) / wide) - 1) * min(tall, wide) * side
    return np.clip(away / 2 + 0.5, 0, 1).astype(np.float32)


def draw_sample(
    latents: np.ndarray, rng: np.random.Generator, window: int, mix: Mix
) -> tuple[np.ndarray, np.ndarray, np.ndarray, str, bool]:
    """One sample of `window` x `window` latents: source, target, part, caption and whether source and target differ."""
    group = int(rng.integers(len(latents)))
    scenes = group_scenes(group)
    side, whole = latents.shape[-1], latents.shape[-1] == window
    want, have, origin = int(rng.integers(LOOKS)), int(rng.integers(LOOKS)), group
    kind = rng.random()
    part = np.full((window, window), 0.0 if rng.random() < 0.35 else rng.random(), np.float32)
    pair, patched = kind < mix.pairs, mix.pairs <= kind < mix.pairs + mix.patches
    if patched:
        part = np.maximum(part * (rng.random() < 0.5), patch(rng, window))
        origin = group if rng.random() < 0.5 else int(rng.integers(len(latents)))
    elif not pair:
        have = want
    new, old = scenes[want].look, scenes[have].look
    changed = frozenset(n for n in ("time", "season", "weather", "style") if getattr(new, n) != getattr(old, n))
    told = changed if pair else frozenset()
    # Even places, so that the blocks of pixel art keep to the grid.
    y, x = rng.integers(0, (side - window) // 2 + 1, 2) * 2
    at = (slice(None), slice(y, y + window), slice(x, x + window))
    words = (caption(scenes[want], rng, mix.short, mix.empty, told) if whole
             else look_caption(scenes[want], rng, mix.empty, told))  # fmt: skip
    return latents[origin, have][at], latents[group, want][at], part, words, patched or bool(told)


def draw_batch(latents: np.ndarray, tokenizer: CLIPTokenizer, rng: np.random.Generator, size: int, mix: Mix) -> Batch:
    """A random batch from cached latents, with captions made up on the spot.

    With probability `mix.crops` it is 4 times as many windows of half the side, or 16 times as many of a quarter,
    captioned with their look alone: they teach what a style looks like from near at a fraction of the price.
    """
    divided = int(rng.integers(1, 3)) * 2 if rng.random() < mix.crops else 1
    window = latents.shape[-1] // divided
    drawn = [draw_sample(latents, rng, window, mix) for _ in range(size * divided**2)]
    sources, targets, parts, texts, paired = zip(*drawn, strict=True)
    tokens = tokenizer(
        list(texts), padding="max_length", truncation=True, max_length=LENGTH, return_tensors="pt"
    ).input_ids
    source, target, part = (torch.from_numpy(np.stack(x)).float() for x in (sources, targets, parts))
    return Batch(source, target, part[:, None], tokens, torch.tensor(paired))


def noised(batch: Batch, kept: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noisy latents, timesteps, the v to predict and the loss weight of each sample.

    A pair starts from its source (or from a mix, as it is found halfway through sampling) and aims at its target.
    """
    n = len(batch.target)
    # Where shapes are made out is trained most (a logit-normal density: Esser et al., arXiv 2403.03206).
    t = torch.where(torch.rand(n) < SHAPES, torch.sigmoid(0.5 + 0.8 * torch.randn(n)), torch.rand(n))
    t = torch.where(batch.paired, 200 + 799.99 * t, 999.99 * t).long()
    t = torch.where(torch.rand(n) < 0.05, 999, t).to(kept.device)
    root, rest = kept[t].sqrt()[:, None, None, None], (1 - kept[t]).sqrt()[:, None, None, None]
    source, target, part = (x.to(kept.device) for x in (batch.source, batch.target, batch.part))
    noisy = root * torch.lerp(source, target, part) + rest * torch.randn_like(target)
    snr = kept[t] / (1 - kept[t])
    return noisy, t, (root * noisy - target) / rest, (snr.clamp(max=5) + 1) / (snr + 1)


class Model(NamedTuple):
    """The trained parts."""

    unet: UNet2DConditionModel
    encoder: CLIPTextModel


def save(path: Path, state: dict[str, object]) -> None:
    """Write a checkpoint so that a half-written one is never found."""
    torch.save(state, path.with_suffix(".tmp"))
    path.with_suffix(".tmp").rename(path)


def smooth(average: dict[str, torch.Tensor], module: Module, keep: float) -> None:
    """Move the averaged weights toward the module's."""
    with torch.no_grad():
        for name, value in module.state_dict().items():
            average[name].lerp_(value, 1 - keep) if value.is_floating_point() else average[name].copy_(value)


class Stage(NamedTuple):
    """One stretch of training at one picture size."""

    side: int
    """Side of the pictures in pixels."""
    minutes: float
    batch: int
    """Samples per process and step."""
    rate: float
    """Learning rate of the UNet after the warm-up."""
    cool: bool
    """Whether the learning rate falls to nothing over the second half."""
    mix: Mix


def train(team: Team, folder: Path, model: Model, tokenizer: CLIPTokenizer, stage: Stage) -> None:
    """Train through a stage; `denoiser.pt` in the folder is resumed from and written every two minutes."""
    torch.manual_seed(time.time_ns() % 2**31 + team.rank)
    rng = np.random.default_rng(None)
    if team.device.type == "cpu":
        # Torch's fused attention takes half of a training step here; the plain one (measured) a twentieth.
        model.unet.set_attn_processor(AttnProcessor())
        model.encoder.set_attn_implementation("eager")
    both = torch.nn.ModuleList(model).to(team.device)
    path = folder / "denoiser.pt"
    parameters = list(both.parameters())
    optimiser = Optimiser(model.unet, model.encoder)
    step = 0
    average = {k: v.detach().clone() for k, v in both.state_dict().items()}
    if path.exists():
        state = torch.load(path, map_location=team.device)
        both.load_state_dict(state["weights"])
        average, step = state["average"], state["step"]
        if state.get("optimiser"):
            optimiser.load_state_dict(state["optimiser"])
    team.same(both)
    kept = torch.cumprod(1 - torch.tensor(training_betas(), dtype=torch.float64), 0).float().to(team.device)
    latents = np.load(folder / f"latents-{stage.side}.npy", mmap_mode="r")
    start = saved = time.time()
    first, losses = step, []
    while True:
        part = (time.time() - start) / 60 / stage.minutes
        done = team.agree(part >= 1)
        rate = stage.rate * min(1.0, (step - first + 1) / 50)
        rate *= max(0.02, min(1.0, 2 * (1 - part))) if stage.cool else 1.0
        data = draw_batch(latents, tokenizer, rng, stage.batch, stage.mix)
        noisy, t, v, weight = noised(data, kept)
        with half(team.device):
            text = model.encoder(data.tokens.to(team.device)).last_hidden_state
            made = model.unet(noisy, t, text, return_dict=False)[0]
        loss = ((made.float() - v).square().mean(dim=(1, 2, 3)) * weight).mean()
        loss.backward()
        team.average(parameters)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimiser.step(rate)
        step += 1
        losses.append(loss.item())
        if step % AVERAGED == 0:
            smooth(average, both, min(0.99, (step + 1) / (step + 30)))
        if team.rank == 0 and (done or time.time() - saved > 90):
            save(
                path,
                {"weights": both.state_dict(), "average": average, "optimiser": optimiser.state_dict(), "step": step},
            )
            saved = time.time()
            speed = (step - first) * stage.batch * team.size / (saved - start)
            click.echo(f"{stage.side} px: step {step}, {speed:.1f} samples/s, loss {np.mean(losses[-200:]):.4f}")
        if done:
            return
