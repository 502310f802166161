"""Settings out of pictures that may be anybody's: ours, AUTOMATIC1111's, damaged ones, and what is said of them."""

from __future__ import annotations

import io
import zlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pentimento_shared.geometry import Size
from pentimento_shared.pixels import Pixels, encode_png
from pentimento_shared.png_file import SIGNATURE, chunk
from pentimento_shared.recipe import INFOTEXT_KEY, PNG_KEY, Recipe
from pentimento_shared.settings import SETTINGS, validate
from pentimento_shared.settings_file import FileSettings, NoSettings, read_settings, read_settings_file
from tests.unit.test_recipe import recipe

SILENT = (
    *("styles", "clip_skip", "vae", "variation_seed", "variation_strength", "loops", "prompt_matrix"),
    "masked_content",
)
MODELS = ({"id": "demo", "name": "Demo"}, {"id": "dreams/v8", "name": "Dream v8", "hash": "879db523c30d3b90"})


def png(**texts: str) -> bytes:
    return encode_png(Pixels(Size(40, 30), 3, 8, bytes(range(240)) * 15), texts)


def read(data: bytes, models=MODELS) -> FileSettings:
    return read_settings(io.BytesIO(data), "picture.png", models)


def of_infotext(text: str) -> FileSettings:
    return read(png(parameters=text))


def test_our_recipe_comes_back_as_it_was_written() -> None:
    made = Recipe(**{**vars(recipe()), "written": {"prompt": "a {red|blue} house"}})
    found = read(png(pentimento=made.to_json(), parameters=made.to_infotext()))
    assert found == FileSettings(made.as_written, "Pentimento")
    assert found.settings["prompt"] == "a {red|blue} house"
    assert found.sentence("picture.png") == "Settings taken from picture.png (Pentimento)."


def test_a_model_that_is_not_installed_is_said_and_not_taken() -> None:
    found = read(png(pentimento=recipe().to_json()), models=MODELS[1:])
    assert "model" not in found.settings
    assert "Its model, demo, is not among the installed ones" in found.sentence("x")
    assert read(png(pentimento=recipe().to_json()), models=()).settings["model"] == "demo"


def test_automatic1111s_settings_are_taken_and_the_rest_is_listed() -> None:
    found = of_infotext(
        "a cat\nNegative prompt: dog\nSteps: 28, Sampler: DPM++ 2M Karras, CFG scale: 5, Seed: 42, ENSD: 31337, "
        "Model hash: 879db523c3, Model: dream_8, Denoising strength: 0.45, Clip skip: 99, Hires upscale: 2, "
        "Version: v1.10.1"
    )
    assert {name: found.settings[name] for name in found.settings if name not in SILENT} == {
        "prompt": "a cat",
        "negative_prompt": "dog",
        "steps": 28,
        "sampler": "DPM++ 2M",
        "schedule": "Karras",
        "cfg_scale": 5.0,
        "seed": 42,
        "strength": 0.45,
        "model": "dreams/v8",
    }
    assert found.sentence("cat.png") == (
        "Settings taken from cat.png (AUTOMATIC1111). "
        "Not known here, so left out: ENSD: 31337, Clip skip: 99, Hires upscale: 2."
    )


def test_what_an_infotext_leaves_out_is_at_its_default() -> None:
    found = of_infotext("a cat\nSteps: 28, Sampler: Euler a, CFG scale: 5")
    defaults = {row.name: row.default for row in SETTINGS if row.name in SILENT}
    assert defaults.items() <= found.settings.items()
    assert (defaults["clip_skip"], defaults["styles"]) == (1, "")
    assert of_infotext("a cat").settings == {"prompt": "a cat", "negative_prompt": ""}


def test_an_unknown_sampler_and_model_are_never_another_one() -> None:
    found = of_infotext("a cat\nSteps: 28, Sampler: DPM fast, CFG scale: 5, Seed: 42, Model: v1-5")
    assert "sampler" not in found.settings
    assert "model" not in found.settings
    assert "left out: Sampler: DPM fast." in found.sentence("x")
    assert "Its model, v1-5, is not among" in found.sentence("x")


def test_a_recipe_that_cannot_be_read_gives_way_to_the_infotext_and_says_so() -> None:
    found = read(png(pentimento='{"pentimento": 9}', parameters=recipe().to_infotext()))
    assert found.settings["prompt"] == "a red house"
    assert "recipe in it was passed over: This recipe has version 9" in found.sentence("x")


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (png(), "picture.png holds no settings of Pentimento or AUTOMATIC1111. A program"),
        (png(workflow="{}"), "What ComfyUI wrote into it is not read."),
        (png(pentimento="{"), "picture.png: This is not a recipe"),
        (b"\xff\xd8\xff\xe0 and more", "not a PNG file: it looks like a JPEG file"),
        (b"", "The picture is empty: 0 bytes"),
        (png(parameters="a cat")[:60], "cut short"),
        (SIGNATURE + (2**31 - 1).to_bytes(4, "big") + b"tEXt", "a text of 2147483647 bytes"),
        (
            SIGNATURE + b"".join(chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b" " * 2**25))),
            "inflates to more than",
        ),
    ],
)
def test_what_holds_no_settings_is_refused_in_a_sentence(data: bytes, sentence: str) -> None:
    with pytest.raises(NoSettings) as caught:
        read(data)
    assert sentence in str(caught.value)


def test_the_picture_is_passed_over_unread() -> None:
    class Counting(io.BytesIO):
        bytes_read = 0

        def read(self, size: int | None = -1, /) -> bytes:
            data = super().read(size)
            self.bytes_read += len(data)
            return data

    large = SIGNATURE + b"".join([*chunk(b"IDAT", bytes(1 << 24)), *chunk(b"tEXt", b"parameters\0a cat")])
    file = Counting(large + b"".join(chunk(b"IEND", b"")))
    assert read_settings(file, "x", ()).settings["prompt"] == "a cat"
    assert file.bytes_read < 200


def test_a_file_by_its_path(tmp_path: Path) -> None:
    path = tmp_path / "dämmerung.png"
    path.write_bytes(png(parameters="a cat"))
    assert read_settings_file(str(path), ()).settings["prompt"] == "a cat"
    with pytest.raises(NoSettings, match=r"gone\.png cannot be read \(No such file or directory\)"):
        read_settings_file(str(tmp_path / "gone.png"), ())
    with pytest.raises(NoSettings, match="cannot be read"):
        read_settings_file(str(tmp_path), ())


@given(st.text(max_size=150))
def test_whatever_a_strangers_infotext_says_the_settings_are_valid(text: str) -> None:
    data = png(parameters=text.replace("\0", ""))
    rows = {row.name: row for row in SETTINGS}
    for name, value in read(data).settings.items():
        assert rows[name].check(value) == value


@given(st.binary(max_size=80))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for start in (b"", SIGNATURE, png(parameters="a cat")[:50]):
        with pytest.raises(NoSettings):
            read(start + data)


def test_settings_from_a_file_can_be_sent_again() -> None:
    found = read(png(**{PNG_KEY: recipe().to_json(), INFOTEXT_KEY: ""}))
    assert validate("inpaint", found.settings) == recipe().settings
