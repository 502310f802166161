"""The autoencoder: 4 latent channels at a quarter of the resolution, started near the identity and
whitened at the end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import click
import numpy as np
import torch
import torch.nn.functional as F
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from PIL import Image, ImageDraw

from pentimento.demo.data import LOOKS
from pentimento.demo.noise import field
from pentimento.demo.team import Team, half

WIDTHS: Final = (24, 48, 64)
QUIET_LOGVAR: Final = -14.0
"""Posterior log variance of the finished autoencoder: sampling it changes nothing that can be seen."""


def build() -> AutoencoderKL:
    """A new autoencoder that already passes colours through: +RGB and -RGB in six channels, SiLU(x) - SiLU(-x) = x."""
    # The annotations of diffusers' constructor are narrower than what it takes.
    shape: dict[str, Any] = {
        "block_out_channels": WIDTHS,
        "down_block_types": ("DownEncoderBlock2D",) * 3,
        "up_block_types": ("UpDecoderBlock2D",) * 3,
        "layers_per_block": 1,
        "latent_channels": 4,
        "norm_num_groups": 2,
        "mid_block_add_attention": False,
        "sample_size": 256,
        "scaling_factor": 1.0,
    }
    model = AutoencoderKL(**shape)
    with torch.no_grad():
        for name, module in model.named_modules():
            if name.endswith("conv2"):
                module.weight.mul_(0.05)
            if name.endswith("conv_shortcut"):
                module.weight.mul_(0.2)
                _carry(module.weight, 1.0)
            if ".downsamplers." in name and isinstance(module, torch.nn.Conv2d):
                module.weight.mul_(0.2)
                for row in (0, 1):
                    for col in (0, 1):
                        _carry(module.weight, 0.25, row, col)
            if ".upsamplers." in name and isinstance(module, torch.nn.Conv2d):
                module.weight.mul_(0.2)
                for row, a in enumerate((0.25, 0.5, 0.25)):
                    for col, b in enumerate((0.25, 0.5, 0.25)):
                        _carry(module.weight, a * b, row, col)
        _split(model.encoder.conv_in.weight)
        _join(model.encoder.conv_out.weight, 3)
        _split(model.decoder.conv_in.weight)
        _join(model.decoder.conv_out.weight, 3)
        for conv in (model.quant_conv, model.post_quant_conv):
            assert conv is not None  # both are made by the default arguments above
            n = conv.weight.shape[0]
            conv.weight.copy_(torch.eye(n)[:, :, None, None])
    return model


def _carry(weight: torch.Tensor, value: float, row: int = 0, col: int = 0) -> None:
    """Pass channels 0..5 on."""
    for k in range(6):
        weight[k, :, row, col] = 0.0
        weight[k, k, row, col] = value


def _split(weight: torch.Tensor) -> None:
    """Make channels 0..2 the input's first three channels and 3..5 their negatives."""
    weight[:6] = 0
    for k in range(3):
        weight[k, k, 1, 1], weight[k + 3, k, 1, 1] = 1.0, -1.0


def _join(weight: torch.Tensor, channels: int) -> None:
    """Make the first output channels the difference of a channel and its negative."""
    weight[:channels] *= 0.05
    for k in range(channels):
        weight[k, k, 1, 1], weight[k, k + 3, 1, 1] = 0.5, -0.5


def encoded(model: AutoencoderKL, pictures: torch.Tensor) -> torch.Tensor:
    """The latents' mean (N, 4, H/4, W/4) of pictures (N, 3, H, W) in -1..1."""
    (posterior,) = model.encode(pictures, return_dict=False)  # pyright: ignore[reportGeneralTypeIssues]
    return posterior.mean


def decoded(model: AutoencoderKL, latents: torch.Tensor) -> torch.Tensor:
    """Pictures (N, 3, H, W), about -1..1, of latents."""
    decode: Any = model.decode
    return decode(latents, return_dict=False)[0]


def dead_leaves(rng: np.random.Generator, size: int) -> np.ndarray:
    """Overlapping ellipses and polygons with texture (size, size, 3) uint8: pictures with the
    statistics of photographs."""
    board = Image.new("RGB", (size, size))
    draw = ImageDraw.Draw(board)
    for _ in range(int(rng.integers(60, 320))):
        r = min(size * 0.35, 3.0 / rng.random() ** 0.8)
        x, y = rng.random(2) * size
        ink = tuple(int(c) for c in rng.integers(0, 256, 3))
        turns = np.sort(rng.random(int(rng.integers(3, 9)))) * 2 * np.pi
        if rng.random() < 0.5:
            draw.ellipse((x - r, y - r * 0.8, x + r, y + r * 0.8), fill=ink)
        else:
            draw.polygon([(x + r * float(np.cos(a)), y + r * float(np.sin(a))) for a in turns], fill=ink)
    cells = float(rng.choice((8, 24, 64)))
    tone = 1 + float(rng.uniform(0.03, 0.3)) * field(rng, size, size, cells, cells, 3)
    return np.clip(np.asarray(board) * tone[..., None], 0, 255).astype(np.uint8)


def crops(pictures: np.ndarray, rng: np.random.Generator, batch: int, side: int) -> Iterator[torch.Tensor]:
    """Batches (batch, 3, side, side) in -1..1: crops of renders at full and half size, of dead leaves,
    colours shuffled."""
    leaves = [dead_leaves(rng, 256) for _ in range(160)]
    while True:
        out = []
        while len(out) < batch:
            if rng.random() < 0.3:
                image = leaves[int(rng.integers(len(leaves)))]
            else:
                image = pictures[int(rng.integers(len(pictures))), int(rng.integers(LOOKS))]
                if not image.any():
                    continue
            if rng.random() < 0.3:
                image = image.reshape(128, 2, 128, 2, 3).mean(axis=(1, 3)).astype(np.uint8)
            y, x = rng.integers(0, image.shape[0] - side + 1, 2)
            crop = image[y : y + side, x : x + side].astype(np.float32) / 127.5 - 1
            if rng.random() < 0.2:
                crop = crop[..., rng.permutation(3)] * float(rng.choice((-1, 1)))
            if rng.random() < 0.5:
                crop = crop[:, ::-1]
            out.append(np.ascontiguousarray(crop.transpose(2, 0, 1)))
        yield torch.from_numpy(np.stack(out))


def loss_of(made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """L1 + half the squared error + the error of the gradients."""
    error = made - wanted
    slope = error.diff(dim=-1).abs().mean() + error.diff(dim=-2).abs().mean()
    return error.abs().mean() + 0.5 * error.square().mean() + 0.5 * slope


def train(team: Team, folder: Path, minutes: float, batch: int, side: int) -> None:
    """Train for some minutes; `autoencoder.pt` in the folder is resumed from and written every two minutes."""
    torch.manual_seed(team.rank + int(time.time()) % 10000)
    model = build()
    module: Any = model
    module.to(team.device, memory_format=torch.channels_last)
    path = folder / "autoencoder.pt"
    ema = {k: v.detach().clone() for k, v in model.state_dict().items()}
    if path.exists():
        state = torch.load(path, map_location=team.device)
        model.load_state_dict(state)
        ema = state
    team.same(model)
    parameters = list(model.parameters())
    adam = torch.optim.AdamW(parameters, lr=2e-3, betas=(0.9, 0.99), weight_decay=1e-4)
    batches = crops(np.load(folder / "pictures.npy", mmap_mode="r"), np.random.default_rng(None), batch, side)
    start, saved, step = time.time(), time.time(), 0
    while True:
        part = (time.time() - start) / 60 / minutes
        done = team.agree(part >= 1)
        part = min(part, 1.0)
        for group in adam.param_groups:
            group["lr"] = 2.5e-3 * min(1, (step + 1) / 60) * (0.02 + 0.98 * min(1.0, 1.6 * (1 - part)) ** 1.5)
        wanted = next(batches).to(team.device, memory_format=torch.channels_last)
        with half(team.device):
            mean = encoded(model, wanted)
            latents = mean + 0.03 * mean.detach().std() * torch.randn_like(mean)
            made = decoded(model, latents)
        loss = loss_of(made.float(), wanted) + 1e-4 * mean.float().square().mean()
        adam.zero_grad()
        loss.backward()
        team.average(parameters)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        adam.step()
        step += 1
        with torch.no_grad():
            keep = min(0.995, step / (step + 20))
            for name, value in model.state_dict().items():
                ema[name].lerp_(value, 1 - keep)
        if team.rank == 0 and (done or time.time() - saved > 60):
            torch.save(ema, path.with_suffix(".tmp"))
            path.with_suffix(".tmp").rename(path)
            saved = time.time()
            click.echo(f"autoencoder: step {step}, {step / (saved - start):.2f}/s, loss {loss.item():.4f}")
        if done:
            return


def whiten(model: AutoencoderKL, pictures: torch.Tensor) -> None:
    """Give the latents of renders zero mean and unit covariance, folded exactly into the two 1x1 convolutions.

    `pictures` (N, 3, H, W) in -1..1. The round trip stays what it was.
    """
    quant, post = model.quant_conv, model.post_quant_conv
    if quant is None or post is None:
        raise ValueError("only an autoencoder with quant_conv and post_quant_conv can be whitened")
    with torch.no_grad():
        mean = torch.cat([encoded(model, p[None]) for p in pictures]).double()
        flat = mean.permute(1, 0, 2, 3).reshape(4, -1)
        middle = flat.mean(dim=1)
        values, vectors = torch.linalg.eigh(torch.cov(flat))
        order = values.argsort(descending=True)
        values, vectors = values[order], vectors[:, order]
        turn = (vectors / values.sqrt()).T
        back = vectors * values.sqrt()
        weight, bias = quant.weight.double()[:4, :, 0, 0], quant.bias.double()[:4]  # pyright: ignore[reportOptionalMemberAccess]
        quant.weight[:4, :, 0, 0] = (turn @ weight).float()
        quant.bias[:4] = (turn @ (bias - middle)).float()  # pyright: ignore[reportOptionalSubscript]
        quant.weight[4:] = 0
        quant.bias[4:] = QUIET_LOGVAR  # pyright: ignore[reportOptionalSubscript]
        out, shift = post.weight.double()[:, :, 0, 0], post.bias.double()  # pyright: ignore[reportOptionalMemberAccess]
        post.weight[:, :, 0, 0] = (out @ back).float()
        post.bias.copy_((out @ middle + shift).float())  # pyright: ignore[reportOptionalMemberAccess]


def psnr(model: AutoencoderKL, picture: np.ndarray) -> float:
    """Peak signal to noise ratio in dB of the round trip of an (H, W, 3) uint8 picture (sides multiples of 4)."""
    x = torch.from_numpy(picture.astype(np.float32).transpose(2, 0, 1)[None] / 127.5 - 1)
    with torch.no_grad():
        y = decoded(model, encoded(model, x)).clamp(-1, 1)
    return float(-10 * torch.log10(F.mse_loss(y, x) / 4))
