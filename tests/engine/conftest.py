"""A real engine over a small random-weight model: real pipelines, milliseconds a step."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from pentimento.engine.arrays import to_pixels
from pentimento.engine.engine import Engine
from pentimento.engine.models import ModelLibrary
from pentimento.engine.prompts.resolving import PromptFiles
from pentimento.engine.request import Event, Request, Result
from pentimento_shared.pixels import Pixels
from pentimento_shared.settings import Task, validate


class Studio:
    """Runs requests with few words; `events` gives everything the engine reports."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    def request(
        self,
        task: Task,
        image: Pixels | None = None,
        mask: Pixels | None = None,
        seeds: tuple[int, ...] = (1,),
        **settings: object,
    ) -> Request:
        values = {"model": "tiny", "prompt": "a harbour", "steps": 4, **settings}
        info = self.engine.library.get(str(values["model"]))
        return Request(task, validate(task, values, info.defaults_of(task)), seeds, image, mask)

    def events(self, *args, cancelled: Callable[[], bool] = lambda: False, **settings) -> list[Event]:
        return list(self.engine.run(self.request(*args, **settings), cancelled))

    def results(self, *args, **settings) -> list[Result]:
        return [event for event in self.events(*args, **settings) if isinstance(event, Result)]

    def picture(self, *args, **settings) -> Pixels:
        return self.results(*args, **settings)[0].pixels


@pytest.fixture(scope="session")
def studio(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Studio:
    # One thread: on a busy machine two threads that wait for each other are slower than one.
    torch.set_num_threads(1)
    files = PromptFiles.below(tmp_path_factory.mktemp("words"))
    return Studio(Engine(ModelLibrary([tiny_model.parent]), device="cpu", prompt_files=files))


@pytest.fixture
def own_copy(tiny_model: Path, tmp_path: Path) -> Path:
    """A models folder with a copy of `tiny` that a test may spoil."""
    shutil.copytree(tiny_model, tmp_path / "tiny")
    return tmp_path


@pytest.fixture
def picture() -> Callable[..., Pixels]:
    """picture(width, height, channels=3, depth=8, seed=0): smooth colours with some noise."""

    def make(width: int, height: int, channels: int = 3, depth: int = 8, seed: int = 0) -> Pixels:
        rng = np.random.default_rng(seed)
        y, x = np.mgrid[:height, :width] / max(width, height)
        planes = [np.sin(3 * x * (k + 1) + 5 * y + seed) / 3 + 0.5 for k in range(channels)]
        noisy = np.stack(planes, axis=2) + rng.normal(0, 0.03, (height, width, channels))
        dtype = np.uint8 if depth == 8 else np.uint16
        return to_pixels((noisy.clip(0, 1) * (2**depth - 1)).astype(dtype))

    return make
