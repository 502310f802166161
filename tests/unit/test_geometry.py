"""Context and work size: what is sent, and at what size the model works."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pentimento_shared.geometry import EXACT_FROM, Rect, Size, context_rect, reach, work_layout

sides = st.integers(1, 3000)
sizes = st.builds(Size, sides, sides)
contexts = st.one_of(st.sampled_from(["automatic", "selection", "canvas"]), st.integers(0, 500))


@st.composite
def selections(draw: st.DrawFn) -> tuple[Rect, Size]:
    """A box inside a canvas."""
    canvas = draw(sizes)
    width, height = draw(st.integers(1, canvas.width)), draw(st.integers(1, canvas.height))
    x, y = draw(st.integers(0, canvas.width - width)), draw(st.integers(0, canvas.height - height))
    return Rect(x, y, width, height), canvas


@given(selections(), contexts, st.integers(0, 100), st.integers(0, 100))
def test_context_holds_all_that_may_change_and_stays_on_the_canvas(where, context, grow, feather):
    selection, canvas = where
    rect = context_rect(selection, canvas, context, grow, feather)
    changed = selection.grown(reach(grow, feather)).intersect(Rect.of(canvas))
    assert rect.contains(changed)
    assert Rect.of(canvas).contains(rect)


@given(selections(), st.integers(0, 500))
def test_padding_is_shifted_not_shrunk_at_a_border(where, padding):
    selection, canvas = where
    rect = context_rect(selection, canvas, padding)
    assert rect.width == min(canvas.width, selection.width + 2 * padding)
    assert rect.height == min(canvas.height, selection.height + 2 * padding)


def test_context_words():
    canvas, box = Size(1000, 800), Rect(10, 20, 30, 40)
    assert context_rect(box, canvas, "canvas") == Rect(0, 0, 1000, 800)
    assert context_rect(box, canvas, "selection") == box
    assert context_rect(box, canvas, "selection", grow=5, feather=3) == Rect(2, 12, 46, 56)


def test_automatic_padding_grows_with_the_box():
    canvas = Size(4000, 4000)
    assert context_rect(Rect(2000, 2000, 10, 10), canvas, "automatic") == Rect(1968, 1968, 74, 74)
    assert context_rect(Rect(1000, 1000, 800, 800), canvas, "automatic") == Rect(800, 800, 1200, 1200)


def test_automatic_context_widens_a_sliver():
    rect = context_rect(Rect(500, 500, 400, 4), Size(2000, 2000), "automatic")
    assert rect.width == 600
    assert rect.height == 300
    assert abs((rect.y + rect.height / 2) - 502) <= 1


@pytest.mark.parametrize("box", [Rect(0, 0, 0, 5), Rect(90, 0, 20, 5), Rect(-1, 0, 5, 5)])
def test_empty_or_outside_selection_is_refused(box):
    with pytest.raises(ValueError, match="empty or outside"):
        context_rect(box, Size(100, 100), "automatic")


@given(sizes, st.integers(64, 1024), st.integers(1, 9), st.sampled_from([8, 16, 32, 64]))
def test_work_size(context, side, times, multiple):
    native, most = side * side, side * side * times
    layout = work_layout(context, native, most, multiple)
    assert layout.work.width % multiple == 0
    assert layout.work.height % multiple == 0
    for covered, work in zip(layout.covered, layout.work, strict=True):
        assert covered <= work + 1e-4
        assert work - covered < multiple or work == multiple
    area = math.prod(layout.covered)
    if context.area > most:
        assert area == pytest.approx(most)
    elif context.area >= EXACT_FROM * native:
        assert layout.scale == 1
    else:
        assert area == pytest.approx(native)


def test_small_contexts_are_scaled_up_to_the_native_size():
    assert work_layout(Size(64, 64), 256 * 256, 512 * 512, 16) == (Size(64, 64), Size(256, 256), 4.0)
    assert work_layout(Size(91, 91), 256 * 256, 512 * 512, 16).work == Size(256, 256)


def test_a_picture_of_about_the_native_size_is_worked_pixel_by_pixel():
    assert work_layout(Size(250, 250), 256 * 256, 512 * 512, 16) == (Size(250, 250), Size(256, 256), 1.0)
