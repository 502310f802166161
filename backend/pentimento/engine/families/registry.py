"""Every family by its name. Adding one is a row here and one in `info.PIPELINES`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from ..loaded import LoadedModel
from . import flux, sd3, sdxl, stable_diffusion
from .family import Family

FAMILIES: Final[Mapping[str, Family]] = {
    "sd15": stable_diffusion.FAMILY,
    "sd2": stable_diffusion.FAMILY,
    "sdxl": sdxl.FAMILY,
    "sd3": sd3.FAMILY,
    "flux": flux.FAMILY,
}


def family_of(model: LoadedModel) -> Family:
    return FAMILIES[model.info.family]


def guided_by(model: LoadedModel, cfg_scale: float) -> float:
    """The CFG scale that is left to the loop: 1 for a model that guides itself."""
    return 1.0 if family_of(model).guides_itself(model) else cfg_scale
