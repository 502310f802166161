"""Resize modes: which px of a source lie where in a picture of another size, and back again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pentimento.engine.resample import framed, framed_mask, unframed
from pentimento_shared.framing import Framing, asked_size, framing, generated_size
from pentimento_shared.geometry import Rect, Size
from pentimento_shared.settings import RESIZE_MODES, SettingError, validate

JUST, CROP, FILL = RESIZE_MODES
sides = st.integers(1, 400)
sizes = st.builds(Size, sides, sides)


@pytest.mark.parametrize(
    ("mode", "box", "place"),
    [
        (JUST, Rect(0, 0, 200, 100), Rect(0, 0, 128, 128)),
        (CROP, Rect(50, 0, 100, 100), Rect(0, 0, 128, 128)),
        (FILL, Rect(0, 0, 200, 100), Rect(0, 32, 128, 64)),
    ],
)
def test_what_each_mode_shows(mode, box, place):
    assert framing(Size(200, 100), Size(128, 128), mode) == Framing(Size(128, 128), box, place)


@given(sizes, sizes, st.sampled_from(RESIZE_MODES))
def test_every_framing_lies_inside_and_keeps_proportions(source, size, mode):
    frame = framing(source, size, mode)
    assert Rect.of(source).contains(frame.box)
    assert Rect.of(size).contains(frame.place)
    assert min(*frame.box.size, *frame.place.size) >= 1
    if mode == JUST:
        return
    across, down = size.width / source.width, size.height / source.height
    if mode == CROP:
        sides, exact = frame.box.size, (size.width / max(across, down), size.height / max(across, down))
    else:
        sides, exact = frame.place.size, (source.width * min(across, down), source.height * min(across, down))
    for side, wanted in zip(sides, exact, strict=True):
        assert abs(side - max(1, wanted)) <= 0.5 + 1e-9, "whole px: at most half a px off"


@given(sizes, st.sampled_from(RESIZE_MODES))
def test_a_picture_of_the_asked_size_is_left_alone(size, mode):
    assert not framing(size, size, mode).scaled


SOURCE = Size(300, 200)


def asked(source=SOURCE, **values):
    return asked_size(validate("img2img", values), source)


def test_the_asked_size():
    assert asked() is None
    assert asked(width=512, height=640) == Size(512, 640)
    assert asked(width=600) == Size(600, 400)
    assert asked(height=100) == Size(150, 100)
    assert asked(scale_by=1.5) == Size(450, 300)
    assert asked(source=Size(333, 91), scale_by=0.5) == Size(166, 46)


def test_a_generated_picture_without_a_size_has_the_models():
    native = Size(512, 768)
    assert generated_size(validate("txt2img", {}), native) == native
    assert generated_size(validate("txt2img", {"width": 640}), native) == Size(640, 768)


@pytest.mark.parametrize(
    ("values", "source", "field", "sentence"),
    [
        ({"scale_by": 2, "width": 512}, Size(300, 200), "scale_by", "leave one of the two out"),
        ({"scale_by": 4}, Size(9000, 200), "scale_by", r"picture of 36000 x 800 px; allowed: sides from 8 to 16384 px"),
        ({"scale_by": 0.05}, Size(100, 200), "scale_by", "picture of 5 x 10 px"),
        ({"width": 8192}, Size(100, 1000), "width", "picture of 8192 x 81920 px"),
        ({"height": 8192, "width": 8192}, Size(9, 9), None, ""),
        ({"width": 64}, Size(1000, 50), "width", "picture of 64 x 3 px"),
    ],
)
def test_a_size_that_no_picture_may_have(values, source, field, sentence):
    if field is None:
        assert asked(source, **values)
        return
    with pytest.raises(SettingError, match=sentence) as caught:
        asked(source, **values)
    assert caught.value.field == field


def landscape(size: Size, seed: int = 0) -> np.ndarray:
    """[h, w, 3] in 0..1 with the spectrum of ordinary pictures."""
    rng = np.random.default_rng(seed)
    frequency = np.hypot(np.fft.fftfreq(size.height)[:, None], np.fft.fftfreq(size.width)[None])
    spectrum = np.fft.fft2(rng.standard_normal((size.height, size.width, 3)), axes=(0, 1))
    picture = np.fft.ifft2(spectrum / np.maximum(frequency, 1 / 200)[..., None] ** 1.2, axes=(0, 1)).real
    return ((picture - picture.min()) / (picture.max() - picture.min())).astype(np.float32)


@settings(max_examples=20)
@given(st.builds(Size, st.integers(4, 90), st.integers(4, 90)), st.floats(1, 4), st.floats(1, 4), st.integers(0, 9))
@example(Size(50, 43), 1.0, 1.03125, 1)  # 1.6 levels off without the acceleration
@example(Size(72, 90), 1.0093, 1.0028, 2)  # 2.9
def test_an_enlarged_picture_comes_back_exactly(source, across, down, seed):
    picture = (np.rint(landscape(source, seed) * 255) / 255).astype(np.float32)
    size = Size(round(source.width * across), round(source.height * down))
    for mode in RESIZE_MODES:
        frame = framing(source, size, mode)
        shown = framed(picture, frame)
        assert shown.shape == (size.height, size.width, 3)
        back = unframed(shown, frame)
        box = frame.box
        wanted = picture[box.y : box.bottom, box.x : box.right]
        assert np.array_equal(np.rint(back * 255), np.rint(wanted * 255))


@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize("size", [Size(120, 120), Size(200, 90), Size(61, 47), Size(40, 90)])
def test_no_shift(mode, size):
    """A spot's centre of mass is where the framing says, to 1/50 px."""
    y, x = np.mgrid[:60, :80]
    spot = np.exp(-((x - 42.3) ** 2 + (y - 28.6) ** 2) / (2 * 2.5**2)).astype(np.float32)[..., None]
    frame = framing(Size(80, 60), size, mode)
    across, down = frame.place.width / frame.box.width, frame.place.height / frame.box.height
    wanted = (42.8 - frame.box.x) * across + frame.place.x, (29.1 - frame.box.y) * down + frame.place.y
    assert centre(framed(spot, frame)) == pytest.approx(wanted, abs=0.02 * max(1, across, down))


def centre(picture: np.ndarray) -> tuple[float, float]:
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]] + 0.5
    weight = picture[..., 0].astype(np.float64)
    return (x * weight).sum() / weight.sum(), (y * weight).sum() / weight.sum()


def test_resize_and_fill_draws_the_edge_out():
    picture = landscape(Size(64, 64))
    shown = framed(picture, framing(Size(64, 64), Size(128, 64), FILL))
    assert np.array_equal(shown[:, 32:96], picture)
    assert np.array_equal(shown[:, :32], np.repeat(picture[:, :1], 32, axis=1))


@settings(max_examples=30)
@given(sizes, sizes, st.sampled_from(RESIZE_MODES), st.integers(0, 255))
def test_alpha_stays_in_range_and_flat_alpha_stays_flat(source, size, mode, level):
    frame = framing(source, size, mode)
    flat = framed_mask(np.full((source.height, source.width), level / 255, np.float32), frame)
    assert flat.shape == (size.height, size.width)
    assert np.allclose(flat, level / 255, atol=1e-6)
