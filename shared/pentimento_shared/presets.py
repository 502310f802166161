"""Settings under a name, for what artists do most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from .settings import Value


@dataclass(frozen=True)
class Preset:
    """`settings` that a click sets; `help` says in a few words what comes of it."""

    name: str
    help: str
    settings: Mapping[str, Value]


PRESETS: Final = (
    Preset("Photo to illustration", "Restyles", {"strength": 0.6, "color_match": False}),
    Preset("Polish a render", "Details", {"strength": 0.35, "color_match": True}),
    Preset("Consistent character", "Varies", {"strength": 0.4, "color_match": False}),
    Preset("Repair an old photo", "Mends", {"strength": 0.3, "color_match": True, "grow": 4, "feather": 4}),
    Preset("Subtle", "Retouches", {"strength": 0.3}),
    Preset("Medium", "Reworks", {"strength": 0.5}),
    Preset("Strong", "Repaints", {"strength": 0.7}),
)
"""Those of use keep the source's colours where these are the point; the last three change nothing but the strength."""
