"""The names of samplers and schedules in the spellings that users of other programs know."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pentimento_shared.recipe import settings_from_infotext
from pentimento_shared.sampler_names import SAMPLERS, SCHEDULES, called, split
from pentimento_shared.settings import SettingError, validate


@pytest.mark.parametrize(
    ("written", "sampler"),
    [
        ("DPM++ 2M", "DPM++ 2M"),
        ("dpm++ 2m", "DPM++ 2M"),
        ("k_dpmpp_2m", "DPM++ 2M"),
        ("k_dpmpp_sde", "DPM++ SDE"),
        ("k_dpmpp_2m_sde", "DPM++ 2M SDE"),
        ("k_dpmpp_2s_a", "DPM++ 2S a"),
        ("dpmpp_2s_ancestral", "DPM++ 2S a"),
        ("k_dpmpp_3m_sde", "DPM++ 3M SDE"),
        ("k_euler", "Euler"),
        ("euler", "Euler"),
        ("k_euler_a", "Euler a"),
        ("k_euler_ancestral", "Euler a"),
        ("k_heun", "Heun"),
        ("k_lms", "LMS"),
        ("k_dpm_2", "DPM2"),
        ("k_dpm_2_a", "DPM2 a"),
        ("dpm_2_ancestral", "DPM2 a"),
        ("restart", "Restart"),
        ("ddim", "DDIM"),
        ("plms", "PLMS"),
        ("unipc", "UniPC"),
        ("uni_pc", "UniPC"),
        ("k_deis", "DEIS"),
        ("k_lcm", "LCM"),
        ("tcd", "TCD"),
    ],
)
def test_samplers_under_other_names(written, sampler):
    assert validate("txt2img", {"sampler": written})["sampler"] == sampler


@pytest.mark.parametrize(
    ("written", "schedule"),
    [
        ("karras", "Karras"),
        ("sgm_uniform", "SGM Uniform"),
        ("SGMUniform", "SGM Uniform"),
        ("kl_optimal", "KL Optimal"),
        ("align_your_steps", "Align Your Steps"),
        ("automatic", "Automatic"),
        ("ddim", "DDIM"),
    ],
)
def test_schedules_under_other_names(written, schedule):
    assert validate("txt2img", {"schedule": written})["schedule"] == schedule


@pytest.mark.parametrize(
    ("written", "sampler", "schedule"),
    [
        ("DPM++ 2M Karras", "DPM++ 2M", "Karras"),
        ("DPM++ 2M SDE Exponential", "DPM++ 2M SDE", "Exponential"),
        ("DPM++ 3M SDE Karras", "DPM++ 3M SDE", "Karras"),
        ("DPM++ 2S a Karras", "DPM++ 2S a", "Karras"),
        ("Euler a SGMUniform", "Euler a", "SGM Uniform"),
        ("Euler SGM Uniform", "Euler", "SGM Uniform"),
        ("euler kl_optimal", "Euler", "KL Optimal"),
        ("k_dpmpp_2m_ka", "DPM++ 2M", "Karras"),
        ("Euler Automatic", "Euler", "Automatic"),
    ],
)
def test_older_names_hold_both(written, sampler, schedule):
    for given_schedule in ({}, {"schedule": "Automatic"}, {"schedule": schedule}):
        settings = validate("img2img", {"sampler": written, **given_schedule}, {"schedule": "Simple"})
        assert (settings["sampler"], settings["schedule"]) == (sampler, schedule)


def test_two_schedules_are_one_too_many():
    with pytest.raises(
        SettingError, match=r"'DPM\+\+ 2M Karras', which holds a schedule, and schedule is 'Beta'"
    ) as error:
        validate("img2img", {"sampler": "DPM++ 2M Karras", "schedule": "Beta"})
    assert error.value.field == "sampler"


@pytest.mark.parametrize("schedule", ["Karass", 7, None])
def test_a_wrong_schedule_beside_an_older_name_is_still_wrong(schedule):
    with pytest.raises(SettingError):
        validate("img2img", {"sampler": "DPM++ 2M Karras", "schedule": schedule})


@pytest.mark.parametrize(
    "written", ["DPM fast", "DPM adaptive", "Euler b", "k_", "", " ", "Karras", "Euler Karass", "DPM++ 2M SDE Heun"]
)
def test_what_is_not_there_is_an_error_and_never_something_else(written):
    with pytest.raises(SettingError) as error:
        validate("txt2img", {"sampler": written})
    assert error.value.allowed == ", ".join(SAMPLERS)


@given(st.sampled_from(SAMPLERS), st.sampled_from(SCHEDULES), st.sampled_from([str, str.lower, str.upper]))
def test_every_pair_can_be_written_as_one(sampler, schedule, case):
    assert split(case(f"{sampler} {schedule}")) == (sampler, schedule)
    assert split(case(sampler)) is None
    assert called(case(sampler), SAMPLERS) == sampler


def test_an_old_pictures_text_comes_to_both_settings():
    text = "a barn\nSteps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 1, Size: 64x64"
    settings = validate("txt2img", settings_from_infotext(text))
    assert (settings["sampler"], settings["schedule"]) == ("DPM++ 2M", "Karras")
