"""The loop itself, in latents: what is held is the source to the last bit, and softer px change less."""

from __future__ import annotations

import pytest
import torch

from pentimento.engine.denoise import Source, Step, denoise, noise_for
from pentimento.engine.prompts.guidance import Encoder
from pentimento.engine.prompts.resolving import PromptReader
from pentimento.engine.samplers import SAMPLERS, make_plan

SHAPE = (4, 16, 16)


@pytest.fixture
def run(studio):
    """run(selection, sampler, strength, seeds) -> (source latents, result latents, steps reported)."""
    model = studio.engine.model(studio.engine.library.get("tiny"))
    written = {"prompt": "a lake", "negative_prompt": "", "styles": ""}
    prompts = PromptReader(studio.engine.prompt_files).read(written, 0)
    source = torch.randn((1, *SHAPE), generator=torch.Generator().manual_seed(3))

    @torch.inference_mode()
    def run(selection=None, sampler="DPM++ 2M", strength=1.0, seeds=(1,)):
        steps: list[Step] = []
        plan = make_plan(model.components["scheduler"].config, sampler, "SGM Uniform", 10, strength)
        result = denoise(
            model,
            plan,
            conditions=[Encoder(model, 1, plan.count).conditions(prompts, 7)] * len(seeds),
            cfg_scale=7,
            seeds=seeds,
            latent_shape=SHAPE,
            source=Source(source, selection),
            on_step=steps.append,
        )
        return source, result, steps

    return run


def ramp() -> torch.Tensor:
    """Columns of 0, 0.05, 0.35, 0.65, 0.95, 1 and so on, four px wide where it matters."""
    levels = torch.tensor([0, 0, 0, 0, 0.05, 0.05, 0.35, 0.35, 0.35, 0.65, 0.65, 0.65, 0.95, 0.95, 1, 1])
    return levels.expand(1, 1, 16, 16).contiguous()


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("strength", [0.4, 1.0])
def test_px_that_are_never_free_come_back_to_the_last_bit(run, sampler, strength):
    source, result, _ = run(ramp(), sampler, strength)
    # The last of 10 steps starts at 1/10 of the way: px of 0 and 0.05 are never free.
    never = 6 if strength == 1 else 4
    assert torch.equal(result[..., :never], source[..., :never])
    assert (result[..., 14:] != source[..., 14:]).all()


@pytest.mark.parametrize("sampler", ["Euler", "DPM++ 2M", "UniPC"])
def test_softer_px_change_less(run, sampler):
    """Change over the columns' levels rises with the mask value, over several seeds."""
    source, result, _ = run(ramp(), sampler, seeds=tuple(range(8)))
    change = (result - source).abs().mean(dim=(0, 1, 2))
    by_level = [change[columns].mean().item() for columns in ([1, 2], [7], [10], [14, 15])]
    assert by_level[0] == 0
    assert by_level == sorted(by_level)


def test_every_step_is_reported_with_the_estimate_of_the_picture(run):
    _, result, steps = run(strength=0.6)
    assert [step.number for step in steps] == list(range(1, 11))
    assert torch.allclose(steps[-1].denoised, result, atol=1e-4)


def test_noise_of_a_seed_does_not_depend_on_the_others():
    together, _ = noise_for((4, 5, 6), SHAPE)
    for index, seed in enumerate((4, 5, 6)):
        assert torch.equal(noise_for((seed,), SHAPE)[0][0], together[index])
