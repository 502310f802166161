"""A model in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from .models import ModelInfo


@dataclass(frozen=True)
class LoadedModel:
    """The components of a diffusers pipeline by name, shared by all jobs and changed by none.

    `dtype` is what the denoiser and the text encoders compute in; the VAE has its own. `hash` is the SHA-256 of the
    denoiser's weights (hex).
    """

    info: ModelInfo
    components: Mapping[str, Any]
    hash: str
    device: torch.device
    dtype: torch.dtype
