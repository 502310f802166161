"""Upscalers over HTTP and on the command line: listed, run, refused, and named in what they have made."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pentimento.engine.arrays import to_pixels
from pentimento_shared.controller import Controller
from pentimento_shared.geometry import Size
from pentimento_shared.pixels import Pixels, decode_png, encode_png
from pentimento_shared.png_file import read_png_text
from pentimento_shared.recipe import PNG_KEY, Recipe
from pentimento_shared.settings import UPSCALE_WORDS
from tests import upscalers
from tests.conftest import StartServer
from tests.models import build_tiny_model
from tests.server.driving import controller_of, go, order, painted, picture, record, result
from tests.server.serving import ServerProcess
from tests.server.test_cli_jobs import Shell

SMALL = {"task": "img2img", "settings": {"model": "tiny", "prompt": "a mill", "steps": 2, "seed": 3, "strength": 0.4}}


def install(models: Path) -> None:
    upscalers.write(models / "upscalers" / "Mill_x4.safetensors", upscalers.compact(4))
    # Anywhere else a file's header says what it is.
    upscalers.write(models / "somewhere" / "Sails_x2.safetensors", upscalers.esrgan(2))
    (models / "upscalers" / "old.pth").write_bytes(b"\x80\x04K\x01.")


def source(depth: int = 8) -> Pixels:
    levels = np.random.default_rng(0).integers(1, 2**depth, (30, 40, 3))
    return to_pixels(levels.astype(np.uint8 if depth == 8 else np.uint16))


def asking(**settings: object) -> dict[str, Any]:
    return {**SMALL, "settings": {**SMALL["settings"], **settings}}


@pytest.fixture(scope="module")
def mill(start_server: StartServer, tiny_model: Path) -> ServerProcess:
    server = start_server(model=tiny_model)
    server.wait_ready()
    install(server.data / "models")
    return server


def test_they_are_listed_with_the_setting_that_takes_them(mill: ServerProcess) -> None:
    names = ["somewhere/Sails_x2", "Mill_x4"]
    answer = mill.get("/models").json()
    assert sorted(answer["upscalers"]) == sorted(names)
    assert [row["problem"][:18] for row in answer["refused"]] == ["old.pth is a pickl"]
    for query in ({}, {"model": "tiny"}):
        rows = {row["name"]: row for row in mill.get("/settings", params=query).json()["settings"]}
        assert rows["upscale_first"]["choices"] == [*UPSCALE_WORDS, *answer["upscalers"]]
        assert rows["upscale_first"]["default"] == "Lanczos"


@pytest.mark.parametrize("name", ["Mill_x4", "somewhere/sails_x2"])
def test_a_job_uses_the_one_that_it_names_and_a_replay_makes_the_same(mill: ServerProcess, name: str) -> None:
    image = encode_png(source())
    job = mill.submit(asking(upscale_first=name), image)
    assert mill.finish(job)["state"] == "done", mill.job(job)
    recipe = mill.finish(job)["recipe"]
    assert recipe["settings"]["upscale_first"] == name
    lanczos = mill.submit(SMALL, image)
    mill.finish(lanczos)
    assert mill.pixels(job) != mill.pixels(lanczos)
    again = mill.submit({"task": recipe["task"], "settings": recipe["settings"]}, image)
    mill.finish(again)
    assert mill.pixels(again) == mill.pixels(job)


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("Mil_x4", "upscale_first is 'Mil_x4'; there is: Lanczos, off, "),
        ("lanczoss", "Did you mean Lanczos?"),
        ("old.pth", "old.pth is a pickle"),
        ("../tiny/unet/diffusion_pytorch_model", "there is: Lanczos, off, "),
        (4, "upscale_first is 4; allowed: Lanczos, off, or a name of at most 200 characters"),
    ],
)
def test_what_cannot_be_used_is_refused_at_once(mill: ServerProcess, name: object, detail: str) -> None:
    answer = mill.post(asking(upscale_first=name), encode_png(source()))
    assert answer.status_code == 422
    assert (answer.json()["field"], detail in answer.json()["detail"]) == ("upscale_first", True)


def test_a_network_of_no_known_kind_fails_the_job_with_the_reason(mill: ServerProcess, tiny_model: Path) -> None:
    weights = (tiny_model / "vae" / "diffusion_pytorch_model.safetensors").read_bytes()
    file = mill.data / "models" / "upscalers" / "vae.safetensors"
    file.write_bytes(weights)
    job = mill.finish(mill.submit(asking(upscale_first="vae"), encode_png(source())))
    file.unlink()
    assert job["state"] == "failed"
    assert "vae.safetensors is no upscaler of an architecture that is known here" in job["problem"]["detail"]


def test_a_layer_is_made_again_with_its_upscaler(mill: ServerProcess) -> None:
    controller: Controller = controller_of(mill)
    canvas = painted()
    canvas.paint(picture(40, 30), (50, 35))
    first = result(canvas, controller.start(canvas, order("img2img", upscale_first="Mill_x4", strength=0.3)))
    assert record(first).recipe.settings["upscale_first"] == "Mill_x4"
    again = result(canvas, controller.redo(canvas, first.id))
    assert (again.place, again.levels.tobytes()) == (first.place, first.levels.tobytes())
    unknown = go(controller.start(canvas, order("img2img", upscale_first="Mil_x4")))
    assert "Did you mean Mill_x4?" in unknown.message


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shell]:
    home = tmp_path_factory.mktemp("home")
    build_tiny_model(home / "data" / "models" / "tiny")
    install(home / "data" / "models")
    shell = Shell(home)
    yield shell
    shell.run("stop")


def test_the_command_line_lists_and_uses_them(shell: Shell, tmp_path: Path) -> None:
    assert "\nUpscalers: " in shell.run("models", "list")[0]
    image = tmp_path / "mill.png"
    image.write_bytes(encode_png(source(16)))
    words = ("--scale-by", 4, "--strength", 0, "--upscale-first")
    (large,) = shell.make("img2img", image, "a mill", *words, "mill_x4", "-o", tmp_path / "large.png")
    (lanczos,) = shell.make("img2img", image, "a mill", *words, "Lanczos", "-o", tmp_path / "lanczos.png")
    made = decode_png(large.read_bytes())
    assert (made.size, made.depth) == (Size(160, 120), 16)
    assert made != decode_png(lanczos.read_bytes())
    recipe = Recipe.from_json(read_png_text(large.read_bytes())[PNG_KEY])
    assert recipe.settings["upscale_first"] == "mill_x4"
    said = shell.run("img2img", image, "a mill", "--model", "tiny", "--upscale-first", "mil_x4", code=2)[1]
    assert "Did you mean Mill_x4?" in said
    assert json.loads(shell.run("models", "list", "--json")[0])
