"""What a family is: the few things that its models do in their own way."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch

from pentimento_shared.geometry import Size

from ..loaded import LoadedModel
from ..noise_scales import NoiseScale
from ..prompts.flattening import Flat


class Embeds(NamedTuple):
    """A prompt as a denoiser reads it: `tokens` [n, tokens, width], and [n, width] of the whole where it wants that."""

    tokens: torch.Tensor
    pooled: torch.Tensor | None = None


class Told(NamedTuple):
    """What a denoiser is told besides latents, timestep and prompt.

    `size` is the work picture's, px. `cfg_scale` is the loop's, and that of models which take it as an input;
    `distilled_cfg_scale` is for those that have one beside it. `seen` [1, 1 + c, h, w] is for inpainting models: the
    mask in latent px, and the latents of the masked picture.
    """

    size: Size
    cfg_scale: float
    distilled_cfg_scale: float = 0.0
    seen: torch.Tensor | None = None


Predict = Callable[[torch.Tensor, float, Embeds], torch.Tensor]
"""(latents [n, c, h, w] as the model sees them, the timestep it is told, embeddings of n) -> output [n, c, h, w]."""


@dataclass(frozen=True)
class Family:
    """`pipeline` is the diffusers class that a model's folder is loaded with; its loop is not run.

    `weights` are the components that have weights, the denoiser first. `scale` makes the noise scale from the
    scheduler's configuration for latents of a size. `encode` reads a prompt with a clip skip. `ask` makes the function
    that asks the model, once per job. `guides_itself` says whether a model takes the CFG scale as an input, so that the
    loop has nothing left to guide. `dtype` is what models of the family compute in on a GPU.
    """

    pipeline: type[Any]
    weights: tuple[str, ...]
    scale: Callable[[Mapping[str, Any], Size], NoiseScale]
    encode: Callable[[LoadedModel, Flat, int], Embeds]
    ask: Callable[[LoadedModel, Told], Predict]
    guides_itself: Callable[[LoadedModel], bool] = lambda model: False
    dtype: torch.dtype = torch.float16

    @property
    def denoiser(self) -> str:
        """The component that denoises: "unet" or "transformer"."""
        return self.weights[0]
