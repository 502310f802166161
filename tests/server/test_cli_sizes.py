"""Sizes and outpainting on the command line: real processes, a real (tiny, random) model, real files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pentimento.cli import main
from pentimento.engine.arrays import to_array, to_pixels
from pentimento_shared.geometry import Size
from pentimento_shared.pixels import Pixels, decode_png, encode_png
from pentimento_shared.png_file import read_png_text
from pentimento_shared.recipe import PNG_KEY, Recipe
from tests.server.shell import Shell


def picture(channels: int, depth: int) -> Pixels:
    levels = np.random.default_rng(0).integers(1, 2**depth, (40, 60, channels))
    return to_pixels(levels.astype(np.uint8 if depth == 8 else np.uint16))


@pytest.mark.parametrize(("channels", "depth"), [(3, 8), (1, 16), (4, 8)])
def test_outpainting_extends_the_picture_and_keeps_every_byte_of_it(
    shell: Shell, tmp_path: Path, channels: int, depth: int
) -> None:
    source = picture(channels, depth)
    image = tmp_path / "photo.png"
    image.write_bytes(encode_png(source))
    sides = ("--left", 8, "--top", 16, "--right", 24)
    (file,) = shell.make("outpaint", image, "a lake", *sides, "--steps", 1, "--outpaint-fill", "blur")
    data = file.read_bytes()
    made = decode_png(data)
    assert (made.size, made.channels, made.depth) == (Size(92, 56), channels, depth)
    levels = to_array(made)
    assert np.array_equal(levels[16:56, 8:68], to_array(source))
    assert len(np.unique(levels[:16, :, 0])) > 10
    if channels == 4:
        assert (levels[:16, :, 3] == 255).all()
    assert Recipe.from_json(read_png_text(data)[PNG_KEY]).start == 1


def test_a_size_that_is_asked_for_is_that_of_the_result(shell: Shell, tmp_path: Path) -> None:
    image = tmp_path / "photo.png"
    image.write_bytes(encode_png(picture(3, 8)))
    sizes = {}
    for words in (
        ("--scale-by", 1.5),
        ("--size", "72x64"),
        ("--width", 120),
        ("--scale-by", 2, "--result-size", "as the source"),
    ):
        (file,) = shell.make("img2img", image, "a lake", *words, "--steps", 1)
        sizes[words[:2]] = decode_png(file.read_bytes()).size
    assert sizes == {
        ("--scale-by", 1.5): Size(90, 60),
        ("--size", "72x64"): Size(72, 64),
        ("--width", 120): Size(120, 80),
        ("--scale-by", 2): Size(60, 40),
    }


def test_what_cannot_be_is_one_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = tmp_path / "photo.png"
    image.write_bytes(encode_png(picture(3, 8)))
    assert main(["outpaint", str(image), "a lake"]) == 2
    assert "Nothing to add" in capsys.readouterr().err
    assert main(["outpaint", str(image), "a lake", "--left", "-3"]) == 2
    assert "-3 is not in the range 0<=x<=4096" in capsys.readouterr().err
    assert main(["img2img", str(image), "a lake", "--size", "64x64", "--width", "64"]) == 2
    assert "leave --width and --height out" in capsys.readouterr().err
