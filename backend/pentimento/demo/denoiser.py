"""Trains the denoiser: noise curve, cached latents, what is to be predicted, and the loop."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Final, NamedTuple, cast

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
from pentimento.demo.optimize import Optimiser
from pentimento.demo.samples import Batch, Latents, Mix, draw_batch
from pentimento.demo.team import Team, half
from pentimento.demo.unet import SIDE, WIDTHS, grow

CLEARER: Final = 2.0
"""By how much the signal-to-noise ratio of Stable Diffusion's curve is multiplied.

A small model needs more of the source to keep its layout; the pairs see to it that the text still rules over the light.
"""
SHAPES: Final = 0.45
"""Share of samples whose timestep lies about where shapes are made out (half of them at 480 to 740 of 1000)."""
COMPOSED: Final = (0.5, 780)
"""Share of samples whose timestep lies where the picture is composed, and the least of those timesteps.

Without its caption a picture of 256 px is guessed a tenth worse at 900, a third at 970, a twentieth at 700 and below.
"""
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


def cache_latents(team: Team, vae: AutoencoderKL, pictures: np.ndarray, out: np.ndarray) -> None:
    """Encode pictures (N, K, S, S, 3) uint8, at four times the side of `out` (N, K, 4, side, side) float16, into it."""
    side = 4 * out.shape[-1]
    torch.nn.Module.to(vae, team.device)
    for row in range(team.rank, len(out), team.size):
        stack = [
            np.asarray(Image.fromarray(p).resize((side, side), Image.Resampling.BOX)) if side != p.shape[0] else p
            for p in pictures[row]
        ]
        x = torch.from_numpy(np.stack(stack)).to(team.device).permute(0, 3, 1, 2).float() / 127.5 - 1
        with torch.no_grad(), half(team.device):
            out[row] = encoded(vae, x).float().cpu().numpy().astype(np.float16)


def noised(
    batch: Batch, kept: torch.Tensor, loud: float
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Noisy latents, timesteps, the v to predict and the loss weight of each sample.

    A pair starts from its source (or from a mix, as it is found halfway through sampling) and aims at its target.
    `loud` scales the noise: a picture of half the side is to be seen as the whole UNet's inner levels see it, with the
    noise averaged over 2 x 2 latents and so half as loud (why: Hoogeboom et al., arXiv 2301.11093).
    """
    n, (low, high) = len(batch.target), batch.span.float().T
    # Where shapes are made out is trained most (a logit-normal density: Esser et al., arXiv 2403.03206).
    lot, (composed, least) = torch.rand(n), COMPOSED
    t = torch.where(lot < SHAPES, torch.sigmoid(0.5 + 0.8 * torch.randn(n)), torch.rand(n))
    t = low + (high - 0.01 - low) * t
    whole = high == len(kept)
    t = torch.where(whole & (lot > 1 - composed), least + (len(kept) - 0.01 - least) * torch.rand(n), t).long()
    t = torch.where(whole & (torch.rand(n) < 0.05), len(kept) - 1, t).to(kept.device)
    root, rest = kept[t].sqrt()[:, None, None, None], (1 - kept[t]).sqrt()[:, None, None, None]
    source, target, part = (x.to(kept.device) for x in (batch.source, batch.target, batch.part))
    noisy = root * torch.lerp(source, target, part) + rest * loud * torch.randn_like(target)
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
    """Whether the learning rate falls to nothing, evenly."""
    mix: Mix


def fitted(state: dict[str, Any], stage: Stage, latents: np.ndarray, kept: torch.Tensor) -> dict[str, Any]:
    """A checkpoint as a stage can go on from it: one without the outermost level is grown for pictures of `SIDE`.

    `kept` (1000,): what is left of the signal's variance at each timestep. All is on the CPU.
    Raises ValueError for a whole UNet that is to be trained on smaller pictures.
    """
    whole = f"0.down_blocks.{len(WIDTHS) - 1}.resnets.0.conv1.weight" in state["average"]
    if whole == (stage.side == SIDE):
        return state
    if whole:
        raise ValueError(f"the checkpoint is of {SIDE} px already: train it at {SIDE} px, not at {stage.side}")
    some = torch.from_numpy(latents[:24, 0].astype(np.float32))
    signal = kept[torch.linspace(0, 999, len(some)).long()][:, None, None, None]
    noisy = signal.sqrt() * some + (1 - signal).sqrt() * torch.randn_like(some)
    inner = {name[2:]: value for name, value in state["average"].items() if name.startswith("0.")}
    grown = {name: value for name, value in state["average"].items() if name.startswith("1.")}
    grown |= {f"0.{name}": value for name, value in grow(inner, noisy).items()}
    return {"weights": grown, "average": grown, "optimiser": None, "step": state["step"]}


def train(team: Team, folder: Path, model: Model, tokenizer: CLIPTokenizer, stage: Stage) -> None:
    """Train through a stage; `denoiser.pt` in the folder is resumed from and written every two minutes."""
    torch.manual_seed(time.time_ns() % 2**31 + team.rank)
    rng = np.random.default_rng(None)
    if team.device.type == "cpu":
        # Torch's fused attention takes half of a training step here; the plain one (measured) a twentieth.
        model.unet.set_attn_processor(AttnProcessor())
        model.encoder.set_attn_implementation("eager")
    both = torch.nn.ModuleList(model).to(team.device)
    # A step takes a twentieth less time so on a CPU.
    cast("Module", model.unet).to(memory_format=torch.channels_last)  # pyright: ignore[reportCallIssue]
    path = folder / "denoiser.pt"
    parameters = list(both.parameters())
    optimiser = Optimiser(model.unet, model.encoder)
    step = 0
    average = {k: v.detach().clone() for k, v in both.state_dict().items()}
    kept = torch.cumprod(1 - torch.tensor(training_betas(), dtype=torch.float64), 0).float().to(team.device)
    latents = Latents.opened(folder, stage.side)
    if path.exists():
        state = fitted(torch.load(path, map_location="cpu"), stage, latents.groups, kept.cpu())
        both.load_state_dict(state["weights"])
        average, step = {k: v.to(team.device, copy=True) for k, v in state["average"].items()}, state["step"]
        if state["optimiser"]:
            optimiser.load_state_dict(state["optimiser"])
    team.same(both)
    start = saved = time.time()
    first, losses = step, []
    while True:
        part = (time.time() - start) / 60 / stage.minutes
        done = team.agree(part >= 1)
        rate = stage.rate * min(1.0, (step - first + 1) / 50)
        rate *= max(0.02, 1 - part) if stage.cool else 1.0
        data = draw_batch(latents, tokenizer, rng, stage.batch, stage.mix)
        noisy, t, v, weight = noised(data, kept, stage.side / SIDE)
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
