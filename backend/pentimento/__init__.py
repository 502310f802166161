"""Pentimento: img2img and inpainting for Krita and GIMP, on a local backend that adds layers."""

from __future__ import annotations

from typing import Final

__version__: Final = "0.1.0"
