"""The procedural renderer: the same picture from the same seed, exact depth and masks, captions a user
could have typed."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pentimento.demo.canvas import Canvas
from pentimento.demo.captions import STYLE_WORDS, SUBJECT_WORDS, TIME_WORDS, caption, unusual
from pentimento.demo.light import LIGHTS
from pentimento.demo.noise import scattered
from pentimento.demo.render import HARBOUR, render, render_scene
from pentimento.demo.scene import MAIN_SUBJECTS, SEASONS, STYLES, TIMES, USUAL_COLORS, Look, draw_scene
from pentimento.demo.styles import TILE, apply_style

SEEDS = st.integers(0, 10**6)


@settings(max_examples=8)
@given(SEEDS, st.sampled_from([(64, 64), (96, 64), (256, 256)]))
def test_a_seed_always_draws_the_same_picture(seed: int, size: tuple[int, int]) -> None:
    first, second = render(seed, size), render(seed, size)
    assert np.array_equal(first.picture, second.picture)
    assert np.array_equal(first.depth, second.depth)
    assert np.array_equal(first.subject_mask, second.subject_mask)
    assert first.caption == second.caption


def test_other_seeds_draw_other_pictures() -> None:
    assert len({render(seed, 32).picture.tobytes() for seed in range(6)}) == 6


@settings(max_examples=8)
@given(SEEDS, st.integers(16, 100), st.integers(16, 100))
def test_every_array_has_the_size_that_was_asked(seed: int, width: int, height: int) -> None:
    drawn = render(seed, (width, height))
    assert (drawn.picture.shape, drawn.picture.dtype) == ((height, width, 3), np.uint8)
    assert (drawn.depth.shape, drawn.depth.dtype) == ((height, width), np.float32)
    assert (drawn.subject_mask.shape, drawn.subject_mask.dtype) == ((height, width), np.uint8)
    assert ((drawn.depth >= 0) & (drawn.depth <= 1)).all()


@settings(max_examples=6)
@given(SEEDS, st.sampled_from(TIMES), st.sampled_from(SEASONS), st.sampled_from(STYLES))
def test_paired_looks_share_depth_and_subject(seed: int, time: str, season: str, style: str) -> None:
    one = render(seed, 64, time="day", season="summer", weather="clear", style="photo")
    other = render(seed, 64, time=time, season=season, weather="clear", style=style)
    assert np.array_equal(one.depth, other.depth)
    assert np.array_equal(one.subject_mask, other.subject_mask)


def test_another_time_or_style_changes_the_picture() -> None:
    looks = [{"time": time} for time in TIMES] + [{"style": style} for style in STYLES if style != "photo"]
    base = {"time": "day", "weather": "clear", "season": "summer", "style": "photo"}
    pictures = {render(7, 48, **(base | look)).picture.tobytes() for look in looks}
    assert len(pictures) == len(looks)


def test_night_is_darker_than_day_and_ink_has_no_color() -> None:
    for seed in range(5):
        day = render(seed, 64, time="day", weather="clear", style="photo").picture
        night = render(seed, 64, time="night", weather="clear", style="photo").picture
        assert night.mean() < 0.5 * day.mean()
    ink = render(3, 64, style="ink").picture.astype(int)
    assert np.abs(ink[..., 0] - ink[..., 2]).max() < 30


@pytest.mark.parametrize("style", ["oil", "ink", "pencil", "pixel"])
def test_the_pattern_of_a_drawing_repeats_by_the_tile(style: str) -> None:
    side = 256
    canvas = Canvas(
        color=np.full((side, side, 3), 0.31, np.float32),
        depth=np.ones((side, side), np.float32),
        region=np.zeros((side, side), np.int16),
        subject=np.zeros((side, side), np.uint8),
        light=LIGHTS["day"],
        look=Look(style=style),
        texture=1.0,
        left_lit=True,
    )
    picture = apply_style(draw_scene(1).with_look(style=style), canvas).astype(int)
    inside = picture[2 * TILE : -TILE, 2 * TILE : -TILE]
    assert np.ptp(inside) > 20
    for axis in (0, 1):
        assert np.abs(inside - np.roll(picture, TILE, axis)[2 * TILE : -TILE, 2 * TILE : -TILE]).max() <= 1


@given(st.integers(0, 100), st.integers(1, 60), st.floats(0.5, 2.5))
def test_scattered_points_never_move_and_lie_apart(tag: int, count: int, aspect: float) -> None:
    points = scattered(tag, count, aspect)
    assert np.array_equal(points, scattered(tag, count, aspect))
    assert (points[:, 0] <= aspect).all()
    square = points[points[:, 0] < min(1.0, aspect), :2]
    gaps = np.hypot(*(square[:, None] - square[None]).transpose(2, 0, 1)) + 9 * np.eye(len(square))
    assert (gaps > 0.5 / count**0.5).all()


def seeds_with_subject(count: int) -> list[int]:
    return [s for s in range(200) if draw_scene(s).subject and draw_scene(s).ground in ("meadow", "mountains")][:count]


@pytest.mark.parametrize("seed", seeds_with_subject(6))
def test_the_mask_marks_just_what_the_subject_changes(seed: int) -> None:
    # An overcast noon throws no shadows and lights no lamps, so what is left is the subject itself.
    scene = draw_scene(seed).with_look(time="overcast", weather="clear", season="summer", style="flat")
    whole, without = render_scene(scene, 128, 128), render_scene(scene.without_subject(), 128, 128)
    changed = (whole.picture != without.picture).any(axis=-1)
    assert not changed[whole.subject_mask == 0].any()
    covered = whole.subject_mask == 255
    assert covered.any()
    # Not all of it: a poster has so few colours that the subject shares some with what is behind it.
    assert changed[covered].mean() > 0.7
    assert not without.subject_mask.any()


def test_the_sky_is_far_and_the_ground_comes_nearer_downward() -> None:
    drawn = render_scene(HARBOUR.without_subject(), 96, 64)
    assert drawn.depth[0, -1] == 1.0
    assert drawn.depth[-1].mean() < 0.3 < drawn.depth[int(0.6 * 64)].mean() + 0.2


@settings(max_examples=40)
@given(SEEDS, st.integers(0, 1000))
def test_captions_keep_to_the_scene(seed: int, draw: int) -> None:
    scene = draw_scene(seed)
    text = caption(scene, np.random.default_rng(draw), told=frozenset({"time", "style"})).lower()
    assert any(word in text for word in TIME_WORDS[scene.look.time])
    assert any(word in text for word in STYLE_WORDS[scene.look.style])


@given(seed=SEEDS, draw=SEEDS)
def test_a_color_that_is_not_the_usual_one_is_told(seed: int, draw: int) -> None:
    """So that "a sailboat" is a white one, and not of a mean of all colors."""
    scene = draw_scene(seed)
    told = unusual(scene)
    thing = scene.subject
    assert ("color" in told) == bool(thing and thing.color and thing.color != USUAL_COLORS[thing.kind])
    if thing and "color" in told:
        text = caption(scene, np.random.default_rng(draw), told=told).lower()
        assert any(f"{thing.color} {noun}" in text for noun in SUBJECT_WORDS[thing.kind])


def test_captions_vary_and_can_be_empty() -> None:
    scene, rng = draw_scene(1), np.random.default_rng(0)
    texts = [caption(scene, rng, empty=0.1) for _ in range(300)]
    assert len(set(texts)) > 100
    assert 10 <= texts.count("") <= 60


def test_every_look_and_subject_has_words() -> None:
    assert (set(STYLE_WORDS), set(TIME_WORDS)) == (set(STYLES), set(TIMES))
    scenes = [draw_scene(seed) for seed in range(300)]
    assert {s.subject.kind for s in scenes if s.subject} == set(MAIN_SUBJECTS)
    assert {one.kind for s in scenes for one in s.extras} | set(MAIN_SUBJECTS) == set(SUBJECT_WORDS)


def test_wrong_requests_are_refused_in_words() -> None:
    with pytest.raises(ValueError, match="at least 16 pixels"):
        render(1, 8)
    with pytest.raises(ValueError, match="unknown look"):
        render(1, 32, mood="sad")
    with pytest.raises(ValueError, match="unknown time"):
        render(1, 32, time="teatime")
    assert Look() == Look(time="day", weather="clear", season="summer", style="photo")
