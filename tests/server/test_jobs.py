"""A job's way through a real server and a real engine: submit, follow, look, fetch, cancel."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import psutil
import pytest
import requests

from pentimento_shared.geometry import Size
from pentimento_shared.pixels import decode_png, read_png_text
from pentimento_shared.recipe import Recipe
from tests.server.pictures import mask, picture
from tests.server.serving import ServerProcess, over, until

IMAGE, MASK = picture(64, 48), mask(64, 48)
LONG = {"task": "txt2img", "settings": {"model": "tiny", "width": 64, "height": 64, "steps": 150, "batch_count": 100}}
FINAL = ("done", "failed", "cancelled")


def quick(seed: int, **settings: object) -> dict[str, Any]:
    return {"task": "inpaint", "settings": {"model": "tiny", "steps": 3, "seed": seed, **settings}}


@pytest.fixture(scope="module")
def done(server: ServerProcess) -> dict[str, Any]:
    """A finished inpainting of two pictures."""
    return server.finish(server.submit(quick(5, batch_count=2, prompt="a \u2603 house"), IMAGE, MASK))


@pytest.fixture
def busy(server: ServerProcess) -> Iterator[str]:
    """A job that runs for longer than any test; cancelled at the end."""
    job_id = server.submit(LONG)
    server.follow(job_id, lambda job: job["stage"] == "sample")
    yield job_id
    server.delete(f"/jobs/{job_id}")


def test_a_job_is_done(server: ServerProcess, done: dict[str, Any]) -> None:
    assert done["state"] == "done", done["problem"]
    assert (done["progress"], done["position"], done["stage"], done["images"]) == (1.0, None, None, 2)
    assert done["seeds"] == [5, 6]
    assert done["problem"] is None
    assert done["recipe"]["settings"]["prompt"] == "a \u2603 house"
    listed = server.get("/jobs").json()["jobs"]
    assert done in listed


def test_the_three_composites(server: ServerProcess, done: dict[str, Any]) -> None:
    pictures = {}
    for kind in ("layer", "full", "raw"):
        answer = server.get(f"/jobs/{done['id']}/images/1?composite={kind}")
        assert answer.headers["Content-Type"] == "image/png"
        pictures[kind] = decode_png(answer.content)
        texts = read_png_text(answer.content)
        recipe = Recipe.from_json(texts["pentimento"])
        assert (recipe.seed, recipe.settings["prompt"]) == (6, "a \u2603 house")
        assert texts["parameters"].startswith("a \u2603 house\nSteps: 3")
    source, selection = decode_png(IMAGE), decode_png(MASK)
    assert pictures["layer"].size == pictures["full"].size == Size(64, 48)
    assert pictures["layer"].channels == 4
    assert pictures["layer"].data[3::4] == selection.data, "the layer's alpha is the selection"
    kept = [k for k, level in enumerate(selection.data) if level == 0]
    full = pictures["full"].data
    assert all(full[3 * k : 3 * k + 3] == source.data[3 * k : 3 * k + 3] for k in kept)
    assert full != source.data
    default = server.get(f"/jobs/{done['id']}/images/1").content
    assert decode_png(default) == pictures["layer"]


def test_a_picture_has_an_etag(server: ServerProcess, done: dict[str, Any]) -> None:
    path = f"/jobs/{done['id']}/images/0?composite=full"
    etag = server.get(path).headers["ETag"]
    again = server.get(path, headers={"If-None-Match": etag})
    assert (again.status_code, again.content) == (304, b"")
    assert server.get(path.replace("full", "raw"), headers={"If-None-Match": etag}).status_code == 200
    head = server.session.head(f"{server.url}/api/v1{path}", timeout=10)
    assert (head.status_code, head.content) == (200, b"")


def test_pictures_that_are_not_there(server: ServerProcess, done: dict[str, Any], busy: str) -> None:
    beyond = server.get(f"/jobs/{done['id']}/images/2")
    assert (beyond.status_code, beyond.json()["allowed"]) == (404, "0 to 1")
    assert server.get(f"/jobs/{done['id']}/images/-1").status_code == 404
    early = server.get(f"/jobs/{busy}/images/0")
    assert (early.status_code, early.json()["value"]) == (409, "running")
    assert server.get(f"/jobs/{done['id']}/images/0?composite=best").status_code == 422
    assert server.get(f"/jobs/{done['id']}/preview").status_code == 404


def test_the_same_seed_makes_the_same_picture(server: ServerProcess, done: dict[str, Any]) -> None:
    again = server.finish(server.submit(quick(6, prompt="a \u2603 house"), IMAGE, MASK))
    assert server.pixels(again["id"], 0) == server.pixels(done["id"], 1)


def test_a_region_is_not_cropped_further(server: ServerProcess) -> None:
    request = {
        **quick(1),
        "region": {"canvas": [200, 100], "context": [100, 40, 64, 48]},
        "parent": "p",
        "application": "a",
    }
    recipe = server.finish(server.submit(request, IMAGE, MASK))["recipe"]
    assert (recipe["canvas"], recipe["context"], recipe["parent"]) == ([200, 100], [100, 40, 64, 48], "p")


def test_txt2img_as_plain_json(server: ServerProcess) -> None:
    request = {"task": "txt2img", "settings": {"model": "tiny", "width": 72, "height": 64, "steps": 2}}
    answer = server.session.post(f"{server.url}/api/v1/jobs", json=request, timeout=30)
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/v1/jobs/{answer.json()['id']}"
    job = server.finish(answer.json()["id"])
    assert 0 <= job["seeds"][0] < 2**32
    assert job["recipe"]["size"] == [72, 64]


def test_progress_and_revisions_only_grow(server: ServerProcess) -> None:
    seen = server.follow(server.submit(quick(9, steps=20, batch_count=2), IMAGE, MASK), over)
    assert len(seen) > 10
    for before, after in pairwise(seen):
        assert after["rev"] > before["rev"]
        assert after["progress"] >= before["progress"]
        assert after["images"] >= before["images"]
    running = [job for job in seen if job["state"] == "running"]
    assert {job["position"] for job in running} == {0}
    assert [job["stage"] for job in running if job["stage"] == "sample"]
    assert max(job["steps"] for job in running) == 12  # strength 0.6 of 20


def test_a_retry_is_the_same_job(server: ServerProcess) -> None:
    key = {"Idempotency-Key": "one-and-only"}
    request = quick(-1, steps=2)
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: server.post(request, IMAGE, MASK, key), range(4)))
    assert sorted(answer.status_code for answer in answers) == [200, 200, 200, 201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len({tuple(answer.json()["seeds"]) for answer in answers}) == 1, "the random seed was drawn once"
    for other, image in ((quick(-1, steps=4), IMAGE), (request, picture(64, 48, depth=16))):
        misused = server.post(other, image, MASK, key)
        assert (misused.status_code, misused.json()["field"]) == (422, "Idempotency-Key")
    server.finish(answers[0].json()["id"])
    late = server.post(request, IMAGE, MASK, key)
    assert (late.status_code, late.json()["state"]) == (200, "done")


def test_the_queue_moves_up_and_cancel_reaches_one_job_only(server: ServerProcess, busy: str) -> None:
    first, second, third = (server.submit(quick(20 + k, steps=2), IMAGE, MASK) for k in range(3))
    assert [server.job(job)["position"] for job in (busy, first, second, third)] == [0, 1, 2, 3]
    rev = server.job(third)["rev"]
    cancelled = server.delete(f"/jobs/{first}")
    assert (cancelled.status_code, cancelled.json()["state"], cancelled.json()["position"]) == (200, "cancelled", None)
    moved = server.job(third, wait=20, since=rev)
    assert (moved["position"], moved["rev"] > rev) == (2, True)
    assert server.job(busy)["state"] == "running"
    worker = server.workers()[0].pid
    stopped = server.delete(f"/jobs/{busy}").json()
    assert (stopped["state"], stopped["problem"]) == ("cancelled", None)
    assert [server.finish(job)["state"] for job in (second, third)] == ["done", "done"]
    assert server.job(first)["state"] == server.job(busy)["state"] == "cancelled"
    assert server.workers()[0].pid == worker, "the worker obeyed; nobody had to kill it"
    again = server.delete(f"/jobs/{second}")
    assert (again.status_code, again.json()["state"]) == (200, "done"), "what is done stays done"
    assert server.get(f"/jobs/{busy}/images/0").status_code == 409


def test_previews(server: ServerProcess, busy: str) -> None:
    until(lambda: server.get(f"/jobs/{busy}/preview").status_code == 200)
    answer = server.get(f"/jobs/{busy}/preview")
    assert answer.headers["Content-Type"] == "image/jpeg"
    assert answer.content.startswith(b"\xff\xd8\xff")
    server.delete(f"/jobs/{busy}")
    assert server.get(f"/jobs/{busy}/preview").status_code == 404


def test_a_preview_that_was_seen_is_not_sent_again(server: ServerProcess) -> None:
    job_id = server.submit(LONG)
    until(lambda: server.get(f"/jobs/{job_id}/preview").status_code == 200)
    psutil.Process(server.workers()[0].pid).suspend()  # so that no newer one comes
    try:
        etag = server.get(f"/jobs/{job_id}/preview").headers["ETag"]
        server.get(f"/jobs/{job_id}/preview", headers={"If-None-Match": etag})
        until(lambda: server.get(f"/jobs/{job_id}/preview", headers={"If-None-Match": etag}).status_code == 304)
    finally:
        psutil.Process(server.workers()[0].pid).resume()
        server.delete(f"/jobs/{job_id}")


def test_long_poll_comes_back_when_nothing_happens(server: ServerProcess, done: dict[str, Any]) -> None:
    assert server.job(done["id"], wait=20, since=done["rev"]) == done, "a job that is over is not waited for"
    rev = server.get("/jobs").json()["rev"]
    quiet = server.get("/jobs", params={"wait": 0.2, "since": rev}).json()
    assert quiet["rev"] == rev
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: server.get("/jobs", params={"wait": 20, "since": rev}).json())
        job_id = server.submit(quick(30, steps=2), IMAGE, MASK)
        assert waiting.result()["rev"] > rev
    server.finish(job_id)


def events(answer: requests.Response) -> Iterator[dict[str, str]]:
    """The events of a stream, each as its fields."""
    fields: dict[str, str] = {}
    for raw in answer.iter_lines(chunk_size=1):
        if line := raw.decode("utf-8"):
            name, _, value = line.partition(": ")
            fields[name] = value
        elif fields:
            yield fields
            fields = {}


def test_events(server: ServerProcess) -> None:
    job_id = server.submit(quick(40, steps=10), IMAGE, MASK)
    answer = server.get(f"/jobs/{job_id}/events", stream=True)
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    told = [event for event in events(answer) if event.get("event") == "job"]
    jobs = [json.loads(event["data"]) for event in told]
    assert jobs[-1]["state"] == "done"
    assert [int(event["id"]) for event in told] == [job["rev"] for job in jobs]
    assert [job["rev"] for job in jobs] == sorted({job["rev"] for job in jobs})
    seen = server.get(f"/jobs/{job_id}/events", headers={"Last-Event-ID": told[-1]["id"]})
    assert "event: job" not in seen.text, "what the client has is not told again"


def test_waiters_leave_threads_for_others(server: ServerProcess, busy: str) -> None:
    queued = server.submit(quick(50, steps=2), IMAGE, MASK)
    streams = [server.get(f"/jobs/{queued}/events", stream=True) for _ in range(16)]
    try:
        assert [stream.status_code for stream in streams] == [200] * 16
        refused = server.get(f"/jobs/{queued}/events")
        assert (refused.status_code, refused.headers["Retry-After"]) == (503, "5")
        rev = server.job(queued)["rev"]
        assert server.job(queued, wait=25, since=rev)["rev"] == rev, "answered at once, unchanged"
        assert server.get("/health").status_code == 200
    finally:
        for stream in streams:
            stream.close()
        server.delete(f"/jobs/{queued}")


def test_prompts_are_in_no_log(server: ServerProcess, done: dict[str, Any]) -> None:
    assert done["state"] == "done"
    for log in (server.data / "logs").iterdir():
        assert "house" not in log.read_text()


def test_torch_is_in_the_worker_alone(server: ServerProcess, done: dict[str, Any]) -> None:
    """Of the running processes, after jobs were run and pictures fetched: which libraries are mapped into them."""
    assert done["state"] == "done"

    def libraries(process: psutil.Process) -> str:
        return " ".join(entry.path for entry in process.memory_maps())

    assert "libtorch" not in libraries(psutil.Process(server.pid))
    assert "libtorch" in libraries(server.workers()[0])
