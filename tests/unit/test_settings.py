"""The table of settings: what it accepts, what it refuses, and what it says then."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pentimento_shared.sampler_names import SAMPLERS, called
from pentimento_shared.settings import (
    GROUPS,
    SETTINGS,
    TASKS,
    Setting,
    SettingError,
    by_group,
    json_schema,
    settings_for,
    validate,
)


def test_defaults_are_complete_and_valid_for_each_task():
    for task in TASKS:
        settings = validate(task, {})
        assert list(settings) == [row.name for row in settings_for(task)]


def test_values_win_over_model_defaults_and_those_over_the_table():
    settings = validate("txt2img", {"steps": 5}, defaults={"steps": 9, "cfg_scale": 4, "strength": 0.3})
    assert (settings["steps"], settings["cfg_scale"], settings["width"]) == (5, 4.0, "automatic")
    assert "strength" not in settings


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("strength", 2, "a number from 0 to 1"),
        ("strength", -0.01, "a number from 0 to 1"),
        ("strength", math.nan, "a number from 0 to 1"),
        ("strength", True, "a number from 0 to 1"),
        ("steps", 0, "a whole number from 1 to 150"),
        ("steps", 7.5, "a whole number from 1 to 150"),
        ("steps", "20", "a whole number from 1 to 150"),
        ("seed", "abc", "a whole number from -1 to 4294967295"),
        ("seed", 2**32, "a whole number from -1 to 4294967295"),
        ("seed", 10**400, "a whole number from -1 to 4294967295"),
        ("cfg_scale", 10**400, "a number from 1 to 30"),
        ("cfg_scale", math.inf, "a number from 1 to 30"),
        ("prompt", 5, "text of at most 20000 characters"),
        ("prompt", None, "text of at most 20000 characters"),
        ("color_match", 1, "true or false"),
        ("context", "auto", "a whole number from 0 to 4096 px, or automatic, or selection, or canvas"),
        ("sampler", "Eulr", ", ".join(SAMPLERS)),
    ],
)
def test_refused_values_name_field_value_and_what_is_allowed(name, value, allowed):
    with pytest.raises(SettingError) as caught:
        validate("inpaint", {name: value})
    assert caught.value.field == name
    assert caught.value.allowed == allowed
    assert name in str(caught.value)
    assert allowed in str(caught.value)


def test_a_near_miss_is_named():
    with pytest.raises(SettingError, match="Did you mean DPM\\+\\+ 2M\\?"):
        validate("img2img", {"sampler": "dpm++2n"})
    with pytest.raises(SettingError, match="Did you mean strength\\?"):
        validate("img2img", {"strenght": 0.5})


def test_a_setting_of_another_task_says_whose_it_is():
    with pytest.raises(SettingError, match="strength is not a setting of txt2img, only of img2img and inpaint"):
        validate("txt2img", {"strength": 0.5})


def test_whole_floats_are_whole_numbers():
    value = validate("txt2img", {"steps": 20.0})["steps"]
    assert value == 20
    assert isinstance(value, int)


def test_words_may_stand_for_a_number_where_the_row_says_so():
    assert validate("inpaint", {"context": "canvas"})["context"] == "canvas"
    assert validate("inpaint", {"context": 64})["context"] == 64


@pytest.mark.parametrize(
    ("written", "value"),
    [("lanczos", "Lanczos"), ("OFF", "off"), ("None", "off"), ("R-ESRGAN 4x+", "R-ESRGAN 4x+"), ("offing", "offing")],
)
def test_words_may_stand_for_a_name_where_the_row_says_so(written, value):
    assert validate("inpaint", {"upscale_first": written})["upscale_first"] == value


def test_unknown_task():
    with pytest.raises(SettingError, match="task is 'upscale'; allowed: txt2img, img2img, inpaint"):
        validate("upscale", {})  # pyright: ignore[reportArgumentType]


@given(
    st.sampled_from(SETTINGS),
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=5)),
)
def test_check_accepts_or_says_why(row: Setting, value: object):
    try:
        checked = row.check(value)
    except SettingError as error:
        assert row.allowed in str(error)
        return
    assert checked == value or (row.kind == "choice" and called(str(value), row.choices) == checked)
    assert row.check(checked) == checked


def test_schema_has_every_row_with_its_range():
    schema = json_schema("inpaint")
    properties = schema["properties"]
    assert isinstance(properties, dict)
    assert set(properties) == {row.name for row in settings_for("inpaint")}
    assert properties["strength"]["minimum"] == 0
    assert properties["strength"]["maximum"] == 1
    assert properties["sampler"]["enum"][0] == "DPM++ 2M"
    assert schema["additionalProperties"] is False


def test_every_row_stands_once_under_the_heading_of_its_group():
    groups = by_group(SETTINGS)
    assert [title for title, _ in groups] == list(GROUPS.values())
    assert sorted(row.name for _, rows in groups for row in rows) == sorted(row.name for row in SETTINGS)
    assert by_group(row for row in SETTINGS if row.name == "grow") == ((GROUPS["inpaint"], (_row("grow"),)),)


def _row(name: str) -> Setting:
    return next(row for row in SETTINGS if row.name == name)
