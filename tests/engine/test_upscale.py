"""Upscalers: what small sources are enlarged with before they are worked on."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.modules.module import register_module_forward_pre_hook

from pentimento.engine.arrays import to_array, to_float
from pentimento.engine.engine import Engine
from pentimento.engine.models import ModelLibrary
from pentimento.engine.prompts.resolving import PromptFiles
from pentimento.engine.request import Cancelled, EngineError, Event, Progress, Request, Result
from pentimento.engine.thrift import SMALLER_TILES
from pentimento.engine.upscale import LEAST_TILE, MARGIN, Tiling, grows, worked, worked_large
from pentimento.engine.upscalers import Upscaler
from pentimento_shared.framing import Framing, framing
from pentimento_shared.geometry import Layout, Rect, Size, work_layout
from pentimento_shared.pixels import Pixels
from pentimento_shared.settings import AS_WORKED, RESIZE_MODES
from tests import upscalers
from tests.engine.conftest import Studio
from tests.engine.test_memory import notices, pictures, scarce

ENLARGED = {"result_size": AS_WORKED, "strength": 0}


@pytest.fixture
def shop(own_copy: Path, tmp_path: Path) -> Studio:
    """An engine of its own with the upscalers `Compact_x4`, `Clean_x1` and `ESRGAN_x2`."""
    for name, tensors in {
        "Compact_x4": upscalers.compact(4),
        "Clean_x1": upscalers.compact(1),
        "ESRGAN_x2": upscalers.esrgan(2),
    }.items():
        upscalers.write(own_copy / "upscalers" / f"{name}.safetensors", tensors)
    torch.set_num_threads(1)
    files = PromptFiles.below(tmp_path / "words")
    return Studio(Engine(ModelLibrary([own_copy]), device="cpu", prompt_files=files))


def named(studio: Studio, name: str) -> Upscaler:
    found = studio.engine.upscaler(name)
    assert found is not None
    return found


def through(upscaler: Upscaler, source: Pixels) -> np.ndarray:
    """The network's picture of the source's colours, made in one piece."""
    planes = torch.from_numpy(to_float(source)[..., :3].transpose(2, 0, 1).copy())
    with torch.inference_mode():
        return upscaler.network(planes[None])[0].numpy().transpose(1, 2, 0)


def plain(size: Size, scale: int) -> tuple[Framing, Layout]:
    """A source that is shown so many times as large, and nothing besides."""
    return framing(size, size, ""), Layout(size, Size(size.width * scale, size.height * scale), float(scale))


@pytest.mark.parametrize("size", [Size(97, 131), Size(64, 64), Size(33, 20)])
def test_tiles_make_the_picture_that_the_whole_makes(shop: Studio, picture: Callable[..., Pixels], size: Size) -> None:
    """As long as the network looks no farther than the margin, which is more than trained ones care for."""
    upscaler, tiling, shares = named(shop, "Compact_x4"), Tiling(), []
    assert upscalers.COMPACT_REACH < MARGIN // 2
    tiling.begin()
    while tiling.shrink():
        pass
    assert tiling.side == LEAST_TILE
    source = picture(*size, depth=16)
    tiled = worked_large(upscaler, to_float(source), *plain(size, 4), tiling, shares.append)
    assert np.abs(tiled - through(upscaler, source)).max() < 1 / 65535
    assert len(shares) == np.prod([-(-side // LEAST_TILE) for side in size])
    assert shares == sorted(shares)


@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize("asked", [Size(37, 29), Size(60, 80), Size(148, 116), Size(200, 90), Size(30, 100)])
@pytest.mark.parametrize("scale", [2, 4])
def test_each_px_comes_where_lanczos_puts_it(shop: Studio, asked: Size, mode: str, scale: int) -> None:
    """Whatever the sizes: by a network that repeats each px, slopes come to the same places."""
    folder, source = shop.engine.library.folders.folders[0] / "upscalers", Size(37, 29)
    upscalers.write(folder / "Repeat.safetensors", upscalers.compact(scale, gain=0))
    rows, columns = np.mgrid[: source.height, : source.width].astype(np.float32)
    slopes = np.stack([columns / 100, rows / 100, (rows + columns) / 100], axis=2)
    frame = framing(source, asked, mode)
    for native in (0, 160**2):
        layout = work_layout(asked, native, 200**2, 8)
        if not grows(frame, layout):
            continue
        lanczos = worked(slopes, frame, layout)
        made = worked_large(named(shop, "Repeat"), slopes, frame, layout, Tiling(), lambda _: None)
        assert made.shape == lanczos.shape == (layout.work.height, layout.work.width, 3)
        # Far from the edges, where Lanczos rings; by how far a px would have to move to make up for the difference.
        middle = _middle(frame, layout)
        slope = (
            np.abs(np.gradient(lanczos[middle], axis=1)[..., 0]).mean(),
            np.abs(np.gradient(lanczos[middle], axis=0)[..., 1]).mean(),
        )
        for channel in (0, 1):
            assert abs((made - lanczos)[middle][..., channel].mean()) < 0.05 * slope[channel]


def _middle(frame: Framing, layout: Layout) -> tuple[slice, slice]:
    """The inner half of what the work picture shows of the source."""
    x, y, width, height = (layout.scale * number for number in frame.place)
    return slice(round(y + height / 4), round(y + height * 3 / 4)), slice(
        round(x + width / 4), round(x + width * 3 / 4)
    )


@pytest.mark.parametrize(("channels", "depth"), [(3, 8), (4, 16), (1, 16), (2, 8)])
def test_strength_0_at_another_size_is_the_upscalers_picture(
    shop: Studio, picture: Callable[..., Pixels], channels: int, depth: int
) -> None:
    source = picture(40, 30, channels, depth)
    opaque = channels in (1, 3)
    made = shop.picture("img2img", source, upscale_first="compact_x4", scale_by=4, **ENLARGED)
    assert (made.size, made.channels, made.depth) == (Size(160, 120), channels, depth)
    assert shop.engine.loaded == (), "no model was needed"
    if channels == 3:
        wanted = through(named(shop, "Compact_x4"), source)
        assert np.abs(to_float(made) - wanted).max() < 1 / (2**depth - 1)
    if depth == 16:
        assert len(np.unique(to_array(made)[..., 0])) > 256
    lanczos = to_array(shop.picture("img2img", source, scale_by=4, **ENLARGED))
    assert not np.array_equal(to_array(made)[..., 0], lanczos[..., 0])
    assert opaque or np.array_equal(to_array(made)[..., -1], lanczos[..., -1])


def test_strength_0_at_the_sources_size_is_the_source(shop: Studio, picture: Callable[..., Pixels]) -> None:
    source = picture(40, 30)
    assert shop.picture("img2img", source, upscale_first="Compact_x4", strength=0) == source


@pytest.mark.parametrize("task", ["img2img", "inpaint"])
@pytest.mark.parametrize("name", ["Compact_x4", "ESRGAN_x2", "Clean_x1"])
def test_a_small_source_is_enlarged_by_name_and_again_by_its_recipe(
    shop: Studio, picture: Callable[..., Pixels], task: str, name: str
) -> None:
    source = picture(40, 30)
    mask = [to_mask(source.size, Rect(8, 8, 16, 12))] if task == "inpaint" else []
    how = {"steps": 2, "strength": 0.4}
    first = shop.results(task, source, *mask, upscale_first=name.lower(), **how)[0]
    lanczos = shop.results(task, source, *mask, **how)[0]
    assert first.pixels.size == lanczos.pixels.size
    assert first.pixels != lanczos.pixels
    assert first.recipe.settings["upscale_first"] == name.lower()
    request = Request(first.recipe.task, first.recipe.settings, (first.recipe.seed,), source, mask[0] if mask else None)
    again = next(event for event in shop.engine.run(request, lambda: False) if isinstance(event, Result))
    assert again.pixels == first.pixels


def test_a_source_that_is_not_small_needs_no_upscaler(shop: Studio, picture: Callable[..., Pixels]) -> None:
    source = picture(64, 64)
    how = {"steps": 1, "strength": 0.4}
    assert shop.picture("img2img", source, upscale_first="Compact_x4", **how) == shop.picture("img2img", source, **how)


def to_mask(size: Size, rect: Rect) -> Pixels:
    levels = bytearray(size.area)
    for row in range(rect.y, rect.bottom):
        levels[row * size.width + rect.x : row * size.width + rect.right] = b"\xff" * rect.width
    return Pixels(size, 1, 8, bytes(levels))


def test_a_network_that_enlarges_too_little_is_used_again(shop: Studio, picture: Callable[..., Pixels]) -> None:
    source = picture(20, 16, depth=16)
    upscaler = named(shop, "ESRGAN_x2")
    with scarce(upscaler.network.model, lambda _: False) as asked:
        made = shop.picture("img2img", source, upscale_first="ESRGAN_x2", scale_by=4, **ENLARGED)
    assert [shape[-2:] for shape in asked] == [(16, 20), (32, 40)]
    assert made.size == Size(80, 64)


def test_smaller_tiles_when_memory_runs_out(shop: Studio, picture: Callable[..., Pixels]) -> None:
    def run() -> list[Event]:
        return shop.events("img2img", picture(200, 40), upscale_first="Compact_x4", scale_by=4, **ENLARGED)

    whole, widths = run(), []

    def refuse(module: torch.nn.Module, args: tuple[torch.Tensor, ...]) -> None:
        # Of any network: the one that was there is let go of first, and read anew.
        if type(module).__name__ == "SRVGGNetCompact":
            widths.append(args[0].shape[-1])
            if widths[-1] > 140:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")

    handle = register_module_forward_pre_hook(refuse)
    try:
        tiled = run()
    finally:
        handle.remove()
    assert widths == [200, 200, 132, 132]
    assert (notices(whole), notices(tiled)) == ([], [SMALLER_TILES])
    levels = [np.frombuffer(pictures(events)[0], np.uint8).astype(int) for events in (whole, tiled)]
    assert np.abs(levels[0] - levels[1]).max() <= 1
    assert (pictures(run()), notices(run())) == (pictures(whole), []), "the next job owes nothing to it"


def test_a_cancel_between_two_tiles(
    shop: Studio, picture: Callable[..., Pixels], monkeypatch: pytest.MonkeyPatch
) -> None:
    source, shares = picture(700, 40), []

    def follow(stop: bool) -> None:
        request = shop.request("img2img", source, upscale_first="Compact_x4", scale_by=2, **ENLARGED)
        events = shop.engine.run(request, lambda: stop and len(shares) > 1)
        shares.extend(event.fraction for event in events if isinstance(event, Progress))

    with pytest.raises(Cancelled):
        follow(stop=True)
    assert len(shares) == 2
    shares.clear()
    follow(stop=False)
    assert len(shares) == 3, "one for each tile"
    assert shares == sorted(set(shares))


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "Compakt_x4",
            r"there is: Lanczos, off, Clean_x1, Compact_x4, .*\. Did you mean Compact_x4\?",
        ),
        ("old.pth", r"old\.pth is a pickle"),
        ("cut", r"cut\.safetensors has \d+ bytes where its header says \d+: it is truncated"),
        ("vae", r"vae\.safetensors is no upscaler of an architecture that is known here"),
        ("odd", r"odd\.safetensors does not hold an upscaler that can be used \(Error"),
        ("two", r"two\.safetensors makes 1 channels of 3"),
    ],
)
def test_what_cannot_be_used_says_why(shop: Studio, picture: Callable[..., Pixels], name: str, words: str) -> None:
    folder = shop.engine.library.folders.folders[0] / "upscalers"
    (folder / "old.pth").write_bytes(b"\x80\x04K\x01.")
    (folder / "cut.safetensors").write_bytes((folder / "Clean_x1.safetensors").read_bytes()[:-9])
    upscalers.write(folder / "vae.safetensors", {"decoder.conv_in.weight": torch.zeros(4, 4, 3, 3)})
    upscalers.write(folder / "two.safetensors", upscalers.esrgan(out_channels=1))
    odd = upscalers.esrgan()
    upscalers.write(folder / "odd.safetensors", {**odd, "conv_hr.weight": odd["conv_hr.weight"][:2]})
    with pytest.raises(EngineError, match=words) as caught:
        shop.picture("img2img", picture(40, 30), upscale_first=name)
    assert caught.value.field == "upscale_first"
    assert "\n" not in str(caught.value)
    assert shop.picture("img2img", picture(40, 30), upscale_first="Clean_x1", steps=1).size == Size(40, 30)


def test_torchvision_is_neither_needed_nor_left_behind(shop: Studio) -> None:
    named(shop, "Compact_x4")
    assert not [name for name in sys.modules if name.split(".")[0] == "torchvision"]


def test_another_file_of_the_same_name_is_another_upscaler(shop: Studio) -> None:
    first = named(shop, "Compact_x4")
    assert named(shop, "compact_x4.safetensors") is first
    folder = shop.engine.library.folders.folders[0] / "upscalers"
    upscalers.write(folder / "Compact_x4.safetensors", upscalers.compact(2))
    assert named(shop, "Compact_x4").scale == 2
