"""Mask mode, masked content, outpainting: what they do, and that the promises hold with each of them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from pentimento.engine.arrays import to_array, to_pixels
from pentimento.engine.compose import composite
from pentimento.engine.denoise import Source
from pentimento.engine.masked_latents import masked_content
from pentimento.engine.noise import Seed, noise_for
from pentimento.engine.request import EngineError, Request, Result
from pentimento_shared.recipe import Recipe
from pentimento_shared.settings import MASK_MODES, MASKED_CONTENTS, OUTPAINT_FILLS, validate

MASKED, NOT_MASKED = MASK_MODES
ORIGINAL, FILL, NOISE, NOTHING = MASKED_CONTENTS


def square(width: int, height: int, x: slice, y: slice, level: int = 255):
    levels = np.zeros((height, width, 1), np.uint8)
    levels[y, x] = level
    return to_pixels(levels)


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("content", MASKED_CONTENTS)
def test_outside_the_selection_not_one_byte_changes(studio, picture, seed, content):
    """Random soft selections over pictures with holes, with every option."""
    rng = np.random.default_rng(seed)
    width, height = (int(side) for side in rng.integers(8, 110, 2))
    channels, depth = int(rng.choice([2, 3, 4])), int(rng.choice([8, 16]))
    source = picture(width, height, channels, depth, seed)
    if channels != 3:
        levels = to_array(source).copy()
        levels[:, width // 2 :, -1] = 0
        source = to_pixels(levels)
    chosen = np.zeros((height, width), np.uint8)
    x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
    chosen[y:, x:] = rng.integers(1, 256, (height - y, width - x))
    inverted = seed % 3 == 0
    how = {
        "masked_content": content,
        "mask_mode": NOT_MASKED if inverted else MASKED,
        "outpaint_fill": OUTPAINT_FILLS[seed % 3],
        "upscale_first": ("Lanczos", "off")[seed % 2],
        "strength": 0.7,
        "steps": 1,
    }
    result = studio.results("inpaint", source, to_pixels(chosen[..., None]), **how)[0]
    final = 255 - chosen if inverted else chosen
    assert np.array_equal(to_array(result.mask)[..., 0], final)
    full = to_array(composite("full", source, result.pixels, result.mask, result.context))
    assert np.array_equal(full[final == 0], to_array(source)[final == 0])


@pytest.mark.parametrize("content", MASKED_CONTENTS)
def test_strength_keeps_its_meaning(studio, picture, content):
    source, whole = picture(72, 64), square(72, 64, slice(None), slice(None))
    untouched = studio.picture("inpaint", source, whole, strength=0, masked_content=content)
    assert untouched == source
    free = studio.picture("inpaint", source, whole, strength=1, masked_content=content, steps=2)
    assert free == studio.picture("txt2img", width=72, height=64, steps=2)


def test_each_content_starts_from_something_else(studio, picture):
    source, part = picture(64, 64), square(64, 64, slice(16, 48), slice(16, 48))
    how = {"strength": 0.6, "steps": 3}
    made = [studio.picture("inpaint", source, part, masked_content=content, **how) for content in MASKED_CONTENTS]
    assert len({result.data for result in made}) == len(MASKED_CONTENTS)
    assert made[0] == studio.picture("inpaint", source, part, **how)


def test_with_a_fill_what_was_under_the_selection_has_no_influence(studio, picture):
    part = square(64, 64, slice(16, 48), slice(16, 48))
    one, two = to_array(picture(64, 64)).copy(), to_array(picture(64, 64)).copy()
    two[16:48, 16:48] = 255 - two[16:48, 16:48]
    how = {"strength": 0.4, "steps": 2, "masked_content": FILL}
    first, second = (to_array(studio.picture("inpaint", to_pixels(levels), part, **how)) for levels in (one, two))
    assert np.array_equal(first, second)


def test_latent_contents_follow_the_selection_and_the_noise_is_another_than_the_samplings():
    latents = torch.randn(1, 4, 6, 6, generator=torch.Generator().manual_seed(0))
    selection = torch.zeros(1, 1, 6, 6)
    selection[..., 3:, :], selection[..., 5:, :] = 0.25, 1
    source, seeds = Source(latents, selection), [Seed(7), Seed(8)]
    nothing = masked_content(source, NOTHING, seeds).latents
    noise = masked_content(source, NOISE, seeds).latents
    assert torch.equal(nothing[..., :3, :], latents[..., :3, :])
    assert torch.allclose(nothing[..., 3:5, :], 0.75 * latents[..., 3:5, :])
    assert not nothing[..., 5:, :].any()
    assert torch.equal(noise[:, :, :3], latents[:, :, :3].expand(2, -1, -1, -1))
    fresh = noise[:, :, 5:]
    assert torch.allclose(noise[:, :, 3:5], 0.75 * latents[:, :, 3:5] + 0.25 * _noise(seeds)[:, :, 3:5])
    assert torch.equal(fresh, _noise(seeds)[:, :, 5:])
    assert not torch.equal(fresh[0], fresh[1]), "each picture has its own"
    sampling, _ = noise_for(seeds, (4, 6, 6))
    together = torch.stack([fresh.flatten(), sampling[:, :, 5:].flatten()])
    assert abs(torch.corrcoef(together)[0, 1]) < 0.4
    assert masked_content(source, ORIGINAL, seeds) is source
    assert masked_content(source, FILL, seeds) is source


def _noise(seeds: list[Seed]) -> torch.Tensor:
    return noise_for([Seed(seed.seed ^ 0x9E3779B9) for seed in seeds], (4, 6, 6))[0]


@pytest.mark.parametrize("content", [NOISE, NOTHING])
def test_a_batch_is_its_pictures_alone_and_a_recipe_makes_its_picture_again(studio, picture, content):
    source, part = picture(64, 64), square(64, 64, slice(10, 50), slice(20, 60), 200)
    how = {"strength": 0.6, "steps": 2, "masked_content": content, "mask_mode": NOT_MASKED, "batch_size": 2}
    for result in studio.results("inpaint", source, part, seeds=(5, 6), **how):
        recipe = Recipe.from_json(result.recipe.to_json())
        again = Request(recipe.task, recipe.settings, (recipe.seed,), source, part)
        events = studio.engine.run(again, lambda: False)
        assert next(event for event in events if isinstance(event, Result)).pixels == result.pixels


def test_not_masked_is_the_other_mask(studio, picture):
    source = picture(90, 70)
    part = square(90, 70, slice(0, 60), slice(0, 70), 160)
    other = to_pixels(255 - to_array(part))
    how = {"steps": 2, "grow": 3, "feather": 4}
    inverted = studio.results("inpaint", source, part, mask_mode=NOT_MASKED, **how)[0]
    plain = studio.results("inpaint", source, other, **how)[0]
    assert (inverted.pixels, inverted.mask, inverted.context) == (plain.pixels, plain.mask, plain.context)


def test_nothing_left_to_paint_is_said(studio, picture):
    with pytest.raises(EngineError, match="Everything is selected, and mask_mode is Inpaint not masked") as caught:
        studio.events("inpaint", picture(64, 64), square(64, 64, slice(None), slice(None)), mask_mode=NOT_MASKED)
    assert caught.value.field == "mask_mode"


def test_automatic1111s_words_for_the_inpaint_area():
    area = {word: validate("inpaint", {"context": word})["context"] for word in ("Only masked", "whole picture")}
    assert area == {"Only masked": "automatic", "whole picture": "canvas"}


@pytest.mark.parametrize("channels", [2, 4])
@pytest.mark.parametrize("depth", [8, 16])
@pytest.mark.parametrize("fill", OUTPAINT_FILLS)
def test_a_selected_strip_without_a_picture_is_painted_and_the_rest_stays(studio, picture, channels, depth, fill):
    levels = to_array(picture(80, 64, channels, depth)).copy()
    top = 2**depth - 1
    levels[..., -1] = top
    levels[:, 56:] = 0
    source, strip = to_pixels(levels), square(80, 64, slice(56, None), slice(None))
    result = studio.results("inpaint", source, strip, steps=2, strength=0.8, outpaint_fill=fill)[0]
    full = to_array(composite("full", source, result.pixels, result.mask, result.context))
    assert np.array_equal(full[:, :56], levels[:, :56])
    assert (full[:, 56:, -1] == top).all()
    assert len(np.unique(full[:, 56:, 0])) > 10


def test_the_outpaint_fills_differ_and_do_not_matter_where_there_is_a_picture(studio, picture):
    levels = to_array(picture(64, 64, 4)).copy()
    levels[..., 3] = 255
    part = square(64, 64, slice(32, None), slice(None))
    opaque = [studio.picture("inpaint", to_pixels(levels), part, steps=1, outpaint_fill=f).data for f in OUTPAINT_FILLS]
    assert len(set(opaque)) == 1
    levels[:, 40:, 3] = 0
    holed = [studio.picture("inpaint", to_pixels(levels), part, steps=1, outpaint_fill=f).data for f in OUTPAINT_FILLS]
    assert len(set(holed)) == 3
