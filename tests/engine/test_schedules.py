"""Schedules: each against values that come from elsewhere (papers, diffusers, mpmath, or worked out by hand)."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import mpmath
import numpy as np
import pytest
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from hypothesis import given, settings
from hypothesis import strategies as st

from pentimento.engine.noise_scales import NoiseScale
from pentimento.engine.schedules import SCHEDULES, beta_quantile, polyexponential
from tests.engine.gaussian import CONFIG, ZERO_SNR

SD = NoiseScale.of(CONFIG)
FIVE_DEGREES = NoiseScale(np.geomspace(math.tan(math.radians(5)), math.tan(math.radians(85)), 1000))
DECADES = NoiseScale(np.geomspace(0.1, 10, 1000))


def sd_sigma(timestep: int) -> float:
    """Sigma of Stable Diffusion at a timestep, from the definition of its betas, in 50 digits."""
    with mpmath.workdps(50):
        low, high = mpmath.sqrt(mpmath.mpf("0.00085")), mpmath.sqrt(mpmath.mpf("0.012"))
        kept = mpmath.mpf(1)
        for t in range(timestep + 1):
            kept *= 1 - (low + (high - low) * t / 999) ** 2
        return float(mpmath.sqrt((1 - kept) / kept))


def theirs(count: int, **options: Any) -> np.ndarray:
    """The sigmas of diffusers' EulerDiscreteScheduler, without its last, 0."""
    scheduler: Any = EulerDiscreteScheduler.from_config({**CONFIG, **options})
    scheduler.set_timesteps(count)
    return scheduler.sigmas.double().numpy()[:-1]


def test_noise_scale_of_stable_diffusion():
    """Least and greatest sigma of SD 1.x as published with k-diffusion: 0.0292 and 14.6146."""
    assert SD.sigmas[0] == pytest.approx(0.0292, abs=1e-4)
    assert SD.sigmas[-1] == pytest.approx(14.6146, abs=1e-3)
    for timestep in (0, 1, 333, 999):
        assert SD.sigmas[timestep] == pytest.approx(sd_sigma(timestep), rel=2e-5)  # diffusers' betas are float32


@given(st.floats(0.001, 1))
def test_strength_is_a_place_on_the_noise_scale(strength):
    sigma = float(SD.sigma(SD.start(strength)))
    assert SD.fraction(sigma) == pytest.approx(max(strength, 1 / 1000), abs=1e-6)


@pytest.mark.parametrize(
    ("name", "timesteps"),
    [
        ("Uniform", [999, 888, 777, 666, 555, 444, 333, 222, 111, 0]),
        ("Normal", [999, 888, 777, 666, 555, 444, 333, 222, 111, 0]),
        ("SGM Uniform", [999, 666, 333]),
        # The four timesteps of SD Turbo.
        ("Turbo", [999, 749, 499, 249]),
        ("Turbo", [999, 856, 713, 570, 428, 285, 142]),
        # 999 - int(k 1000 / 7), as ComfyUI counts.
        ("Simple", [999, 857, 714, 571, 428, 285, 142]),
        # diffusers' "leading" with steps_offset 1 but for its first, 901.
        ("DDIM", [999, 801, 701, 601, 501, 401, 301, 201, 101, 1]),
    ],
)
def test_schedules_of_whole_timesteps(name, timesteps):
    sigmas = SCHEDULES[name](SD, 999, len(timesteps))
    assert sigmas == pytest.approx([sd_sigma(timestep) for timestep in timesteps], rel=2e-5)


def test_ddim_and_turbo_are_diffusers_leading_and_trailing():
    for count in (3, 7, 30):
        trailing: Any = DDIMScheduler.from_config({**CONFIG, "timestep_spacing": "trailing"})
        trailing.set_timesteps(count)
        assert SD.timestep(SCHEDULES["Turbo"](SD, 999, count)) == pytest.approx(trailing.timesteps.tolist())
    leading: Any = DDIMScheduler.from_config({**CONFIG, "timestep_spacing": "leading"})
    leading.set_timesteps(20)
    assert SD.timestep(SCHEDULES["DDIM"](SD, 999, 20))[1:] == pytest.approx(leading.timesteps[1:].tolist())


@pytest.mark.parametrize("count", [2, 10, 37])
def test_karras_exponential_and_uniform_are_diffusers(count):
    assert SCHEDULES["Karras"](SD, 999, count) == pytest.approx(theirs(count, use_karras_sigmas=True), rel=1e-4)
    assert SCHEDULES["Exponential"](SD, 999, count) == pytest.approx(
        theirs(count, use_exponential_sigmas=True), rel=1e-4
    )
    uniform = theirs(count, timestep_spacing="linspace")
    if count == 10:  # on whole timesteps only: between them diffusers interpolates sigma itself
        assert SCHEDULES["Uniform"](SD, 999, count) == pytest.approx(uniform, rel=1e-4)


def test_karras_as_published():
    """Eq. 5 of the paper with rho 7 from 10 to 0.1 in five values, worked out in mpmath."""
    with mpmath.workdps(30):
        low, high = mpmath.root(mpmath.mpf("0.1"), 7), mpmath.root(10, 7)
        expected = [float((high + (low - high) * k / 4) ** 7) for k in range(5)]
    assert SCHEDULES["Karras"](DECADES, 999, 5) == pytest.approx(expected)
    assert expected[2] == pytest.approx(1.4501, abs=1e-3)


def test_exponential_by_hand(monkeypatch):
    by_hand = [10, 3.16227766, 1, 0.316227766, 0.1]
    assert SCHEDULES["Exponential"](DECADES, 999, 5) == pytest.approx(by_hand)
    assert SCHEDULES["Polyexponential"](DECADES, 999, 5) == pytest.approx(by_hand)
    monkeypatch.setattr("pentimento.engine.schedules.POLYEXPONENTIAL_RHO", 2.0)
    # Logarithms -1 + 2 r^2 for r = 1, 3/4, 1/2, 1/4, 0.
    powers = [1, 0.125, -0.5, -0.875, -1]
    assert polyexponential(DECADES, 999, 5) == pytest.approx([10**power for power in powers])


def test_kl_optimal_by_hand():
    """Between the tangents of 85 and 5 degrees: those of 65, 45 and 25."""
    expected = [11.4300523, 2.1445069, 1, 0.4663077, 0.0874887]
    assert SCHEDULES["KL Optimal"](FIVE_DEGREES, 999, 5) == pytest.approx(expected)


def test_align_your_steps_as_published():
    """The noise levels for Stable Diffusion 1.5 that the authors publish, and between them the geometric means."""
    published = [14.615, 6.475, 3.861, 2.697, 1.886, 1.396, 0.963, 0.652, 0.399, 0.152, 0.029]
    assert SCHEDULES["Align Your Steps"](SD, 999, 10) == pytest.approx(published[:10], rel=1e-3)
    means = [math.sqrt(a * b) for a, b in pairwise(published)]
    assert SCHEDULES["Align Your Steps"](SD, 999, 20)[1::2] == pytest.approx(means, rel=4e-3)
    # From a published level down, with as many steps as are left, the rest of them.
    start = float(SD.timestep(1.396))
    assert SCHEDULES["Align Your Steps"](SD, start, 5) == pytest.approx(published[5:10], rel=1e-3)


def test_beta_is_at_equal_quantiles():
    for count in (4, 9):
        timesteps = SD.timestep(SCHEDULES["Beta"](SD, 999, count)) / 999
        mass = [float(mpmath.betainc(0.6, 0.6, 0, x, regularized=True)) for x in timesteps]
        assert mass == pytest.approx([1 - k / count for k in range(count)], abs=1e-9)


@given(st.floats(0, 1))
@settings(max_examples=30)
def test_beta_quantiles_are_those_of_mpmath(share):
    x = float(beta_quantile(np.array([share]))[0])
    assert float(mpmath.betainc(0.6, 0.6, 0, x, regularized=True)) == pytest.approx(share, abs=1e-10)


@given(
    st.sampled_from([0, 1, 2]).map([SD, NoiseScale.of(ZERO_SNR), DECADES].__getitem__),
    st.sampled_from(list(SCHEDULES)),
    st.integers(1, 150),
    st.floats(0.001, 1),
)
def test_every_schedule_has_its_steps_and_falls_from_the_start(scale, name, count, strength):
    start = scale.start(strength)
    sigmas = SCHEDULES[name](scale, start, count)
    assert len(sigmas) == count
    assert sigmas[0] == pytest.approx(float(scale.sigma(start)), rel=1e-9)
    assert (sigmas > 0).all()
    assert (np.diff(sigmas) <= 1e-12 * sigmas[:-1]).all()
    if start > 2:
        assert (np.diff(sigmas) < 0).all()
