"""Both models of a home."""

from __future__ import annotations

import shutil
from pathlib import Path

from .work import MODELS


def copy_models(models: Path | None, folder: Path, home: Path) -> None:
    """Puts both models into a home, from the folder `models`, or made in `folder` when there is none."""
    if models is None:
        from tests.models import build_tiny_model  # torch: some seconds

        models = folder / "models"
        for seed, model in enumerate(MODELS):
            build_tiny_model(models / model, seed=seed)
    for model in MODELS:
        shutil.copytree(models / model, home / "data" / "models" / model)
