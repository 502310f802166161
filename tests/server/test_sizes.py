"""Sizes and inpaint options from document to layer: a real backend, a small model, and an editor in memory."""

from __future__ import annotations

import numpy as np
import pytest

from pentimento_shared.controller import Controller
from pentimento_shared.geometry import Rect, Size
from pentimento_shared.settings import AS_WORKED, MASK_MODES, OUTPAINT_FILLS
from tests.server.canvas import Canvas
from tests.server.driving import (
    EXTENT,
    go,
    order,
    painted,
    picture,
    record,
    result,
    soft_selection,
    untouched,
)


def test_a_scaled_result_comes_back_at_the_layers_size_unless_asked_otherwise(controller: Controller) -> None:
    canvas = painted()
    source = canvas.paint(picture(40, 30), (50, 35))
    plain = result(canvas, controller.start(canvas, order("img2img", scale_by=2.0)))
    assert plain.place == Rect(50, 35, 40, 30)
    assert record(plain).recipe.work_size == Size(80, 64)
    canvas.active = source
    large = result(canvas, controller.start(canvas, order("img2img", scale_by=2.0, result_size=AS_WORKED)))
    assert large.place == Rect(50, 35, 80, 60), "at the layer's own corner, beyond the canvas"
    assert (record(large).place, record(large).recipe.size) == (large.place, Size(80, 60))


def test_a_scaled_result_can_be_made_again_and_refined_as_it_is(controller: Controller) -> None:
    canvas = painted()
    canvas.paint(picture(40, 30), (10, 20))
    made = order("img2img", width=64, height=72, result_size=AS_WORKED)
    first = result(canvas, controller.start(canvas, made))
    assert first.place == Rect(10, 20, 64, 72)
    again = result(canvas, controller.redo(canvas, first.id))
    assert (again.place, again.levels.tobytes()) == (first.place, first.levels.tobytes())
    refined = result(canvas, controller.refine(canvas, {"strength": 0.0}, first.id))
    assert refined.place == first.place
    assert (refined.levels == first.levels).all()
    assert record(refined).recipe.settings["width"] == "automatic"


def test_a_scaled_result_shows_only_where_the_selection_is(controller: Controller) -> None:
    canvas = painted()
    canvas.paint(picture(40, 30), (10, 20))
    canvas.selected = soft_selection()
    before = canvas.flat()
    layer = result(canvas, controller.start(canvas, order("img2img", scale_by=1.5, result_size=AS_WORKED)))
    assert layer.place == Rect(10, 20, 60, 45)
    assert layer.mask is not None
    assert (layer.mask[:30, :40] == canvas.selected[20:50, 10:50]).all()
    assert not layer.mask[30:].any()
    assert not layer.mask[:, 40:].any()
    assert not (canvas.flat() != before).any(axis=2)[canvas.selected == 0].any()
    again = result(canvas, controller.redo(canvas, layer.id))
    assert again.mask is not None
    assert (again.mask == layer.mask).all()


@pytest.mark.parametrize("depth", [8, 16])
def test_inpaint_not_masked_shows_the_inverted_selection(controller: Controller, depth: int) -> None:
    canvas = painted(depth=depth)
    canvas.selected = soft_selection(depth=depth)
    before = canvas.flat()
    layer = result(canvas, controller.start(canvas, order("inpaint", strength=0.9, mask_mode=MASK_MODES[1])))
    assert layer.place == Rect.of(EXTENT)
    assert layer.mask is not None
    top = 2**depth - 1
    # The backend's selections have 8 bits, of which no level above 0 becomes 0.
    assert np.abs(layer.mask.astype(int) - (top - canvas.selected.astype(int))).max() <= (0 if depth == 8 else 257)
    assert ((layer.mask == 0) == (canvas.selected == top)).all()
    kept = canvas.selected == top
    assert kept.any()
    assert (canvas.flat()[kept] == before[kept]).all()
    assert (canvas.flat() != before).any()
    again = result(canvas, controller.redo(canvas, layer.id))
    assert again.levels.tobytes() == layer.levels.tobytes()
    refined = result(canvas, controller.refine(canvas, {}, layer.id))
    assert refined.mask is not None
    assert (refined.mask == layer.mask).all(), "the layer's mask is not turned round once more"


@pytest.mark.parametrize("fill", OUTPAINT_FILLS)
def test_a_selection_beyond_what_is_painted_extends_the_picture(controller: Controller, fill: str) -> None:
    canvas = Canvas(EXTENT)
    canvas.paint(picture(60, 72))
    canvas.selected = np.zeros((72, 96), np.uint8)
    canvas.selected[:, 60:] = 255
    before = canvas.flat()
    layer = result(canvas, controller.start(canvas, order("inpaint", strength=0.9, outpaint_fill=fill)))
    assert layer.place.right == 96
    now = canvas.flat()
    assert (now[:, :60] == before[:, :60]).all()
    assert (now[:, 60:, 3] == 255).all()
    assert len(np.unique(now[:, 60:, 0])) > 10


def test_a_size_that_no_picture_may_have_is_refused_before_anything_runs(controller: Controller) -> None:
    canvas = painted()
    canvas.paint(picture(60, 20), (0, 0))
    same = untouched(canvas)
    status = go(controller.start(canvas, order("img2img", scale_by=0.1)))
    assert status.phase == "failed"
    assert "scale_by is 0.1, which makes a picture of 6 x 2 px; allowed: sides from 8" in status.message
    assert status.job is None
    assert same()
