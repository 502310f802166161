"""Solvers: that each has the order of its name, and is the one that papers and diffusers have under it."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_euler_ancestral_discrete import EulerAncestralDiscreteScheduler
from diffusers.schedulers.scheduling_heun_discrete import HeunDiscreteScheduler
from diffusers.schedulers.scheduling_lcm import LCMScheduler
from diffusers.schedulers.scheduling_tcd import TCDScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler

from pentimento.engine.noise_scales import NoiseScale
from pentimento.engine.samplers import SAMPLERS, Plan, make_plan
from pentimento.engine.schedules import SCHEDULES
from tests.engine.gaussian import CONFIG, DEMO, DEVIATION, ZERO_SNR, denoised, relative_error, walk

DISTILLED = ("LCM", "TCD")
"""Their models answer with the end of the way at once; on an exact denoiser they have nothing to converge to."""
SHAPE = (1, 4, 8, 8)


def error(sampler: str, schedule: str, steps: int) -> float:
    return relative_error(make_plan(NoiseScale.of(CONFIG), sampler, schedule, steps, 1))


@pytest.mark.parametrize(
    ("sampler", "order"),
    [
        ("Euler", 1),
        ("DDIM", 1),
        ("Euler a", 1),
        ("Heun", 2),
        ("DPM2", 2),
        ("DPM2 a", 2),
        ("DPM++ 2M", 2),
        ("DPM++ 2S a", 2),
        ("DPM++ SDE", 2),
        ("DPM++ 2M SDE", 2),
        ("DPM++ 3M SDE", 2),
        ("PLMS", 2),
        ("UniPC", 3),
        ("DEIS", 3),
        ("LMS", 4),
    ],
)
def test_order_of_convergence(sampler, order):
    """With twice the steps the error falls by 2 to the power of the order (measured from 40 to 80 to 160 steps)."""
    coarse, middle, fine = (abs(error(sampler, "Exponential", steps)) for steps in (40, 80, 160))
    # The order is reached from below or above; half an order is the distance to the next one.
    assert math.log2(coarse / fine) / 2 == pytest.approx(order, abs=0.5)
    assert fine < middle < coarse < 0.09


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name not in DISTILLED])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_every_pair_comes_to_the_pictures_distribution(sampler, schedule):
    """With 150 steps the spread of the pictures is right to 8 % whatever the pair, and better than with 25."""
    assert abs(error(sampler, schedule, 150)) < min(0.08, abs(error(sampler, schedule, 25)) + 0.002)


@pytest.mark.parametrize("sampler", [name for name in SAMPLERS if name not in DISTILLED])
def test_pictures_keep_their_sign_and_stay_in_bounds(sampler):
    """A deterministic solver maps the noise onto the picture that the exact solution maps it onto."""
    plan = make_plan(NoiseScale.of(CONFIG), sampler, "Karras", 80, 0.7)
    x = torch.linspace(-3, 3, 7, dtype=torch.float64) * math.hypot(DEVIATION, float(plan.sigmas[0]))
    came = walk(plan, x, lambda: torch.zeros_like(x))
    assert (came.sign() == x.sign()).all()
    if "a" not in sampler.split() and "SDE" not in sampler and sampler != "Restart":
        assert came == pytest.approx(x / x.max() * 3 * DEVIATION, rel=0.03)


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("config", [DEMO, ZERO_SNR])
def test_an_error_of_the_model_at_next_to_pure_noise_does_not_grow(sampler, config):
    """Sigma falls from 333 (demo model) or 4096 (zero terminal SNR) to about 27 in one step, and what a model says of
    the picture up there is none too exact: of an error of 1 next to nothing must reach the picture."""
    plan = make_plan(NoiseScale.of(config), sampler, "SGM Uniform", 20, 1)
    assert plan.sigmas[0] > 10 * plan.sigmas[1]
    nothing = torch.zeros(1, dtype=torch.float64)
    came = walk(plan, nothing, lambda: nothing, lambda x, sigma: denoised(x, sigma) + (sigma > 100))
    assert abs(float(came)) < 0.02


def test_restart_goes_down_a_part_of_the_way_again():
    plan = make_plan(NoiseScale.of(CONFIG), "Restart", "Karras", 20, 1)
    rises = np.flatnonzero(np.diff(plan.sigmas) > 0)
    assert len(rises) == 1
    assert 0.05 < plan.sigmas[rises[0]] < 0.2
    assert 1.5 < plan.sigmas[rises[0] + 1] < 2.6
    assert plan.count == 20
    twice = make_plan(NoiseScale.of(CONFIG), "Restart", "Karras", 40, 1)
    assert (np.diff(twice.sigmas) > 0).sum() == 2
    assert twice.count == 40


def test_restart_corrects_what_the_first_way_down_got_wrong():
    """Its point: of an error made above sigma 2, less is left at the end than after Heun's method alone."""
    restarted, plain = (
        make_plan(NoiseScale.of(CONFIG), "Restart", "Karras", 40, 1),
        make_plan(NoiseScale.of(CONFIG), "Heun", "Karras", 40, 1),
    )
    wrong = 1.2 * math.hypot(DEVIATION, float(plain.sigmas[0]))
    units = iter(torch.eye(9, dtype=torch.float64))
    first = next(units)
    came = walk(restarted, wrong * first, lambda: next(units)).norm() / DEVIATION - 1
    alone = walk(plain, wrong * first, lambda: first).norm() / DEVIATION - 1
    assert abs(float(came)) < 0.5 * abs(float(alone))


def reference(scheduler: type[Any], plan: Plan, seed: int, **options: Any) -> torch.Tensor:
    """What diffusers' own scheduler makes of the plan's sigmas and the noise of that seed."""

    class Planned(scheduler):
        init_noise_sigma = 1.0

        def set_timesteps(self, *args: Any, **kwargs: Any) -> None:
            super().set_timesteps(*args, **kwargs)
            self.sigmas = torch.tensor(plan.sigmas, dtype=torch.float32)
            self.timesteps = torch.tensor(plan.scale.timestep(plan.sigmas[:-1]), dtype=torch.float32)
            if scheduler is HeunDiscreteScheduler:  # each but the first twice
                self.sigmas = torch.cat([self.sigmas[:1], self.sigmas[1:-1].repeat_interleave(2), self.sigmas[-1:]])
                self.timesteps = torch.cat([self.timesteps[:1], self.timesteps[1:].repeat_interleave(2)])
            self.num_inference_steps = plan.count

    theirs: Any = Planned.from_config({**CONFIG, **options})
    theirs.set_timesteps(plan.count)
    theirs._begin_index = 0
    draws = torch.Generator().manual_seed(seed)
    preserving = scheduler in (DPMSolverMultistepScheduler, UniPCMultistepScheduler)
    x = torch.randn(SHAPE, generator=draws) * math.hypot(DEVIATION, float(plan.sigmas[0]))
    x = x / math.sqrt(1 + float(plan.sigmas[0]) ** 2) if preserving else x
    extra = {"generator": draws} if (preserving and "sde" in str(options)) or "Ancestral" in str(scheduler) else {}
    for timestep in theirs.timesteps:
        sigma = float(theirs.sigmas[theirs.step_index or 0])
        noisy = x * math.sqrt(1 + sigma**2) if preserving else x
        theirs.scale_model_input(x, timestep)
        x = theirs.step((noisy - denoised(noisy, sigma)) / sigma, timestep, x, **extra).prev_sample
    return x


def ours(plan: Plan, seed: int) -> torch.Tensor:
    draws = torch.Generator().manual_seed(seed)
    x = torch.randn(SHAPE, generator=draws) * math.hypot(DEVIATION, float(plan.sigmas[0]))
    return walk(plan, x, lambda: torch.randn(SHAPE, generator=draws))


@pytest.mark.parametrize(
    ("sampler", "scheduler", "options"),
    [
        ("DPM++ 2M", DPMSolverMultistepScheduler, {"solver_order": 2, "algorithm_type": "dpmsolver++"}),
        ("DPM++ 2M SDE", DPMSolverMultistepScheduler, {"solver_order": 2, "algorithm_type": "sde-dpmsolver++"}),
        ("UniPC", UniPCMultistepScheduler, {"solver_order": 2}),
        ("Euler a", EulerAncestralDiscreteScheduler, {}),
        ("Heun", HeunDiscreteScheduler, {}),
    ],
)
@pytest.mark.parametrize("schedule", ["Karras", "SGM Uniform"])
def test_solvers_are_diffusers_where_it_has_them(sampler, scheduler, options, schedule):
    plan = make_plan(NoiseScale.of(CONFIG), sampler, schedule, 12, 1)
    assert ours(plan, 5) == pytest.approx(reference(scheduler, plan, 5, **options), abs=2e-4)


@pytest.mark.parametrize(
    ("sampler", "scheduler"), [("DDIM", DDIMScheduler), ("LCM", LCMScheduler), ("TCD", TCDScheduler)]
)
def test_solvers_are_diffusers_on_timesteps_that_it_can_take(sampler, scheduler):
    """The latents before each of 10 steps; from the last one TCDScheduler does not go down to sigma 0."""
    theirs: Any = scheduler.from_config({**CONFIG, "timestep_spacing": "trailing", "set_alpha_to_one": True})
    theirs.set_timesteps(10)
    scale = NoiseScale.of(CONFIG)
    sigmas = scale.sigma(theirs.timesteps.double().numpy())
    plan = Plan(SAMPLERS[sampler], scale, np.append(sigmas, 0.0), True)
    seen: list[torch.Tensor] = []

    def model(x: torch.Tensor, sigma: float) -> torch.Tensor:
        seen.append(x)
        return denoised(x, sigma)

    draws = torch.Generator().manual_seed(3)
    came = torch.randn(SHAPE, generator=draws) * math.hypot(DEVIATION, float(sigmas[0]))
    walk(plan, came, lambda: torch.randn(SHAPE, generator=draws), model)
    draws.manual_seed(3)
    x = torch.randn(SHAPE, generator=draws) * math.hypot(DEVIATION, float(sigmas[0])) / math.hypot(1, float(sigmas[0]))
    extra = {} if sampler == "DDIM" else {"generator": draws}
    # TCDScheduler rounds the timestep that it goes down to; ours does not.
    tolerance = 0.02 if sampler == "TCD" else 2e-4
    for timestep, sigma, mine in zip(theirs.timesteps, sigmas.tolist(), seen, strict=True):
        noisy = x * math.sqrt(1 + sigma**2)
        assert mine == pytest.approx(noisy, abs=tolerance * sigma)
        x = theirs.step((noisy - denoised(noisy, sigma)) / sigma, timestep, x, **extra).prev_sample


@pytest.mark.parametrize("steps", [1, 4, 10])
def test_lcm_keeps_the_distribution_of_a_consistency_model(steps):
    """With the exact consistency function every step comes to the pictures' distribution, be it one or ten."""

    def consistent(x: torch.Tensor, sigma: float) -> torch.Tensor:
        return x * DEVIATION / math.hypot(DEVIATION, sigma)

    plan = make_plan(NoiseScale.of(CONFIG), "LCM", "Turbo", steps, 1)
    units = iter(torch.eye(12, dtype=torch.float64))
    came = walk(plan, next(units) * math.hypot(DEVIATION, float(plan.sigmas[0])), lambda: next(units), consistent)
    assert float(came.norm()) == pytest.approx(DEVIATION, rel=1e-9)


@pytest.mark.parametrize(
    ("sampler", "noise", "integral"),
    [
        ("LMS", lambda s: 1 + s + s**2 / 2 + s**3 / 8, lambda s: s + s**2 / 2 + s**3 / 6 + s**4 / 32),
        # On this scale the timestep is a multiple of log sigma.
        ("DEIS", lambda s: 1 + math.log(s) ** 2, lambda s: s + s * (math.log(s) ** 2 - 2 * math.log(s) + 2)),
    ],
)
def test_multistep_solvers_follow_the_polynomials_of_their_order(sampler, noise, integral):
    """Of a noise estimate that is a cubic in sigma (LMS) or a parabola in the timestep (DEIS) the integral is exact,
    once there are as many steps to look back to."""
    scale = NoiseScale(np.geomspace(0.1, 10, 1000))
    seen: list[tuple[float, float]] = []

    def model(x: torch.Tensor, sigma: float) -> torch.Tensor:
        seen.append((sigma, float(x)))
        return x - sigma * noise(sigma)

    start = torch.zeros(1, dtype=torch.float64)
    walk(Plan(SAMPLERS[sampler], scale, np.append(np.geomspace(10, 0.1, 12), 0.0), True), start, lambda: start, model)
    for (sigma, before), (target, after) in list(pairwise(seen))[3:]:
        assert before - after == pytest.approx(integral(sigma) - integral(target), rel=1e-7)
