"""What is painted and at what size, in AUTOMATIC1111's words: out, in, and back to the same settings."""

from __future__ import annotations

import pytest

from pentimento_shared.infotext_areas import pairs, settings_of
from pentimento_shared.recipe import settings_from_infotext
from pentimento_shared.settings import Task, Value, validate


@pytest.mark.parametrize(
    ("task", "values", "said"),
    [
        ("txt2img", {}, {}),
        ("img2img", {}, {}),
        ("img2img", {"resize_mode": "Crop and resize"}, {"Resize mode": "Crop and resize"}),
        ("inpaint", {}, {"Mask blur": 0, "Inpaint area": "Only masked"}),
        (
            "inpaint",
            {"context": 48, "mask_mode": "Inpaint not masked", "masked_content": "latent noise", "feather": 6},
            {
                "Mask mode": "Inpaint not masked",
                "Mask blur": 6,
                "Inpaint area": "Only masked",
                "Masked area padding": 48,
                "Masked content": "latent noise",
            },
        ),
        ("inpaint", {"context": "canvas"}, {"Mask blur": 0, "Inpaint area": "Whole picture"}),
    ],
)
def test_out_and_in_again(task: Task, values: dict[str, Value], said: dict[str, Value]) -> None:
    assert pairs(validate(task, values)) == said
    read = settings_of({key: str(value) for key, value in said.items()})
    own = {name: value for name, value in values.items() if name != "feather"}
    assert {name: value for name, value in read.items() if value != "automatic"} == own
    assert validate(task, read)


def test_the_selections_bounds_are_a_padding_of_0() -> None:
    said = pairs(validate("inpaint", {"context": "selection"}))
    assert said["Masked area padding"] == 0
    assert settings_of({key: str(value) for key, value in said.items()})["context"] == 0


@pytest.mark.parametrize(
    ("words", "context"),
    [
        ("Mask blur: 4, Inpaint area: Only masked, Masked area padding: 32", 32),
        ("Mask blur: 4, Masked content: fill", "canvas"),
        ("Clip skip: 2", None),
    ],
)
def test_a_text_of_automatic1111(words: str, context: Value | None) -> None:
    found = settings_from_infotext(f"a cat\nSteps: 20, Sampler: Euler a, Seed: 1, {words}, Version: v1.10.1")
    assert found.get("context") == context
    assert found.get("feather") == (4 if "blur" in words else None)
    assert found.get("masked_content") == ("fill" if "fill" in words else None)
