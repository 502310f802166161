"""The controller from document to layer: a real backend, a small model, and an editor in memory."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from pentimento_shared.controller import Controller
from pentimento_shared.geometry import Rect, Size
from pentimento_shared.pixels import decode_png
from pentimento_shared.settings import Task, Value
from tests.server.canvas import Canvas, Levels, Painted
from tests.server.driving import (
    EXTENT,
    done,
    go,
    order,
    painted,
    picture,
    record,
    result,
    results,
    soft_selection,
    untouched,
)
from tests.server.serving import ServerProcess

# img2img


@pytest.mark.parametrize(
    ("at", "size"), [((5, 7), (40, 30)), ((-20, -10), (60, 40)), ((-10, -10), (140, 100)), ((200, 0), (33, 21))]
)
def test_img2img_gives_the_layer_a_result_in_its_place(
    controller: Controller, at: tuple[int, int], size: tuple[int, int]
) -> None:
    canvas = painted()
    pixels = picture(*size, 4)
    pixels[..., 3] |= 1  # nothing wholly transparent, so that the painted px fill the place
    source = canvas.paint(pixels, at)
    before, above = canvas.layers, canvas.paint(picture(*EXTENT))
    canvas.active = source
    layer = result(canvas, controller.start(canvas, order("img2img")))
    assert [kept.id for kept in canvas.layers] == [*(kept.id for kept in before), layer.id, above]
    assert canvas.find(source).levels is pixels
    assert (layer.place, layer.mask) == (Rect(*at, *size), None)
    assert (layer.levels[..., 3] == pixels[..., 3]).all(), "the source's alpha is given back"
    assert (layer.levels[..., :3] != pixels[..., :3]).any()
    assert canvas.active == layer.id
    assert layer.name == "a lake at dawn (11)"
    kept = record(layer)
    assert (kept.source, kept.bare, kept.place, kept.mask) == (source, False, layer.place, None)
    assert (kept.recipe.task, kept.recipe.seed, kept.recipe.parent) == ("img2img", 11, None)
    canvas.undo()
    assert [kept.id for kept in canvas.layers] == [*(kept.id for kept in before), above]


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("task", ["img2img", "inpaint"])
def test_strength_0_gives_the_same_levels_in_every_kind_of_document(
    controller: Controller, task: Task, depth: int, grey: bool
) -> None:
    canvas = painted(depth=depth, grey=grey)
    canvas.selected = soft_selection(depth=depth)
    source, before = canvas.layers[0], canvas.flat()
    layer = result(canvas, controller.start(canvas, order(task, strength=0.0, context="canvas")))
    assert layer.levels.dtype == source.levels.dtype
    assert (layer.levels == source.levels).all()
    assert layer.mask is not None
    assert (layer.mask == canvas.selected).all()
    assert np.abs(canvas.flat().astype(int) - before).max() <= 1


def test_a_selection_shows_img2img_where_it_is(controller: Controller) -> None:
    canvas = painted()
    source = canvas.paint(picture(50, 60), (30, -5))
    canvas.selected = soft_selection()
    before = canvas.flat()
    layer = result(canvas, controller.start(canvas, order("img2img")))
    assert layer.place == Rect(30, -5, 50, 60)
    assert layer.mask is not None
    assert (layer.mask[5:] == canvas.selected[0:55, 30:80]).all()
    assert not layer.mask[:5].any(), "nothing is selected beyond the canvas"
    changed = (canvas.flat() != before).any(axis=2)
    assert not changed[canvas.selected == 0].any()
    assert record(layer).source == source


def test_a_tiny_layer_is_sent_with_some_room(controller: Controller) -> None:
    canvas = painted()
    canvas.paint(picture(1, 3), (10, 10))
    layer = result(canvas, controller.start(canvas, order("img2img")))
    assert layer.bounds == Rect(10, 10, 1, 3)
    assert layer.place.size == Size(8, 8)


def test_the_visible_canvas_is_a_source_too(controller: Controller) -> None:
    canvas = painted()
    top = canvas.paint(picture(40, 30), (50, 40))
    looks = canvas.flat()
    layer = result(canvas, controller.start(canvas, order("img2img", "canvas", strength=0.0)))
    assert (layer.levels == looks).all()
    assert canvas.layers[-2].id == top
    assert record(layer).source is None


# inpaint


SELECTIONS = {
    "hard": (slice(20, 50), slice(30, 60)),
    "1 px": (slice(33, 34), slice(44, 45)),
    "corner": (slice(0, 9), slice(80, 96)),
    "whole": (slice(0, 72), slice(0, 96)),
}


@pytest.mark.parametrize("kind", SELECTIONS)
@pytest.mark.parametrize("context", ["automatic", "selection", 4])
def test_inpaint_changes_nothing_outside_a_hard_selection(
    controller: Controller, kind: str, context: str | int
) -> None:
    canvas = painted()
    canvas.selected = np.zeros((EXTENT.height, EXTENT.width), np.uint8)
    canvas.selected[SELECTIONS[kind]] = 255
    before = canvas.flat()
    layer = result(canvas, controller.start(canvas, order("inpaint", context=context, strength=1.0)))
    assert (seen_mask(canvas, layer) == canvas.selected).all()
    changed = (canvas.flat() != before).any(axis=2)
    assert not changed[canvas.selected == 0].any()
    assert changed[canvas.selected > 0].any()


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("selection_depth", [8, 16])
def test_a_soft_selection_becomes_the_mask_level_for_level(
    controller: Controller, depth: int, selection_depth: int
) -> None:
    canvas = painted(depth=depth)
    canvas.selected = soft_selection(depth=selection_depth)
    source, before, same = canvas.active, canvas.flat(), untouched(canvas)
    layer = result(canvas, controller.start(canvas, order("inpaint", context=8)))
    assert layer.mask is not None
    assert layer.mask.dtype == canvas.selected.dtype
    assert (seen_mask(canvas, layer) == canvas.selected).all()
    assert (layer.levels[..., 3] == np.iinfo(layer.levels.dtype).max).all(), "the model's whole picture lies beneath"
    assert not (canvas.flat() != before).any(axis=2)[canvas.selected == 0].any()
    kept = record(layer)
    assert (kept.source, kept.place) == (source, layer.place)
    assert kept.recipe.canvas == EXTENT
    assert kept.recipe.context == layer.place
    canvas.undo()
    canvas.active = source
    assert same()


def seen_mask(canvas: Canvas, layer: Painted) -> Levels:
    """The layer's mask over the whole canvas, 0 beyond the layer."""
    assert layer.mask is not None
    whole = np.zeros((canvas.extent.height, canvas.extent.width), layer.mask.dtype)
    whole[layer.place.y : layer.place.bottom, layer.place.x : layer.place.right] = layer.mask
    return whole


def test_grow_and_feather_show_in_the_mask(controller: Controller) -> None:
    canvas = painted(depth=16)
    canvas.selected = np.zeros((EXTENT.height, EXTENT.width), np.uint8)
    canvas.selected[30:40, 40:60] = 255
    before = canvas.flat()
    layer = result(canvas, controller.start(canvas, order("inpaint", grow=3, feather=4)))
    mask = seen_mask(canvas, layer)
    assert 0 < mask[35, 36] < mask[35, 39] <= mask[35, 50] == np.iinfo(mask.dtype).max
    assert not mask[:22].any()
    assert not mask[:, :32].any()
    assert not (canvas.flat() != before).any(axis=2)[mask == 0].any()
    png = record(layer).mask
    assert png is not None
    assert set(decode_png(png).data) == {0, 255}, "the record holds the selection as it was sent"


def test_a_batch_comes_as_one_group(controller: Controller) -> None:
    canvas = painted()
    canvas.selected = soft_selection()
    steps, before = len(canvas.history), canvas.flat()
    run = controller.start(canvas, order("inpaint", batch_size=2, batch_count=2))
    layers = results(canvas, run)
    assert run.status.seeds == (11, 12, 13, 14)
    assert [record(layer).recipe.seed for layer in layers] == [11, 12, 13, 14]
    assert [layer.visible for layer in layers] == [True, False, False, False]
    assert {layer.group for layer in layers} == {"a lake at dawn (4 pictures)"}
    assert canvas.layers[-1].id == layers[0].id == canvas.active
    assert len({layer.levels.tobytes() for layer in layers}) == 4
    assert len(canvas.history) == steps + 1
    assert not (canvas.flat() != before).any(axis=2)[canvas.selected == 0].any()


def test_warnings_are_passed_on(controller: Controller) -> None:
    canvas = painted(Size(200, 160))
    status = done(controller.start(canvas, order("img2img", prompt="a lake " * 200)))
    assert any("200 x 160 px" in warning and "detail" in warning for warning in status.warnings)
    assert len(canvas.layers[-1].name) < 60
    assert done(controller.start(painted(), order("img2img"))).warnings == ()


# generate


@pytest.mark.parametrize(("depth", "grey"), [(8, False), (16, False), (8, True), (16, True)])
def test_generate_fills_the_canvas_in_its_own_kind(controller: Controller, depth: int, grey: bool) -> None:
    canvas = Canvas(Size(80, 66), depth, grey)
    layer = result(canvas, controller.start(canvas, order("txt2img")))
    assert (layer.place, layer.mask) == (Rect(0, 0, 80, 66), None)
    assert layer.levels.shape[2] == (2 if grey else 4)
    assert len(np.unique(layer.levels)) > 10
    # Levels that 8 bits do not have: the model's own, not an 8-bit picture spread out.
    assert (layer.levels[..., 0].astype(int) % 257 != 0).any() or depth == 8
    assert record(layer).recipe.settings["width"] == 80


def test_generate_fills_the_selection(controller: Controller) -> None:
    canvas = painted()
    canvas.selected = soft_selection()
    box, before = canvas.selection(), canvas.flat()
    layer = result(canvas, controller.start(canvas, order("txt2img")))
    assert box is not None
    assert layer.place == Rect(box.x, box.y, max(64, box.width), max(64, box.height)).inside(EXTENT)
    assert (seen_mask(canvas, layer) == canvas.selected).all()
    assert not (canvas.flat() != before).any(axis=2)[canvas.selected == 0].any()


def test_generate_takes_a_size_of_its_own(controller: Controller) -> None:
    canvas = painted()
    layer = result(canvas, controller.start(canvas, order("txt2img", width=72, height=120)))
    assert layer.place == Rect(0, 0, 72, 120)


def test_a_place_smaller_than_a_picture_is_widened(controller: Controller) -> None:
    canvas = painted(Size(200, 40))
    canvas.selected = np.zeros((40, 200), np.uint8)
    canvas.selected[10:14, 150:160] = 99
    layer = result(canvas, controller.start(canvas, order("txt2img")))
    assert layer.place.size == Size(64, 64)
    assert layer.place.contains(Rect(150, 10, 10, 4))
    assert layer.mask is not None
    assert int((layer.mask > 0).sum()) == 40


# refine and redo


@pytest.mark.parametrize("task", ["txt2img", "img2img", "inpaint"])
def test_a_chain_of_refinements_can_be_made_again(controller: Controller, task: Task) -> None:
    canvas = painted(depth=16)
    canvas.selected = soft_selection()
    start = controller.start(canvas, order(task, context=8))
    layers = [result(canvas, start)]
    canvas.selected = None
    for strength in (0.5, 0.7, 0.4):
        changes: dict[str, Value] = {"strength": strength, "prompt": f"at {strength}"}
        layers.append(result(canvas, controller.refine(canvas, changes)))
    for parent, child in pairwise(layers):
        mine, recipe = record(child), record(child).recipe
        assert (mine.source, mine.bare, recipe.parent) == (parent.id, True, record(parent).recipe.id)
        assert recipe.settings["prompt"] == f"at {recipe.settings['strength']}"
        assert child.place == parent.place
        assert (child.mask == parent.mask).all()
    assert len({record(layer).recipe.seed for layer in layers}) == 4
    assert record(layers[1]).recipe.task == ("img2img" if task == "txt2img" else task)
    if task != "txt2img":
        layers_below = canvas.layers[: 1 + canvas.layers.index(layers[0])]
        assert layers_below[-1] is layers[0]
    for layer in layers:
        again = result(canvas, controller.redo(canvas, layer.id))
        assert (again.levels == layer.levels).all()
        assert (again.mask == layer.mask).all()
        assert record(again).recipe.parent == record(layer).recipe.parent
        assert record(again).recipe.id != record(layer).recipe.id
        place = canvas.layers.index(canvas.find(layer.id))
        assert canvas.layers[place + 1].id == again.id


def test_redo_makes_a_grown_selection_again(controller: Controller) -> None:
    canvas = painted()
    canvas.selected = soft_selection()
    layer = result(canvas, controller.start(canvas, order("inpaint", grow=2, feather=3)))
    again = result(canvas, controller.redo(canvas))
    assert (again.levels == layer.levels).all()
    assert (again.mask == layer.mask).all()
    refined = result(canvas, controller.refine(canvas))
    assert (refined.mask == layer.mask).all(), "it does not grow with each refinement"


def test_redo_takes_one_of_a_batch(controller: Controller) -> None:
    canvas = painted()
    layers = results(canvas, controller.start(canvas, order("img2img", batch_count=3)))
    again = result(canvas, controller.redo(canvas, layers[2].id))
    assert (again.levels == layers[2].levels).all()


def test_redo_tells_that_a_lora_has_changed(controller: Controller, home: ServerProcess) -> None:
    import torch
    from safetensors.torch import save_file

    def write(seed: int) -> None:
        path = home.data / "models" / "loras" / "ink.safetensors"
        path.parent.mkdir(exist_ok=True)
        drawn = torch.randn(8, 32, generator=torch.Generator().manual_seed(seed))
        up, down = drawn[:4].T.contiguous(), drawn[4:].contiguous()
        name = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
        save_file({f"{name}.lora_B.weight": up, f"{name}.lora_A.weight": down}, path)

    write(1)
    canvas = painted()
    first = result(canvas, controller.start(canvas, order("img2img", prompt="a <lora:ink:1>")))
    same = done(controller.redo(canvas, first.id))
    assert (canvas.find(same.layers[0]).levels == first.levels).all()
    assert same.warnings == ()
    write(2)
    other = done(controller.redo(canvas, first.id))
    assert (canvas.find(other.layers[0]).levels != first.levels).any()
    assert [text[:35] for text in other.warnings] == ["The file of the LoRA ink has change"]


def test_redo_refuses_when_its_source_has_changed(controller: Controller, home: ServerProcess) -> None:
    canvas = painted()
    source = canvas.layers[0]
    layer = result(canvas, controller.start(canvas, order("img2img")))
    levels = source.levels.copy()
    levels[70, 90, 1] ^= 1
    canvas.alter(source.id, levels=levels)
    same, jobs = untouched(canvas), len(home.get("/jobs").json()["jobs"])
    status = go(controller.redo(canvas, layer.id))
    assert (status.phase, "has changed since" in status.message) == ("failed", True)
    assert len(home.get("/jobs").json()["jobs"]) == jobs, "nothing was sent"
    canvas.delete(source.id)
    status = go(controller.redo(canvas, layer.id))
    assert (status.phase, "no longer in this document" in status.message) == ("failed", True)
    canvas.undo()
    assert same()
    canvas.undo()
    assert (result(canvas, controller.redo(canvas, layer.id)).levels == layer.levels).all()


def test_redo_from_the_visible_canvas_needs_it_to_look_the_same(controller: Controller) -> None:
    canvas = painted()
    canvas.selected = soft_selection()
    layer = result(canvas, controller.start(canvas, order("inpaint", "canvas", context=4)))
    assert go(controller.redo(canvas)).phase == "failed"
    canvas.alter(layer.id, visible=False)
    assert (result(canvas, controller.redo(canvas)).levels == layer.levels).all()


def test_a_layer_that_was_moved_is_refined_where_it_is(controller: Controller) -> None:
    canvas = painted()
    canvas.selected = soft_selection()
    layer = result(canvas, controller.start(canvas, order("inpaint", context=4)))
    x, y = layer.at
    canvas.alter(layer.id, at=(x - 30, y + 20))
    moved = result(canvas, controller.refine(canvas, {"strength": 0.0}))
    assert moved.place == Rect(x - 30, y + 20, layer.place.width, layer.place.height)
    assert (moved.levels == layer.levels).all()
    assert (moved.mask == layer.mask).all()


def test_refine_without_a_mask_takes_the_recorded_one(controller: Controller) -> None:
    canvas = painted()
    canvas.selected = soft_selection()
    layer = result(canvas, controller.start(canvas, order("inpaint")))
    canvas.alter(layer.id, mask=None)
    assert (result(canvas, controller.refine(canvas)).mask == layer.mask).all()


def test_a_wish_for_a_seed_is_kept_in_a_refinement(controller: Controller) -> None:
    canvas = painted()
    result(canvas, controller.start(canvas, order("img2img")))
    layers = results(canvas, controller.refine(canvas, {"seed": 5, "batch_count": 2}))
    assert [record(layer).recipe.seed for layer in layers] == [5, 6]
