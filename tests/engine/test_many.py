"""Variations, loopback and the prompt matrix: each picture is what its recipe makes alone, and nothing else moves."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pentimento.engine.arrays import to_array, to_pixels
from pentimento.engine.compose import composite
from pentimento.engine.noise import Seed, noise_for, slerp
from pentimento.engine.request import Progress, Request, Result
from pentimento_shared.many import loop_strength, seeds_of
from pentimento_shared.recipe import Recipe, settings_from_infotext
from pentimento_shared.settings import SettingError

SHAPE = (4, 32, 32)
SMALL = {"width": 64, "height": 64, "steps": 2}


def replayed(studio, result: Result, *pictures) -> list[Result]:
    """What the recipe of a result makes, read back from its JSON."""
    recipe = Recipe.from_json(result.recipe.to_json())
    request = Request(recipe.task, recipe.settings, seeds_of(recipe.settings), *pictures)
    return [event for event in studio.engine.run(request, lambda: False) if isinstance(event, Result)]


# variations


def noise(seed: int, variation: int = 0, strength: float = 0.0) -> torch.Tensor:
    return noise_for((Seed(seed, variation, strength),), SHAPE)[0][0]


def test_the_ends_of_a_variation_are_the_two_seeds_noises_to_the_bit():
    assert torch.equal(noise(3, 4, 0.0), noise(3))
    assert torch.equal(noise(3, 4, 1.0), noise(4))


@pytest.mark.parametrize("strength", [0.05, 0.3, 0.5, 0.9])
def test_a_variation_is_as_strong_as_noise_and_as_far_as_it_says(strength):
    low, high = noise(3), noise(4)
    mixed = noise(3, 4, strength)
    assert mixed.std() == pytest.approx(1, abs=0.03)

    def angle(one: torch.Tensor, other: torch.Tensor) -> float:
        return torch.acos(torch.cosine_similarity(one.double().ravel(), other.double().ravel(), dim=0)).item()

    assert angle(low, mixed) == pytest.approx(strength * angle(low, high), abs=0.01)
    assert angle(mixed, high) == pytest.approx((1 - strength) * angle(low, high), abs=0.01)


def test_between_parallel_noises_it_goes_the_right_way_round():
    low = noise(3)
    assert torch.allclose(slerp(low, 2 * low, 0.25), 1.25 * low)
    assert torch.allclose(noise(3, 3, 0.4), low)


@pytest.mark.parametrize("sampler", ["Euler", "Euler a"])
def test_each_picture_of_a_varied_batch_is_what_its_recipe_makes_alone(studio, picture, sampler):
    source, varied = picture(64, 64), {"variation_seed": 20, "variation_strength": 0.3, "steps": 2, "sampler": sampler}
    batch = studio.results("img2img", source, seeds=(5, 5, 5), **varied)
    assert [result.recipe.settings["variation_seed"] for result in batch] == [20, 21, 22]
    assert len({result.pixels.data for result in batch}) == 3
    for result in batch[1:]:
        assert [again.pixels for again in replayed(studio, result, source)] == [result.pixels]
    plain = studio.picture("img2img", source, seeds=(5,), steps=2, sampler=sampler)
    assert studio.picture("img2img", source, seeds=(5,), **{**varied, "variation_strength": 0.0}) == plain
    assert plain not in [result.pixels for result in batch]


def test_variation_strength_1_is_the_other_seeds_picture_where_no_noise_comes_on_the_way(studio):
    varied = {"variation_seed": 9, "variation_strength": 1.0, **SMALL}
    other = studio.picture("txt2img", seeds=(9,), **SMALL)
    assert studio.picture("txt2img", seeds=(5,), **varied) == other
    on_the_way = studio.picture("txt2img", seeds=(5,), sampler="Euler a", **varied)
    assert on_the_way != studio.picture("txt2img", seeds=(9,), sampler="Euler a", **SMALL)


def test_a_variation_stands_in_the_infotext(studio):
    varied = {"variation_seed": 9, "variation_strength": 0.25, **SMALL}
    text = studio.results("txt2img", seeds=(5,), **varied)[0].recipe.to_infotext()
    assert "Variation seed: 9, Variation seed strength: 0.25" in text
    assert settings_from_infotext(text)["variation_seed"] == 9
    assert settings_from_infotext(text)["variation_strength"] == 0.25
    assert "Variation" not in studio.results("txt2img", seeds=(5,), **SMALL)[0].recipe.to_infotext()


# loopback

LOOPS = {"loops": 3, "strength": 0.6, "final_strength": 0.3, "loopback_curve": "Lazy", "steps": 4}


def soft_mask(width: int, height: int):
    y, x = np.mgrid[:height, :width]
    levels = (1.3 - np.hypot(x - width * 0.4, y - height / 2) / (height / 3)).clip(0, 1) * 255
    return to_pixels(levels.astype(np.uint8)[..., None])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_each_loop_is_the_img2img_of_the_picture_before(studio, picture, channels):
    source = picture(64, 64, channels)
    loops = studio.results("img2img", source, seeds=(5, 6, 7), **LOOPS)
    assert [result.index for result in loops] == [0, 1, 2]
    before = source
    for k, result in enumerate(loops):
        strength = loop_strength(result.recipe.settings, k + 1)
        (alone,) = studio.results("img2img", before, seeds=(5 + k,), steps=4, strength=strength)
        assert alone.pixels == result.pixels
        assert result.recipe.start == strength
        before = composite("full", source, result.pixels, result.mask, result.context)
    assert loops[-1].recipe.start == 0.3


@pytest.mark.parametrize("task", ["img2img", "inpaint"])
def test_a_replay_of_a_loops_recipe_ends_with_that_loop(studio, picture, task):
    pictures = (picture(90, 70), soft_mask(90, 70)) if task == "inpaint" else (picture(90, 70),)
    loops = studio.results(task, *pictures, seeds=(5, 6, 7), sampler="Euler a", **LOOPS)
    for k, result in enumerate(loops[:2]):
        again = replayed(studio, result, *pictures)
        assert len(again) == k + 1
        assert again[-1].pixels == result.pixels
        assert again[-1].recipe.settings == result.recipe.settings


def test_after_all_loops_not_one_byte_outside_the_selection_has_changed(studio, picture):
    source, mask = picture(120, 90, 4, 16), soft_mask(120, 90)
    loops = studio.results("inpaint", source, mask, seeds=(5, 6, 7), **{**LOOPS, "strength": 1.0, "steps": 2})
    chosen = to_array(mask)[..., 0]
    for result in loops:
        assert result.mask == mask
        full = composite("full", source, result.pixels, result.mask, result.context)
        changed = (to_array(full) != to_array(source)).any(axis=2)
        assert not changed[chosen == 0].any()
        assert changed[chosen == 255].any()


def test_loops_of_strength_0_are_the_picture_before(studio, picture):
    source = picture(64, 64)
    still = studio.results("img2img", source, seeds=(5, 6), loops=2, strength=0.0, final_strength=0.0)
    assert [result.pixels for result in still] == [source, source]
    first, last = studio.results("img2img", source, seeds=(5, 6), loops=2, strength=0.5, final_strength=0.0)
    assert first.pixels == last.pixels != source


def test_progress_never_falls_from_loop_to_loop(studio, picture):
    events = studio.events("img2img", picture(64, 64), seeds=(5, 6, 7), **LOOPS)
    fractions = [event.fraction for event in events if isinstance(event, Progress)]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1


def test_a_loops_infotext_is_that_of_its_own_img2img(studio, picture):
    last = studio.results("img2img", picture(64, 64), seeds=(5, 6, 7), **LOOPS)[-1]
    assert last.recipe.loop == 3
    found = settings_from_infotext(last.recipe.to_infotext())
    assert (found["seed"], found["strength"]) == (7, 0.3)
    assert last.recipe.as_written["last_loop"] == 0


# the prompt matrix


def test_a_matrix_makes_each_combination_as_if_it_had_been_written(studio):
    prompt = "a lake | snow,| night # not | this"
    how = {"prompt": prompt, "prompt_matrix": True, **SMALL}
    results = studio.results("txt2img", seeds=(5, 5, 5, 5), **how)
    prompts = ["a lake", "a lake, snow", "a lake, night", "a lake, snow, night"]
    assert [result.recipe.settings["prompt"] for result in results] == prompts
    for result, written in zip(results[1:3], prompts[1:3], strict=True):
        assert result.pixels == studio.picture("txt2img", seeds=(5,), prompt=written, **SMALL)
        assert [again.pixels for again in replayed(studio, result)] == [result.pixels]
        assert result.recipe.as_written["prompt"] == prompt
        assert result.recipe.as_written["prompt_matrix"] is True


def test_without_the_matrix_a_bar_is_a_bar(studio):
    (result,) = studio.results("txt2img", seeds=(5,), prompt="a lake|snow", **SMALL)
    assert result.recipe.settings["prompt"] == "a lake|snow"


def test_a_fault_in_a_part_points_into_the_prompt_as_written(studio):
    with pytest.raises(SettingError, match="character 16"):
        studio.results("txt2img", seeds=(5, 5), prompt="a lake | snow, (fog", prompt_matrix=True, **SMALL)
