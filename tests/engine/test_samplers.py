"""The table of samplers and the plan of a run: names, where it starts, how many steps, where the model is asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pentimento.engine.noise_scales import NoiseScale
from pentimento.engine.samplers import SAMPLERS, make_plan, resolve_schedule, steps_to_run
from pentimento.engine.schedules import SCHEDULES
from pentimento_shared import sampler_names as table
from tests.engine.gaussian import CONFIG, DEMO, ZERO_SNR, walk

TWICE = ("Heun", "DPM2", "DPM2 a", "DPM++ 2S a", "DPM++ SDE", "Restart")
"""Samplers that ask the model twice a step."""


def test_every_name_of_the_table_is_honoured_and_no_other():
    assert tuple(SAMPLERS) == table.SAMPLERS
    assert ("Automatic", *SCHEDULES) == table.SCHEDULES


@given(
    st.sampled_from([CONFIG, ZERO_SNR, DEMO]).map(dict),
    st.sampled_from(list(SAMPLERS)),
    st.sampled_from(list(SCHEDULES)),
    st.integers(1, 60),
    st.floats(0.07, 1),
)
@settings(max_examples=60)
def test_every_pair_starts_at_the_strength_and_goes_to_zero_in_its_steps(config, sampler, schedule, steps, strength):
    plan = make_plan(NoiseScale.of(config), sampler, schedule, steps, strength)
    assert plan.scale.fraction(plan.sigmas[0]) == pytest.approx(strength, abs=1e-6)
    assert plan.sigmas.max() == plan.sigmas[0]
    assert plan.sigmas[-1] == 0
    assert plan.count == steps
    looks = plan.evaluations
    assert [look.step for look in looks] == sorted(look.step for look in looks)
    assert {look.step for look in looks} == set(range(steps))
    assert all(0 < look.sigma <= look.begin for look in looks)
    # The last step has no second look, and for solvers that average slopes neither has one from nothing but noise.
    begins = [looks[[look.step for look in looks].index(step)].sigma for step in range(steps - 1)]
    averaging = [begin for begin in begins if begin <= 20 or sampler in ("DPM++ 2S a", "DPM++ SDE")]
    second = len(averaging) if sampler in TWICE else bool(sampler == "PLMS" and averaging)
    assert len(looks) == steps + second


def test_sigmas_that_fall_together_are_taken_once():
    plan = make_plan(NoiseScale.of(CONFIG), "Euler", "Uniform", 4, 0.0005)
    assert plan.sigmas == pytest.approx([0.02917, 0], abs=1e-5)


def test_some_samplers_leave_the_least_sigma_out_and_take_as_many_steps():
    plain, spared = (
        make_plan(NoiseScale.of(CONFIG), sampler, "Karras", 10, 1) for sampler in ("Euler", "DPM++ 3M SDE")
    )
    finer = make_plan(NoiseScale.of(CONFIG), "Euler", "Karras", 11, 1)
    assert spared.sigmas == pytest.approx([*finer.sigmas[:10], 0])
    assert (plain.count, spared.count) == (10, 10)


def test_automatic_is_automatic1111s():
    karras = ("DPM++ 2M", "DPM++ SDE", "DPM++ 2S a", "DPM2", "DPM2 a", "Restart")
    exponential = ("DPM++ 2M SDE", "DPM++ 3M SDE")
    assert {resolve_schedule("Automatic", sampler) for sampler in karras} == {"Karras"}
    assert {resolve_schedule("Automatic", sampler) for sampler in exponential} == {"Exponential"}
    assert {resolve_schedule("Automatic", sampler) for sampler in ("Euler", "Euler a", "Heun", "LMS")} == {"Uniform"}


def test_a_models_own_schedule_is_preferred_to_the_samplers_and_a_chosen_one_to_both():
    assert resolve_schedule("Automatic", "Euler", preferred="SGM Uniform") == "SGM Uniform"
    assert resolve_schedule("Karras", "Euler", preferred="SGM Uniform") == "Karras"


@pytest.mark.parametrize(
    ("steps", "strength", "least", "exact", "run"),
    [
        (20, 1, 1, False, 20),
        (20, 0.6, 1, False, 12),
        (20, 0.05, 1, False, 1),
        (20, 0.05, 4, False, 4),
        (3, 0.05, 4, False, 3),
        (20, 0.001, 1, False, 1),
        (25, 0.56, 1, False, 14),
        (50, 0.58, 1, False, 29),
        (100, 0.29, 1, False, 29),
        (30, 0.35, 1, False, 11),
        (20, 0.3, 1, True, 20),
        (20, 0.05, 4, True, 20),
        (1, 0.5, 4, True, 1),
    ],
)
def test_steps_that_run(steps, strength, least, exact, run):
    assert steps_to_run(steps, strength, least, exact) == run


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_the_estimate_of_the_picture_from_each_kind_of_prediction(prediction):
    picture, sigma = torch.full((1, 4, 8, 8), 0.3), 3.0
    noise = torch.randn(picture.shape, generator=torch.Generator().manual_seed(0))
    alpha = 1 / np.hypot(1, sigma)
    outputs = {"epsilon": noise, "v_prediction": alpha * noise - sigma * alpha * picture, "sample": picture}
    estimated = NoiseScale(np.array([0.1, 10]), prediction).estimate(
        outputs[prediction], picture + sigma * noise, sigma
    )
    assert torch.allclose(estimated, picture, atol=1e-5)


def documented(heading: str) -> list[list[str]]:
    """The cells of the first table below that heading of docs/samplers.md."""
    page = (Path(__file__).parents[2] / "docs" / "samplers.md").read_text("utf-8")
    lines = page.split(f"## {heading}\n")[1].split("\n## ")[0].splitlines()
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")][2:]


def test_the_documented_steps_are_those_that_run():
    for steps, strength, run, exact, automatic1111, diffusers in documented("Strength and steps"):
        count, s = int(steps), float(strength)
        assert int(automatic1111) == int(min(s, 0.999) * count) + 1
        assert diffusers == (str(int(count * s)) if s else "error")
        if s:
            assert int(run) == steps_to_run(count, s, 1)
            assert int(exact) == steps_to_run(count, s, 1, exact=True)


def test_the_documented_samplers_are_those_of_the_table():
    rows = documented("Samplers")
    assert [row[0] for row in rows] == list(SAMPLERS)
    for name, looks, noise, _, automatic in rows:
        plan = make_plan(NoiseScale.of(CONFIG), name, "Karras", 20, 1)
        drawn: list[torch.Tensor] = []
        walk(plan, torch.zeros(1), lambda drawn=drawn: drawn.append(torch.zeros(1)) or drawn[-1])
        assert round(len(plan.evaluations) / 20) == int(looks)
        assert ("yes" if drawn else "no") == noise
        assert SAMPLERS[name].automatic == automatic


def test_the_documented_schedules_are_those_of_the_table():
    named = [name for row in documented("Schedules") for name in row[0].split(", ")]
    assert sorted(named) == sorted(["Automatic", *SCHEDULES])
