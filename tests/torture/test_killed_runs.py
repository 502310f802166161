"""What both plugins do, the controller's runs, while the backend is killed in moments that tests/server/test_runs.py
leaves out: while the job waits in the queue, and while its picture is fetched."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from pentimento_shared.controller import Order
from pentimento_shared.geometry import Size
from tests.conftest import StartServer
from tests.server.driving import SETTINGS, controller_of, done, go, long, order, painted, untouched
from tests.server.serving import ServerProcess

EXTENT = Size(900, 700)
AT_ONCE = Order("img2img", {**SETTINGS, "strength": 0.0})
"""Needs no model, so that the picture's way is all of the work."""


@pytest.fixture
def backend(start_server: StartServer, tiny_model: Path) -> ServerProcess:
    server = start_server(model=tiny_model)
    server.wait_ready()
    return server


def test_killed_while_the_job_waits_in_the_queue(backend: ServerProcess, start_server: StartServer) -> None:
    canvas = painted()
    first = controller_of(backend).start(painted(), long())
    go(first, lambda status: status.phase == "running")
    run = controller_of(backend).start(canvas, order("img2img"))
    go(run, lambda status: status.phase == "queued")
    job = run.status.job
    backend.kill()
    same = untouched(canvas)
    go(run, lambda status: status.away)
    assert same()
    again = start_server(home=backend.home)
    first.cancel()
    assert len(done(run).layers) == 1
    assert (run.status.job, len(canvas.layers)) == (job, 2)
    assert sorted(each["state"] for each in again.get("/jobs").json()["jobs"]) == ["cancelled", "done"]


def test_killed_while_the_picture_is_fetched(backend: ServerProcess, start_server: StartServer) -> None:
    canvas = painted(EXTENT)
    (source,) = canvas.layers
    run = controller_of(backend).start(canvas, AT_ONCE)
    go(run, lambda status: status.phase == "fetching")
    backend.freeze()
    go(run, lambda status: status.away or status.phase == "inserting")
    backend.kill()
    start_server(home=backend.home)
    arrived = canvas.find(done(run).layers[0])
    assert len(canvas.layers) == 2
    assert canvas.find(source.id) == source
    assert np.array_equal(arrived.levels[..., :3], source.levels[..., :3])
