"""Crop, scale and paste: a round trip is the identity in 8 bit, and nothing shifts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pentimento.engine.resample import mask_to_work, to_context, to_work
from pentimento_shared.geometry import Size, work_layout

NATIVE = 128 * 128
sides = st.integers(1, 150)


def landscape(size: Size, seed: int) -> np.ndarray:
    """[h, w, 3] in 0..1 with the spectrum of ordinary pictures: amplitude falls with frequency (1 / f)."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(size.height)[:, None], np.fft.fftfreq(size.width)[None])
    spectrum = np.fft.fft2(rng.standard_normal((size.height, size.width, 3)), axes=(0, 1))
    picture = np.fft.ifft2(spectrum / np.maximum(frequency, 1 / 200)[..., None] ** 1.2, axes=(0, 1)).real
    low, high = picture.min(), picture.max()
    return ((picture - low) / max(high - low, 1e-9)).astype(np.float32)


@settings(max_examples=40)
@given(sides, sides, st.integers(0, 99))
def test_round_trip_is_exact(width, height, seed):
    context = (np.rint(landscape(Size(width, height), seed) * 255) / 255).astype(np.float32)
    layout = work_layout(Size(width, height), NATIVE, 4 * NATIVE, 16)
    work = to_work(context, layout)
    assert work.shape == (layout.work.height, layout.work.width, 3)
    back = to_context(work, layout)
    assert back.shape == context.shape
    assert np.array_equal(np.rint(back * 255), np.rint(context * 255))
    if layout.scale == 1:
        assert np.array_equal(back, context)


@pytest.mark.parametrize("size", [(40, 40), (61, 37), (100, 90), (300, 200)])
def test_no_shift(size):
    """The centre of mass of a spot is where it was, times the scale, and comes back to within 1/50 px."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    spot = np.exp(-((x - width * 0.6) ** 2 + (y - height * 0.4) ** 2) / (2 * 3.0**2)).astype(np.float32)[..., None]
    layout = work_layout(Size(width, height), NATIVE, 4 * NATIVE, 16)
    work = to_work(spot, layout)
    covered = work[: int(layout.covered[1]), : int(layout.covered[0])]
    assert centre(covered) == pytest.approx(np.array(centre(spot)) * layout.scale, abs=0.02 * layout.scale)
    assert centre(to_context(work, layout)) == pytest.approx(centre(spot), abs=0.02)


def centre(picture: np.ndarray) -> tuple[float, float]:
    """Centre of mass in px from the corner, px centres at one half."""
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]] + 0.5
    weight = picture[..., 0].astype(np.float64)
    return (x * weight).sum() / weight.sum(), (y * weight).sum() / weight.sum()


def test_padding_reflects_and_is_cut_off_again():
    context = landscape(Size(130, 120), 1)
    layout = work_layout(Size(130, 120), NATIVE, 4 * NATIVE, 16)
    work = to_work(context, layout)
    assert np.array_equal(work[:, 130:], np.concatenate([context, context[::-1]])[:128, ::-1][:, :14])


@settings(max_examples=30)
@given(sides, sides, st.integers(0, 255))
def test_masks_stay_in_range_and_flat_ones_stay_flat(width, height, level):
    layout = work_layout(Size(width, height), NATIVE, 4 * NATIVE, 16)
    flat = mask_to_work(np.full((height, width), level / 255, np.float32), layout)
    assert np.allclose(flat, level / 255, atol=1e-6)
    hard = mask_to_work((np.random.default_rng(level).random((height, width)) > 0.5).astype(np.float32), layout)
    assert hard.min() >= 0
    assert hard.max() <= 1
