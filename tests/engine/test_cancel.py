"""A cancel is obeyed within each stage, not only at its end."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pentimento.engine.engine import Engine
from pentimento.engine.interrupting import check_here, interruptible
from pentimento.engine.models import ModelLibrary
from pentimento.engine.prompts.resolving import PromptFiles
from pentimento.engine.request import Cancelled, Event, Progress
from pentimento_shared.pixels import Pixels
from tests.engine.conftest import Studio


class Patience:
    """Cancels when it has been asked so many times after `stage` has begun."""

    def __init__(self, stage: str, asks: int) -> None:
        self._stage, self._left = stage, asks
        self.seen: list[str] = []

    def __call__(self) -> bool:
        if self._stage in self.seen:
            self._left -= 1
        return self._left < 0

    def watch(self, studio: Studio, request: Callable[..., Pixels]) -> None:
        for event in studio.engine.run(studio.request("img2img", request(64, 64)), self):
            self._note(event)

    def _note(self, event: Event) -> None:
        if isinstance(event, Progress):
            self.seen.append(event.stage)


@pytest.mark.parametrize("stage", ["load", "encode", "sample", "decode"])
def test_a_cancel_in_the_middle_of_a_stage(
    tiny_model: Path, tmp_path: Path, picture: Callable[..., Pixels], stage: str
) -> None:
    studio = Studio(Engine(ModelLibrary([tiny_model.parent]), device="cpu", prompt_files=PromptFiles.below(tmp_path)))
    patience = Patience(stage, 20)
    with pytest.raises(Cancelled):
        patience.watch(studio, picture)
    assert patience.seen[-1] == stage
    assert (studio.engine.loaded == ()) is (stage == "load"), "half a model is none"
    undisturbed = Patience("never", 0)
    undisturbed.watch(studio, picture)
    assert undisturbed.seen[-1] == "decode", "the engine is free for the next job"


def test_what_breaks_by_an_interruption_is_the_interruption() -> None:
    broken = False

    def check() -> None:
        if broken:
            raise Cancelled

    def library() -> None:
        nonlocal broken
        broken = True
        try:
            torch.zeros(1)
        except Cancelled as error:
            raise RuntimeError("could not convert a tensor") from error

    with pytest.raises(Cancelled), interruptible(check):
        library()


def test_long_loops_ask_for_themselves() -> None:
    asked = 0

    def check() -> None:
        nonlocal asked
        asked += 1

    check_here()
    with interruptible(check):
        check_here()
        torch.zeros(1)
    check_here()
    assert asked == 2
