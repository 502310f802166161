"""What may happen to a run on its way: cancels, a backend that goes, documents that change."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pentimento_shared import run as run_module
from pentimento_shared.client import BackendUnreachable, Client
from pentimento_shared.controller import Controller, Order, Status
from pentimento_shared.geometry import Rect, Size
from pentimento_shared.settings import Value
from tests.conftest import StartServer
from tests.server.canvas import Canvas
from tests.server.driving import (
    EXTENT,
    LONG,
    SETTINGS,
    controller_of,
    done,
    go,
    order,
    painted,
    picture,
    record,
    result,
    soft_selection,
    untouched,
)
from tests.server.serving import ServerProcess
from tests.server.strangers import Stranger, listening


@pytest.fixture
def own_server(start_server: StartServer, tiny_model: Path) -> Iterator[ServerProcess]:
    """A server that a test may stop and kill."""
    server = start_server(model=tiny_model)
    server.wait_ready()
    yield server
    server.kill()


SECONDS: Mapping[str, Value] = {**SETTINGS, "steps": 40, "strength": 1.0}
"""A job that takes long enough for something to happen."""


def long(source: Any = "layer") -> Order:
    """A job that takes minutes."""
    return Order("img2img", LONG, source)


def sampling(status: Status) -> bool:
    return status.phase == "running" and status.stage == "sample" and status.step > 0


def in_phase(phase: str):
    return lambda status: status.phase == phase


def states(server: ServerProcess) -> list[str]:
    return [job["state"] for job in server.get("/jobs").json()["jobs"]]


# on the way


def test_a_run_tells_how_it_stands(controller: Controller) -> None:
    canvas = painted()
    run = controller.start(canvas, Order("img2img", SECONDS))
    seen: list[Status] = []
    while not (status := run.step()).over:
        seen.append(status)
        time.sleep(0.002)
    assert status.phase == "done"
    assert all(status.message for status in seen)
    phases = [status.phase for status in seen]
    assert phases == sorted(phases, key=["gathering", "submitting", "queued", "running", "fetching", "inserting"].index)
    steps = [status.step for status in seen if status.stage == "sample"]
    assert len(set(steps)) > 5
    previews = {status.preview for status in seen if status.preview}
    assert previews
    assert all(preview.startswith(b"\xff\xd8\xff") for preview in previews)


def test_a_second_run_waits_for_the_first_and_both_find_their_documents(controller: Controller) -> None:
    one, two = painted(name="one"), painted(name="two")
    two.paint(picture(*EXTENT, seed=1))
    first = controller.start(one, Order("img2img", {**SECONDS, "steps": 150}))
    while first.step().job is None:
        time.sleep(0.005)
    runs = first, controller.start(two, order("img2img"))
    positions = set()
    while not all(status.over for status in [run.step() for run in runs]):
        positions.add(runs[1].status.position)
        time.sleep(0.005)
    layers = [result(canvas, run) for canvas, run in zip((one, two), runs, strict=True)]
    assert 1 in positions, "it was next in the queue"
    assert [record(layer).recipe.settings["steps"] for layer in layers] == [150, 2]
    assert (len(one.layers), len(two.layers)) == (2, 3)


def test_the_artist_goes_on_meanwhile(controller: Controller) -> None:
    canvas = painted()
    canvas.selected = soft_selection()
    first, chosen = canvas.active, canvas.selected.copy()
    run = controller.start(canvas, Order("inpaint", SECONDS))
    go(run, sampling)
    canvas.selected = np.zeros_like(chosen)
    levels = canvas.layers[0].levels.copy()
    levels[:] = 7
    canvas.alter(canvas.layers[0].id, levels=levels)
    top = canvas.paint(picture(30, 30))
    layer = result(canvas, run)
    assert [kept.id for kept in canvas.layers] == [first, layer.id, top]
    place = layer.place
    assert layer.mask is not None
    assert (layer.mask == chosen[place.y : place.bottom, place.x : place.right]).all()


def test_nothing_appears_in_the_middle_of_a_stroke(controller: Controller) -> None:
    canvas = painted()
    canvas.stroke = True
    same = untouched(canvas)
    run = controller.start(canvas, order("img2img"))
    go(run, lambda status: "stroke" in status.message)
    for _ in range(20):
        assert run.step().phase == "inserting"
    assert same()
    canvas.stroke = False
    assert result(canvas, run)


# cancel


def test_cancel_while_reading(controller: Controller, home: ServerProcess) -> None:
    canvas = painted(Size(2000, 2000))
    same, jobs = untouched(canvas), len(states(home))
    run = controller.start(canvas, order("img2img"))
    run.cancel()
    assert run.step().phase == "cancelled"
    assert same()
    assert len(states(home)) == jobs


def test_cancel_before_anything_was_sent(controller: Controller, home: ServerProcess) -> None:
    canvas = painted(Size(1500, 1500))
    same, jobs = untouched(canvas), len(states(home))
    run = controller.start(canvas, order("img2img"))
    go(run, in_phase("submitting"))
    run.cancel()
    assert run.status.phase == "cancelled"
    time.sleep(1)
    assert same()
    assert len(states(home)) == jobs


def test_cancel_while_queued_and_while_running(controller: Controller, home: ServerProcess) -> None:
    canvas = painted()
    same = untouched(canvas)
    running, queued = controller.start(canvas, long()), controller.start(canvas, long())
    go(running, sampling)
    go(queued, in_phase("queued"))
    for run in (queued, running):
        run.cancel()
        assert run.status.message == "Cancelling."
        run.cancel()
        cancelled_at = time.monotonic()
        assert go(run).phase == "cancelled"
        assert time.monotonic() - cancelled_at < 5
        assert run.status.job is not None
        assert home.finish(run.status.job)["state"] == "cancelled"
    assert same()
    run.cancel()
    assert run.step().phase == "cancelled"


def test_cancel_when_the_result_is_there_already(controller: Controller, home: ServerProcess) -> None:
    canvas = painted()
    same = untouched(canvas)
    run = controller.start(canvas, order("img2img", batch_count=8))
    go(run, in_phase("fetching"))
    run.cancel()
    assert run.status.phase == "cancelled"
    canvas.stroke = True
    run = controller.start(canvas, order("img2img"))
    go(run, lambda status: "stroke" in status.message)
    run.cancel()
    canvas.stroke = False
    assert run.step().phase == "cancelled"
    assert same()


def test_a_cancel_reaches_a_backend_that_was_away(home: ServerProcess, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run_module, "CANCEL_S", 1.0)
    canvas = painted()
    same = untouched(canvas)
    run = controller_of(home).start(canvas, long())
    go(run, sampling)
    home.freeze()
    try:
        run.cancel()
        status = go(run)
    finally:
        home.thaw()
    assert (status.phase, "told when it is back" in status.message) == ("cancelled", True)
    assert status.job is not None
    assert home.finish(status.job)["state"] == "cancelled"
    assert same()


# the backend goes


def test_a_killed_backend_is_told_of_and_the_job_goes_on(
    own_server: ServerProcess, start_server: StartServer, controller: Controller, home: ServerProcess
) -> None:
    canvas, there = painted(), painted()
    settings = {**SECONDS, "batch_count": 2}
    run = controller_of(own_server).start(canvas, Order("img2img", settings))
    go(run, sampling)
    own_server.kill()
    killed_at, job = time.monotonic(), run.status.job
    status = go(run, lambda status: status.away)
    assert time.monotonic() - killed_at < 3
    assert "has not answered" in status.message
    again = start_server(home=own_server.home)
    assert again.port != own_server.port
    assert len(done(run).layers) == 2
    assert run.status.job == job
    assert not run.status.away
    assert len(again.get("/jobs").json()["jobs"]) == 1
    undisturbed = done(controller.start(there, Order("img2img", settings)))
    assert [canvas.find(id).levels.tobytes() for id in run.status.layers] == [
        there.find(id).levels.tobytes() for id in undisturbed.layers
    ]


def test_a_backend_that_hangs_is_told_of(home: ServerProcess) -> None:
    canvas = painted()
    run = controller_of(home).start(canvas, Order("img2img", {**SECONDS, "batch_count": 2}))
    go(run, sampling)
    home.freeze()
    stopped_at = time.monotonic()
    try:
        status = go(run, lambda status: status.away)
        assert time.monotonic() - stopped_at < 3.2
        assert "has not answered for" in status.message
        time.sleep(0.5)
        assert run.step().phase == "running"
    finally:
        home.thaw()
    assert len(done(run).layers) == 2


def test_a_backend_that_dies_while_it_takes_the_job_gets_it_once(
    own_server: ServerProcess, start_server: StartServer
) -> None:
    canvas = painted(Size(800, 600))
    run = controller_of(own_server).start(canvas, order("img2img"))
    go(run, lambda status: status.message.startswith("Sending") or status.job is not None)
    own_server.freeze()
    go(run, lambda status: status.away)
    own_server.kill()
    again = start_server(home=own_server.home)
    assert result(canvas, run)
    assert len(again.get("/jobs").json()["jobs"]) == 1


def test_without_a_backend_a_run_fails_at_once_and_says_how_to_start_it(tmp_path: Path) -> None:
    canvas = painted()
    same = untouched(canvas)
    run = Controller(lambda: Client.discover({"PENTIMENTO_HOME": str(tmp_path)}), "test").start(
        canvas, order("img2img")
    )
    status = go(run)
    assert (status.phase, "launch.py" in status.message) == ("failed", True)
    assert same()


def test_another_version_is_told_apart() -> None:
    canvas = painted()
    body = b'{"name": "pentimento", "version": "9.2.0", "ready": true, "device": "cpu", "worker": "ready"}'
    with listening(Stranger(headers={"Content-Type": "application/json"}, body=body)) as stranger:
        status = go(Controller(lambda: Client(stranger.url, "t"), "test").start(canvas, order("img2img")))
    assert status.phase == "failed"
    assert "9.2.0" in status.message


def test_a_backend_that_refuses_is_quoted(controller: Controller) -> None:
    status = go(controller.start(painted(), order("img2img", model="nonesuch")))
    assert (status.phase, "nonesuch" in status.message) == ("failed", True)


# the document changes


@pytest.mark.parametrize("change", ["closed", "resized", "deleted"])
def test_a_result_without_a_place_is_kept_for_another_document(controller: Controller, change: str) -> None:
    canvas = painted(depth=16)
    source = canvas.paint(picture(50, 40, depth=16), (20, 10))
    run = controller.start(canvas, Order("img2img", SECONDS))
    go(run, sampling)
    if change == "closed":
        canvas.opened = False
    elif change == "resized":
        canvas.extent = Size(97, 72)
    else:
        canvas.delete(source)
    same = untouched(canvas)
    status = go(run)
    assert status.phase == "kept"
    assert canvas.name in status.message
    assert status.message.endswith("can be inserted into the document that is in front.")
    assert same()
    other = painted(grey=True)
    below = other.active
    other.paint(picture(*EXTENT, 1))
    other.active = below
    other.complaint = "This document is CMYK."
    run.insert_into(other)
    status = go(run)
    assert (status.phase, "CMYK" in status.message) == ("kept", True)
    other.complaint = ""
    run.insert_into(other)
    layer = result(other, run)
    assert layer.place == Rect(20, 10, 50, 40)
    assert layer.levels.shape[2] == 2
    assert other.layers.index(layer) == 1
    assert (other.active, run.document_id) == (layer.id, other.id)
    with pytest.raises(ValueError, match="keeps no result"):
        run.insert_into(other)


def test_generate_does_not_need_the_layer_that_was_active(controller: Controller) -> None:
    canvas = painted()
    run = controller.start(canvas, Order("txt2img", {**SETTINGS, "steps": 40}))
    go(run, sampling)
    canvas.delete(canvas.layers[0].id)
    canvas.active = None
    assert result(canvas, run)


# refusals


def refused(controller: Controller, canvas: Canvas, wanted: Order) -> str:
    """Why a run does not even begin."""
    same = untouched(canvas)
    run = controller.start(canvas, wanted)
    assert run.status.phase == "failed"
    assert run.step().over
    run.cancel()
    assert run.status.phase == "failed"
    assert same()
    return run.status.message


def test_what_cannot_be_done_is_said_in_a_sentence(controller: Controller) -> None:
    canvas = painted()
    assert "Nothing is selected" in refused(controller, canvas, order("inpaint"))
    assert "strength" in refused(controller, canvas, order("img2img", strength=2.0))
    assert "no setting 'strenght'" in refused(controller, canvas, order("img2img", strenght=0.5))
    canvas.selected = np.zeros((72, 96), np.uint8)
    assert "Nothing is selected" in refused(controller, canvas, order("inpaint"))
    canvas.selected[0:4, 0:4] = 255
    canvas.paint(picture(10, 10), (40, 40))
    assert "lies beside" in refused(controller, canvas, order("img2img"))
    canvas.selected = None
    empty = np.zeros((10, 10, 4), np.uint8)
    canvas.paint(empty)
    assert "is empty" in refused(controller, canvas, order("img2img"))
    canvas.paint(picture(8, 8), problem="This is a vector layer. Choose a paint layer.")
    assert "vector layer" in refused(controller, canvas, order("img2img"))
    canvas.active = None
    assert "No layer is active" in refused(controller, canvas, order("img2img"))
    canvas.complaint = "This document is CMYK. Convert it to RGB."
    assert "CMYK" in refused(controller, canvas, order("txt2img"))


def test_what_is_too_large_is_said_with_its_size(controller: Controller) -> None:
    canvas = Canvas(Size(30000, 200))
    canvas.layers = ()
    run = controller.start(canvas, order("txt2img"))
    assert (run.status.phase, "30000 x 200" in run.status.message) == ("failed", True)
    canvas.paint(picture(20000, 8))
    run = controller.start(canvas, order("img2img"))
    assert (run.status.phase, "20000 x 8" in run.status.message) == ("failed", True)


def test_refine_and_redo_need_a_layer_of_ours(controller: Controller) -> None:
    canvas = painted()
    for run in (controller.refine(canvas), controller.redo(canvas), controller.redo(canvas, "layer 0")):
        assert run.status.phase == "failed"
    assert "not made by Pentimento" in controller.refine(canvas).status.message
    canvas.alter(canvas.layers[0].id, record="{}")
    assert "version None" in controller.redo(canvas).status.message


def test_a_connection_that_cannot_be_made_fails_the_run() -> None:
    def connect() -> Client:
        raise BackendUnreachable("It is not running.")

    assert go(Controller(connect, "test").start(painted(), order("img2img"))).message == "It is not running."
