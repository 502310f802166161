"""Models stay in memory as long as they fit, and one that cannot fit is refused before it is loaded."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pentimento.engine.footprint import weight_bytes
from pentimento.engine.models import ModelInfo, ModelLibrary
from pentimento.engine.offload import takes_turns
from pentimento.engine.request import OutOfMemory
from pentimento.engine.warm import ROOM_TO_WORK, WarmModels, free_memory

CPU = torch.device("cpu")


@pytest.fixture
def three(tiny_model: Path, tmp_path: Path) -> tuple[ModelInfo, ...]:
    for name in "abc":
        shutil.copytree(tiny_model, tmp_path / name)
    return ModelLibrary([tmp_path]).list()


def room_for(count: float, warm: Callable[[], WarmModels], info: ModelInfo) -> Callable[[], int]:
    """A device that holds `count` of that model and has room to work beside them."""
    each = weight_bytes(info, 4)
    return lambda: int(each * (count - len(warm().ids))) + ROOM_TO_WORK


def test_two_that_fit_stay_and_the_one_used_longest_ago_goes(three):
    a, b, c = three
    warm = WarmModels(CPU, room_for(2, lambda: warm, a))
    first = warm.get(a)
    warm.get(b)
    assert warm.get(a) is first
    assert warm.ids == ("b", "a")
    warm.get(c)
    assert (warm.ids, warm.last is not None and warm.last.info.id) == (("a", "c"), "c")
    assert warm.get(a) is first
    warm.free_others()
    assert warm.ids == ("a",)


def test_a_model_that_cannot_fit_says_how_much_it_takes(three):
    needed = weight_bytes(three[0], 4)
    warm = WarmModels(CPU, lambda: needed - 1)
    with pytest.raises(OutOfMemory, match=r"The model a takes \d+ MB of memory, and \d+ MB are free\. Close other"):
        warm.get(three[0])
    assert (warm.ids, warm.last) == ((), None)


def test_a_model_larger_than_the_device_takes_turns_from_the_start(three, monkeypatch: pytest.MonkeyPatch):
    # As if the CPU were a device with a memory of its own.
    monkeypatch.setattr("pentimento.engine.warm.DEVICES", frozenset({"cpu"}))
    needed = weight_bytes(three[0], 4)
    warm = WarmModels(CPU, lambda: needed - 1)
    model = warm.get(three[0])
    assert takes_turns(model.components)
    assert warm.get(three[0]) is model


def test_parts_take_turns_when_the_first_attempt_to_load_has_failed(three, monkeypatch: pytest.MonkeyPatch):
    warm = WarmModels(CPU)
    assert not warm.take_turns(), "a CPU's memory is the machine's"
    monkeypatch.setattr("pentimento.engine.warm.DEVICES", frozenset({"cpu"}))
    assert warm.take_turns()
    assert not warm.take_turns(), "once is enough"
    assert takes_turns(warm.get(three[0]).components)
    assert not takes_turns(warm.get(three[1]).components), "the next model has its own chance"


def test_a_model_whose_configuration_was_changed_is_loaded_anew(three):
    a = three[0]
    warm = WarmModels(CPU)
    first = warm.get(a)
    (a.folder / "pentimento.json").write_text('{"min_steps": 3}')
    changed = ModelLibrary([a.folder.parent]).get("a")
    assert warm.get(changed) is not first
    assert warm.ids == ("a",)


def test_the_machine_says_what_is_free():
    assert free_memory(CPU) > 10_000_000
