"""Pixels in another document's form: exact where it can be, to the nearest level where not."""

from __future__ import annotations

import numpy as np
import pytest

from pentimento.engine.arrays import to_array, to_pixels
from pentimento_shared.geometry import Size
from pentimento_shared.pixel_form import Form, fitted, form_of, on_canvas, split_alpha, with_alpha
from pentimento_shared.pixels import Pixels

SIZE = Size(320, 210)
"""Larger than one strip in most forms."""


def made(channels: int, depth: int, seed: int = 0) -> Pixels:
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 2**depth, (SIZE.height, SIZE.width, channels))
    levels[0, 0], levels[0, 1] = 0, 2**depth - 1
    return pixels(levels, depth)


def pixels(levels: np.ndarray, depth: int) -> Pixels:
    data = levels.astype(np.uint8 if depth == 8 else ">u2").tobytes()
    return Pixels(SIZE, levels.shape[2], depth, data)


def levels(picture: Pixels) -> np.ndarray:
    flat = np.frombuffer(picture.data, np.uint8 if picture.depth == 8 else ">u2").astype(np.int64)
    return flat.reshape(SIZE.height, SIZE.width, picture.channels)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", [8, 16])
def test_its_own_form_is_itself(channels: int, depth: int) -> None:
    picture = made(channels, depth)
    assert fitted(picture, form_of(picture)) is picture


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_16_bits_and_back_lose_nothing(channels: int) -> None:
    picture = made(channels, 8)
    deep = fitted(picture, Form(channels < 3, 16))
    assert (levels(deep) == levels(picture) * 257).all()
    assert fitted(deep, form_of(picture)) == picture


def test_every_16_bit_level_becomes_the_nearest_8_bit_one() -> None:
    every = np.resize(np.arange(65536), (SIZE.height, SIZE.width, 1))
    assert (levels(fitted(pixels(every, 16), Form(True, 8))) == np.rint(every / 257)).all()


@pytest.mark.parametrize("depth", [8, 16])
def test_a_grey_picture_in_colour_and_back_is_the_same(depth: int) -> None:
    for channels in (1, 2):
        picture = made(channels, depth)
        assert fitted(fitted(picture, Form(False, depth)), Form(True, depth)) == picture


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_colour_becomes_its_luma_and_alpha_stays(channels: int, depth: int) -> None:
    picture = made(channels, depth)
    grey, colours = levels(fitted(picture, Form(True, depth))), levels(picture)
    luma = colours[..., :3] @ np.array([0.2126, 0.7152, 0.0722])
    assert np.abs(grey[..., 0] - luma).max() <= (0.51 if depth == 8 else 1.5)
    assert (grey[..., 1:] == colours[..., 3:]).all()


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [2, 4])
def test_alpha_is_split_off(channels: int, depth: int) -> None:
    picture = made(channels, depth)
    colours, alpha = split_alpha(picture)
    assert (np.concatenate([levels(colours), levels(alpha)], axis=2) == levels(picture)).all()


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_on_a_canvas(channels: int, depth: int) -> None:
    levels = np.random.default_rng(0).integers(0, 2**depth, (5, 7, channels))
    small = to_pixels(levels.astype(np.uint8 if depth == 8 else np.uint16))
    wide = to_array(on_canvas(small, Size(12, 9), 3, 2))
    assert (wide[2:7, 3:10] == levels).all()
    assert wide.astype(int).sum() == levels.sum()
    assert (to_array(on_canvas(small, Size(4, 8))) == np.pad(levels[:, :4], ((0, 3), (0, 0), (0, 0)))).all()
    assert on_canvas(small, small.size) == small


@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
def test_opaque_pixels_get_an_alpha(channels: int, depth: int) -> None:
    levels = np.random.default_rng(0).integers(0, 2**depth, (5, 7, channels))
    small = to_pixels(levels.astype(np.uint8 if depth == 8 else np.uint16))
    colours, alpha = split_alpha(with_alpha(small))
    assert colours == small
    assert (to_array(alpha) == 2**depth - 1).all()
