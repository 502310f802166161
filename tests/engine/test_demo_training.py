"""What the demo model learns from: noisy latents whose v leads to what was asked, and captions that say it."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch

from pentimento.demo.data import LOOKS, group_scenes
from pentimento.demo.denoiser import Stage, fitted, noised, training_betas
from pentimento.demo.optimize import Optimiser
from pentimento.demo.render import render_scene
from pentimento.demo.samples import Batch, Mix, draw_sample, patch, spots
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
    noisy, t, v, weight = noised(
        Batch(source, target, torch.rand(64, 1, 8, 8), torch.zeros(64, 77), paired), kept, loud
    )
    root, rest = kept[t].sqrt()[:, None, None, None], (1 - kept[t]).sqrt()[:, None, None, None]
    assert torch.allclose(root * noisy - rest * v, target, atol=1e-4)
    assert (t[paired] >= 200).all()
    assert ((weight > 0) & (weight <= 1)).all()
    assert ((noisy - root * source) / rest)[~paired].std().item() == pytest.approx(loud, rel=0.05)


def test_a_pair_is_one_layout_in_two_looks_and_its_caption_is_never_empty(latents):
    rng = np.random.default_rng(1)
    for _ in range(100):
        source, target, part, words, paired = draw_sample(latents, rng, 16, Mix(pairs=1.0, patches=0.0, empty=1.0))
        found = [
            int(np.flatnonzero((latents.reshape(-1, 4, 16, 16) == x).all(axis=(1, 2, 3)))[0]) for x in (source, target)
        ]
        assert found[0] // LOOKS == found[1] // LOOKS
        looks = [group_scenes(k // LOOKS)[k % LOOKS].look for k in found]
        assert paired == (looks[0] != looks[1])
        assert bool(words) == paired
        assert np.ptp(part) == 0


def test_a_patch_leaves_the_rest_of_the_picture_as_the_target_has_it(latents):
    rng = np.random.default_rng(2)
    for _ in range(20):
        _, _, part, _, paired = draw_sample(latents, rng, 16, Mix(pairs=0.0, patches=1.0))
        assert paired
        assert part.max() == 1
    ellipse = patch(rng, 64)
    assert (ellipse.min(), ellipse.max()) == (0, 1)
    assert 0.02 < (ellipse < 0.5).mean() < 0.5


def test_a_patch_about_a_thing_holds_it_and_the_caption_may_name_it_alone():
    rng = np.random.default_rng(5)
    scenes = [s.with_look(time="night", weather="clear") for s in (group_scenes(k)[0] for k in range(60))]
    named = {spot.words for s in scenes for spot in spots(s, rng)}
    assert "the moon" in named
    assert any("house" in words for words in named)
    scene = next(s for s in scenes if s.subject and s.subject.kind == "house")
    cover = render_scene(scene, 64, 64).subject_mask > 127
    share = [1 - patch(rng, 64, spots(scene, rng)[0])[cover].mean() for _ in range(20)]
    assert np.mean(share) > 0.9


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
        source, _, _, words, _ = draw_sample(latents, rng, 8, Mix())
        assert source.shape == (4, 8, 8)
        assert not nouns & set(words.replace(",", " ").split())


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
