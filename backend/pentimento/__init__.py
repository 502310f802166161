"""Pentimento: img2img and inpainting for Krita and GIMP, on a local backend that adds layers."""

from __future__ import annotations

from typing import Final

from pentimento_shared import VERSION

__version__: Final = VERSION
