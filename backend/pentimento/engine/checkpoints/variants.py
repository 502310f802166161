"""Models that were distilled to paint in few steps, told by their metadata and name: what suits them by default."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from pentimento_shared.settings import Value


@dataclass(frozen=True)
class Variant:
    """`pattern` is looked for in the file's name and title. `defaults` are values of the settings table.

    A distilled model makes noise of one step alone at a low strength; `min_steps` run at any.
    """

    name: str
    pattern: re.Pattern[str]
    defaults: Mapping[str, Value]
    min_steps: int = 2

    def own(self, flow: bool = False) -> dict[str, Any]:
        """What it says as a folder's pentimento.json would. The samplers and schedules are for models of noise scales;
        a `flow` model keeps its family's."""
        kept = {name: value for name, value in self.defaults.items() if not flow or name in ("steps", "cfg_scale")}
        return {"defaults": kept, "min_steps": self.min_steps}


def _variant(name: str, pattern: str, steps: int, sampler: str, schedule: str = "") -> Variant:
    defaults: dict[str, Value] = {"steps": steps, "cfg_scale": 1.0, "sampler": sampler}
    if schedule:
        defaults["schedule"] = schedule
    return Variant(name, re.compile(pattern), defaults)


VARIANTS: Final = (
    # As published: LCM (arXiv 2310.04378), DMD2 (2405.14867), Lightning (2402.13929), Hyper-SD (2404.13686), and
    # adversarial diffusion distillation, "turbo" (2311.17042). All but LCM and DMD2 want "trailing" timesteps.
    _variant("lcm", r"(?i)lcm", 6, "LCM"),
    _variant("dmd2", r"(?i)dmd2?(?![a-z])", 4, "LCM"),
    _variant("lightning", r"(?i)lightning", 4, "Euler", "SGM Uniform"),
    _variant("hyper", r"(?i:hyper)(?=[-_ .\d]|SD|XL|$)", 8, "Euler", "SGM Uniform"),
    _variant("turbo", r"(?i)turbo", 4, "Euler a", "SGM Uniform"),
)
_STEPS: Final = re.compile(r"(?i)(\d+)[-_ ]?steps?(?![a-z])")
_MOST_STEPS: Final = 16


def variant_of(name: str, title: str = "") -> Variant | None:
    """The variant that a model of that file name and title is; None for one that takes the usual number of steps."""
    for variant in VARIANTS:
        if variant.pattern.search(name) or variant.pattern.search(title):
            return _with_steps(variant, name)
    return None


def _with_steps(variant: Variant, name: str) -> Variant:
    """Lightning and Hyper-SD say in the name how many steps they were made for."""
    said = _STEPS.search(name)
    if said is None or not 1 <= int(said[1]) <= _MOST_STEPS:
        return variant
    steps = int(said[1])
    return Variant(variant.name, variant.pattern, {**variant.defaults, "steps": steps}, min(variant.min_steps, steps))
