"""Img2img at a size of its own: the promises hold for every resize mode, and the result has the size that was asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pentimento.engine.arrays import to_array, to_pixels
from pentimento.engine.compose import composite
from pentimento.engine.engine import Engine
from pentimento.engine.models import ModelLibrary
from pentimento.engine.request import Notice, Request, Result
from pentimento_shared.geometry import Rect, Size
from pentimento_shared.recipe import Recipe
from pentimento_shared.settings import AS_WORKED, RESIZE_MODES, SettingError
from tests.engine.conftest import Studio

HARBOUR = Path(__file__).resolve().parents[2] / "docs" / "samples" / "harbour.png"
JUST, CROP, FILL = RESIZE_MODES
LAYER = {"result_size": AS_WORKED}


@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize("how", [{}, {"scale_by": 1.5}, {"width": 64, "height": 96}])
@pytest.mark.parametrize(("channels", "depth"), [(1, 8), (2, 16), (3, 16), (4, 8)])
def test_strength_0_gives_the_same_levels(studio, picture, mode, how, channels, depth):
    source = picture(50, 40, channels, depth)
    result = studio.picture("img2img", source, strength=0, resize_mode=mode, **how)
    assert np.array_equal(to_array(result), to_array(source)[..., : result.channels])


@pytest.mark.parametrize("size", [Size(72, 64), Size(64, 104), Size(64, 70)])
@pytest.mark.parametrize("mode", RESIZE_MODES)
def test_strength_1_is_text_to_image_at_that_size(studio, picture, size, mode):
    how = {"steps": 2, "width": size.width, "height": size.height}
    plain = studio.picture("txt2img", **how)
    assert plain.size == size
    assert studio.picture("img2img", picture(50, 40), strength=1, resize_mode=mode, **LAYER, **how) == plain


def test_a_size_below_the_native_one_is_text_to_image_at_strength_1_too(studio, picture):
    """Both are worked at the native size."""
    source = picture(160, 96)
    scaled = studio.results("img2img", source, strength=1, scale_by=0.4, steps=1, **LAYER)[0]
    assert (scaled.pixels.size, scaled.recipe.work_size.area) == (Size(64, 38), 88 * 56)


@pytest.mark.parametrize("mode", RESIZE_MODES)
@pytest.mark.parametrize(("channels", "depth"), [(1, 8), (2, 16), (3, 16), (4, 8)])
def test_every_kind_of_picture_comes_back_at_its_own_size_and_at_the_asked_one(studio, picture, mode, channels, depth):
    source, how = picture(60, 40, channels, depth), {"width": 72, "height": 64, "steps": 1, "resize_mode": mode}
    colours = 1 if channels < 3 else 3
    own = studio.results("img2img", source, **how)[0]
    assert (own.pixels.size, own.pixels.channels, own.pixels.depth) == (source.size, colours, depth)
    assert own.recipe.size == source.size
    asked = studio.results("img2img", source, **how, **LAYER)[0]
    assert (asked.pixels.size, asked.pixels.channels, asked.pixels.depth) == (Size(72, 64), channels, depth)
    assert (asked.recipe.size, asked.recipe.context) == (Size(72, 64), Rect(0, 0, 60, 40))
    assert asked.recipe.work_size == own.recipe.work_size == Size(72, 64)
    for kind in ("layer", "full"):
        assert composite(kind, source, asked.pixels, None, asked.context) == asked.pixels
    assert composite("raw", source, asked.pixels, None, asked.context).channels == colours


@pytest.mark.parametrize(
    ("mode", "place"), [(JUST, (0, 96, 0, 96)), (CROP, (0, 96, -16, 112)), (FILL, (12, 84, 0, 96))]
)
def test_alpha_goes_through_the_same_geometry(studio, picture, mode, place):
    """The right half of 64 x 48 px is transparent; `place` is where all of the picture comes to, in 96 x 96 px."""
    levels = to_array(picture(64, 48, 4)).copy()
    levels[..., 3] = 255
    levels[:, 32:, 3] = 0
    how = {"width": 96, "height": 96, "resize_mode": mode, "steps": 1, **LAYER}
    alpha = to_array(studio.picture("img2img", to_pixels(levels), **how))[..., 3]
    middle = (place[2] + place[3]) // 2
    assert (alpha[:, : middle - 2] == 255).all()
    assert (alpha[:, middle + 2 :] == 0).all()
    opaque = studio.picture("img2img", to_pixels(levels | np.array([0, 0, 0, 255], np.uint8)), **how)
    assert (to_array(opaque)[..., 3] == 255).all()


def test_what_crop_and_resize_leaves_out_keeps_its_levels(studio, picture):
    source = picture(100, 50)
    result = to_array(studio.picture("img2img", source, width=64, height=64, resize_mode=CROP, strength=0.9, steps=2))
    had = to_array(source)
    assert np.array_equal(result[:, :25], had[:, :25])
    assert np.array_equal(result[:, 75:], had[:, 75:])
    assert (result[:, 25:75] != had[:, 25:75]).mean() > 0.9


@pytest.mark.parametrize("how", [{"scale_by": 1.3}, {"width": 80, "resize_mode": FILL, **LAYER}])
def test_a_batch_is_its_pictures_alone_and_a_recipe_makes_its_picture_again(studio, picture, how):
    source = picture(60, 44, 4)
    batch = studio.results("img2img", source, seeds=(5, 6), steps=2, batch_size=2, **how)
    for result in batch:
        recipe = Recipe.from_json(result.recipe.to_json())
        again = Request(recipe.task, recipe.settings, (recipe.seed,), source)
        events = studio.engine.run(again, lambda: False)
        assert next(event for event in events if isinstance(event, Result)).pixels == result.pixels
    assert batch[0].pixels != batch[1].pixels


def test_more_strength_is_never_less_change():
    """With the demo model: a random one's autoencoder changes more than any strength."""
    with Image.open(HARBOUR) as opened:
        source = np.asarray(opened.convert("RGB"))[40:140, 100:260]
    demo = Studio(Engine(ModelLibrary.standard(), device="cpu"))
    how = {"model": "demo", "prompt": "a harbour in the fog", "steps": 4, "width": 128, "height": 128}
    changes = []
    for strength in (0, 0.2, 0.55, 0.95):
        made = demo.picture(
            "img2img", to_pixels(source), strength=strength, resize_mode=CROP, upscale_first="off", **how
        )
        changes.append(np.abs(to_array(made).astype(float) - source).mean())
    assert changes == sorted(changes)
    assert changes[0] == 0


def test_small_sources_are_enlarged_first_unless_that_is_off(studio, picture):
    source = picture(32, 24)
    large, small = (studio.results("img2img", source, steps=1, upscale_first=by)[0] for by in ("Lanczos", "off"))
    assert (large.recipe.work_size, small.recipe.work_size) == (Size(80, 56), Size(32, 24))
    assert large.pixels.size == small.pixels.size == source.size
    part = to_pixels(np.pad(np.full((8, 8, 1), 255, np.uint8), ((8, 8), (12, 12), (0, 0))))
    inpainted = studio.results("inpaint", source, part, steps=1, upscale_first="off", context="canvas")[0]
    assert inpainted.recipe.work_size == Size(32, 24)


def test_as_worked_without_a_size_is_the_size_that_the_model_worked_at(studio, picture):
    small = studio.results("img2img", picture(32, 24), steps=1, **LAYER)[0]
    assert small.pixels.size == small.recipe.size == Size(73, 55)
    plain = studio.results("img2img", picture(60, 64), steps=1, **LAYER)[0]
    assert plain.pixels == studio.picture("img2img", picture(60, 64), steps=1)


def test_a_size_beyond_the_model_is_said_and_still_delivered(studio, picture):
    events = studio.events("img2img", picture(100, 80), scale_by=3, steps=1, **LAYER)
    told = [event.text for event in events if isinstance(event, Notice)]
    assert len(told) == 1
    assert "300 x 240 px and was worked at" in told[0]
    assert next(event for event in events if isinstance(event, Result)).pixels.size == Size(300, 240)


def test_a_loopback_goes_on_at_the_size_it_has_come_to(studio, picture):
    source = picture(48, 48, 4)
    how = {"loops": 2, "steps": 1, "width": 64, "height": 72, **LAYER}
    results = studio.results("img2img", source, seeds=(3, 4), **how)
    assert [result.pixels.size for result in results] == [Size(64, 72)] * 2
    alphas = [to_array(result.pixels)[..., 3] for result in results]
    assert np.array_equal(alphas[0], alphas[1])


def test_two_sizes_at_once_are_refused(studio, picture):
    with pytest.raises(SettingError, match="scale_by is 2, and a width or height is given"):
        studio.events("img2img", picture(64, 64), scale_by=2, width=128)
