"""X/Y/Z: axes as they are written, and the cells that come of them."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pentimento_shared.settings import SettingError
from pentimento_shared.variants import Axis, Grid, axis_rows, count_said, example, plan_grid, read_axis, split_axis


def values(name: str, text: str) -> tuple:
    return read_axis(name, text, "img2img").values


def drawing() -> Iterator[int]:
    return count(1000)


def grid(settings: dict, *axes: Axis) -> Grid:
    numbers = drawing()
    return plan_grid("img2img", settings, axes, lambda: next(numbers))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # AUTOMATIC1111's own examples (wiki, X/Y/Z plot)
        ("1-5", (1, 2, 3, 4, 5)),
        ("1-5 (+2)", (1, 3, 5)),
        ("10-5 (-3)", (10, 7)),
        ("1-10 [5]", (1, 3, 5, 7, 10)),
        ("7", (7,)),
        (" 3, 1-2 ,10 ", (3, 1, 2, 10)),
        ("5-3", (5, 4, 3)),
        ("20-40[3]", (20, 30, 40)),
    ],
)
def test_whole_numbers(text, expected):
    assert values("steps", text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.2-0.8 [4]", (0.2, 0.4, 0.6, 0.8)),
        ("0-1 (+0.25)", (0, 0.25, 0.5, 0.75, 1)),
        ("0.1-0.6 (0.1)", (0.1, 0.2, 0.3, 0.4, 0.5, 0.6)),
        ("0-1", (0, 1)),
        (".5, 1", (0.5, 1)),
        ("0-1 [3]", (0, 0.5, 1)),
        ("0.1-0.4 [4], 1-0.9(-0.05)", (0.1, 0.2, 0.3, 0.4, 1, 0.95, 0.9)),
    ],
)
def test_numbers(text, expected):
    assert values("Denoising", text) == expected


@given(st.integers(0, 999), st.integers(0, 999), st.integers(1, 20))
def test_a_cut_range_has_its_ends_and_even_parts(first, last, parts):
    text = f"{first / 1000}-{last / 1000} [{parts}]"
    if first == last and parts > 1:
        with pytest.raises(SettingError, match="twice"):
            values("strength", text)
        return
    found = values("strength", text)
    assert len(found) == parts
    assert found[0] == first / 1000
    assert parts == 1 or found[-1] == last / 1000
    for k, value in enumerate(found):
        assert value == pytest.approx((first + (last - first) * k / max(1, parts - 1)) / 1000, abs=5.1e-5)


@given(st.integers(1, 150), st.integers(1, 150), st.integers(1, 40))
def test_a_stepped_range_is_pythons(first, last, step):
    sign = 1 if last >= first else -1
    assert values("steps", f"{first}-{last} ({sign * step:+d})") == tuple(range(first, last + sign, sign * step))


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("Sampler", "euler A, dpmpp_2m, DPM++ 2M Karras", ("Euler a", "DPM++ 2M", "DPM++ 2M Karras")),
        ("Schedule type", "karras, Automatic", ("Karras", "Automatic")),
        ("Checkpoint name", "demo, other", ("demo", "other")),
        ("Seed", "-1, -1, 5", (-1, -1, 5)),
        ("cfg-scale", "1-7 (+3)", (1, 4, 7)),
        ("Var. strength", "0, 0.5", (0, 0.5)),
        ("color_match", "yes, No", (True, False)),
        ("Prompt S/R", 'fog, "snow, ice", ""', ("fog", "snow, ice", "")),
        ("prompt", '"a ""red"" house", a lake', ('a "red" house', "a lake")),
    ],
)
def test_other_values_and_automatic1111s_names(name, text, expected):
    assert values(name, text) == expected


@pytest.mark.parametrize(
    ("name", "text", "where"),
    [
        ("strength", "0.2, 1.4", 'character 6, at "1.4"'),
        ("strength", "0.2,, 0.4", "character 5"),
        ("strength", "", "character 1: there are no values"),
        ("strength", "0.2-0.8", r"0.2-0.8 \[4\]"),
        ("strength", "0.2, often", 'character 6, at "often": this is no number and no range'),
        ("strength", "0.5, 0.50", 'character 6, at "0.50": 0.50 comes twice'),
        ("strength", "0.5-0.2 (+0.1)", "do not lead from 0.5 to 0.2"),
        ("strength", "0-1 (0)", "do not lead"),
        ("strength", "0-1 [1000]", "these are 1000 values"),
        ("steps", "1-1000000000", "allowed: 1 to 256"),
        ("steps", "1-3 [5]", "there are not 5 whole numbers"),
        ("steps", "2.5", "takes whole numbers only"),
        ("steps", "5, 500", 'character 4, at "500": steps is 500; allowed: a whole number from 1 to 150'),
        ("sampler", "Euler, Eulr", 'character 8, at "Eulr".*Did you mean Euler'),
        ("sampler", '"Euler', 'character 1, at ""Euler": this " is never closed'),
        ("prompt", '"a" "b"', "character 5.*a comma is missing"),
        ("color_match", "perhaps", "neither yes nor no"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(name, text, where):
    with pytest.raises(SettingError, match=where) as refused:
        values(name, text)
    assert refused.value.field == name
    assert refused.value.allowed


@given(st.sampled_from(["strength", "steps", "sampler", "prompt", "color_match"]), st.text('0123456789-.,()[]+ "ab'))
def test_any_text_is_values_or_a_sentence(name, text):
    try:
        assert len(values(name, text)) >= 1
    except SettingError as error:
        assert ", character " in error.detail


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("strenght", "There is no axis 'strenght' for img2img.* Did you mean strength"),
        ("batch size", "each cell of a grid is one picture"),
        ("context", "There is no axis 'context' for img2img"),
    ],
)
def test_an_axis_that_there_is_not(name, said):
    with pytest.raises(SettingError, match=said):
        values(name, "1")


def test_an_axis_in_one_text():
    assert split_axis("Prompt S/R: a: b, c") == ("Prompt S/R", "a: b, c")
    with pytest.raises(SettingError, match="after a colon"):
        split_axis("strength 0.2")


def test_models_are_held_against_those_there_are():
    assert read_axis("model", "DEMO", "img2img", ["demo"]).values == ("demo",)
    with pytest.raises(SettingError, match=r'character 7, at "dmo": there is no such model; there are: demo\.'):
        read_axis("model", "demo, dmo", "img2img", ["demo"])


def test_cells_come_in_reading_order_with_names_and_settings():
    x, y = read_axis("strength", "0.2, 0.4", "img2img"), read_axis("sampler", "Euler, DPM++ 2M Karras", "img2img")
    made = grid({"prompt": "a lake", "schedule": "Uniform", "batch_count": 4}, x, y)
    assert [cell.name for cell in made.cells] == [
        "strength 0.2, Euler",
        "strength 0.4, Euler",
        "strength 0.2, DPM++ 2M Karras",
        "strength 0.4, DPM++ 2M Karras",
    ]
    assert [cell.at for cell in made.cells] == [(0, 0, 0), (1, 0, 0), (0, 1, 0), (1, 1, 0)]
    assert made.cells[1].settings == {
        "prompt": "a lake",
        "strength": 0.4,
        "sampler": "Euler",
        "schedule": "Uniform",
        "batch_size": 1,
        "batch_count": 1,
        "prompt_matrix": False,
        "seed": 1000,
    }
    assert made.cells[3].settings["schedule"] == "Karras"


def test_seeds_are_drawn_once_for_all_cells_and_once_for_each_on_an_axis():
    strengths = read_axis("strength", "0.2, 0.4", "img2img")
    assert {cell.settings["seed"] for cell in grid({}, strengths).cells} == {1000}
    assert [cell.settings["seed"] for cell in grid({"seed": 3}, strengths).cells] == [3, 3]
    seeds = grid({}, read_axis("seed", "-1, 7, -1", "img2img"))
    assert [cell.settings["seed"] for cell in seeds.cells] == [1002, 7, 1003]
    assert [cell.name for cell in seeds.cells] == ["seed 1002", "seed 7", "seed 1003"]
    varied = grid({}, read_axis("Var. strength", "0, 0.5", "img2img")).cells
    assert [cell.settings.get("variation_seed") for cell in varied] == [None, 1001]


def test_a_search_replaces_its_first_value_in_both_prompts():
    words = read_axis("Prompt S/R", 'fog, snow, ""', "img2img")
    made = grid({"prompt": "a lake, fog", "negative_prompt": "no fog"}, words)
    assert [cell.settings["prompt"] for cell in made.cells] == ["a lake, fog", "a lake, snow", "a lake, "]
    assert made.cells[1].settings["negative_prompt"] == "no snow"
    assert [cell.name for cell in made.cells] == ["fog", "snow", "(empty)"]
    with pytest.raises(SettingError, match="'fog', the first value, stands in neither"):
        grid({"prompt": "a lake"}, words)


def test_cells_of_one_model_run_together():
    models, strengths = read_axis("model", "a, b", "img2img"), read_axis("strength", "0.2, 0.4", "img2img")
    made = grid({}, models, strengths)
    assert [made.cells[k].settings["model"] for k in made.running_order] == ["a", "a", "b", "b"]
    assert sorted(made.running_order) == [0, 1, 2, 3]


def test_what_makes_no_grid_is_refused():
    x = read_axis("steps", "1-100", "img2img")
    with pytest.raises(SettingError, match="100 x 4 = 400 pictures; at most 256"):
        grid({}, x, read_axis("strength", "0-1 [4]", "img2img"))
    with pytest.raises(SettingError, match="steps is on two axes"):
        grid({}, x, x)
    with pytest.raises(SettingError, match="1 to 3 axes"):
        grid({})
    with pytest.raises(SettingError, match="strength is 7"):
        grid({"strength": 7}, x)
    with pytest.raises(SettingError, match="last_loop is 5"):
        grid({"last_loop": 5}, x)


def test_what_is_written_is_counted_while_it_is_written():
    def said(*axes: tuple[str, str]) -> tuple[int, str]:
        return count_said("img2img", {"prompt": "a lake", "width": 64}, axes, ["demo"])

    assert said(("", ""), ("", "7")) == (0, "Choose what shall change, and write its values.")
    assert said(("strength", "0.2-0.8 [4]"), ("", ""), ("sampler", "Euler, Heun, LMS")) == (
        12,
        "12 pictures, from strength 0.2, Euler to strength 0.8, LMS.",
    )
    assert said(("steps", "7")) == (1, "1 picture: steps 7.")
    assert said(("model", "dem"))[0] == 0
    assert "there is no such model" in said(("model", "dem"))[1]


@pytest.mark.parametrize("row", axis_rows("inpaint"), ids=lambda row: row.name)
def test_examples_of_numbers_and_choices_are_values(row):
    if row.kind in ("number", "choice", "boolean"):
        assert len(read_axis(row.name, example(row), "inpaint").values) > 1
