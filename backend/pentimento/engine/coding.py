"""Between pictures and the model's latents: VAE encoder and decoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from .arrays import Float
from .loaded import LoadedModel


def encode_picture(model: LoadedModel, rgb: Float) -> torch.Tensor:
    """[h, w, 3] in 0..1 -> latents [1, c, h / f, w / f], float32: the mode of the VAE's distribution, not a sample."""
    vae = model.components["vae"]
    picture = torch.from_numpy(np.ascontiguousarray(rgb.clip(0, 1).transpose(2, 0, 1)))[None]
    latents = vae.encode((picture * 2 - 1).to(model.device, vae.dtype)).latent_dist.mode()
    return (latents.float() - _shift(vae)) * vae.config.scaling_factor


def decode_pictures(model: LoadedModel, latents: torch.Tensor) -> Sequence[Float]:
    """Latents [n, c, h, w] -> n pictures [h * f, w * f, 3], float32; values may leave 0..1."""
    vae = model.components["vae"]
    pictures = vae.decode((latents / vae.config.scaling_factor + _shift(vae)).to(vae.dtype)).sample
    return [picture.float().cpu().numpy().transpose(1, 2, 0) / 2 + 0.5 for picture in pictures]


def latent_factor(model: LoadedModel) -> int:
    """How many px of the picture one latent px is wide and high."""
    return 2 ** (len(model.components["vae"].config.block_out_channels) - 1)


def _shift(vae: Any) -> float:
    """Where the latents of a model's training data have their mean; older autoencoders do not say."""
    return float(vae.config.get("shift_factor") or 0.0)
