"""Strength means what it says: 0 is the source, 1 is text-to-image, and steps follow the strength."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from pentimento.engine.arrays import to_array, to_pixels
from pentimento.engine.request import Result
from pentimento.engine.samplers import SAMPLERS, SCHEDULES, steps_to_run

PAIRS = list(itertools.product(SAMPLERS, ["Automatic", *SCHEDULES]))


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


@pytest.mark.parametrize(("sampler", "schedule"), PAIRS)
def test_strength_1_is_text_to_image_bit_for_bit(studio, picture, sampler, schedule):
    how = {"sampler": sampler, "schedule": schedule}
    plain = studio.picture("txt2img", width=72, height=64, **how)
    assert studio.picture("img2img", picture(72, 64), strength=1, **how) == plain
    whole = to_pixels(np.full((64, 72, 1), 255, np.uint8))
    assert studio.picture("inpaint", picture(72, 64, seed=9), whole, strength=1, **how) == plain


def test_at_strength_1_the_source_has_no_influence_at_a_scaled_size_either(studio, picture):
    assert studio.picture("img2img", picture(30, 45), strength=1) == studio.picture(
        "img2img", picture(30, 45, seed=3), strength=1
    )


@pytest.mark.parametrize(
    ("steps", "strength", "least", "run"),
    [
        (20, 1, 1, 20),
        (20, 0.6, 1, 12),
        (20, 0.05, 1, 1),
        (20, 0.05, 4, 4),
        (3, 0.05, 4, 3),
        (20, 0.001, 1, 1),
        (25, 0.56, 1, 14),
        (50, 0.58, 1, 29),
        (100, 0.29, 1, 29),
        (30, 0.35, 1, 11),
    ],
)
def test_steps_that_run(steps, strength, least, run):
    assert steps_to_run(steps, strength, least) == run


def test_the_recipe_says_what_ran(studio, picture):
    recipe = studio.results("img2img", picture(64, 64), strength=0.3, steps=10)[0].recipe
    assert (recipe.steps_run, recipe.start, recipe.schedule) == (3, 0.3, "Karras")
    assert recipe.settings["schedule"] == "Automatic"
