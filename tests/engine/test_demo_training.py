"""What the demo model learns from: noisy latents whose v leads to what was asked, and captions that say it."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from pentimento.demo.captions import STYLE_WORDS, SUBJECT_WORDS, TIME_WORDS
from pentimento.demo.data import LOOKS, group_scenes, posed, thing_scenes
from pentimento.demo.denoiser import Stage, fitted, noised, training_betas
from pentimento.demo.evaluate import moonlit
from pentimento.demo.optimize import Optimiser, orthogonal
from pentimento.demo.render import render, render_scene
from pentimento.demo.samples import (
    EMPTIED,
    EVERY,
    FOREIGN,
    GRID,
    HIDDEN,
    RESTYLED,
    SELECTED,
    SURROUNDED,
    ZOOMS,
    Batch,
    Latents,
    Mix,
    Sample,
    draw_layout,
    draw_place,
    draw_sample,
    draw_thing,
    patch,
    spots,
    thing_words,
    whole_words,
)
from pentimento.demo.scene import Look, Scene, Subject
from pentimento.demo.text import FACTS, WIDTH, facts_of
from pentimento.demo.unet import SIDE, build_unet, grow


@pytest.fixture
def kept() -> torch.Tensor:
    """(1000,) what is left of the signal's variance at each timestep."""
    return torch.cumprod(1 - torch.tensor(training_betas(), dtype=torch.float64), 0).float()


@pytest.fixture
def latents() -> np.ndarray:
    """(3, LOOKS, 4, 16, 16) float32: made-up latents of three layouts."""
    return np.random.default_rng(0).standard_normal((3, LOOKS, 4, 16, 16), dtype=np.float32)


@pytest.mark.parametrize("loud", [1.0, 0.5])
def test_v_leads_to_the_target_wherever_the_noise_started(kept, loud):
    torch.manual_seed(0)
    source, target = torch.randn(2, 64, 4, 8, 8)
    paired = torch.arange(64) % 2 == 0
    source = torch.where(paired[:, None, None, None], source, target)
    span = torch.where(paired[:, None], torch.tensor(RESTYLED), torch.tensor(EVERY))
    noisy, t, v, weight = noised(Batch(source, target, torch.rand(64, 1, 8, 8), torch.zeros(64, 77), span), kept, loud)
    root, rest = kept[t].sqrt()[:, None, None, None], (1 - kept[t]).sqrt()[:, None, None, None]
    assert torch.allclose(root * noisy - rest * v, target, atol=1e-4)
    assert ((t >= span[:, 0]) & (t < span[:, 1])).all()
    assert (t[~paired] >= RESTYLED[1]).any()
    assert ((weight > 0) & (weight <= 1)).all()
    assert ((noisy - root * source) / rest)[~paired].std().item() == pytest.approx(loud, rel=0.05)


def pairs_drawn(latents: np.ndarray, mix: Mix) -> list[Sample]:
    rng = np.random.default_rng(1)
    return [draw_layout(latents, rng, 16, mix, pair=True) for _ in range(1000)]


def test_a_pair_is_one_layout_in_two_looks_and_its_caption_is_never_empty(latents):
    for source, target, part, words, span in pairs_drawn(latents, Mix(empty=1.0)):
        assert span == RESTYLED
        if source is target:
            continue
        found = [
            int(np.flatnonzero((latents.reshape(-1, 4, 16, 16) == x).all(axis=(1, 2, 3)))[0]) for x in (source, target)
        ]
        assert found[0] // LOOKS == found[1] // LOOKS
        looks = [group_scenes(k // LOOKS)[k % LOOKS].look for k in found]
        assert bool(words) == (looks[0] != looks[1])
        assert 0 <= part.min() <= part.max() <= 1


def test_some_pairs_show_their_look_in_one_place_alone(latents):
    parts = [one.part for one in pairs_drawn(latents, Mix())]
    placed = [part for part in parts if np.ptp(part)]
    assert all(part.min() == 0 for part in placed)
    assert 0.5 * SELECTED < len(placed) / len(parts) < SELECTED
    rng = np.random.default_rng(2)
    assert not any(np.ptp(draw_layout(latents, rng, 16, Mix(), pair=False).part) for _ in range(50))


def test_some_pairs_are_one_picture_of_two_looks_without_a_caption(latents):
    pairs = pairs_drawn(latents, Mix())
    collages = [one for one in pairs if one.source is one.target]
    assert 0.1 < len(collages) / len(pairs) < 0.2
    assert not any(one.words for one in collages)
    known = latents.reshape(-1, 4, 16, 16)
    between = [one for one in collages if not (known == one.target).all(axis=(1, 2, 3)).any()]
    assert len(between) > 0.7 * len(collages)
    for one in between:
        whole = [k for k, picture in enumerate(known) if (picture == one.target).all(axis=0).any()]
        assert len({k // LOOKS for k in whole}) == 1


@pytest.fixture(scope="module")
def layouts() -> np.ndarray:
    """Forty layouts in place of latents: each picture is full of its own number."""
    return np.broadcast_to(np.arange(1000, 1000 + 40 * LOOKS).reshape(40, LOOKS, 1, 1, 1), (40, LOOKS, 4, 64, 64))


def test_what_is_drawn_from_words_alone_is_posed_and_more_often_has_mountains(layouts):
    rng, peaks, drawn = np.random.default_rng(8), 0, 400
    for _ in range(drawn):
        group = (int(draw_layout(layouts, rng, 64, Mix(), pair=False).target[0, 0, 0]) - 1000) // LOOKS
        assert posed(group)
        peaks += group_scenes(group)[0].far == "mountains"
    have = [group_scenes(k)[0].far == "mountains" for k in range(len(layouts)) if posed(k)]
    assert peaks / drawn > np.mean(have) + 0.05


@pytest.fixture(scope="module")
def zooms() -> tuple[np.ndarray, ...]:
    """Five things and their places without them at each zoom: small grey pictures in place of latents."""

    def picture(scene: Scene, side: int) -> np.ndarray:
        grey = render_scene(scene, side, side).picture.mean(axis=-1)
        return np.repeat(grey[None], 4, axis=0)

    return tuple(np.array([[picture(s, zoom) for s in thing_scenes(k)] for k in range(5)]) for zoom in ZOOMS)


def test_a_hidden_thing_begins_as_its_place_without_it_or_as_another_place(zooms):
    rng, same, spans = np.random.default_rng(2), 0, set()
    for _ in range(400):
        source, target, part, _, span = draw_thing(zooms[:1], rng, 64, Mix(), hidden=True)
        begun, wanted = (
            int(np.flatnonzero((zooms[0][:, place] == x).all(axis=(1, 2, 3)))[0])
            for place, x in ((1, source), (0, target))
        )
        same += begun == wanted
        spans.add(span)
        assert (part.min() < 1, part.max()) == (True, 1)
    assert same / 400 == pytest.approx(1 - FOREIGN * (1 - 1 / len(zooms[0])), abs=0.05)
    assert spans == {HIDDEN, SURROUNDED}


def test_a_thing_from_near_stays_in_the_window(zooms):
    """What is missing lies inside the patch, wherever the window was put."""
    rng, held = np.random.default_rng(3), []
    for _ in range(60):
        source, target, part, _, _ = draw_thing(zooms[1:], rng, 64, Mix(), hidden=True)
        assert source.shape == target.shape == (4, 64, 64)
        missing = np.abs(source - target)[0] > 30
        if 0 < missing.mean() < 0.2:
            held.append((part[missing] < 1).mean())
    assert np.median(held) > 0.9


def test_a_place_begun_as_another_picture_grows_into_its_surroundings_alone(zooms):
    rng, strange = np.random.default_rng(11), 0
    for _ in range(40):
        source, target, part, words, span = draw_place(zooms[:1], rng, 64, Mix(empty=0.0))
        (number,) = np.flatnonzero((zooms[0][:, 1] == target).all(axis=(1, 2, 3)))
        assert (zooms[0][:, 1] == source).all(axis=(1, 2, 3)).any()
        strange += not np.array_equal(source, target)
        assert (part.min() < 1, part.max(), span) == (True, 1, HIDDEN)
        thing = thing_scenes(int(number))[0].subject
        assert words
        assert not thing or not any(name in words.lower() for name in SUBJECT_WORDS[thing.kind])
    assert strange > 20


def test_a_hidden_moon_leaves_room_for_the_night_about_it():
    """The figure asks for a bright moon in a dark sky: one that filled its place would be learnt, and miss it."""
    rng = np.random.default_rng(12)
    scenes = [thing_scenes(number)[0].with_look(style="photo") for number in range(200)]
    moons = [(scene, spot) for scene in scenes for spot in spots(scene, rng) if "moon" in spot.words]
    dark = [moonlit(render_scene(scene, 64, 64).picture[patch(rng, 64, spot) < 0.5]) for scene, spot in moons]
    assert len(dark) > 20
    assert np.mean(dark) > 0.8


def test_a_thing_that_is_not_hidden_is_learnt_as_it_is(zooms):
    rng = np.random.default_rng(4)
    for _ in range(20):
        source, target, _, _, span = draw_thing(zooms, rng, 64, Mix(), hidden=False)
        assert source is target
        assert span == EVERY


def test_a_name_alone_asks_for_a_thing_only_where_its_surroundings_tell_the_rest():
    """At the last timesteps nothing is seen but the words: "a sailboat" is no pencil drawing there."""
    rng = np.random.default_rng(8)
    boat = Subject("sailboat", 0.5, 0.8, 0.3, "white")
    plain = replace(render(2, 16).scene, look=Look(), subject=boat)
    for scene in (plain, plain.with_look(style="pencil"), plain.with_look(style="ink", season="winter")):
        drawn = scene.look.style
        for _ in range(60):
            words, span = thing_words(scene, "a sailboat", rng, Mix())
            if span == HIDDEN and drawn != "photo":
                assert any(word in words.lower() for word in STYLE_WORDS[drawn])
        names = {thing_words(scene, "a sailboat", rng, Mix(empty=0.0)) for _ in range(60)}
        assert ("a sailboat", HIDDEN if drawn == "photo" else SURROUNDED) in names
    night = plain.with_look(time="night")
    assert ("the moon", HIDDEN) in {thing_words(night, "the moon", rng, Mix()) for _ in range(60)}


def test_things_are_seen_only_in_whole_pictures(latents, zooms):
    rng = np.random.default_rng(6)
    whole = Latents(np.zeros((2, LOOKS, 4, 64, 64), np.float32), zooms)
    mix = Mix(pairs=0.0, patches=1.0)
    assert {draw_sample(whole, rng, 64, mix).span for _ in range(30)} == {HIDDEN, SURROUNDED}
    assert draw_sample(whole, rng, 32, mix).span == EVERY
    assert draw_sample(Latents(latents), rng, 16, mix).span == EVERY


def test_some_hidden_places_are_to_stay_empty(zooms):
    whole, rng = Latents(np.zeros((2, LOOKS, 4, 64, 64), np.float32), zooms[:1] * len(ZOOMS)), np.random.default_rng(13)

    def holding_nothing(mix: Mix) -> float:
        targets = [draw_sample(whole, rng, 64, mix).target for _ in range(400)]
        return float(np.mean([(zooms[0][:, 1] == target).all(axis=(1, 2, 3)).any() for target in targets]))

    assert holding_nothing(Mix(pairs=0.0, patches=1.0)) == pytest.approx(EMPTIED, abs=0.05)
    assert holding_nothing(Mix(pairs=0.0, patches=0.0, near=1.0)) == 0


def test_things_are_many_and_each_lacks_only_what_can_be_named():
    rng, named = np.random.default_rng(7), set()
    for number in range(60):
        scene, without = thing_scenes(number)
        assert (without.ground, without.horizon, without.look) == (scene.ground, scene.horizon, scene.look)
        assert spots(scene, rng)
        assert not spots(without, rng)
        named |= {spot.words.split()[-1] for spot in spots(scene, rng)}
    assert {"moon", "balloon"} <= named


def test_a_patch_about_a_thing_holds_it_and_the_caption_may_name_it_alone():
    rng = np.random.default_rng(5)
    scenes = [s.with_look(time="night", weather="clear") for s in (group_scenes(k)[0] for k in range(60))]
    named = {spot.words for s in scenes for spot in spots(s, rng)}
    assert "the moon" in named
    assert any("house" in words for words in named)
    scene = next(s for s in scenes if s.subject and s.subject.kind == "house")
    cover = render_scene(scene, 64, 64).subject_mask > 127
    share = [1 - patch(rng, 64, spots(scene, rng)[0])[cover].mean() for _ in range(20)]
    assert min(share) > 0.99


def test_a_grown_unet_starts_by_doing_what_its_inner_levels_did():
    torch.manual_seed(0)
    inner, text = build_unet(SIDE // 2).eval(), torch.randn(2, 77, WIDTH)
    latents = torch.nn.functional.interpolate(torch.randn(2, 4, 16, 16), scale_factor=4, mode="bicubic")
    whole = build_unet().eval()
    whole.load_state_dict(grow(inner.state_dict(), latents))
    with torch.no_grad():
        small = inner(torch.nn.functional.avg_pool2d(latents, 2), torch.tensor([500]), text).sample
        large = torch.nn.functional.avg_pool2d(whole(latents, torch.tensor([500]), text).sample, 2)
    assert np.corrcoef(small.flatten(), large.flatten())[0, 1] > 0.8


def test_a_checkpoint_grows_but_does_not_shrink(kept, latents):
    def checkpoint(side: int) -> dict[str, object]:
        weights = torch.nn.ModuleList([build_unet(side), torch.nn.Linear(2, 2)]).state_dict()
        return {"weights": weights, "average": weights, "optimiser": {}, "step": 7}

    def stage(side: int) -> Stage:
        return Stage(side, 1.0, 1, 1e-3, False, Mix())

    grown = fitted(checkpoint(SIDE // 2), stage(SIDE), latents, kept)
    torch.nn.ModuleList([build_unet(), torch.nn.Linear(2, 2)]).load_state_dict(grown["weights"])
    assert grown["step"] == 7
    same = checkpoint(SIDE)
    assert fitted(same, stage(SIDE), latents, kept) is same
    with pytest.raises(ValueError, match="train it at 256 px, not at 128"):
        fitted(same, stage(128), latents, kept)


def test_windows_are_captioned_with_their_look_alone(latents):
    rng = np.random.default_rng(3)
    nouns = {
        "house",
        "cottage",
        "cabin",
        "oak",
        "cactus",
        "lighthouse",
        "sailboat",
        "balloon",
        "meadow",
        "desert",
        "lake",
    }
    for _ in range(100):
        source, _, _, words, _ = draw_sample(Latents(latents), rng, 8, Mix())
        assert source.shape == (4, 8, 8)
        assert not nouns & set(words.replace(",", " ").split())


def test_a_picture_from_words_alone_is_learnt_from_posed_layouts():
    layouts = np.broadcast_to(np.arange(40.0, dtype=np.float32)[:, None, None, None, None], (40, LOOKS, 4, 16, 16))
    rng = np.random.default_rng(9)
    plain = {int(draw_layout(layouts, rng, 16, Mix(), pair=False).target[0, 0, 0]) for _ in range(200)}
    pairs = {int(draw_layout(layouts, rng, 16, Mix(), pair=True).target[0, 0, 0]) for _ in range(400)}
    assert plain == {group for group in range(40) if posed(group)}
    assert pairs == set(range(40))


def test_words_alone_tell_whatever_is_not_as_usual():
    """Of the others the picture would be a mean: what goes without saying is a photo by day, in summer, clear."""
    rng, told, untold = np.random.default_rng(10), [], []
    scenes = [scene for seed in range(60) for scene in group_scenes(seed)]
    for scene in scenes:
        words = whole_words(scene, rng, Mix(empty=0.0)).lower()
        named = any(word in words for word in TIME_WORDS[scene.look.time])
        (untold if scene.look.time == "day" else told).append(named)
    assert np.mean(told) > 0.9
    assert 0.3 < np.mean(untold) < 0.8
    assert np.mean([whole_words(scene, rng, Mix(empty=0.3)) == "" for scene in scenes]) == pytest.approx(0.3, abs=0.1)


def test_windows_keep_to_the_grid_of_the_drawings():
    rng, places = np.random.default_rng(8), np.arange(64.0, dtype=np.float32)
    ramp = np.broadcast_to(places[:, None] + 100 * places[None, :], (2, LOOKS, 4, 64, 64))
    firsts = {draw_layout(ramp, rng, 32, Mix(), pair=False).target[0, 0, 0] for _ in range(200)}
    assert firsts == {y + 100 * x for y in range(0, 33, GRID) for x in range(0, 33, GRID)}


def test_the_facts_of_every_scene_are_listed():
    for seed in range(50):
        for scene in group_scenes(seed):
            named = [names[k] for names, k in zip(FACTS, facts_of(scene), strict=True)]
            assert named[:4] == [scene.look.style, scene.look.time, scene.look.season, scene.look.weather]
            assert named[5] == (scene.subject.kind if scene.subject else None)


def test_the_text_reaches_the_finest_resolution():
    """Other words change the picture even where attention to the words is cut off."""
    torch.manual_seed(0)
    unet, x = build_unet().eval(), torch.randn(1, 4, 16, 16)
    for name, parameter in unet.named_parameters():
        if "attn2.to_out" in name:
            torch.nn.init.zeros_(parameter)
    with torch.no_grad():
        one, other = (unet(x, torch.tensor([500]), torch.randn(1, 77, WIDTH)).sample for _ in range(2))
    assert (one - other).abs().max() > 1e-4


@pytest.mark.parametrize("shape", [(8, 40), (40, 8)])
def test_a_step_goes_along_all_directions_alike(shape):
    """The singular vectors of what is stepped along stay, the singular values come near 1."""
    torch.manual_seed(0)
    left, _, right = torch.linalg.svd(torch.randn(shape), full_matrices=False)
    found = left.T @ orthogonal(left @ torch.diag(torch.logspace(0, -1, 8)) @ right) @ right.T
    assert torch.allclose(found, torch.diag(torch.diag(found)), atol=1e-3)
    assert ((torch.diag(found) > 0.6) & (torch.diag(found) < 1.3)).all()


def test_training_goes_on_from_a_checkpoint_as_if_it_had_never_stopped():
    """Every weight is moved, and what a checkpoint keeps is all that the next step depends on."""
    torch.manual_seed(0)
    unet, words = build_unet(), torch.nn.Linear(WIDTH, WIDTH)
    first = copy.deepcopy(unet.state_dict())
    x, t, text = torch.randn(1, 4, 16, 16), torch.tensor([500]), torch.randn(1, 77, WIDTH)

    def train(steps: int) -> None:
        for _ in range(steps):
            unet(x, t, words(text)).sample.square().mean().backward()
            optimiser.step(1e-3)

    optimiser = Optimiser(unet, words)
    train(2)
    kept = copy.deepcopy((unet.state_dict(), words.state_dict(), optimiser.state_dict()))
    train(2)
    straight = copy.deepcopy(unet.state_dict())
    assert not [name for name in first if torch.equal(first[name], straight[name])]

    unet.load_state_dict(kept[0])
    words.load_state_dict(kept[1])
    optimiser = Optimiser(unet, words)
    optimiser.load_state_dict(kept[2])
    train(2)
    assert not [name for name, value in unet.state_dict().items() if not torch.equal(value, straight[name])]
