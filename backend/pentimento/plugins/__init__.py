"""The editors' plugins from the backend's side: what they consist of, where they belong, putting them there."""

from __future__ import annotations

from typing import Final, Literal

Editor = Literal["krita", "gimp"]
EDITORS: Final[tuple[Editor, ...]] = ("krita", "gimp")
NAMES: Final[dict[Editor, str]] = {"krita": "Krita", "gimp": "GIMP"}


class PluginError(Exception):
    """A plugin could not be put together, installed or removed: a sentence. What was installed before is untouched."""
