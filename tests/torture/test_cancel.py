"""Cancel at every stage of a job: the worker is idle soon after, the same worker as before, and nobody else notices."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.server.pictures import noise, picture
from tests.server.serving import ServerProcess, over, until

LARGE = noise(512, 512)
SLOW: dict[str, Any] = {
    "task": "img2img",
    "settings": {"model": "demo", "strength": 1, "steps": 40, "seed": 3, "prompt": "a lake"},
}
QUICK: dict[str, Any] = {"task": "img2img", "settings": {"model": "tiny", "steps": 4, "seed": 4}}
GENEROUS_S = 10.0
"""A loaded machine takes longer for a step than the quarter of a second that is promised beyond it."""


@pytest.fixture(scope="module")
def backend(start_server: StartServer, tiny_model: Path) -> ServerProcess:
    server = start_server(model=tiny_model)
    server.wait_ready()
    return server


def seconds_to_idle(server: ServerProcess, job_id: str) -> float:
    """From the cancel until the worker is free."""
    began = time.monotonic()
    assert server.delete(f"/jobs/{job_id}").json()["state"] == "cancelled"
    until(lambda: server.get("/health").json()["worker"] == "ready")
    return time.monotonic() - began


@pytest.mark.parametrize("stage", ["load", "encode", "sample", "decode"])
def test_the_worker_is_soon_idle(backend: ServerProcess, stage: str) -> None:
    quick = backend.finish(backend.submit(QUICK, picture(64, 64)))  # after it the other model has to be loaded again
    (worker,) = backend.workers()
    request = {**SLOW, "settings": {**SLOW["settings"], "steps": 1 if stage == "decode" else 40}}
    job_id = backend.submit(request, LARGE)
    seen = backend.follow(job_id, lambda job: job["stage"] == stage or over(job))[-1]
    assert seen["stage"] == stage, seen
    taken = seconds_to_idle(backend, job_id)
    print(f"cancelled in {stage}: idle after {taken:.3f} s")
    assert taken < GENEROUS_S
    assert backend.workers() == [worker], "it did not have to be replaced"
    again = backend.finish(backend.submit(QUICK, picture(64, 64)))
    assert backend.pixels(again["id"]) == backend.pixels(quick["id"])


def test_neighbours_are_untouched(backend: ServerProcess) -> None:
    alone = backend.finish(backend.submit(QUICK, picture(64, 64)))["id"]
    running, waiting, behind = (
        backend.submit(SLOW, LARGE),
        backend.submit(SLOW, LARGE),
        backend.submit(QUICK, picture(64, 64)),
    )
    backend.follow(running, lambda job: job["state"] == "running")
    assert backend.delete(f"/jobs/{waiting}").json()["state"] == "cancelled"
    assert backend.job(running)["state"] == "running"
    assert backend.job(behind)["position"] == 1
    assert backend.delete(f"/jobs/{running}").json()["state"] == "cancelled"
    assert backend.finish(behind)["state"] == "done"
    assert backend.pixels(behind) == backend.pixels(alone)
    assert backend.delete(f"/jobs/{behind}").json()["state"] == "done", "what is done stays done"
    assert backend.pixels(behind) == backend.pixels(alone)
