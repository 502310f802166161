"""What comes out: the same recipe gives the same picture, in the source's depth and channels; nothing else moves."""

from __future__ import annotations

import numpy as np
import pytest

from pentimento.engine.arrays import to_array, to_pixels
from pentimento.engine.compose import composite
from pentimento.engine.masks import bounds
from pentimento.engine.request import Preview, Progress, Region, Request, Result
from pentimento_shared.geometry import Rect, Size
from pentimento_shared.recipe import Recipe


@pytest.mark.parametrize("sampler", ["DPM++ 2M", "Euler a", "DPM++ SDE"])
def test_picture_k_of_a_batch_is_what_its_seed_makes_alone(studio, picture, sampler):
    source = picture(64, 72)
    batch = studio.results("img2img", source, seeds=(5, 6, 7), sampler=sampler, batch_size=3)
    for result in batch:
        alone = studio.results("img2img", source, seeds=(result.recipe.seed,), sampler=sampler)[0]
        assert alone.pixels == result.pixels
    assert [result.recipe.seed for result in batch] == [5, 6, 7]
    assert batch[0].pixels != batch[1].pixels


def test_a_replayed_recipe_gives_the_same_picture(studio, picture):
    source, mask = picture(90, 70), blob(90, 70)
    how = {"strength": 0.8, "sampler": "Euler a", "feather": 4, "seeds": (11, 12)}
    first = studio.results("inpaint", source, mask, **how)[1]
    recipe = Recipe.from_json(first.recipe.to_json())
    again = Request(recipe.task, recipe.settings, (recipe.seed,), source, mask)
    second = next(event for event in studio.engine.run(again, lambda: False) if isinstance(event, Result))
    assert second.pixels == first.pixels
    assert second.mask == first.mask


def blob(width: int, height: int, soft: bool = True):
    """A round selection off the centre, with a soft edge."""
    y, x = np.mgrid[:height, :width]
    distance = np.hypot(x - width * 0.4, y - height * 0.5)
    edge = 6 if soft else 0.01
    return to_pixels((((height / 4 - distance) / edge).clip(0, 1) * 255).astype(np.uint8)[..., None])


@pytest.mark.parametrize("seed", range(100))
def test_outside_the_selection_not_one_byte_changes(studio, picture, seed):
    """100 random cases: sizes, depths, channels, soft and hard selections, some at the border, some of one px."""
    rng = np.random.default_rng(seed)
    width, height = (int(side) for side in rng.integers(8, 140, 2))
    channels, depth = int(rng.integers(1, 5)), int(rng.choice([8, 16]))
    source = picture(width, height, channels, depth, seed)
    chosen = np.zeros((height, width), np.uint8)
    x, y = int(rng.integers(0, width)), int(rng.integers(0, height))
    right, bottom = int(rng.integers(x, width)) + 1, int(rng.integers(y, height)) + 1
    chosen[y:bottom, x:right] = 255 if seed % 2 else rng.integers(1, 256, (bottom - y, right - x))
    mask = to_pixels(chosen[..., None])
    result = studio.results("inpaint", source, mask, steps=1, strength=1)[0]
    assert result.mask == mask
    assert result.context.contains(bounds(chosen))
    full = composite("full", source, result.pixels, result.mask, result.context)
    outside = chosen == 0
    assert (to_array(full)[outside] != to_array(source)[outside]).sum() == 0
    layer = to_array(composite("layer", source, result.pixels, result.mask, result.context))
    assert np.array_equal(layer[..., -1] // (257 if depth == 16 else 1), chosen)


def test_a_selection_grown_and_feathered_shows_in_the_mask(studio, picture):
    chosen = np.zeros((60, 60), np.uint8)
    chosen[25:35, 25:35] = 255
    result = studio.results("inpaint", picture(60, 60), to_pixels(chosen[..., None]), grow=5, feather=6, steps=1)[0]
    final = to_array(result.mask)[..., 0]
    assert final[30, 21] > 200
    assert 0 < final[30, 16] < 255
    assert final[:14].max() == 0
    assert result.context.contains(bounds(final))


def test_a_plugin_that_crops_by_the_same_rule_gets_the_same_picture(studio, picture):
    source, mask = picture(300, 200), np.zeros((200, 300), np.uint8)
    mask[60:90, 200:240] = 255
    whole = studio.results("inpaint", source, to_pixels(mask[..., None]))[0]
    context = whole.context
    assert context != Rect(0, 0, 300, 200)
    rows, columns = slice(context.y, context.bottom), slice(context.x, context.right)
    request = studio.request(
        "inpaint", to_pixels(to_array(source)[rows, columns]), to_pixels(mask[rows, columns, None])
    )
    cropped = Request(**{**vars(request), "region": Region(Size(300, 200), context)})
    result = next(event for event in studio.engine.run(cropped, lambda: False) if isinstance(event, Result))
    assert result.pixels == whole.pixels
    assert result.context == Rect(0, 0, context.width, context.height)
    assert (result.recipe.canvas, result.recipe.context) == (whole.recipe.canvas, whole.recipe.context)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("depth", [8, 16])
def test_depth_and_channels_come_back(studio, picture, channels, depth):
    result = studio.picture("img2img", picture(64, 64, channels, depth), steps=1)
    assert (result.channels, result.depth) == (1 if channels < 3 else 3, depth)
    if depth == 16:
        assert len(np.unique(to_array(result))) > 256


def test_transparent_px_take_part_as_their_neighbours(studio, picture):
    """What lies under alpha 0 must not reach the model."""
    one, two = (to_array(picture(64, 64, 4)).copy() for _ in range(2))
    for array, hidden in ((one, 0), (two, 255)):
        array[20:50, 10:40, 3] = 0
        array[20:50, 10:40, :3] = hidden
    assert studio.picture("img2img", to_pixels(one)) == studio.picture("img2img", to_pixels(two))


def test_color_match_brings_the_ring_back_and_is_the_identity_at_strength_0(studio, picture):
    source, mask = picture(96, 96), blob(96, 96)
    plain = studio.results("inpaint", source, mask, strength=0.9)[0]
    matched = studio.results("inpaint", source, mask, strength=0.9, color_match=True)[0]
    y, x = np.mgrid[:96, :96]
    ring = (to_array(mask)[..., 0] == 0) & (np.hypot(x - 38.4, y - 48) < 24 + 16)
    wanted = to_array(source)[ring].mean(axis=0)
    context = plain.context
    place = np.zeros((96, 96), bool)
    place[context.y : context.bottom, context.x : context.right] = True
    inside = ring[context.y : context.bottom, context.x : context.right]
    assert place[ring].all()
    off = [np.abs(to_array(result.pixels)[inside].mean(axis=0) - wanted).max() for result in (plain, matched)]
    # Not nearer: levels beyond white and black are clipped.
    assert 3 * off[1] < off[0]
    assert to_array(studio.picture("inpaint", source, mask, strength=0, color_match=True)).tobytes() == (
        to_array(source)[context.y : context.bottom, context.x : context.right].tobytes()
    )


def test_progress_never_falls_and_ends_at_1_and_previews_are_jpegs(studio, picture):
    events = studio.events("img2img", picture(80, 60), seeds=(1, 2), steps=6)
    progress = [event for event in events if isinstance(event, Progress)]
    fractions = [event.fraction for event in progress]
    assert fractions == sorted(fractions)
    assert fractions[-1] == 1
    assert list(dict.fromkeys(event.stage for event in progress)) == ["load", "encode", "sample", "decode"]
    assert [event.step for event in progress if event.stage == "sample"] == [0, 1, 2, 3, 4] * 2
    previews = [event for event in events if isinstance(event, Preview)]
    assert {event.index for event in previews} == {0, 1}
    assert all(event.jpeg.startswith(b"\xff\xd8") for event in previews)


def test_generated_pictures_have_the_depth_that_is_asked_for(studio):
    deep, plain = (studio.picture("txt2img", depth=depth, width=64, height=64, steps=2) for depth in ("16", "8"))
    assert (deep.depth, plain.depth) == (16, 8)
    levels = to_array(deep)
    assert (levels % 257 != 0).any()
    assert np.abs(levels / 257 - to_array(plain)).max() <= 0.5


@pytest.mark.parametrize("prompt", ["", "🏔️🌊", "日本の海", "\x00\n\t"])
def test_any_prompt_works(studio, prompt):
    assert studio.picture("txt2img", prompt=prompt, steps=1, width=64, height=64).size == Size(64, 64)


def test_clip_skip_changes_the_picture_and_cfg_scale_1_ignores_the_negative_prompt(studio):
    size = {"width": 64, "height": 64}
    assert studio.picture("txt2img", clip_skip=2, **size) != studio.picture("txt2img", clip_skip=1, **size)
    one, other = (studio.picture("txt2img", cfg_scale=1, negative_prompt=text, **size) for text in ("", "fog"))
    assert one == other
    assert studio.picture("txt2img", negative_prompt="fog", **size) != studio.picture("txt2img", **size)
