"""`pentimento grid`, with a real backend: the pictures, the sheet, stopping and going on."""

from __future__ import annotations

import io
import json
import signal
from pathlib import Path

import pytest
from PIL import Image

from pentimento_shared.pixels import Pixels, encode_png
from pentimento_shared.png_file import read_png_text
from pentimento_shared.recipe import PNG_KEY, Recipe
from tests.server.shell import Shell
from tests.server.test_cli_jobs import SIZE, pixels


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("pictures") / "image.png"
    rows = (bytes((2 * x, 3 * y, x + y)) for y in range(SIZE.height) for x in range(SIZE.width))
    path.write_bytes(encode_png(Pixels(SIZE, 3, 8, b"".join(rows))))
    return path


def recipe(file: Path) -> Recipe:
    return Recipe.from_json(read_png_text(file.read_bytes())[PNG_KEY])


AXES = ("--x", "strength: 0.4-1 [2]", "--y", "sampler: Euler, Heun", "--model", "tiny", "--steps", 2)


def test_a_grid_is_its_pictures_and_a_sheet_and_the_same_command_goes_on(
    shell: Shell, image: Path, tmp_path: Path
) -> None:
    command = ("grid", image, "a tree", *AXES, "--out", tmp_path / "grid", "--json")
    outcome = json.loads(shell.run(*command)[0])
    files = [Path(each["file"]) for each in outcome["images"]]
    assert [file.name for file in files] == [
        "001-strength-0.4-Euler.png",
        "002-strength-1-Euler.png",
        "003-strength-0.4-Heun.png",
        "004-strength-1-Heun.png",
    ]
    made = [recipe(file).settings for file in files]
    assert [(each["strength"], each["sampler"]) for each in made] == [
        (0.4, "Euler"),
        (1.0, "Euler"),
        (0.4, "Heun"),
        (1.0, "Heun"),
    ]
    assert len({each["seed"] for each in made}) == 1, "one seed was drawn for all"
    alone = tmp_path / "alone.png"
    how = ("--model", "tiny", "--steps", 2, "--strength", 0.4, "--sampler", "Heun", "--seed", made[0]["seed"])
    shell.run("img2img", image, "a tree", *how, "-o", alone)
    assert pixels(alone) == pixels(files[2])

    sheet = Image.open(outcome["sheet"])
    assert sheet.width > 2 * SIZE.width
    levels = sheet.convert("RGB")
    for file in files:
        assert _within(levels, Image.open(file)), f"{file.name} is not on the sheet"

    kept = {file: file.read_bytes() for file in files}
    files[1].unlink()
    again, said = shell.run(*command)
    assert "3 of 4 pictures are in" in said
    assert json.loads(again)["images"] == outcome["images"]
    assert {file: file.read_bytes() for file in files} == kept


def _within(sheet: Image.Image, picture: Image.Image) -> bool:
    """Whether the picture lies somewhere on the sheet, pixel by pixel."""
    wanted = picture.convert("RGB")
    whole, first = sheet.tobytes(), wanted.crop((0, 0, wanted.width, 1)).tobytes()
    at = whole.find(first)
    while at >= 0:
        x, y = at // 3 % sheet.width, at // 3 // sheet.width
        box = (x, y, x + wanted.width, y + wanted.height)
        if at % 3 == 0 and sheet.crop(box).tobytes() == wanted.tobytes():
            return True
        at = whole.find(first, at + 1)
    return False


def test_a_stopped_grid_keeps_what_is_done_and_goes_on(shell: Shell, image: Path, tmp_path: Path) -> None:
    folder = tmp_path / "grid"
    arguments = ["grid", image, "a tree", "--x", "steps: 1, 150", "--strength", 1, "--model", "tiny", "--out", folder]
    process = shell.start(arguments)
    assert process.stderr is not None
    while not process.stderr.readline().startswith("2 of 2"):
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, "")
    assert f"Cancelled. 1 of 2 pictures are in {folder}; the same command goes on from there." in err
    assert [file.name for file in sorted(folder.glob("*.png"))] == ["001-steps-1.png"]
    with shell.client() as client:
        assert client.jobs()[0].state == "cancelled"
    first = (folder / "001-steps-1.png").read_bytes()
    shell.run(*arguments)
    assert (folder / "001-steps-1.png").read_bytes() == first
    assert recipe(folder / "002-steps-150.png").seed == recipe(folder / "001-steps-1.png").seed


def test_inpainting_and_pictures_from_words_make_grids_too(shell: Shell, image: Path, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    levels = (bytes([255 * (y >= SIZE.height // 2)]) * SIZE.width for y in range(SIZE.height))
    mask.write_bytes(encode_png(Pixels(SIZE, 1, 8, b"".join(levels))))
    short = ("--model", "tiny", "--steps", 1)
    shell.run("grid", image, "a tree", "--mask", mask, "--x", "seed: 1-2", *short, "--out", tmp_path / "inpaint")
    made = sorted((tmp_path / "inpaint").glob("0*.png"))
    assert [recipe(file).task for file in made] == ["inpaint", "inpaint"]
    half = SIZE.height // 2 * SIZE.width * 3
    assert all(pixels(file).data[:half] == pixels(image).data[:half] for file in made)
    assert pixels(made[0]) != pixels(made[1])
    how = ("--x", "Prompt S/R: tree, lake", "--width", 64, "--height", 64, *short)
    shell.run("grid", "-", "a tree", *how, "--out", tmp_path / "words")
    assert [recipe(file).settings["prompt"] for file in sorted((tmp_path / "words").glob("0*.png"))] == [
        "a tree",
        "a lake",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--x", "strength: 0.2, 1.4"), 'Denoising strength, character 6, at "1.4"'),
        (("--x", "strenght: 0.2"), "Did you mean strength?"),
        (("--x", "steps: 1-100", "--y", "strength: 0-1 [9]"), "100 x 9 = 900 pictures; at most 256"),
        (("--x", "model: tinny"), "there is no such model; there are: demo, tiny. Did you mean tiny?"),
        (("--x", "steps: 1", "--context", "canvas"), "context is not a setting of img2img"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_made(
    shell: Shell, image: Path, tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    err = shell.run("grid", image, "a tree", *arguments, "--out", tmp_path / "grid", code=2)[1]
    assert said in err
    assert not (tmp_path / "grid").exists()


def test_a_folder_with_another_grid_is_left_alone(shell: Shell, image: Path, tmp_path: Path) -> None:
    (tmp_path / "grid.json").write_text('{"asked": {}, "root": "0"}')
    arguments = ("--x", "steps: 1", "--model", "tiny", "--out", tmp_path)
    assert "holds another grid" in shell.run("grid", image, "a tree", *arguments, code=2)[1]


def test_the_sheet_of_a_deep_transparent_picture_is_readable(shell: Shell, tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    path.write_bytes(encode_png(Pixels(SIZE, 4, 16, bytes(range(256)) * (SIZE.area * 8 // 256))))
    arguments = ("--x", "strength: 0", "--model", "tiny", "--out", tmp_path / "grid")
    shell.run("grid", path, "a tree", *arguments)
    sheet = Image.open(io.BytesIO((tmp_path / "grid" / "sheet.png").read_bytes()))
    assert sheet.mode == "RGB"
    (made,) = (tmp_path / "grid").glob("0*.png")
    assert pixels(made) == pixels(path), "the picture itself keeps its depth and its alpha"
