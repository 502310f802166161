"""Filling what is transparent, and matching colours to what was kept."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pentimento.engine.color import fill_transparent, matched, ring_around


@settings(max_examples=40)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 999))
def test_filling_keeps_what_is_seen_and_stays_among_its_colours(width, height, seed):
    rng = np.random.default_rng(seed)
    colour = rng.random((height, width, 3)).astype(np.float32)
    alpha = rng.choice(np.array([0, 0, 0, 0.3, 1], np.float32), (height, width))
    filled = fill_transparent(colour, alpha)
    seen = alpha > 0
    assert np.array_equal(filled[seen], colour[seen])
    if seen.any():
        assert filled.min() >= colour[seen].min() - 1e-5
        assert filled.max() <= colour[seen].max() + 1e-5
    else:
        assert (filled == 0.5).all()


def test_filling_takes_the_nearest_colours():
    colour = np.zeros((32, 32, 3), np.float32)
    colour[:, :8] = [1, 0, 0]
    colour[:, 24:] = [0, 0, 1]
    alpha = np.zeros((32, 32), np.float32)
    alpha[:, :8] = alpha[:, 24:] = 1
    filled = fill_transparent(colour, alpha)
    assert filled[16, 9] == pytest.approx([1, 0, 0], abs=0.05)
    assert filled[16, 22] == pytest.approx([0, 0, 1], abs=0.05)


def test_matching_gives_the_reference_its_mean_and_contrast_back():
    rng = np.random.default_rng(0)
    source = rng.random((20, 20, 3)).astype(np.float32)
    result = source * np.float32(0.4) + np.float32(0.3)
    reference = np.zeros((20, 20), bool)
    reference[:, :10] = True
    assert np.abs(matched(result, source, reference) - source).max() < 1e-5


def test_matching_is_the_identity_where_nothing_differs_and_without_a_reference():
    rng = np.random.default_rng(0)
    source, other = (rng.random((9, 9, 3)).astype(np.float32) for _ in range(2))
    reference = np.zeros((9, 9), bool)
    assert matched(other, source, reference) is other
    reference[:3] = True
    result = other.copy()
    result[reference] = source[reference]
    assert np.array_equal(matched(result, source, reference), result)


def test_px_outside_the_reference_do_not_count():
    source = np.full((8, 8, 3), 0.5, np.float32)
    result = np.full((8, 8, 3), 0.4, np.float32)
    result[4:] = 0.9
    reference = np.zeros((8, 8), bool)
    reference[:4] = True
    assert matched(result, source, reference)[0, 0] == pytest.approx([0.5] * 3)


def test_the_ring_is_kept_px_next_to_the_selection():
    mask = np.zeros((80, 80), np.uint8)
    mask[30:50, 30:50] = 200
    ring = ring_around(mask)
    assert not ring[30:50, 30:50].any()
    assert ring[40, 29]
    assert ring[40, 14]
    assert not ring[40, 13]
