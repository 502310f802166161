"""Recipes: out and in without loss, strangers' texts refused, AUTOMATIC1111's infotext both ways."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pentimento_shared.geometry import Rect, Size
from pentimento_shared.recipe import Recipe, RecipeError, parse_infotext, settings_from_infotext
from pentimento_shared.settings import validate

prompts = st.text(max_size=60)


def recipe(prompt: str = "a red house", negative: str = "", seed: int = 7, cfg_scale: float = 6.5) -> Recipe:
    values = {
        "prompt": prompt,
        "negative_prompt": negative,
        "seed": seed,
        "cfg_scale": cfg_scale,
        "feather": 4,
    }
    return Recipe(
        id="abc",
        task="inpaint",
        settings=validate("inpaint", values),
        model={"id": "demo", "name": "Demo", "hash": "0123456789abcdef"},
        sampler="DPM++ 2M",
        schedule="SGM Uniform",
        steps_run=12,
        start=0.6,
        size=Size(100, 80),
        work_size=Size(288, 240),
        canvas=Size(1000, 800),
        context=Rect(10, 20, 100, 80),
        source="00ff",
        software="pentimento 0.1.0",
    )


@given(prompts, prompts, st.integers(0, 2**32 - 1), st.floats(1, 30))
def test_json_round_trip(prompt, negative, seed, cfg_scale):
    original = recipe(prompt, negative, seed, cfg_scale)
    assert Recipe.from_json(original.to_json()) == original


def test_what_was_written_comes_back_for_others_of_its_kind():
    written = {"prompt": "a {red|blue} house", "styles": "oil"}
    again = Recipe.from_json(replace(recipe(), written=written).to_json())
    assert again.settings["prompt"] == "a red house"
    assert again.as_written == {**again.settings, **written}
    assert Recipe.from_json(recipe().to_json()).as_written == recipe().settings
    old = {key: value for key, value in json.loads(recipe().to_json()).items() if key != "written"}
    assert Recipe.from_dict(old) == recipe()


def test_version_leads():
    assert recipe().to_json().startswith('{"pentimento":1,')


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"pentimento": 2}, "has version 2; this software reads version 1"),
        ({"settings": {"strength": 5}}, "cannot be replayed: strength is 5"),
        ({"settings": {"bogus": 5}}, "no setting 'bogus'"),
        ({"task": "dance"}, "task is 'dance'"),
        ({"size": [1]}, "size is not 2 whole numbers"),
        ({"context": ["a", 0, 0, 0]}, "context is not 4 whole numbers"),
        ({"start": 3}, "start is not a number from 0 to 1"),
        ({"model": {"id": 4}}, "model is not an object of texts"),
        ({"extra": 1}, "fields that this software does not know: extra"),
        ({"parent": 5}, "parent is not text or null"),
        ({"written": []}, "written is not an object"),
        ({"extras": {}}, "extras is not a list"),
        ({"extras": [{"kind": "lora", "name": "ink"}]}, "extras is not an object of the texts hash, kind, name"),
        ({"extras": [{"kind": "x", "name": "", "sha256": "", "hash": ""}]}, "extras is of no kind that is known"),
        ({"written": {"prompt": 5}}, "cannot be replayed: prompt is 5"),
    ],
)
def test_strangers_recipes_are_refused_with_the_reason(change, sentence):
    data = {**json.loads(recipe().to_json()), **change}
    with pytest.raises(RecipeError, match=sentence):
        Recipe.from_dict(data)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"pentimento": 1}', "[" * 100_000])
def test_not_a_recipe(text):
    with pytest.raises(RecipeError):
        Recipe.from_json(text)


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5), st.lists, max_leaves=5)
)
def test_any_json_value_in_any_field_is_read_or_refused(value):
    data = json.loads(recipe().to_json())
    for name in data:
        try:
            Recipe.from_dict({**data, name: value})
        except RecipeError as error:
            assert str(error)


def test_infotext_as_automatic1111_writes_it():
    assert recipe(negative="people").to_infotext() == (
        "a red house\n"
        "Negative prompt: people\n"
        "Steps: 20, Sampler: DPM++ 2M, Schedule type: SGM Uniform, CFG scale: 6.5, Seed: 7, Size: 288x240, "
        "Model hash: 0123456789, Model: demo, Denoising strength: 0.6, Mask blur: 4, "
        "Inpaint area: Only masked, RNG: CPU, Version: pentimento 0.1.0"
    )


def test_infotext_from_automatic1111():
    text = (
        "a cat, (fluffy:1.2)\nsecond line\nNegative prompt: blurry, ugly\nmore\n"
        'Steps: 28, Sampler: Euler a, Schedule type: Automatic, CFG scale: 5, Seed: 42, Size: 512x768, Model: "a, b", '
        "Denoising strength: 0.45, Clip skip: 2, Version: v1.10.1"
    )
    assert parse_infotext(text)[2]["Model"] == "a, b"
    assert settings_from_infotext(text) == {
        "prompt": "a cat, (fluffy:1.2)\nsecond line",
        "negative_prompt": "blurry, ugly\nmore",
        "steps": 28,
        "sampler": "Euler a",
        "schedule": "Automatic",
        "cfg_scale": 5.0,
        "seed": 42,
        "strength": 0.45,
        "clip_skip": 2,
        "width": 512,
        "height": 768,
    }


def test_scales_of_special_models_stand_in_an_infotext_where_they_are_not_the_usual_ones():
    usual = recipe()
    other = replace(usual, settings={**usual.settings, "distilled_cfg_scale": 2.5, "inpainting_mask_weight": 0.75})
    assert "Distilled" not in usual.to_infotext()
    assert "CFG scale: 6.5, Distilled CFG Scale: 2.5, Seed" in other.to_infotext()
    assert "Conditional mask weight: 0.75" in other.to_infotext()
    read = settings_from_infotext(other.to_infotext())
    assert (read["distilled_cfg_scale"], read["inpainting_mask_weight"], read["cfg_scale"]) == (2.5, 0.75, 6.5)


def test_a_last_line_with_two_pairs_belongs_to_the_prompt():
    assert parse_infotext("a\nstyle: noir, light: hard") == ("a\nstyle: noir, light: hard", "", {})


@given(st.text(max_size=200))
def test_any_text_is_read_as_infotext(text):
    prompt, negative, pairs = parse_infotext(text)
    assert isinstance(settings_from_infotext(text), dict)
    assert len(pairs) == 0 or len(pairs) >= 3
    assert len(prompt) + len(negative) <= len(text) + 1
