"""A worker that really has too little memory: the job says so, and the next one works."""

from __future__ import annotations

import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import StartServer
from tests.server.pictures import picture

SMALL: dict[str, Any] = {"task": "img2img", "settings": {"model": "demo", "strength": 0.2, "steps": 1, "seed": 3}}
SOURCE = picture(256, 256)
LARGE_SOURCE = picture(480, 480)


@contextmanager
def memory(worker: psutil.Process, more: int) -> Iterator[None]:
    """While this is open the worker gets at most so many bytes more than it has."""
    resource.prlimit(worker.pid, resource.RLIMIT_AS, (worker.memory_info().vms + more, resource.RLIM_INFINITY))
    try:
        yield
    finally:
        resource.prlimit(worker.pid, resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.mark.skipif(sys.platform != "linux", reason="limits another process as Linux does it")
def test_too_little_memory(start_server: StartServer, tiny_model: Path) -> None:
    server = start_server(model=tiny_model)
    server.wait_ready()
    before = server.finish(server.submit(SMALL, SOURCE))
    assert before["state"] == "done", before
    (worker,) = server.workers()
    with memory(worker, 4 << 20):
        failed = server.finish(server.submit(SMALL, LARGE_SOURCE))
    print(failed["warnings"], failed["problem"])
    assert (failed["state"], failed["problem"]["status"]) == ("failed", 507)
    assert failed["problem"]["allowed"] == "at most 256 x 256 px", "which has worked before"
    assert server.workers() == [worker], "the worker lives"
    after = server.finish(server.submit(SMALL, SOURCE))
    assert server.pixels(after["id"]) == server.pixels(before["id"]), "the next job works"
