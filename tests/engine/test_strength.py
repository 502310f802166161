"""Strength means what it says: 0 is the source, 1 is text-to-image, and steps follow the strength."""

from __future__ import annotations

import numpy as np
import pytest

from pentimento.engine.arrays import to_array, to_pixels
from pentimento.engine.request import Result


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", [8, 16])
def test_strength_0_gives_the_same_levels_and_runs_no_model(studio, picture, channels, depth):
    source = picture(50, 40, channels, depth)
    events = studio.events("img2img", source, strength=0)
    assert [type(event) for event in events] == [Result]
    colours = 1 if channels < 3 else 3
    assert np.array_equal(to_array(events[0].pixels), to_array(source)[..., :colours])
    assert events[0].pixels.depth == depth
    assert events[0].recipe.steps_run == 0


@pytest.mark.parametrize(
    ("sampler", "schedule"),
    [("DPM++ 2M", "Automatic"), ("Euler a", "Karras"), ("Heun", "Beta"), ("UniPC", "Simple"), ("DPM++ SDE", "Turbo")],
)
def test_strength_1_is_text_to_image_bit_for_bit(studio, picture, sampler, schedule):
    how = {"sampler": sampler, "schedule": schedule, "steps": 2}
    plain = studio.picture("txt2img", width=72, height=64, **how)
    assert studio.picture("img2img", picture(72, 64), strength=1, **how) == plain
    whole = to_pixels(np.full((64, 72, 1), 255, np.uint8))
    assert studio.picture("inpaint", picture(72, 64, seed=9), whole, strength=1, **how) == plain


def test_at_strength_1_the_source_has_no_influence_at_a_scaled_size_either(studio, picture):
    assert studio.picture("img2img", picture(30, 45), strength=1) == studio.picture(
        "img2img", picture(30, 45, seed=3), strength=1
    )


def test_the_recipe_says_what_ran(studio, picture):
    recipe = studio.results("img2img", picture(64, 64), strength=0.3, steps=10)[0].recipe
    assert (recipe.steps_run, recipe.start, recipe.schedule) == (3, 0.3, "Karras")
    assert recipe.settings["schedule"] == "Automatic"


def test_exactly_the_steps_asked_from_the_same_start(studio, picture):
    share, exact = (
        studio.results("img2img", picture(64, 64), strength=0.3, steps=10, exact_steps=exact)[0]
        for exact in (False, True)
    )
    assert (share.recipe.steps_run, exact.recipe.steps_run) == (3, 10)
    assert share.recipe.start == exact.recipe.start == 0.3
    assert share.pixels != exact.pixels
