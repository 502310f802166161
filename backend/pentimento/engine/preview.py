"""What a picture looks like in mid-job: a linear map from latents to RGB, then a small JPEG."""

from __future__ import annotations

import io
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from pentimento_shared.geometry import Layout

from .coding import encode_picture
from .loaded import LoadedModel

SIDE: Final = 256
"""Longer side of a preview, px."""
QUALITY: Final = 80
PATCH: Final = 32
"""Side of a calibration patch, px."""

Map = NDArray[np.float32]
"""[c + 1, 3]: rows of the latent channels, then the bias; RGB in 0..1."""


def preview_map(model: LoadedModel) -> Map:
    """The model's own map, or one measured by encoding plain patches and least squares (any VAE is nearly linear)."""
    if model.info.preview:
        return np.asarray(model.info.preview, np.float32)
    levels = np.linspace(0.05, 0.95, 4, dtype=np.float32)
    colours = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(8, 8, 3)
    chart = colours.repeat(PATCH, axis=0).repeat(PATCH, axis=1)
    latents = encode_picture(model, chart)[0].cpu().numpy()
    channels, height, width = latents.shape
    # The middle of each patch: its border mixes two colours.
    means = latents.reshape(channels, 8, height // 8, 8, width // 8)[:, :, 1:-1, :, 1:-1].mean(axis=(2, 4))
    rows = np.concatenate([means.reshape(channels, -1).T, np.ones((64, 1), np.float32)], axis=1)
    return np.linalg.lstsq(rows, colours.reshape(-1, 3), rcond=None)[0].astype(np.float32)


def render_preview(latents: torch.Tensor, linear: Map, layout: Layout) -> bytes:
    """JPEG of the estimate of x0, latents [c, h, w], without the work picture's padding."""
    planes = latents.cpu().numpy().transpose(1, 2, 0)
    rgb = planes @ linear[:-1] + linear[-1]
    picture = Image.fromarray(np.rint(rgb.clip(0, 1) * 255).astype(np.uint8))
    factor = layout.work.width / picture.width
    width, height = (side / factor for side in layout.covered)
    box = (0.0, 0.0, min(width, picture.width), min(height, picture.height))
    zoom = SIDE / max(width, height)
    size = (max(1, round(width * zoom)), max(1, round(height * zoom)))
    buffer = io.BytesIO()
    picture.resize(size, Image.Resampling.BICUBIC, box).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
