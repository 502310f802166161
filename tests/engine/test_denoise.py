"""The loop itself, in latents: what is held is the source to the last bit, and softer px change less."""

from __future__ import annotations

import itertools

import pytest
import torch

from pentimento.engine.denoise import Source, Step, denoise
from pentimento.engine.families.family import Told
from pentimento.engine.noise import Seed, noise_for
from pentimento.engine.noise_scales import NoiseScale
from pentimento.engine.prompts.guidance import Encoder
from pentimento.engine.prompts.resolving import PromptReader
from pentimento.engine.samplers import SAMPLERS, Plan, make_plan
from pentimento.engine.schedules import SCHEDULES
from pentimento_shared.geometry import Size

SHAPE = (4, 16, 16)
SMALL = (4, 8, 8)


@pytest.fixture
def model(studio):
    return studio.engine.model(studio.engine.library.get("tiny"))


@pytest.fixture
def sample(model, studio):
    """sample(plan, source, seeds, shape, cfg_scale) -> (latents, what was reported)."""
    prompts = PromptReader(studio.engine.prompt_files).read(
        {"prompt": "a lake", "negative_prompt": "", "styles": ""}, 0
    )

    @torch.inference_mode()
    def sample(plan: Plan, source: Source | None, seeds=(1,), shape=SHAPE, cfg_scale=7.0):
        steps: list[Step] = []
        latents = denoise(
            model,
            plan,
            conditions=[Encoder(model, 1, plan.count).conditions(prompts, cfg_scale)] * len(seeds),
            told=Told(Size(*shape[1:]), cfg_scale),
            seeds=[Seed(seed) for seed in seeds],
            latent_shape=shape,
            source=source,
            on_step=steps.append,
        )
        return latents, steps

    return sample


@pytest.fixture
def plan(model):
    """plan(sampler, strength, schedule, steps) -> the plan for the tiny model."""

    def plan(sampler="DPM++ 2M", strength=1.0, schedule="SGM Uniform", steps=10):
        return make_plan(NoiseScale.of(model.components["scheduler"].config), sampler, schedule, steps, strength)

    return plan


def latents(shape: tuple[int, ...] = SHAPE) -> torch.Tensor:
    """A source."""
    return torch.randn((1, *shape), generator=torch.Generator().manual_seed(3))


def ramp() -> torch.Tensor:
    """Columns of 0, 0.05, 0.35, 0.65, 0.95, 1 and so on, four px wide where it matters."""
    levels = torch.tensor([0, 0, 0, 0, 0.05, 0.05, 0.35, 0.35, 0.35, 0.65, 0.65, 0.65, 0.95, 0.95, 1, 1])
    return levels.expand(1, 1, 16, 16).contiguous()


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("strength", [0.4, 1.0])
def test_px_that_are_never_free_come_back_to_the_last_bit(plan, sample, sampler, strength):
    source, way = latents(), plan(sampler, strength, steps=3)
    result, _ = sample(way, Source(source, ramp()), cfg_scale=1)
    never = ramp()[0, 0, 0] < way.scale.fraction(way.evaluations[-1].begin) - 1e-4
    assert never.sum() in (6, 9)
    assert torch.equal(result[..., never], source[..., never])
    assert (result[..., 14:] != source[..., 14:]).all()


@pytest.mark.parametrize("sampler", ["Euler", "DPM++ 2M", "UniPC", "Restart"])
def test_softer_px_change_less(plan, sample, sampler):
    """Change over the columns' levels rises with the mask value, over several seeds."""
    source = latents()
    result, _ = sample(plan(sampler), Source(source, ramp()), seeds=tuple(range(4)), cfg_scale=1)
    change = (result - source).abs().mean(dim=(0, 1, 2))
    by_level = [change[columns].mean().item() for columns in ([1, 2], [7], [10], [14, 15])]
    assert by_level[0] == 0
    assert by_level == sorted(by_level)


@pytest.mark.parametrize("sampler", ["Heun", "DPM++ SDE", "UniPC", "PLMS", "Restart"])
def test_the_model_always_sees_held_px_as_the_source_under_its_noise(model, plan, sample, sampler):
    """In the second look of a step too, and where Restart goes up again."""
    seen: list[torch.Tensor] = []
    hook = model.components["unet"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    source, way = latents(), plan(sampler, 0.9, steps=9)
    try:
        sample(way, Source(source, ramp()), cfg_scale=1)
    finally:
        hook.remove()
    noise = noise_for((Seed(1),), SHAPE)[0]
    for latent, look in zip(seen, way.evaluations, strict=True):
        held = (ramp() < way.scale.fraction(look.begin) - 1e-4).expand(1, *SHAPE)
        expected = (source + look.sigma * noise) / (1 + look.sigma**2) ** 0.5
        assert torch.allclose(latent[held], expected[held], atol=1e-5)
        assert not torch.allclose(latent[~held], expected[~held], atol=1e-2) or look is way.evaluations[0]


@pytest.mark.parametrize(("sampler", "looks"), [("DPM++ 2M", 6), ("Heun", 11), ("PLMS", 7), ("Restart", 11)])
def test_every_look_is_reported_with_the_estimate_of_the_picture(plan, sample, sampler, looks):
    result, steps = sample(plan(sampler, 0.6, steps=6), Source(latents()))
    numbers = [step.number for step in steps]
    assert len(steps) == looks
    assert numbers == sorted(numbers)
    assert set(numbers) | {0} == set(range(7))
    assert {step.steps for step in steps} == {6}
    assert [step.share for step in steps] == pytest.approx([(k + 1) / looks for k in range(looks)])
    assert torch.allclose(steps[-1].denoised, result, atol=1e-4)


@pytest.mark.parametrize(("sampler", "schedule"), list(itertools.product(SAMPLERS, SCHEDULES)))
def test_every_pair_makes_a_picture_and_at_strength_1_nothing_of_the_source(plan, sample, sampler, schedule):
    way = plan(sampler, 1.0, schedule, steps=2)
    plain, _ = sample(way, None, shape=SMALL, cfg_scale=1)
    everything = torch.ones((1, 1, *SMALL[1:]))
    assert torch.equal(sample(way, Source(latents(SMALL), everything), shape=SMALL, cfg_scale=1)[0], plain)
    assert plain.isfinite().all()
    assert 0.1 < plain.std() < 10


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_picture_k_of_a_batch_has_its_own_noise_throughout(plan, sample, sampler):
    """Side by side in one batch, as on a GPU; only the last bits may differ from the picture alone."""
    way = plan(sampler, 0.7, steps=5)
    together, _ = sample(way, Source(latents(SMALL)), (5, 6, 7), SMALL, 1)
    for index, seed in enumerate((5, 6, 7)):
        alone, _ = sample(way, Source(latents(SMALL)), (seed,), SMALL, 1)
        assert torch.allclose(together[index], alone[0], atol=1e-4)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_more_strength_never_means_less_change(plan, sample, sampler):
    source = latents(SMALL)
    changes = [
        (sample(plan(sampler, strength, steps=4), Source(source), (1, 2), SMALL, 1)[0] - source).abs().mean().item()
        for strength in (0.05, 0.2, 0.5)
    ]
    assert changes == sorted(changes)


def test_noise_of_a_seed_does_not_depend_on_the_others():
    together, _ = noise_for((Seed(4), Seed(5), Seed(6)), SHAPE)
    for index, seed in enumerate((4, 5, 6)):
        assert torch.equal(noise_for((Seed(seed),), SHAPE)[0][0], together[index])
