"""Between pictures and the model's latents: VAE encoder and decoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from .arrays import Float
from .loading import LoadedModel


def encode_picture(model: LoadedModel, rgb: Float) -> torch.Tensor:
    """[h, w, 3] in 0..1 -> latents [1, c, h / f, w / f], float32: the mode of the VAE's distribution, not a sample."""
    vae = model.components["vae"]
    picture = torch.from_numpy(np.ascontiguousarray(rgb.clip(0, 1).transpose(2, 0, 1)))[None]
    latents = vae.encode((picture * 2 - 1).to(model.device, model.dtype)).latent_dist.mode()
    return latents.float() * vae.config.scaling_factor


def decode_pictures(model: LoadedModel, latents: torch.Tensor) -> Sequence[Float]:
    """Latents [n, c, h, w] -> n pictures [h * f, w * f, 3], float32; values may leave 0..1."""
    vae = model.components["vae"]
    pictures = vae.decode((latents / vae.config.scaling_factor).to(model.dtype)).sample
    return [picture.float().cpu().numpy().transpose(1, 2, 0) / 2 + 0.5 for picture in pictures]
