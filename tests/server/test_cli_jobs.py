"""The command line with its backend: real processes, a real (tiny, random) model, real files."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import pytest
from PIL import Image

from pentimento_shared.geometry import Size
from pentimento_shared.pixels import Pixels, decode_png, encode_png
from pentimento_shared.png_file import read_png_text
from pentimento_shared.recipe import PNG_KEY, Recipe
from tests.server.shell import Shell

SIZE = Size(96, 64)


@pytest.fixture
def source() -> Pixels:
    width, height = SIZE
    rows = (bytes((2 * x, 3 * y, x + y)) for y in range(height) for x in range(width))
    return Pixels(SIZE, 3, 8, b"".join(rows))


@pytest.fixture
def image(tmp_path: Path, source: Pixels) -> Path:
    path = tmp_path / "image.png"
    path.write_bytes(encode_png(source))
    return path


def pixels(path: Path) -> Pixels:
    return decode_png(path.read_bytes())


def test_two_commands_at_once_start_one_backend_and_the_next_one_finds_it(
    shell: Shell, image: Path, tmp_path: Path
) -> None:
    goals = [tmp_path / f"{name}.png" for name in "ab"]
    arguments = ["img2img", image, "a tree", "--model", "tiny", "--steps", 4, "--seed", 7]
    both = [shell.start([*arguments, "-o", goal]) for goal in goals]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert "starting the backend" in said[0][1] + said[1][1]
    assert pixels(goals[0]) == pixels(goals[1])

    out, err = shell.run(*arguments, "-o", tmp_path / "c.png")
    assert "starting the backend" not in err
    assert f"{tmp_path / 'c.png'}  96 x 64 px, seed 7, 3 of 4 steps run\n" in out
    assert pixels(tmp_path / "c.png") == pixels(goals[0])


def test_the_recipe_is_in_the_file(shell: Shell, image: Path) -> None:
    (made,) = shell.make("img2img", image, "a tree", "--steps", 2, "--cfg-scale", 3)
    assert made == image.with_name("image-pentimento-1.png")
    recipe = Recipe.from_json(read_png_text(made.read_bytes())[PNG_KEY])
    assert (recipe.settings["prompt"], recipe.settings["cfg_scale"], recipe.size) == ("a tree", 3.0, SIZE)
    assert "a tree" in shell.run("info", made)[0]


def test_strength_0_gives_the_pixels_back(shell: Shell, image: Path, source: Pixels) -> None:
    (made,) = shell.make("img2img", image, "a tree", "--strength", 0)
    assert pixels(made) == source


def test_inpaint_leaves_what_the_mask_leaves(shell: Shell, image: Path, source: Pixels, tmp_path: Path) -> None:
    mask = tmp_path / "mask.png"
    white_to_the_right = bytes(255 * (x >= 64) for _ in range(SIZE.height) for x in range(SIZE.width))
    mask.write_bytes(encode_png(Pixels(SIZE, 1, 8, white_to_the_right)))
    (made,) = shell.make("inpaint", image, mask, "a tree", "--steps", 2, "--strength", 1)
    result, row = pixels(made), 3 * SIZE.width
    assert result.size == SIZE
    for start in range(0, len(source.data), row):
        assert result.data[start : start + 3 * 64] == source.data[start : start + 3 * 64]
    assert result.data != source.data


def test_a_photo_comes_back_upright_and_in_its_colour_space(shell: Shell, tmp_path: Path) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    exif = Image.Exif()
    exif[0x0112] = 6
    photo = tmp_path / "photo.jpg"
    Image.new("RGB", (64, 48), (200, 100, 50)).save(photo, exif=exif, icc_profile=profile)
    (made,) = shell.make("img2img", photo, "a tree", "--steps", 2)
    with Image.open(made) as result:
        assert result.size == (48, 64)
        assert result.info["icc_profile"] == profile


def test_16_bits_and_transparency_come_back(shell: Shell, tmp_path: Path) -> None:
    deep = bytes(value for k in range(SIZE.area) for value in (k % 251, k % 13, 9, 1, 200, 0, k % 256, 77))
    path = tmp_path / "deep.png"
    path.write_bytes(encode_png(Pixels(SIZE, 4, 16, deep)))
    (made,) = shell.make("img2img", path, "a tree", "--steps", 2)
    result = pixels(made)
    assert (result.size, result.channels, result.depth) == (SIZE, 4, 16)
    assert result.data[6::8] == deep[6::8]
    assert result.data[7::8] == deep[7::8]


def test_a_batch_is_numbered_and_its_pictures_are_those_of_their_seeds(shell: Shell, tmp_path: Path) -> None:
    words = ("txt2img", "a tree", "--size", "64x64", "--steps", 2)
    both = shell.make(*words, "--seed", 7, "--batch-size", 2, "-o", tmp_path / "both.png")
    assert [path.name for path in both] == ["both-1.png", "both-2.png"]
    (second,) = shell.make(*words, "--seed", 8, "-o", tmp_path / "second.png")
    assert pixels(both[1]) == pixels(second)


def test_ctrl_c_cancels_the_job_on_the_backend_and_writes_nothing(shell: Shell, image: Path) -> None:
    steps = ("--steps", 150, "--strength", 1, "--batch-count", 20)
    process = shell.start(["img2img", image, "a tree", "--model", "tiny", *steps])
    assert process.stderr is not None
    while "painting" not in (line := process.stderr.readline()):
        assert line, "the job never ran"
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err.strip().splitlines()[-1]) == (130, "", "Cancelled.")
    assert sorted(path.name for path in image.parent.iterdir()) == ["image.png"]
    with shell.client() as client:
        assert "cancelled" in [job.state for job in client.jobs()]
        assert not [job for job in client.jobs() if not job.final]


def test_what_the_backend_refuses_is_a_sentence(shell: Shell, image: Path) -> None:
    _, err = shell.run("img2img", image, "a tree", "--model", "tinny", code=2)
    assert "Did you mean tiny?" in err
    image.write_bytes(image.read_bytes()[:-40])
    _, err = shell.run("img2img", image, "a tree", "--model", "tiny", code=2)
    assert "PNG" in err
    assert sorted(path.name for path in image.parent.iterdir()) == ["image.png"]


def test_a_backend_can_be_named_by_its_address(shell: Shell, image: Path) -> None:
    with shell.client() as client:
        url = client.url
    (made,) = shell.make("img2img", image, "a tree", "--strength", 0, "--server", url)
    assert made.exists()
    _, err = shell.run("img2img", image, "a tree", "--server", "http://127.0.0.1:9", code=1)
    assert "127.0.0.1:9" in err


def test_a_picture_that_could_not_be_written_can_be_fetched_again(shell: Shell, tmp_path: Path) -> None:
    words = ["txt2img", "a tree", "--size", "64x64", "--steps", 2, "--model", "tiny", "--json"]
    out, _ = shell.run(*words, "-o", tmp_path / "first.png")
    (made,) = shell.make_again(json.loads(out)["id"], tmp_path / "second.png")
    assert made.read_bytes() == (tmp_path / "first.png").read_bytes()
    assert "no such job" in shell.run("fetch", "nothing", "-o", tmp_path / "third.png", code=1)[1]


def test_doctor_finds_the_backend_and_the_model(shell: Shell) -> None:
    out = json.loads(shell.start(["doctor", "--json"]).communicate(timeout=60)[0])
    assert {(row["subject"], row["mark"]) for row in out} >= {("backend", "ok"), ("token", "ok")}
    assert ["tiny" in row["text"] for row in out if row["subject"] == "model"][-1]


def test_serve_beside_a_running_backend_says_where_that_is(shell: Shell) -> None:
    with shell.client() as client:
        url = client.url
    _, err = shell.run("serve", code=3)
    assert url in err


def test_serve_tells_what_to_do_next_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    shell = Shell(tmp_path / "home")
    with shell.start(["serve", "--port", 0]) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline()]
        assert "listens at http://127.0.0.1:" in lines[0]
        while "Ctrl+C" not in lines[-1]:
            lines.append(process.stdout.readline())
        assert any("img2img" in line for line in lines)
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        assert process.wait(30) == 0
    assert not (tmp_path / "home" / "config" / "server.json").exists()
