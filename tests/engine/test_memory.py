"""Out of memory, stage by stage: what is given up, in which order, and that the next job owes nothing to it."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.pipeline_utils import DiffusionPipeline

from pentimento.engine.arrays import to_array
from pentimento.engine.coding import decode_pictures, encode_picture
from pentimento.engine.engine import Engine
from pentimento.engine.loading import LoadedModel, load
from pentimento.engine.memory import Tiles, fitting, ran_out
from pentimento.engine.models import ModelLibrary
from pentimento.engine.offload import offload
from pentimento.engine.prompts.resolving import PromptFiles
from pentimento.engine.request import Event, Notice, OutOfMemory, Result
from pentimento.engine.thrift import OFFLOADED, TILED
from pentimento_shared.geometry import Size
from pentimento_shared.pixels import Pixels
from tests.engine.conftest import Studio

Run = Callable[[], list[Event]]


@pytest.fixture
def fresh(tiny_model: Path, tmp_path: Path) -> Studio:
    """An engine of its own: what it has in memory, and what has run in it, is this test's alone."""
    return Studio(Engine(ModelLibrary([tiny_model.parent]), device="cpu", prompt_files=PromptFiles.below(tmp_path)))


@contextmanager
def scarce(module: torch.nn.Module, refuse: Callable[[torch.Tensor], bool]) -> Iterator[list[tuple[int, ...]]]:
    """A device that has no memory for a module's work on what `refuse` says. Yields the shapes of what it was asked
    for."""
    asked: list[tuple[int, ...]] = []

    def look(_: torch.nn.Module, args: tuple[Any, ...]) -> None:
        asked.append(tuple(args[0].shape))
        if refuse(args[0]):
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.\nmore")

    handle = module.register_forward_pre_hook(look)
    try:
        yield asked
    finally:
        handle.remove()


def part(studio: Studio, name: str) -> Any:
    model = studio.engine.in_memory
    assert model is not None
    return model.components[name]


def pictures(events: list[Event]) -> list[bytes]:
    return [event.pixels.data for event in events if isinstance(event, Result)]


def notices(events: list[Event]) -> list[str]:
    return [event.text for event in events if isinstance(event, Notice)]


def wider_than(side: int) -> Callable[[torch.Tensor], bool]:
    return lambda tensor: tensor.shape[-1] > side


@pytest.mark.parametrize("name", ["unet", "text_encoder", "vae"])
def test_freeing_what_is_unused_is_tried_first_and_changes_nothing(
    fresh: Studio, picture: Callable[..., Pixels], name: str
) -> None:
    source = picture(64, 64)
    before = fresh.events("img2img", source, prompt="a mill")
    module = part(fresh, name)
    module = module.decoder if name == "vae" else module
    refusals = iter([True])
    with scarce(module if name != "text_encoder" else module.get_input_embeddings(), lambda _: next(refusals, False)):
        after = fresh.events("img2img", source, prompt="a mill")
    assert pictures(after) == pictures(before)
    assert notices(after) == notices(before)


def test_a_model_is_loaded_at_the_second_attempt(
    fresh: Studio, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    move, refusals = DiffusionPipeline.to, iter([True])

    def to(self: Any, *args: Any, **kwargs: Any) -> Any:
        if next(refusals, False):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return move(self, *args, **kwargs)

    monkeypatch.setattr(DiffusionPipeline, "to", to)
    assert fresh.picture("txt2img", width=64, height=64) == studio.picture("txt2img", width=64, height=64)


def test_no_memory_for_the_model_itself(fresh: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as context:
        context.setattr(DiffusionPipeline, "to", _no_memory)
        with pytest.raises(OutOfMemory, match=r"model tiny.*Close other programs"):
            fresh.events("txt2img", width=64, height=64)
    assert fresh.engine.loaded == ()
    assert fresh.picture("txt2img", width=64, height=64)


def _no_memory(*_: Any, **__: Any) -> None:
    raise RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried ...")


@pytest.mark.parametrize("half", ["encoder", "decoder"])
def test_the_vae_works_in_tiles(fresh: Studio, picture: Callable[..., Pixels], half: str) -> None:
    def run() -> list[Event]:
        return fresh.events("img2img", source, strength=0.3)

    source = picture(64, 64)
    whole = run()
    with scarce(getattr(part(fresh, "vae"), half), wider_than({"encoder": 32, "decoder": 8}[half])) as asked:
        tiled = run()
    assert max(shape[-1] for shape in asked[2:]) < max(shape[-1] for shape in asked[:2]), "smaller pieces than before"
    assert notices(tiled) == [*notices(whole), TILED]
    assert pictures(run()) == pictures(whole), "the next job's VAE works in one piece"


def test_tiles_are_hardly_to_be_seen(demo: LoadedModel, picture: Callable[..., Pixels]) -> None:
    """With weights that were trained; random ones know nothing of neighbourhood."""
    size, tiles, vae = Size(256, 256), Tiles(), demo.components["vae"]
    source = to_array(picture(*size)).astype(np.float32) / np.float32(255)
    with torch.inference_mode():
        latents = encode_picture(demo, source)
        (whole,) = decode_pictures(demo, latents)
        assert tiles.take(vae, size)
        (tiled,) = decode_pictures(demo, latents)
        tiles.undo()
        assert np.array_equal(decode_pictures(demo, latents)[0], whole)
    difference = np.abs(whole - tiled) * 255
    print(f"mean {difference.mean():.2f}, largest {difference.max():.1f} levels of 255")
    assert 0 < difference.mean() < 2


@pytest.fixture
def demo() -> LoadedModel:
    return load(ModelLibrary.standard().get("demo"), torch.device("cpu"))


def test_no_rung_is_left(fresh: Studio) -> None:
    def run(side: int) -> list[Event]:
        return fresh.events("txt2img", width=side, height=side)

    run(64)
    with scarce(part(fresh, "unet"), wider_than(16)):
        with pytest.raises(OutOfMemory) as failure:
            run(128)
        assert failure.value.allowed == "at most 64 x 64 px"
        assert "64 x 64 px has worked before" in failure.value.detail
        assert "CUDA out of memory. Tried to allocate 2.00 GiB.)" in failure.value.detail
        assert pictures(run(64)), "what it says does work"


def test_the_guess_without_experience(fresh: Studio) -> None:
    fresh.engine.model(fresh.engine.library.get("tiny"))
    with scarce(part(fresh, "unet"), wider_than(1)), pytest.raises(OutOfMemory, match="64 x 64 px may fit"):
        fresh.events("txt2img", width=128, height=128)


def test_what_filled_the_memory_is_gone_before_the_next_attempt(fresh: Studio) -> None:
    fresh.events("txt2img", width=64, height=64)
    filled: list[weakref.ref[torch.Tensor]] = []

    def fill(_: torch.Tensor) -> bool:
        assert not filled or filled[-1]() is None
        activations = torch.empty(1 << 20)
        filled.append(weakref.ref(activations))
        if len(filled) == 1:
            raise torch.OutOfMemoryError("out of memory")
        return False

    gc.disable()  # a reference cycle would be found by the ladder's own collection, and by nothing else
    try:
        with scarce(part(fresh, "unet"), fill):
            assert pictures(fresh.events("txt2img", width=64, height=64))
    finally:
        gc.enable()
    assert len(filled) > 1


def test_parts_that_take_turns_make_the_same_picture(fresh: Studio, picture: Callable[..., Pixels]) -> None:
    source = picture(64, 64)
    before = fresh.picture("img2img", source)
    model = fresh.engine.in_memory
    assert model is not None
    assert offload(model.components, model.device)
    assert not offload(model.components, model.device), "once is enough"
    events = fresh.events("img2img", source)
    assert pictures(events) == [before.data]
    assert notices(events)[-1:] == [OFFLOADED], "a later job is told why it is slow"


@pytest.mark.skipif(not torch.cuda.is_available(), reason="the device's memory must be another than the machine's")
def test_a_device_that_is_really_full(tiny_model: Path, tmp_path: Path) -> None:
    studio = Studio(Engine(ModelLibrary([tiny_model.parent]), device="cuda", prompt_files=PromptFiles.below(tmp_path)))

    def run(side: int) -> list[Event]:
        return studio.events("txt2img", width=side, height=side, seeds=(1, 2, 3, 4), batch_size=4)

    small, large = run(64), run(256)
    torch.cuda.empty_cache()
    used, total = torch.cuda.memory_reserved(), torch.cuda.get_device_properties(0).total_memory
    seen = []
    for room in (96, 64, 48, 32, 24, 16, 12, 8):
        torch.cuda.set_per_process_memory_fraction((used + (room << 20)) / total)
        try:
            events = run(256)
            seen.append(tuple(notices(events)))
            if TILED not in seen[-1]:
                assert pictures(events) == pictures(large), room
        except OutOfMemory as error:
            seen.append((error.detail,))
    torch.cuda.set_per_process_memory_fraction(1.0)
    print(seen)
    assert any(TILED in notice for notice in seen)
    assert any(OFFLOADED in notice for notice in seen)
    assert pictures(run(64)) == pictures(small), "the next job works"


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory."),
        MemoryError(),
        OSError(12, "Cannot allocate memory"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("could not create a primitive"),
        RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"),
        RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: not enough memory: you tried"),
    ],
)
def test_signs_of_full_memory(error: Exception) -> None:
    assert ran_out(error)
    later = ValueError("does not hold a usable model")
    later.__cause__ = error
    assert ran_out(later)


@pytest.mark.parametrize("error", [RuntimeError("shapes do not fit"), ValueError("out of range"), OSError(28, "full")])
def test_other_errors_are_themselves(error: Exception) -> None:
    assert not ran_out(error)


def test_a_size_that_fits() -> None:
    assert fitting(Size(2048, 1024), None, 8) == Size(1448, 720)
    assert fitting(Size(2048, 1024), 512 * 512, 64) == Size(704, 320)
    assert fitting(Size(512, 512), 1 << 30, 8) == Size(360, 360)
    assert fitting(Size(8, 8), None, 8) is None
