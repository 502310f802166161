"""The command line without a backend: what it reads, what it refuses, how it names and writes files."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import get_args

import pytest
from PIL import Image

from pentimento.cli import main
from pentimento.cli.commands import cli
from pentimento.cli.failures import Failure, explain
from pentimento.cli.options import given
from pentimento.cli.output import output_for
from pentimento.cli.pictures import read_mask, read_picture, with_color
from pentimento.cli.progress import describe
from pentimento.doctor import damage, libraries
from pentimento_shared.answers import BackendProblem, BackendUnreachable, Job
from pentimento_shared.geometry import Rect, Size
from pentimento_shared.pixels import Pixels, decode_png, encode_png
from pentimento_shared.recipe import PNG_KEY, Recipe
from pentimento_shared.settings import TASKS, Task, settings_for, validate

ROTATED_BY_90 = 6
EXIF_ORIENTATION = 0x0112


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for every test: no test may see or touch the user's backend."""
    monkeypatch.setenv("PENTIMENTO_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def png(size: tuple[int, int] = (16, 8), color: tuple[int, ...] = (10, 20, 30)) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", size, color).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def image(tmp_path: Path) -> Path:
    path = tmp_path / "image.png"
    path.write_bytes(png())
    return path


# --- options ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("task", TASKS)
def test_every_setting_of_a_task_is_an_option_or_an_argument(task: Task) -> None:
    parameters = {parameter.name for parameter in cli.commands[task].params}
    assert {row.name for row in settings_for(task)} <= parameters


def test_options_arrive_as_the_table_wants_them(monkeypatch: pytest.MonkeyPatch, image: Path) -> None:
    arguments = ["--cfg-scale", "5", "--steps", "12", "--sampler", "Euler a", "--no-color-match", "--seed", "7"]
    context = cli.commands["img2img"].make_context("img2img", [str(image), "a tree", *arguments])
    values = given(context.params)
    assert values == {
        "prompt": "a tree",
        "cfg_scale": 5.0,
        "steps": 12,
        "sampler": "Euler a",
        "color_match": False,
        "seed": 7,
    }
    assert isinstance(values["cfg_scale"], float)
    assert validate("img2img", values)["strength"] == 0.6


def test_context_takes_a_number_and_a_word() -> None:
    inpaint = cli.commands["inpaint"]
    for text, value in (("48", 48), ("canvas", "canvas")):
        assert inpaint.make_context("inpaint", ["a", "b", "c", "--context", text]).params["context"] == value


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--strength", "2"], "strength is 2; allowed: a number from 0 to 1."),
        (["--strength", "nan"], "strength is nan; allowed: a number from 0 to 1."),
        (["--steps", "0"], "steps is 0; allowed: a whole number from 1 to 150."),
        (["--seed", "abc"], "seed is 'abc'; allowed: a whole number from -1 to 4294967295."),
        (["--sampler", "eulr"], "Did you mean Euler?"),
        (["--denoise", "1"], "No such option '--denoise'"),
        (["--composite", "all"], "'all' is not one of 'full', 'layer', 'raw'"),
        (["-o", "out.jpg"], "name it out.png"),
        (["-o", "nowhere/out.png"], "nowhere: there is no such folder"),
        (["--depth", "8"], "No such option '--depth'"),
    ],
)
def test_wrong_input_is_one_sentence_and_exit_code_2(
    arguments: list[str], sentence: str, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["img2img", str(image), "a tree", *arguments]) == 2
    said = capsys.readouterr()
    assert sentence in said.err
    assert "Traceback" not in said.err
    assert said.out == ""


@pytest.mark.parametrize("size", ["256", "ax9", "63x256", "256x9000", "-8x64"])
def test_a_size_that_cannot_be(size: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["txt2img", "a tree", "--size", size]) == 2
    assert "allowed:" in capsys.readouterr().err


def test_size_and_width_contradict_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["txt2img", "a tree", "--size", "64x64", "--width", "64"]) == 2
    assert "leave --width and --height out" in capsys.readouterr().err


# --- pictures in -----------------------------------------------------------------------------------------------


def test_a_png_goes_as_it_is_with_all_its_bits(tmp_path: Path) -> None:
    deep = encode_png(Pixels(Size(3, 2), 4, 16, bytes(range(48))))
    path = tmp_path / "deep.png"
    path.write_bytes(deep)
    assert read_picture(path).png == deep


def test_a_jpeg_from_a_camera_stands_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[EXIF_ORIENTATION] = ROTATED_BY_90
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (16, 8)).save(path, exif=exif)
    picture = read_picture(path)
    assert picture.size == Size(8, 16)
    assert "exif" not in Image.open(io.BytesIO(picture.png)).info


@pytest.mark.parametrize(
    ("mode", "suffix", "channels", "depth"),
    [
        ("L", ".tif", 1, 8),
        ("I;16", ".tif", 1, 16),
        ("RGBA", ".webp", 4, 8),
        ("RGBA", ".tif", 4, 8),
        ("P", ".gif", 3, 8),
        ("1", ".tif", 1, 8),
        ("CMYK", ".jpg", 3, 8),
        ("RGB", ".bmp", 3, 8),
    ],
)
def test_what_pillow_reads_becomes_a_png(mode: str, suffix: str, channels: int, depth: int, tmp_path: Path) -> None:
    path = tmp_path / f"picture{suffix}"
    Image.new(mode, (12, 9)).save(path)
    pixels = decode_png(read_picture(path).png)
    assert (pixels.size, pixels.channels, pixels.depth) == (Size(12, 9), channels, depth)


def test_a_transparent_gif_stays_transparent(tmp_path: Path) -> None:
    picture = Image.new("P", (4, 4), 0)
    picture.putpalette([200, 0, 0, 0, 200, 0])
    picture.putpixel((1, 1), 1)
    path = tmp_path / "picture.gif"
    picture.save(path, transparency=0)
    pixels = decode_png(read_picture(path).png)
    assert pixels.channels == 4
    assert pixels.data[3] == 0
    assert pixels.data[4 * 5 : 4 * 6] == bytes([0, 200, 0, 255])


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is empty (0 bytes)"),
        (b"just words", "is not a picture that can be read"),
        (png()[:5], "is not a picture that can be read"),
        (png()[:20], "image.png"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF\x00", "image.png"),
    ],
)
def test_what_is_no_picture_is_named(
    content: bytes, sentence: str, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image.write_bytes(content)
    assert main(["img2img", str(image), "a tree"]) == 2
    said = capsys.readouterr().err
    assert sentence in said
    assert "Traceback" not in said


def test_a_picture_beyond_all_limits_is_refused_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "wide.tif"
    Image.new("1", (20_000, 1)).save(path)
    with pytest.raises(Failure, match="20000 x 1; allowed: at most 16384 px a side"):
        read_picture(path)


def test_a_missing_file_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["img2img", str(tmp_path / "none.png"), "a tree"]) == 2
    assert "none.png: there is no such file." in capsys.readouterr().err


def test_an_embedded_profile_comes_back_in_the_result(tmp_path: Path) -> None:
    from PIL import ImageCms

    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (8, 8)).save(path, icc_profile=profile)
    result = with_color(png((8, 8)), read_picture(path).color)
    assert Image.open(io.BytesIO(result)).info["icc_profile"] == profile
    assert decode_png(result) == decode_png(png((8, 8)))


# --- masks -----------------------------------------------------------------------------------------------------


def test_an_8_bit_grey_mask_goes_as_it_is(tmp_path: Path) -> None:
    mask = encode_png(Pixels(Size(4, 1), 1, 8, bytes([0, 1, 254, 255])))
    path = tmp_path / "mask.png"
    path.write_bytes(mask)
    assert read_mask(path).png == mask


def test_a_16_bit_mask_is_rounded(tmp_path: Path) -> None:
    values = [0, 128, 129, 257 * 100 - 128, 257 * 100 + 128, 257 * 100 + 129, 65535]
    data = b"".join(value.to_bytes(2, "big") for value in values)
    path = tmp_path / "mask.png"
    path.write_bytes(encode_png(Pixels(Size(len(values), 1), 1, 16, data)))
    assert list(decode_png(read_mask(path).png).data) == [0, 0, 1, 100, 100, 101, 255]


def test_a_mask_in_colour_counts_by_brightness_and_transparent_parts_stay(tmp_path: Path) -> None:
    picture = Image.new("RGBA", (3, 1), (255, 255, 255, 255))
    picture.putpixel((0, 0), (255, 255, 255, 0))
    picture.putpixel((1, 0), (255, 255, 255, 128))
    path = tmp_path / "mask.png"
    picture.save(path)
    assert list(decode_png(read_mask(path).png).data) == [0, 128, 255]


def test_a_mask_of_another_size_is_refused(tmp_path: Path, image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mask = tmp_path / "mask.png"
    mask.write_bytes(png((8, 8)))
    assert main(["inpaint", str(image), str(mask), "a tree"]) == 2
    said = capsys.readouterr().err
    assert "mask.png is 8 x 8 px and" in said
    assert "16 x 8 px; a mask has the size of its picture" in said


# --- pictures out ----------------------------------------------------------------------------------------------


def test_without_a_name_the_result_lies_beside_the_input_and_overwrites_nothing(image: Path) -> None:
    taken = image.with_name("image-pentimento-2.png")
    taken.write_bytes(b"mine")
    output = output_for(None, [image])
    output.check(3)
    written = output.write([b"a", b"b", b"c"])
    assert [path.name for path in written] == [f"image-pentimento-{k}.png" for k in (1, 3, 4)]
    assert [path.read_bytes() for path in (*written, taken)] == [b"a", b"b", b"c", b"mine"]


def test_a_name_that_was_given_is_overwritten_and_numbered_for_a_batch(image: Path) -> None:
    goal = image.with_name("out.png")
    goal.write_bytes(b"old")
    assert output_for(goal, [image]).write([b"new"]) == [goal]
    assert goal.read_bytes() == b"new"
    batch = output_for(goal, [image]).write([b"a", b"b"])
    assert [path.name for path in batch] == ["out-1.png", "out-2.png"]


def test_a_folder_as_name_takes_the_results(image: Path, tmp_path: Path) -> None:
    folder = tmp_path / "results"
    folder.mkdir()
    assert output_for(folder, [image]).write([b"a"]) == [folder / "image-pentimento-1.png"]


def test_the_input_is_never_overwritten(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = image.read_bytes()
    linked = image.with_name("out-2.png")
    linked.symlink_to(image)
    assert main(["img2img", str(image), "a tree", "-o", str(image)]) == 2
    assert main(["img2img", str(image), "a tree", "-o", str(image.with_name("out.png")), "--batch-size", "2"]) == 2
    assert "would overwrite the input" in capsys.readouterr().err
    assert image.read_bytes() == before


def test_a_picture_that_cannot_be_written_leaves_nothing_behind(image: Path) -> None:
    output = output_for(image.with_name("out.png"), [image])
    image.with_name("out-2.png").mkdir()
    before = sorted(image.parent.iterdir())
    with pytest.raises(Failure, match="is a folder"):
        output.check(2)
    assert sorted(image.parent.iterdir()) == before


def test_results_get_the_permissions_of_other_files(image: Path) -> None:
    plain = image.with_name("plain")
    plain.touch()
    (written,) = output_for(None, [image]).write([b"a"])
    assert written.stat().st_mode == plain.stat().st_mode


# --- what it says ----------------------------------------------------------------------------------------------


def job(**changes: object) -> Job:
    facts = {"id": "a", "state": "running", "rev": 1, "seeds": [7], **changes}
    return Job.from_json(facts)


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ({"state": "queued", "position": 1}, "waiting for the engine"),
        ({"state": "queued", "position": 3}, "waiting, 2 more before it"),
        ({"stage": "load"}, "loading the model"),
        ({"stage": "sample", "step": 3, "steps": 12}, "painting, step 3 of 12"),
        (
            {"stage": "sample", "step": 3, "steps": 12, "seeds": [7, 8], "images": 1},
            "painting, picture 2 of 2, step 3 of 12",
        ),
        ({}, "starting"),
        ({"state": "done", "stage": "decode"}, "fetching the result"),
    ],
)
def test_progress_is_told_in_words(state: dict[str, object], text: str) -> None:
    assert describe(job(**state)) == text


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BackendProblem(422, "", "strength is 2"), 2),
        (BackendProblem(413, "", "too large"), 2),
        (BackendProblem(507, "", "disk full"), 1),
        (BackendProblem(500, "", "died"), 1),
        (BackendUnreachable("not there"), 1),
        (PermissionError(13, "Permission denied", "x"), 1),
        (KeyboardInterrupt(), 130),
    ],
)
def test_exit_codes_tell_wrong_input_from_trouble(error: BaseException, code: int) -> None:
    assert explain(error).code == code


def test_a_mistake_of_ours_goes_to_a_log_and_not_to_the_terminal(home: Path) -> None:
    failure = explain(ZeroDivisionError("division by zero"))
    log = home / "data" / "logs" / "cli.log"
    assert failure.code == 1
    assert str(log) in str(failure)
    assert "ZeroDivisionError: division by zero" in log.read_text("utf-8")


def test_no_backend_at_an_address_is_a_sentence(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["img2img", str(image), "a tree", "--server", "http://127.0.0.1:9"]) == 1
    assert "127.0.0.1:9" in capsys.readouterr().err
    assert list(image.parent.glob("*pentimento*.png")) == []


def test_stop_without_a_backend(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stop"]) == 0
    assert capsys.readouterr().out == "no backend is running\n"


# --- info, token, doctor ---------------------------------------------------------------------------------------


@pytest.fixture
def recipe() -> Recipe:
    settings = validate("txt2img", {"prompt": "a tree", "seed": 7, "steps": 4})
    return Recipe(
        id="r1",
        task="txt2img",
        settings=settings,
        model={"id": "demo"},
        sampler="DPM++ 2M",
        schedule="Karras",
        steps_run=4,
        start=1.0,
        size=Size(16, 8),
        work_size=Size(16, 8),
        canvas=Size(16, 8),
        context=Rect(0, 0, 16, 8),
    )


def test_info_shows_the_recipe(image: Path, recipe: Recipe, capsys: pytest.CaptureFixture[str]) -> None:
    image.write_bytes(encode_png(decode_png(png()), {PNG_KEY: recipe.to_json()}))
    assert main(["info", str(image)]) == 0
    assert "a tree" in capsys.readouterr().out
    assert main(["info", "--json", str(image)]) == 0
    assert Recipe.from_json(capsys.readouterr().out) == recipe


def test_info_reads_what_automatic1111_wrote(image: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "a tree\nNegative prompt: fog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 7"
    image.write_bytes(encode_png(decode_png(png()), {"parameters": text}))
    assert main(["info", "--json", str(image)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["settings"] == {"prompt": "a tree", "negative_prompt": "fog"}
    assert said["Sampler"] == "Euler a"


@pytest.mark.parametrize(("content", "code"), [(png(), 1), (b"words", 2), (b"", 2)])
def test_info_of_a_picture_without_a_recipe(
    content: bytes, code: int, image: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image.write_bytes(content)
    assert main(["info", str(image)]) == code
    assert "image.png" in capsys.readouterr().err


def test_the_token_is_made_once_shown_on_request_and_renewed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*arguments: str) -> str:
        assert main(["token", *arguments]) == 0
        return capsys.readouterr().out.strip()

    path = home / "config" / "token"
    assert said() == str(path)
    first = said("--show")
    assert path.read_text("utf-8").strip() == first
    assert said("--show") == first
    assert said("--new", "--show") != first
    assert path.stat().st_mode & 0o777 == 0o600


def test_doctor_says_what_is_there_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    main(["doctor", "--json"])
    findings = {finding["subject"]: finding for finding in json.loads(capsys.readouterr().out)}
    assert {"Pentimento", "libraries", "device", "memory", "disk", "model", "token", "backend"} <= findings.keys()
    assert findings["libraries"]["mark"] == "ok"
    assert findings["backend"]["mark"] in ("-", "warn")


def test_doctor_names_libraries_that_are_missing() -> None:
    finding = libraries(["click", "not-a-library"])
    assert (finding.mark, "not-a-library missing" in finding.text) == ("FAIL", True)


def test_doctor_tells_a_cut_off_weight_file_from_a_whole_one(tmp_path: Path) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    whole = tmp_path / "model.safetensors"
    save_file({"weight": np.zeros(1000, np.float32)}, whole)
    assert damage(whole) == []
    whole.write_bytes(whole.read_bytes()[:2000])
    assert "model.safetensors is damaged" in damage(whole)[0]


# --- the process -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def loaded() -> set[str]:
    """The modules that a process has which ran `pentimento doctor`, `models` and `img2img --help`."""
    program = (
        "import sys; from pentimento.cli import main\n"
        "main(['models']); main(['img2img', '--help']); main(['doctor', '--json'])\n"
        "sys.stderr.write('\\n'.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=_env())
    return set(done.stderr.split())


def _env() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


def test_the_command_line_never_loads_torch(loaded: set[str]) -> None:
    assert not loaded & {"torch", "diffusers", "transformers", "flask"}


def test_the_module_is_the_command() -> None:
    command = [sys.executable, "-m", "pentimento", "--version"]
    assert (
        subprocess.run(command, capture_output=True, text=True, check=True, env=_env()).stdout == "pentimento 0.1.0\n"
    )


def test_task_names_are_the_commands_names() -> None:
    assert set(get_args(Task)) <= cli.commands.keys()
