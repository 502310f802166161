"""A model in memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from .extras.overlay import Overlay
from .models import ModelInfo


@dataclass(frozen=True)
class LoadedModel:
    """The components of a diffusers pipeline by name, shared by all jobs and changed by none. "vae" is None where the
    model has none of its own and none was chosen.

    `dtype` is what the denoiser and the text encoders compute in; the VAE has its own. `hash` is the SHA-256 of the
    denoiser's weights (hex). `concepts` are the embeddings that a job's prompts name: a name in lower case -> text
    encoder -> vectors [n, width]. `overlay` has what LoRA files have changed in the weights, and their originals.
    """

    info: ModelInfo
    components: Mapping[str, Any]
    hash: str
    device: torch.device
    dtype: torch.dtype
    concepts: Mapping[str, Mapping[str, torch.Tensor]] = field(default_factory=dict)
    overlay: Overlay = field(default_factory=Overlay)
