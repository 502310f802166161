"""What a model's configuration files say of it before it is loaded. Free of torch: the server imports this."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pentimento_shared.geometry import Size
from pentimento_shared.sampler_names import SAMPLERS
from pentimento_shared.settings import Value

Configs = Mapping[str, Mapping[str, Any]]
"""A diffusers folder's config.json files by component; "scheduler" is scheduler_config.json."""

INPAINTING_CHANNELS: Final = 9
"""Input channels of a UNet for inpainting: latents, a mask, and the latents of the masked picture."""
PX: Final = 8
"""All work pictures are a multiple of this, px."""


ONLY_INPAINTING: Final = ("inpainting_mask_weight",)
ONLY_DISTILLED: Final = ("distilled_cfg_scale",)
"""Rows of the settings table that do nothing with any other model."""
NOT_FOR_FLOW: Final = ("DDIM", "PLMS", "TCD")
"""Samplers that are defined by a diffusion model's timesteps; all others solve an equation that both have."""
FLOW_SCHEDULES: Final = ("Automatic", "Uniform", "SGM Uniform", "Simple", "Normal", "Beta", "Turbo")
"""Schedules laid over the model's own timesteps. Over its sigmas, which begin at infinity, there is nothing to lay."""
FLOW_CHOICES: Final = {
    "sampler": tuple(name for name in SAMPLERS if name not in NOT_FOR_FLOW),
    "schedule": FLOW_SCHEDULES,
}
FLUX_TOKENS: Final = {True: 512, False: 256}
"""Tokens of T5 that FLUX.1 was trained to read, its end mark among them: dev (which is told a scale), and schnell."""
FLUX_SIDE: Final = 1024
"""Native side of FLUX.1, px, of which its configuration says nothing."""


@dataclass(frozen=True)
class Facts:
    """What the configuration says. The fields are ModelInfo's; `choices` are the values that a choice of the settings
    table has with this model where that is not all of them, `without` the rows that do nothing with it."""

    family: str
    native_size: Size
    multiple: int
    defaults: Mapping[str, Value] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    without: tuple[str, ...] = ()


def _stable_diffusion(configs: Configs) -> Facts:
    unet, text = configs["unet"], configs["text_encoder"]
    # Only from 2.0 on attention is projected by a linear layer; widths would not tell small models from large ones.
    family = "sd2" if unet.get("use_linear_projection") else "sd15"
    return _unet_facts(family, configs, {"clip_skip": int(text["num_hidden_layers"])})


def _sdxl(configs: Configs) -> Facts:
    layers = min(int(configs[part]["num_hidden_layers"]) for part in ("text_encoder", "text_encoder_2"))
    return _unet_facts("sdxl", configs, {"clip_skip": layers})


def _unet_facts(family: str, configs: Configs, limits: Mapping[str, float]) -> Facts:
    unet = configs["unet"]
    factor = _factor(configs)
    side = int(unet["sample_size"]) * factor
    multiple = math.lcm(PX, factor * 2 ** (len(unet["block_out_channels"]) - 1))
    inpainting = int(unet.get("in_channels", 4)) == INPAINTING_CHANNELS
    without = (*ONLY_DISTILLED, *(() if inpainting else ONLY_INPAINTING))
    return Facts(family, Size(side, side), multiple, limits=limits, without=without)


def _sd3(configs: Configs) -> Facts:
    transformer, factor = configs["transformer"], _factor(configs)
    side = int(transformer["sample_size"]) * factor
    layers = min(int(configs[part]["num_hidden_layers"]) for part in ("text_encoder", "text_encoder_2"))
    return Facts(
        "sd3",
        Size(side, side),
        math.lcm(PX, factor * int(transformer["patch_size"])),
        defaults={"cfg_scale": 4.5, "steps": 28, "sampler": "Euler", "schedule": "Simple"},
        limits={"clip_skip": layers},
        choices=FLOW_CHOICES,
        without=(*ONLY_DISTILLED, *ONLY_INPAINTING),
    )


def _flux(configs: Configs) -> Facts:
    dev = bool(configs["transformer"].get("guidance_embeds"))
    return Facts(
        "flux",
        Size(FLUX_SIDE, FLUX_SIDE),
        math.lcm(PX, 2 * _factor(configs)),
        defaults={"cfg_scale": 1.0, "steps": 20 if dev else 4, "sampler": "Euler", "schedule": "Simple"},
        choices=FLOW_CHOICES,
        without=("clip_skip", *ONLY_INPAINTING, *(() if dev else ONLY_DISTILLED)),
    )


def _factor(configs: Configs) -> int:
    return 2 ** (len(configs["vae"]["block_out_channels"]) - 1)


@dataclass(frozen=True)
class Reader:
    """Which components' configurations are read, and what makes Facts of them (KeyError, TypeError or ValueError where
    they are not as expected)."""

    components: tuple[str, ...]
    facts: Callable[[Configs], Facts]


_SD: Final = Reader(("unet", "vae", "text_encoder"), _stable_diffusion)
_SDXL: Final = Reader(("unet", "vae", "text_encoder", "text_encoder_2"), _sdxl)

PIPELINES: Final[Mapping[str, Reader]] = {
    "StableDiffusionPipeline": _SD,
    "StableDiffusionInpaintPipeline": _SD,
    "StableDiffusionXLPipeline": _SDXL,
    "StableDiffusionXLInpaintPipeline": _SDXL,
    "StableDiffusion3Pipeline": Reader(("transformer", "vae", "text_encoder", "text_encoder_2"), _sd3),
    "FluxPipeline": Reader(("transformer", "vae"), _flux),
}
"""Pipeline class of a model_index.json -> how its folder is read."""
