"""Samplers and schedules: where they start, that they fall, and that each solver is the one it is named after."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from hypothesis import given
from hypothesis import strategies as st

from pentimento.engine.samplers import SAMPLERS, SCHEDULES, NoiseScale, make_plan, resolve_schedule, scheduler_for
from pentimento_shared import settings as table

CONFIG = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
ZERO_SNR = {**CONFIG, "rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"}


def test_every_name_of_the_table_is_honoured_and_no_other():
    assert tuple(SAMPLERS) == table.SAMPLERS
    assert {"Automatic", *SCHEDULES} == set(table.SCHEDULES)


def test_noise_scale_of_stable_diffusion():
    """Least and greatest sigma of SD 1.x as published with k-diffusion: 0.0292 and 14.6146."""
    scale = NoiseScale.of(CONFIG)
    assert scale.sigmas[0] == pytest.approx(0.0292, abs=1e-4)
    assert scale.sigmas[-1] == pytest.approx(14.6146, abs=1e-3)


@given(st.floats(0.001, 1))
def test_strength_is_a_place_on_the_noise_scale(strength):
    scale = NoiseScale.of(CONFIG)
    sigma = float(scale.sigma(scale.start(strength)))
    assert scale.fraction(sigma) == pytest.approx(max(strength, 1 / 1000), abs=1e-6)


@given(st.sampled_from([CONFIG, ZERO_SNR]), st.sampled_from(list(SCHEDULES)), st.integers(1, 60), st.floats(0.01, 1))
def test_every_schedule_starts_at_the_strength_and_falls_to_zero(config, schedule, steps, strength):
    plan = make_plan(config, "Euler", schedule, steps, strength)
    assert plan.fractions()[0] == pytest.approx(max(strength, 1 / 1000), abs=1e-6)
    assert (np.diff(plan.sigmas) < 0).all()
    assert plan.sigmas[-1] == 0
    assert plan.count == len(plan.timesteps) <= steps


def test_karras_as_published():
    """Sigmas of k-diffusion's get_sigmas_karras(5, 0.1, 10), rho 7, computed by hand from eq. 5 of the paper."""
    low, high = 0.1 ** (1 / 7), 10 ** (1 / 7)
    expected = [(high + k / 4 * (low - high)) ** 7 for k in range(5)]
    scale = NoiseScale(np.geomspace(0.1, 10, 1000))
    assert SCHEDULES["Karras"](scale, 999, 5) == pytest.approx(expected)


def test_uniform_ends_at_timestep_0_and_sgm_uniform_one_step_above():
    scale = NoiseScale.of(CONFIG)
    assert scale.timestep(SCHEDULES["Uniform"](scale, 999, 4)) == pytest.approx([999, 666, 333, 0], abs=1e-6)
    assert scale.timestep(SCHEDULES["SGM Uniform"](scale, 999, 3)) == pytest.approx([999, 666, 333], abs=1e-6)


def test_automatic():
    assert resolve_schedule("Automatic", "DPM++ 2M") == "Karras"
    assert resolve_schedule("Automatic", "Euler") == "Uniform"
    assert resolve_schedule("Automatic", "Euler", preferred="SGM Uniform") == "SGM Uniform"
    assert resolve_schedule("Karras", "Euler", preferred="SGM Uniform") == "Karras"


def walk(plan, config, model):
    """x0 that the plan's scheduler comes to from pure noise; `model(x, timestep)` in variance-preserving scaling."""
    scheduler = scheduler_for(plan, config)
    scheduler.set_timesteps(plan.count)
    noise = torch.randn((1, 4, 32, 32), generator=torch.Generator().manual_seed(0))
    sigma = float(plan.sigmas[0])
    draws = torch.Generator().manual_seed(1)
    kwargs = {"generator": draws} if "Ancestral" in str(plan.sampler.scheduler) else {}
    x = noise * plan.amplitude(sigma) * (1 + sigma**2) ** 0.5
    for timestep in scheduler.timesteps:
        output = model(scheduler.scale_model_input(x, timestep), timestep)
        x = scheduler.step(output, timestep, x, **kwargs).prev_sample
    return x


def gaussian(scale: NoiseScale, deviation: float = 0.5):
    """The exact noise predictor for pictures from a normal distribution of that deviation around 0."""

    def model(x, timestep):
        sigma = float(scale.sigma(float(timestep)))
        return x * (1 + sigma**2) ** 0.5 * sigma / (deviation**2 + sigma**2)

    return model


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_solvers_come_to_the_distribution_they_denoise(sampler, schedule):
    """On pictures of deviation 0.5 a solver of 60 steps ends there within 15 % (first-order ones are that far off)."""
    plan = make_plan(CONFIG, sampler, schedule, 60, 1)
    assert float(walk(plan, CONFIG, gaussian(plan.scale)).std()) == pytest.approx(0.5, rel=0.15)


def test_ddim_is_diffusers_ddim():
    """On timesteps that diffusers' own DDIMScheduler can take, the same picture."""
    theirs: Any = DDIMScheduler.from_config({**CONFIG, "timestep_spacing": "trailing", "set_alpha_to_one": True})
    theirs.set_timesteps(10)
    scale = NoiseScale.of(CONFIG)
    model = gaussian(scale)
    plan = make_plan(CONFIG, "DDIM", "SGM Uniform", 10, 1)
    exact = type(plan)(plan.sampler, scale, np.append(scale.sigma(theirs.timesteps.double().numpy()), 0.0), True)
    x = torch.randn((1, 4, 32, 32), generator=torch.Generator().manual_seed(0))
    for timestep in theirs.timesteps:
        x = theirs.step(model(x, timestep), timestep, x).prev_sample
    assert float((walk(exact, CONFIG, model) - x).abs().max()) < 1e-4


@pytest.mark.parametrize("config", [CONFIG, ZERO_SNR])
def test_the_latest_estimate_of_the_picture_is_kept(config):
    plan = make_plan(config, "Euler", "SGM Uniform", 5, 0.8)
    scheduler = scheduler_for(plan, config)
    scheduler.set_timesteps(plan.count)
    picture = torch.full((1, 4, 8, 8), 0.3)
    noise = torch.randn_like(picture)
    sigma = float(plan.sigmas[0])
    x = picture + sigma * noise
    alpha = 1 / (1 + sigma**2) ** 0.5
    velocity = alpha * noise - sigma * alpha * picture
    output = velocity if config["prediction_type"] == "v_prediction" else noise
    scheduler.scale_model_input(x, scheduler.timesteps[0])
    scheduler.step(output, scheduler.timesteps[0], x)
    assert torch.allclose(scheduler.denoised, picture, atol=1e-4)
