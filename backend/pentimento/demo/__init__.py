"""The embedded demo model: the renderer, the training and the evaluation that made it, and its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Final

MODEL_FOLDER: Final = Path(__file__).parent / "model"
"""Where the weights lie: a plain diffusers folder, plus `pentimento.json`."""
