"""What a model is told of a job beside latents and prompt; an inpainting model is shown what it paints in."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import torch

from pentimento_shared.geometry import Layout
from pentimento_shared.settings import Value

from .arrays import Float
from .canvas import Canvas
from .coding import encode_picture, latent_factor
from .families.family import Told
from .families.info import INPAINTING_CHANNELS
from .families.registry import family_of
from .loaded import LoadedModel
from .masks import latent_selection
from .resample import mask_to_work

GREY: Final = np.float32(0.5)
"""What an inpainting model was trained to see in the place of what it shall paint."""


def tell(
    model: LoadedModel,
    settings: Mapping[str, Value],
    canvas: Canvas,
    layout: Layout,
    shown: Callable[[], Float] | None,
) -> Told:
    """What the model is told of that job. `shown()` is the source as work picture [H, W, 3]; without it nothing of the
    source may reach the model: text to image."""
    seen = None
    if is_inpainting(model):
        weight = float(settings.get("inpainting_mask_weight", 1.0))
        seen = _blank(model, layout) if shown is None else _masked(model, shown(), canvas, layout, weight)
    return Told(layout.work, float(settings["cfg_scale"]), float(settings["distilled_cfg_scale"]), seen)


def is_inpainting(model: LoadedModel) -> bool:
    """Whether the model takes a mask and a masked picture beside its latents."""
    denoiser = model.components[family_of(model).denoiser]
    return denoiser.config.in_channels == INPAINTING_CHANNELS


def _masked(model: LoadedModel, source: Float, canvas: Canvas, layout: Layout, weight: float) -> torch.Tensor:
    """[1, 1 + c, h, w]: the mask and the source, grey by `weight` where it is selected; without a selection, all of it.

    AUTOMATIC1111 rounds the mask here; a soft one is soft for the model too, as it is in the loop.
    """
    crop = canvas.mask_crop()
    mask = np.ones(source.shape[:2], np.float32)
    if crop is not None:
        mask = mask_to_work(crop.astype(np.float32) / np.float32(255), layout)
    covered = (mask * np.float32(weight))[..., None]
    return _shown(model, (source * (1 - covered) + GREY * covered).astype(np.float32), mask)


def _blank(model: LoadedModel, layout: Layout) -> torch.Tensor:
    """The same where there is nothing to see."""
    shape = layout.work.height, layout.work.width
    return _shown(model, np.full((*shape, 3), GREY, np.float32), np.ones(shape, np.float32))


def _shown(model: LoadedModel, picture: Float, mask: Float) -> torch.Tensor:
    chosen = torch.from_numpy(latent_selection(mask, latent_factor(model)))[None, None].to(model.device)
    return torch.cat([chosen, encode_picture(model, picture)], dim=1)
