"""The selection: grown and feathered as asked, never thresholded, never lost."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pentimento.engine.arrays import to_pixels
from pentimento.engine.masks import bounds, changed, feathered, grown, latent_selection, selection
from pentimento_shared.geometry import Rect, reach

shapes = st.tuples(st.integers(1, 24), st.integers(1, 24))
masks = arrays(np.uint8, shapes, elements=st.sampled_from([0, 0, 0, 0, 1, 77, 254, 255]))


@settings(max_examples=60)
@given(masks, st.integers(0, 9))
def test_growing_is_the_greatest_value_in_a_disk(mask, px):
    y, x = np.mgrid[-px : px + 1, -px : px + 1]
    disk = x * x + y * y <= px * px
    padded = np.pad(mask, px)
    expected = np.array(
        [
            [padded[r : r + 2 * px + 1, c : c + 2 * px + 1][disk].max() for c in range(mask.shape[1])]
            for r in range(mask.shape[0])
        ]
    )
    assert np.array_equal(grown(mask, px), expected)


@settings(max_examples=60)
@given(masks, st.integers(0, 12), st.integers(0, 12))
def test_nothing_beyond_the_reach_is_selected(mask, grow, feather):
    box, after = bounds(mask), bounds(changed(mask, grow, feather))
    if box is None:
        assert after is None
    elif after is not None:
        assert box.grown(reach(grow, feather)).contains(after)


@settings(max_examples=60)
@given(masks, st.integers(0, 6), st.integers(0, 6))
def test_computing_only_where_the_mask_can_change_changes_nothing(mask, grow, feather):
    assert np.array_equal(changed(mask, grow, feather), feathered(grown(mask, grow), feather))


@given(masks)
def test_zero_grow_and_feather_change_no_byte(mask):
    assert np.array_equal(feathered(grown(mask, 0), 0), mask)


def test_a_whole_selection_stays_whole_at_the_border():
    mask = np.full((20, 30), 255, np.uint8)
    assert np.array_equal(feathered(mask, 8), mask)


def test_feather_is_soft_and_symmetric_about_the_edge():
    mask = np.zeros((9, 60), np.uint8)
    mask[:, 30:] = 255
    row = feathered(mask, 10)[4].astype(int)
    assert (np.diff(row) >= 0).all()
    assert len(set(row)) > 10
    assert (row[:30] + row[30:][::-1] == 255).all()
    assert row[19] == 0
    assert row[40] == 255


@given(masks)
def test_bounds_hold_every_selected_px_and_no_less(mask):
    box = bounds(mask)
    if box is None:
        assert not mask.any()
        return
    inside = mask[box.y : box.bottom, box.x : box.right]
    assert inside.any(axis=0)[[0, -1]].all()
    assert inside.any(axis=1)[[0, -1]].all()
    assert inside.astype(int).sum() == mask.astype(int).sum()


def test_bounds_of_one_px():
    mask = np.zeros((7, 9), np.uint8)
    mask[3, 8] = 1
    assert bounds(mask) == Rect(8, 3, 1, 1)


def test_latent_px_that_touch_the_selection_take_part():
    mask = np.zeros((8, 12), np.float32)
    mask[3, 4] = 0.5
    assert np.array_equal(latent_selection(mask, 4), np.array([[0, 0.5, 0], [0, 0, 0]], np.float32))


def test_16_bit_masks_are_rounded_and_the_faintest_level_is_kept():
    levels = np.array([[0, 1, 257, 40000, 65535]], np.uint16)
    assert selection(to_pixels(levels[..., None])).tolist() == [[0, 1, 1, 156, 255]]
