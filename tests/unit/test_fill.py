"""Fills: what was kept is kept, what was hidden has no influence, and the made-up part follows what is around it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pentimento.engine.fill import masked_fill, nearest_fill, outpainted, smooth_fill
from pentimento_shared.settings import OUTPAINT_FILLS


def random_picture(height: int, width: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random((height, width, 3), np.float32)


def holes(height: int, width: int, seed: int) -> np.ndarray:
    """Known px, at least one."""
    rng = np.random.default_rng(seed)
    known = rng.random((height, width)) < rng.choice([0.02, 0.5, 0.95])
    known[rng.integers(height), rng.integers(width)] = True
    return known


pictures = st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(0, 99))


@settings(max_examples=60)
@given(pictures)
def test_nearest_is_nearest(shape):
    colour, known = random_picture(*shape), holes(*shape)
    filled = nearest_fill(colour, known)
    assert np.array_equal(filled[known], colour[known])
    places = np.argwhere(known)
    for y, x in np.argwhere(~known):
        distances = ((places - (y, x)) ** 2).sum(axis=1)
        near = [tuple(colour[place]) for place in map(tuple, places[distances == distances.min()])]
        assert tuple(filled[y, x]) in near


@settings(max_examples=60)
@given(pictures, st.integers(0, 99))
def test_what_is_hidden_has_no_influence(shape, other):
    """Under a mask of 1, or alpha of 0, the colours may be anything."""
    colour, known = random_picture(*shape), holes(*shape)
    changed = np.where(known[..., None], colour, random_picture(shape[0], shape[1], other + 100))
    mask = (~known).astype(np.float32)
    assert np.array_equal(masked_fill(colour, None, mask), masked_fill(changed, None, mask))
    for fill in OUTPAINT_FILLS:
        one, two = (outpainted(it, known.astype(np.float32), ~known, fill) for it in (colour, changed))
        assert np.array_equal(one, two)
        assert np.array_equal(one[known], colour[known])
        assert one.min() >= 0
        assert one.max() <= 1


@settings(max_examples=30)
@given(pictures)
def test_masked_fill_follows_the_mask_value(shape):
    """Nothing changes where the mask is 0; in between the fill shows as far as the mask says."""
    colour = random_picture(*shape)
    mask = np.random.default_rng(shape[2]).choice(np.array([0, 0.25, 1], np.float32), shape[:2])
    filled = masked_fill(colour, None, mask)
    assert np.array_equal(filled[mask == 0], colour[mask == 0])
    fill = smooth_fill(colour, 1 - mask)
    quarter = mask == 0.25
    assert np.allclose(filled[quarter], 0.75 * colour[quarter] + 0.25 * fill[quarter], atol=1e-6)


def test_a_fill_of_one_colour_is_that_colour_and_a_fill_between_two_is_between_and_smooth():
    colour = np.zeros((64, 96, 3), np.float32)
    colour[:, :32] = 0.2
    colour[:, 64:] = 0.8
    mask = np.zeros((64, 96), np.float32)
    mask[:, 32:64] = 1
    filled = masked_fill(colour, None, mask)[32, :, 0]
    # As smooth as its pyramid is: no step over a quarter of the way, and never back by more than a hair.
    assert filled.min() >= 0.2 - 1e-6
    assert filled.max() <= 0.8 + 1e-6
    assert np.abs(np.diff(filled)).max() < 0.15
    assert filled[36] < 0.5 < filled[60]
    assert np.allclose(masked_fill(np.full_like(colour, 0.3), None, mask), 0.3, atol=1e-6)


@pytest.mark.parametrize("fill", OUTPAINT_FILLS)
def test_nothing_known_at_all_is_mid_grey(fill):
    made = outpainted(random_picture(5, 7, 0), np.zeros((5, 7), np.float32), np.ones((5, 7), bool), fill)
    assert (made == 0.5).all()


def test_the_three_outpaint_fills():
    colour = np.zeros((80, 120, 3), np.float32)
    colour[:] = np.random.default_rng(1).random((80, 1, 1), np.float32)
    alpha = np.zeros((80, 120), np.float32)
    alpha[:, :80] = 1
    beyond = alpha == 0
    edge, blur, noise = (outpainted(colour, alpha, beyond, fill) for fill in OUTPAINT_FILLS)
    assert np.array_equal(edge, np.broadcast_to(colour[:, :1], colour.shape)), "each row is drawn out"
    assert blur[:, 100].std() < 0.7 * colour[:, 0].std(), "rows run into each other"
    assert np.diff(noise[:, 90:], axis=1).std() > 3 * np.diff(blur[:, 90:], axis=1).std()
    assert noise[:, 80:].std() == pytest.approx(colour.std(), rel=0.5)


def test_transparent_px_that_are_not_selected_stay_as_they_were():
    colour, alpha = random_picture(20, 20, 3), np.ones((20, 20), np.float32)
    alpha[:, 10:] = 0
    selected = np.zeros((20, 20), bool)
    selected[:10] = True
    made = outpainted(colour, alpha, selected, "blur")
    assert np.array_equal(made[10:], colour[10:])
    assert not np.array_equal(made[:10, 10:], colour[:10, 10:])
