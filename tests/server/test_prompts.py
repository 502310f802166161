"""Prompts over HTTP: counted, resolved, refused with a place; styles kept; and what became of them in the recipe."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
import requests

from pentimento_shared.png_file import read_png_text
from pentimento_shared.recipe import INFOTEXT_KEY, PNG_KEY
from tests.server.serving import PATIENCE_S, ServerProcess


def check(server: ServerProcess, **values: Any) -> requests.Response:
    url = f"{server.url}/api/v1/prompts/check"
    return server.session.post(url, json={"model": "tiny", **values}, timeout=PATIENCE_S)


def checked(server: ServerProcess, **values: Any) -> dict[str, Any]:
    answer = check(server, **values)
    assert answer.status_code == 200, answer.text
    return answer.json()


def txt2img(**values: object) -> dict[str, Any]:
    return {"task": "txt2img", "settings": {"model": "tiny", "width": 64, "height": 64, "steps": 2, **values}}


@pytest.fixture
def words(server: ServerProcess):
    folder = server.data / "wildcards"
    folder.mkdir(exist_ok=True)
    (folder / "place.txt").write_text("harbour\nmeadow\nforest\n", "utf-8")
    yield folder
    (folder / "place.txt").unlink()


def test_tokens_are_counted(server: ServerProcess) -> None:
    """The tiny model has one token a letter."""
    found = checked(server, prompt="a (lake:1.2) at dawn", negative_prompt="x" * 80, seed=3)
    assert found == {
        "model": "tiny",
        "seed": 3,
        "chunk": 75,
        "prompt": {"tokens": 11, "limit": 75, "chunks": 1, "resolved": "a (lake:1.2) at dawn", "error": None},
        "negative_prompt": {"tokens": 80, "limit": 150, "chunks": 2, "resolved": "x" * 80, "error": None},
    }
    assert checked(server)["prompt"]["tokens"] == 0
    assert checked(server, prompt="[a:bbbb:0.5]", steps=4)["prompt"]["tokens"] == 4


def test_the_demo_model_counts_words(server: ServerProcess) -> None:
    found = checked(server, model="demo", prompt="mountains at sunset, watercolor")
    assert 4 <= found["prompt"]["tokens"] <= 8


def test_a_fault_is_shown_with_its_place_and_the_other_prompt_is_counted(server: ServerProcess) -> None:
    found = checked(server, prompt="a (red house", negative_prompt="fog")
    error = found["prompt"].pop("error")
    assert (error["position"], error["expected"]) == (3, ")")
    assert "never closed" in error["detail"]
    assert set(found["prompt"].values()) == {None}
    assert found["negative_prompt"]["tokens"] == 3


def test_a_check_draws_what_the_job_will_draw(server: ServerProcess, words) -> None:
    written = {"prompt": "{a|one} __place__ # note", "seed": 11}
    wanted = checked(server, **written)["prompt"]["resolved"]
    assert wanted.split()[-1] in ("harbour", "meadow", "forest")
    job = server.finish(server.submit(txt2img(**written, batch_size=2)))
    assert job["recipe"]["settings"]["prompt"] == wanted
    assert job["recipe"]["written"] == {"prompt": written["prompt"]}
    second = server.get(f"/jobs/{job['id']}/images/1")
    recipe = json.loads(read_png_text(second.content)[PNG_KEY])
    assert recipe["settings"]["prompt"] == checked(server, **{**written, "seed": 12})["prompt"]["resolved"]
    assert read_png_text(second.content)[INFOTEXT_KEY].startswith(recipe["settings"]["prompt"])
    drawn = checked(server, prompt=written["prompt"])
    assert checked(server, prompt=written["prompt"], seed=drawn["seed"]) == drawn


@pytest.mark.parametrize(
    ("field", "text", "position"),
    [
        ("prompt", "a (red house", 3),
        ("prompt", "a <lora:x:1>", 3),
        ("prompt", "__../../config/token__", 1),
        ("negative_prompt", "fog AND rain", 5),
        ("styles", "nonesuch", None),
    ],
)
def test_a_job_whose_prompt_cannot_be_read_is_refused(server: ServerProcess, field: str, text: str, position) -> None:
    before = server.get("/jobs").json()["jobs"]
    answer = server.post(txt2img(**{field: text}))
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["field"] == field
    assert problem["allowed"]
    assert position is None or f"character {position}," in problem["detail"]
    assert server.token not in answer.text
    assert server.get("/jobs").json()["jobs"] == before


@pytest.mark.parametrize(
    ("values", "status", "field"),
    [
        ({"promt": "x"}, 422, "promt"),
        ({"prompt": 5}, 422, "prompt"),
        ({"prompt": "x" * 20_001}, 422, "prompt"),
        ({"steps": 0}, 422, "steps"),
        ({"model": "nonesuch"}, 422, "model"),
        ({"model": "../tiny"}, 422, "model"),
        ({"styles": "nonesuch"}, 422, "styles"),
        ({"cfg_scale": 7}, 422, "cfg_scale"),
    ],
)
def test_checks_that_are_refused(server: ServerProcess, values: dict[str, Any], status: int, field: str) -> None:
    answer = check(server, **values)
    assert answer.status_code == status
    assert answer.json()["field"] == field


def test_checks_that_are_no_json(server: ServerProcess) -> None:
    url = f"{server.url}/api/v1/prompts/check"
    assert (
        server.session.post(url, data="{", headers={"Content-Type": "application/json"}, timeout=30).status_code == 400
    )
    assert server.session.post(url, data={"prompt": "x"}, timeout=30).status_code == 415
    assert server.session.post(url, json={"prompt": "x" * (1 << 20)}, timeout=30).status_code == 413
    assert requests.post(url, json={}, timeout=30).status_code == 401


def test_styles_are_kept(server: ServerProcess) -> None:
    styles = f"{server.url}/api/v1/styles"
    assert server.get("/styles").json()["styles"] == []
    oil = {"prompt": "{prompt}, oil painting", "negative_prompt": "photo"}
    assert server.session.put(f"{styles}/Oil, thick", json=oil, timeout=30).json() == {"name": "Oil, thick", **oil}
    assert server.get("/styles").json()["styles"] == [{"name": "Oil, thick", **oil}]
    found = checked(server, prompt="a lake", styles='"Oil, thick"')
    assert found["prompt"]["resolved"] == "a lake, oil painting"
    assert found["negative_prompt"]["resolved"] == "photo"
    assert server.session.put(f"{styles}/%23x", json=oil, timeout=30).status_code == 422
    assert server.session.put(f"{styles}/x", json={"words": "y"}, timeout=30).status_code == 422
    assert server.delete("/styles/oil").status_code == 422
    assert server.delete("/styles/Oil, thick").json()["styles"] == []


def test_a_check_is_quick_enough_for_every_key_that_is_pressed(server: ServerProcess) -> None:
    checked(server, model="demo", prompt="first")
    started = time.perf_counter()
    for _ in range(10):
        checked(server, model="demo", prompt="a (red:1.2) house by the [sea:lake:0.5], " * 10)
    # It takes 10 ms; the bound is for busy machines.
    assert time.perf_counter() - started < 5
