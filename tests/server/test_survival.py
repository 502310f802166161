"""What is left after `kill -9`: the job ends done, with the pixels of an undisturbed run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import StartServer
from tests.server.pictures import picture
from tests.server.serving import ServerProcess, sampling, until

IMAGE = picture(64, 64)
JOB: dict[str, Any] = {
    "task": "img2img",
    "settings": {"model": "tiny", "strength": 1, "steps": 40, "seed": 7, "batch_count": 2, "prompt": "kept"},
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("survivor")


@pytest.fixture(scope="module")
def first(start_server: StartServer, tiny_model: Path, home: Path) -> ServerProcess:
    """The server whose worker is killed."""
    return start_server(home=home, model=tiny_model)


@pytest.fixture(scope="module")
def undisturbed(first: ServerProcess) -> dict[str, Any]:
    """The same job, left alone, and its pixels."""
    job = first.finish(first.submit(JOB, IMAGE))
    assert job["state"] == "done", job["problem"]
    return {"id": job["id"], "pixels": [first.pixels(job["id"], k) for k in range(2)]}


def kill_worker(server: ServerProcess) -> None:
    (worker,) = server.workers()
    worker.kill()
    until(lambda: not psutil.pid_exists(worker.pid) or worker.status() == psutil.STATUS_ZOMBIE)


def test_the_worker_dies_once(first: ServerProcess, undisturbed: dict[str, Any]) -> None:
    job_id = first.submit(JOB, IMAGE)
    seen = first.follow(job_id, sampling)
    kill_worker(first)
    until(lambda: first.get("/health").json()["worker"] == "starting")
    waiting = first.job(job_id)
    assert (waiting["state"], waiting["position"]) == ("queued", 1)
    assert waiting["progress"] >= seen[-1]["progress"] > 0, "progress never goes back"
    assert first.finish(job_id)["state"] == "done"
    assert [first.pixels(job_id, k) for k in range(2)] == undisturbed["pixels"]


def test_the_worker_dies_twice(first: ServerProcess) -> None:
    doomed, next_one = (
        first.submit(JOB, IMAGE),
        first.submit({**JOB, "settings": {**JOB["settings"], "steps": 2}}, IMAGE),
    )
    for _ in range(2):
        first.follow(doomed, sampling)
        kill_worker(first)
        until(lambda: first.get("/health").json()["worker"] == "starting")
    failed = first.finish(doomed)
    assert failed["state"] == "failed"
    assert "died twice" in failed["problem"]["detail"]
    assert "SIGKILL" in failed["problem"]["detail"]
    assert first.finish(next_one)["state"] == "done", "the queue goes on"


def test_the_server_dies(
    first: ServerProcess, start_server: StartServer, home: Path, undisturbed: dict[str, Any]
) -> None:
    running = first.submit(JOB, IMAGE)
    queued = first.submit({"task": "txt2img", "settings": {"model": "tiny", "width": 64, "height": 64, "steps": 2}})
    gone = first.submit({"task": "txt2img", "settings": {"model": "tiny"}})
    first.delete(f"/jobs/{gone}")
    before = first.follow(running, sampling)[-1]
    seeds = first.job(queued)["seeds"]
    (worker,) = first.workers()
    first.process.kill()
    until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
    (home / "data" / "blobs" / "tmp" / "half-written").write_bytes(b"x")

    second = start_server(home=home)
    again = second.job(running)
    assert again["state"] in ("queued", "running")
    assert again["progress"] >= before["progress"]
    assert again["rev"] > before["rev"], "a client that waits for news gets them"
    assert second.job(gone)["state"] == "cancelled"
    assert [second.pixels(undisturbed["id"], k) for k in range(2)] == undisturbed["pixels"], "results are kept"
    assert second.finish(running)["state"] == "done"
    assert [second.pixels(running, k) for k in range(2)] == undisturbed["pixels"]
    assert (second.finish(queued)["state"], second.job(queued)["seeds"]) == ("done", seeds)
    assert not list((home / "data" / "blobs" / "tmp").iterdir())

    unfinished = second.submit(JOB, IMAGE)
    second.follow(unfinished, sampling)
    (worker,) = second.workers()
    assert second.stop() == 0
    assert not worker.is_running()
    assert not (home / "config" / "server.json").exists()
    third = start_server(home=home)
    assert third.job(unfinished)["state"] in ("queued", "running")
