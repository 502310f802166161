"""Wrong input gets a 4xx that names the field, the value and what is allowed; nothing of it is kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import requests

from pentimento_shared.settings import SETTINGS, TASKS
from tests.checkpoints import files
from tests.checkpoints.test_library import FULL
from tests.conftest import StartServer
from tests.server.pictures import chunk, mask, picture, png
from tests.server.serving import ServerProcess

IMAGE, MASK = picture(), mask()
IMG2IMG = {"task": "img2img", "settings": {"model": "tiny"}}
INPAINT = {"task": "inpaint", "settings": {"model": "tiny"}}


def with_setting(name: str, value: object, task: str = "img2img") -> dict[str, Any]:
    return {"task": task, "settings": {"model": "tiny", name: value}}


def refused(answer: requests.Response, status: int, field: str | None = None, said: str = "") -> dict[str, Any]:
    """The problem of an answer that must be one."""
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    problem = answer.json()
    assert problem["status"] == status
    assert said.lower() in problem["detail"].lower()
    if field is not None:
        assert problem["field"] == field
    return problem


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("strength", 2, "0 to 1"),
        ("strength", "0.5", "0 to 1"),
        ("strength", True, "0 to 1"),
        ("strength", None, "0 to 1"),
        ("sampler", "Euler b", "Euler a"),
        ("schedule", "karass", "Karras"),
        ("steps", 0, "1 to 150"),
        ("steps", 2.5, "1 to 150"),
        ("steps", [4], "1 to 150"),
        ("seed", "abc", "-1 to 4294967295"),
        ("seed", 2**32, "-1 to 4294967295"),
        ("seed", 10**30, "-1 to 4294967295"),
        ("strength", 1e300, "0 to 1"),
        ("cfg_scale", 0.5, "1 to 30"),
        ("model", "nonesuch", "tiny"),
        ("model", "../tiny", "tiny"),
        ("model", "/etc", "tiny"),
        ("model", 7, "text"),
        ("prompt", 5, "text"),
        ("prompt", "x" * 20_001, "20000 characters"),
        ("clip_skip", 3, "at most 2 with the model tiny"),
        ("vae", "nonesuch", "none; put files into models/vae"),
        ("color_match", 1, "true or false"),
    ],
)
def test_settings(server: ServerProcess, name: str, value: object, allowed: str) -> None:
    problem = refused(server.post(with_setting(name, value), IMAGE), 422, name)
    assert allowed in problem["allowed"]
    assert name in problem["detail"]


def test_unknown_names_are_not_passed_over(server: ServerProcess) -> None:
    problem = refused(server.post(with_setting("sampeler", "Euler"), IMAGE), 422, "sampeler")
    assert "Did you mean sampler?" in problem["detail"]
    refused(server.post(with_setting("depth", "8"), IMAGE), 422, "depth", "not a setting of img2img")
    refused(server.post({**IMG2IMG, "promt": "x"}, IMAGE), 422, "promt", "not known")
    refused(server.post({"task": "img3img"}), 422, "task")
    refused(server.post({"settings": {}}), 422, "task")
    refused(server.post({"task": "img2img", "settings": []}, IMAGE), 422, "settings")


@pytest.mark.parametrize("number", ["1e999", "-1e999", "9" * 400])
def test_numbers_beyond_all_bounds(server: ServerProcess, number: str) -> None:
    text = json.dumps(with_setting("seed", 77_777)).replace("77777", number)
    assert "inf" in refused(server.post(text, IMAGE), 422, "seed")["value"]


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("", 400),
        ("{", 400),
        ("null", 422),
        ("[]", 422),
        ('{"task": NaN}', 400),
        ('{"task": "txt2img", "task": "img2img"}', 400),
        ("[" * 100_000, 400),
        ('{"task":' * 5000, 400),
        ('{"seed": ' + "9" * 5000 + "}", 422),
        ('{"task": "txt2img", "settings": {"prompt": "\\ud800"}}', 422),
        ('{"task": "txt2img", "settings": {"prompt": "a\\u0000b"}}', 422),
        ('{"task": "txt2img", "parent": 3}', 422),
        ('{"task": "txt2img", "application": "' + "x" * 201 + '"}', 422),
        ('{"a": "' + "x" * (1 << 20) + '"}', 422),
    ],
)
def test_the_request_itself(server: ServerProcess, text: str, status: int) -> None:
    refused(server.post(text), status)
    plain = {"Content-Type": "application/json"}
    url = f"{server.url}/api/v1/jobs"
    answer = server.session.post(url, data=text.encode(), headers=plain, timeout=30)
    refused(answer, 413 if len(text) > 1 << 20 else status)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "0 bytes"),
        (b"hello", "not a PNG"),
        (b"\xff\xd8\xff\xe0 JFIF", "looks like a JPEG"),
        (IMAGE[:10], "cut short"),
        (IMAGE[: len(IMAGE) // 2], "cut short"),
        (IMAGE[:-13], "cut short"),
        (IMAGE.replace(b"IDAT", b"IDAX"), "checksum"),
        (picture(1, 1), "1 x 1"),
        (picture(7, 64), "7 x 64"),
        (png(20_000, 16, b"\0" * 16), "20000 x 16"),
        (png(16_000, 16_000, b"\0" * 16), "16000 x 16000"),
        (png(64, 64, b"\0" * (64 * 64)), "too early"),
        (png(64, 64, b"\0" * (64 * 65 + 1)), "more picture data"),
        (png(64, 64, b"\0" * (200 << 20)), "more picture data"),  # a decompression bomb
        (png(64, 64, b"\5" * (64 * 65)), "unknown filter"),
        (png(64, 64, b"\0" * (64 * 65))[:-16] + b"\0" * 16, "damaged"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IEND", b""), "header"),
        (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", bytes(12)), "header"),
    ],
)
def test_pictures(server: ServerProcess, data: bytes, said: str) -> None:
    refused(server.post(IMG2IMG, data), 422, "image", said)
    assert not list((server.data / "blobs" / "tmp").iterdir())


def test_masks(server: ServerProcess) -> None:
    refused(server.post(INPAINT, IMAGE, b""), 422, "mask", "0 bytes")
    problem = refused(server.post(INPAINT, IMAGE, mask(32, 64)), 422, "mask", "same size")
    assert (problem["value"], problem["allowed"]) == ("32 x 64", "64 x 64")
    refused(server.post(INPAINT, IMAGE, picture(channels=4)), 422, "mask", "RGBA")


def test_which_pictures_a_task_takes(server: ServerProcess) -> None:
    refused(server.post(IMG2IMG), 422, "image", "missing")
    refused(server.post(INPAINT, IMAGE), 422, "mask", "missing")
    refused(server.post(IMG2IMG, IMAGE, MASK), 422, "mask", "leave the part mask out")
    refused(server.post({"task": "txt2img", "settings": {"model": "tiny"}}, IMAGE), 422, "image", "no picture")


@pytest.mark.parametrize(
    "region",
    [
        7,
        {},
        {"canvas": [100, 100]},
        {"canvas": [100, 100], "context": [0, 0, 64]},
        {"canvas": [100, 100], "context": [0, 0, 64, 64.0]},
        {"canvas": [100, 100], "context": [0, 0, 64, True]},
        {"canvas": [100, 100], "context": [-1, 0, 64, 64]},
        {"canvas": [100, 100], "context": [37, 0, 64, 64]},
        {"canvas": [100, 100], "context": [0, 0, 63, 64]},
        {"canvas": [100, 10**9], "context": [0, 0, 64, 64]},
        {"canvas": [100, 100], "context": [0, 0, 64, 64], "more": 1},
    ],
)
def test_regions(server: ServerProcess, region: object) -> None:
    refused(server.post({**IMG2IMG, "region": region}, IMAGE), 422, "region")


def multipart(server: ServerProcess, parts: list[tuple[str, tuple[str | None, bytes]]]) -> requests.Response:
    return server.session.post(f"{server.url}/api/v1/jobs", files=parts, timeout=30)


def test_parts(server: ServerProcess) -> None:
    good = ("request", ("r.json", json.dumps(IMG2IMG).encode()))
    image = ("image", ("i.png", IMAGE))
    refused(multipart(server, [good, image, ("extra", ("e", b"x"))]), 422, "extra", "not known")
    refused(multipart(server, [good, image, ("extra", (None, b"x"))]), 422, "extra", "not known")
    refused(multipart(server, [good, image, image]), 422, "image", "twice")
    refused(multipart(server, [good, good, image]), 422, "request", "exactly one")
    refused(multipart(server, [image]), 422, "request", "exactly one")
    refused(multipart(server, [good, ("image", (None, b"x"))]), 422, "image", "as a file")
    refused(multipart(server, [good, *[("image", ("i", b"x"))] * 20]), 413)
    refused(multipart(server, [("request", (None, b"x" * (2 << 20)))]), 413)
    assert not list((server.data / "blobs" / "tmp").iterdir())


@pytest.mark.parametrize("kind", ["text/plain", "image/png", "application/x-www-form-urlencoded", ""])
def test_content_types(server: ServerProcess, kind: str) -> None:
    answer = server.session.post(f"{server.url}/api/v1/jobs", data=b"{}", headers={"Content-Type": kind}, timeout=30)
    refused(answer, 415, "Content-Type")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"--x",
        b"--x\r\n\r\n",
        b"\0" * 1000,
        b"--x\r\nContent-Disposition: form-data\r\n\r\n",
        b"--x\r\nContent-Disposition: form-data\r\n\r\nno name\r\n--x--\r\n",
        b"--x\r\nContent-Disposition: form-data; filename=f\r\n\r\nno name\r\n--x--\r\n",
    ],
)
def test_broken_multipart(server: ServerProcess, body: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = server.session.post(f"{server.url}/api/v1/jobs", data=body, headers=headers, timeout=30)
    assert 400 <= answer.status_code < 500
    assert answer.headers["Content-Type"] == "application/problem+json"


@pytest.mark.parametrize("key", ["", "a b", "x" * 201, "\xfc"])
def test_idempotency_keys(server: ServerProcess, key: str) -> None:
    refused(server.post(IMG2IMG, IMAGE, headers={"Idempotency-Key": key}), 400, "Idempotency-Key")


def test_addresses_and_methods(server: ServerProcess) -> None:
    refused(server.get("/nothing"), 404)
    refused(server.get("/jobs/nothing"), 404, "id")
    refused(server.get("/jobs/nothing/images/0"), 404)
    refused(server.get("/jobs/nothing/images/../../../../etc/passwd"), 404)
    refused(server.get("/jobs/nothing/preview"), 404)
    refused(server.get("/jobs/nothing/events"), 404)
    refused(server.delete("/jobs/nothing"), 404)
    refused(server.delete("/models"), 405)
    refused(server.get("/settings?model=nonesuch"), 422, "model")
    refused(server.get("/jobs?limit=0"), 422, "limit")
    refused(server.get("/jobs?limit=many"), 422, "limit")
    refused(server.get("/jobs?since=nan&wait=1"), 422, "since")


def test_a_refused_request_leaves_no_job_and_no_draft(server: ServerProcess) -> None:
    before = server.get("/jobs").json()
    odd = picture(48, 40)
    refused(server.post(with_setting("strength", 2), odd), 422, "strength")
    refused(server.post(INPAINT, odd, mask(32, 64)), 422, "mask")
    assert server.get("/jobs").json()["jobs"] == before["jobs"]
    stored = [path for path in (server.data / "blobs").rglob("*") if path.is_file()]
    assert odd not in [path.read_bytes() for path in stored]


def test_settings_table_with_and_without_a_model(server: ServerProcess) -> None:
    plain, tiny = server.get("/settings").json(), server.get("/settings?model=tiny").json()
    names = [row.name for row in SETTINGS]
    assert [row["name"] for row in plain["settings"]] == [row["name"] for row in tiny["settings"]] == names
    assert plain["tasks"] == tiny["tasks"] == list(TASKS)
    rows = {row["name"]: row for row in tiny["settings"]}
    assert rows["clip_skip"]["maximum"] == 2
    assert rows["model"]["default"] == "tiny"
    assert rows["strength"] | {"supported": True, "tasks": ["img2img", "inpaint"]} == rows["strength"]


def test_a_model_may_have_other_defaults_in_one_task(server: ServerProcess) -> None:
    rows = {row["name"]: row for row in server.get("/settings?model=demo").json()["settings"]}
    assert (rows["cfg_scale"]["default"], rows["cfg_scale"]["task_defaults"]) == (3.0, {"inpaint": 2.0})
    assert rows["steps"]["task_defaults"] == {}
    used = {}
    for task, selected in (("img2img", None), ("inpaint", mask())):
        asked = {"task": task, "settings": {"model": "demo", "prompt": "night", "steps": 8}}
        done = server.finish(server.submit(asked, IMAGE, selected))
        used[task] = done["recipe"]["settings"]["cfg_scale"]
    assert used == {"img2img": 3.0, "inpaint": 2.0}


def test_models_are_listed(server: ServerProcess) -> None:
    answer = server.get("/models").json()
    models = {model["id"]: model for model in answer["models"]}
    assert models["tiny"]["native_size"] == [64, 64]
    assert models["tiny"]["loaded"] in (True, False)
    assert (answer["vaes"], answer["refused"]) == ([], [])


def test_files_that_come_while_the_server_runs_are_listed(start_server: StartServer, tiny_model: Path) -> None:
    server = start_server(model=tiny_model)
    models = server.data / "models"
    (models / "vae").mkdir()
    shutil.copy(tiny_model / "vae" / "diffusion_pytorch_model.safetensors", models / "vae" / "mine.safetensors")
    (models / "old.ckpt").write_bytes(b"never opened")
    answer = server.get("/models").json()
    assert answer["vaes"] == ["mine"]
    rows = {row["name"]: row for row in server.get("/settings").json()["settings"]}
    assert rows["vae"]["choices"] == ["automatic", "mine"]
    assert [(row["name"], row["kind"]) for row in answer["refused"]] == [("old.ckpt", "checkpoint")]
    assert "old.ckpt is a pickle" in answer["refused"][0]["problem"]


def test_a_model_without_a_vae_asks_for_one(start_server: StartServer, tiny_model: Path) -> None:
    server = start_server(model=tiny_model)
    models = server.data / "models"
    (models / "vae").mkdir()
    shutil.copy(tiny_model / "vae" / "diffusion_pytorch_model.safetensors", models / "vae" / "mine.safetensors")
    bare = {name: shape for name, shape in FULL.items() if not name.startswith("first_stage_model.")}
    files.write(models / "bare.safetensors", bare)
    has_vae = {model["id"]: model["has_vae"] for model in server.get("/models").json()["models"]}
    assert (has_vae["tiny"], has_vae["bare"]) == (True, False)
    problem = refused(server.post(with_setting("model", "bare"), IMAGE), 422, "vae")
    assert (problem["value"], problem["allowed"]) == ("automatic", "mine")
    assert "The model bare has no VAE of its own. Choose one as SD VAE: mine." in problem["detail"]


def test_openapi_names_every_route_and_setting(server: ServerProcess) -> None:
    document = server.get("/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    paths = document["paths"]
    assert set(paths) == {
        "/health",
        "/settings",
        "/models",
        "/openapi.json",
        "/jobs",
        "/jobs/{id}",
        "/jobs/{id}/events",
        "/jobs/{id}/preview",
        "/jobs/{id}/images/{k}",
        "/prompts/check",
        "/styles",
        "/styles/{name}",
    }
    for task in TASKS:
        properties = document["components"]["schemas"][f"Settings_{task}"]["properties"]
        assert set(properties) == {row.name for row in SETTINGS if task in row.tasks}
    text = json.dumps(document)
    for name in {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}:
        assert name in document["components"]["schemas"]
