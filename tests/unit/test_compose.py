"""Result, source and selection put together: where the selection is 0, not one byte differs from the source."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pentimento.engine.arrays import from_float, to_array, to_float, to_pixels
from pentimento.engine.compose import composite
from pentimento_shared.geometry import Rect
from pentimento_shared.pixels import Pixels


def noise(rng: np.random.Generator, height: int, width: int, channels: int, depth: int) -> Pixels:
    dtype = np.uint8 if depth == 8 else np.uint16
    return to_pixels(rng.integers(0, 2**depth, (height, width, channels), dtype))


@st.composite
def cases(draw: st.DrawFn) -> tuple[Pixels, Pixels, Pixels, Rect]:
    """(source, result, mask, context): the mask is 0 outside the context, as the engine makes it."""
    width, height = draw(st.integers(1, 20)), draw(st.integers(1, 20))
    x, y = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    context = Rect(x, y, draw(st.integers(1, width - x)), draw(st.integers(1, height - y)))
    channels, depth = draw(st.integers(1, 4)), draw(st.sampled_from([8, 16]))
    rng = np.random.default_rng(draw(st.integers(0, 9999)))
    mask = np.zeros((height, width, 1), np.uint8)
    levels = rng.choice(np.array([0, 1, 100, 254, 255], np.uint8), (context.height, context.width, 1))
    mask[context.y : context.bottom, context.x : context.right] = levels
    source = noise(rng, height, width, channels, depth)
    result = noise(rng, context.height, context.width, 1 if channels < 3 else 3, depth)
    return source, result, to_pixels(mask), context


@settings(max_examples=200)
@given(cases())
def test_full_differs_from_the_source_in_no_byte_where_the_mask_is_0(case):
    source, result, mask, context = case
    full = composite("full", source, result, mask, context)
    assert (full.size, full.channels, full.depth) == (source.size, source.channels, source.depth)
    kept = to_array(mask)[..., 0] == 0
    assert np.array_equal(to_array(full)[kept], to_array(source)[kept])
    taken = to_array(mask)[context.y : context.bottom, context.x : context.right, 0] == 255
    painted = to_array(full)[context.y : context.bottom, context.x : context.right]
    assert np.array_equal(painted[taken][:, : result.channels], to_array(result)[taken])


@settings(max_examples=100)
@given(cases())
def test_the_alpha_of_a_layer_is_the_selection(case):
    source, result, mask, context = case
    layer = to_array(composite("layer", source, result, mask, context))
    top = 2**source.depth - 1
    assert np.array_equal(layer[..., -1].astype(int), to_array(mask)[..., 0].astype(int) * (top // 255))
    inside = layer[context.y : context.bottom, context.x : context.right, :-1]
    assert np.array_equal(inside, to_array(result))


@pytest.mark.parametrize("kind", ["layer", "full"])
@pytest.mark.parametrize(("channels", "depth"), [(2, 8), (4, 8), (4, 16)])
def test_img2img_gives_the_alpha_of_the_source_back(kind, channels, depth):
    rng = np.random.default_rng(5)
    source = noise(rng, 6, 7, channels, depth)
    result = noise(rng, 6, 7, channels - 1, depth)
    both = to_array(composite(kind, source, result, None, Rect(0, 0, 7, 6)))
    assert np.array_equal(both[..., :-1], to_array(result))
    assert np.array_equal(both[..., -1], to_array(source)[..., -1])


def test_half_a_selection_is_the_rounded_mean():
    source, result = (to_pixels(np.full((1, 1, 3), level, np.uint8)) for level in (10, 201))
    mask = to_pixels(np.full((1, 1, 1), 128, np.uint8))
    full = composite("full", source, result, mask, Rect(0, 0, 1, 1))
    assert to_array(full).tolist() == [[[106, 106, 106]]]


def test_painting_on_transparent_px_makes_them_opaque():
    source = to_pixels(np.array([[[9, 9, 9, 0], [9, 9, 9, 0]]], np.uint8))
    result = to_pixels(np.array([[[200, 100, 50], [200, 100, 50]]], np.uint8))
    mask = to_pixels(np.array([[[255], [0]]], np.uint8))
    full = composite("full", source, result, mask, Rect(0, 0, 2, 1))
    assert to_array(full).tolist() == [[[200, 100, 50, 255], [9, 9, 9, 0]]]


@given(st.sampled_from([8, 16]), st.integers(0, 9999))
def test_levels_to_float_and_back_are_the_same_levels(depth, seed):
    pixels = noise(np.random.default_rng(seed), 3, 50, 3, depth)
    assert from_float(to_float(pixels), depth) == pixels


def test_floats_are_rounded_and_clipped():
    values = np.array([[[-0.2], [0.4999 / 255], [0.5001 / 255], [254.6 / 255], [1.7]]], np.float32)
    assert to_array(from_float(values, 8))[..., 0].tolist() == [[0, 0, 1, 255, 255]]
