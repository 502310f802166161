"""The names of sampling methods and schedule types, and the other ways in which people write them.

AUTOMATIC1111's names, its and ComfyUI's short ones (`k_dpmpp_2m`, `euler_ancestral`, `sgm_uniform`), and its older ones
that hold both: "DPM++ 2M Karras".
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

SAMPLERS: Final = (
    "DPM++ 2M",
    "DPM++ SDE",
    "DPM++ 2M SDE",
    "DPM++ 2S a",
    "DPM++ 3M SDE",
    "Euler",
    "Euler a",
    "Heun",
    "LMS",
    "DPM2",
    "DPM2 a",
    "Restart",
    "DDIM",
    "PLMS",
    "UniPC",
    "DEIS",
    "LCM",
    "TCD",
)
SCHEDULES: Final = (
    "Automatic",
    "Uniform",
    "Karras",
    "Exponential",
    "Polyexponential",
    "SGM Uniform",
    "KL Optimal",
    "Align Your Steps",
    "Simple",
    "Normal",
    "DDIM",
    "Beta",
    "Turbo",
)
AUTOMATIC: Final = "Automatic"

_OTHER_WORDS: Final[Mapping[str, str]] = {
    "dpmpp2m": "DPM++ 2M",
    "dpmppsde": "DPM++ SDE",
    "dpmpp2msde": "DPM++ 2M SDE",
    "dpmpp2sa": "DPM++ 2S a",
    "dpmpp2sancestral": "DPM++ 2S a",
    "dpmpp3msde": "DPM++ 3M SDE",
    "eulerancestral": "Euler a",
    "dpm2ancestral": "DPM2 a",
}


def spelling(name: str) -> str:
    """What is left of a name when case, blanks, `_`, `-` and a leading `k_` do not count."""
    return re.sub(r"[\s_-]+", "", re.sub(r"^k_", "", name.strip().casefold()))


def called(name: str, choices: Iterable[str]) -> str | None:
    """The one of `choices` that `name` is another spelling of, or None: there is no guessing."""
    spelled = spelling(name)
    wanted = _OTHER_WORDS.get(spelled)
    return next((choice for choice in choices if choice == wanted or spelling(choice) == spelled), None)


def split(name: str) -> tuple[str, str] | None:
    """("DPM++ 2M", "Karras") for "DPM++ 2M Karras" or `k_dpmpp_2m_ka`; None for a name that does not hold both."""
    spelled = re.sub(r"_ka$", "_karras", name.strip())
    for schedule in SCHEDULES:
        found = re.fullmatch(rf"(.+?)[\s_]+{_loosely(schedule)}", spelled, re.IGNORECASE)
        sampler = called(found[1], SAMPLERS) if found else None
        if sampler is not None:
            return sampler, schedule
    return None


def _loosely(schedule: str) -> str:
    return r"[\s_]*".join(map(re.escape, schedule.split()))
