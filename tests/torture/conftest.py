"""The models of a storm."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.models import build_tiny_model
from tests.torture.work import MODELS


@pytest.fixture(scope="session")
def two_models(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both models of work.MODELS."""
    folder = tmp_path_factory.mktemp("weather")
    (folder / MODELS[0]).symlink_to(tiny_model)
    build_tiny_model(folder / MODELS[1], seed=1)
    return folder
