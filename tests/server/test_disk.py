"""A full disk: 507, nothing half-written, and everything works again when there is room."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.server.pictures import noise, picture
from tests.server.serving import ServerProcess, over

SMALL, LARGE = picture(64, 64), noise(500, 500)
JOB = {"task": "img2img", "settings": {"model": "tiny", "steps": 2, "seed": 1}}


@contextmanager
def no_file_beyond(size: int, *pids: int) -> Iterator[None]:
    """Lets those processes write no file to more than `size` bytes: a disk that is full, without root."""
    for pid in pids:
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        for pid in pids:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


def files(server: ServerProcess) -> set[Path]:
    return {path for path in (server.data / "blobs").rglob("*") if path.is_file()}


def test_a_full_disk(server: ServerProcess) -> None:
    server.wait_ready()
    before, jobs = files(server), server.get("/jobs").json()
    with no_file_beyond(100_000, server.pid):
        answer = server.post(JOB, LARGE)
        assert (answer.status_code, answer.json()["status"]) == (507, 507)
        assert "full" in answer.json()["detail"]
        assert files(server) == before
    with no_file_beyond(0, server.pid):
        assert server.post(JOB, SMALL).status_code == 507
        assert server.get("/jobs").json() == jobs, "what is there can be read all the same"
    with no_file_beyond(len(SMALL), server.pid):
        assert server.post(JOB, SMALL).status_code == 507, "room for the picture, none for the job"
        assert server.get("/jobs").json()["jobs"] == jobs["jobs"]

    accepted = server.submit(JOB, SMALL)
    assert server.finish(accepted)["state"] == "done"

    (worker,) = server.workers()
    with no_file_beyond(1000, worker.pid):
        failed = server.finish(server.submit(JOB, SMALL))
    assert (failed["state"], failed["problem"]["status"]) == ("failed", 507)
    assert server.workers() == [worker], "the worker lives"

    # The store alone finds no room: what happened to the job is remembered until there is some.
    steps = {**JOB, "settings": {**JOB["settings"], "steps": 20, "strength": 1}}
    job_id = server.submit(steps, SMALL)
    server.follow(job_id, lambda job: job["state"] == "running")
    with no_file_beyond(0, server.pid):
        server.follow(job_id, lambda job: job["stage"] == "decode" or over(job))
        assert server.job(job_id)["state"] == "running"
    assert server.finish(job_id)["state"] == "done"
