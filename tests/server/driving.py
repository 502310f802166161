"""Runs of the controller as an editor drives them, on documents in memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from pentimento_shared.client import Client
from pentimento_shared.controller import Controller, Order, Run, Status
from pentimento_shared.geometry import Size
from pentimento_shared.layer_record import LayerRecord
from pentimento_shared.settings import Task, Value
from tests.server.canvas import Canvas, Levels, Painted
from tests.server.serving import PATIENCE_S, ServerProcess

SETTINGS: Mapping[str, Value] = {"model": "tiny", "prompt": "a lake at dawn", "steps": 2, "seed": 11}
LONG: Mapping[str, Value] = {**SETTINGS, "steps": 150, "strength": 1.0, "batch_count": 50}
EXTENT = Size(96, 72)


def order(task: Task, source: Any = "layer", **settings: Value) -> Order:
    return Order(task, {**SETTINGS, **settings}, source)


def long(task: Task = "img2img") -> Order:
    return Order(task, LONG)


def picture(width: int, height: int, channels: int = 3, depth: int = 8, seed: int = 0) -> Levels:
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 2**depth, (height, width, channels))
    return levels.astype(np.uint8 if depth == 8 else np.uint16)


def painted(extent: Size = EXTENT, depth: int = 8, grey: bool = False, **more: Any) -> Canvas:
    """A document with one opaque layer of its size."""
    canvas = Canvas(extent, depth, grey, **more)
    canvas.paint(picture(*extent, 1 if grey else 3, depth))
    return canvas


def soft_selection(extent: Size = EXTENT, depth: int = 8) -> Levels:
    """A disk with an edge as wide as itself."""
    y, x = np.mgrid[: extent.height, : extent.width]
    distance = np.hypot(x - extent.width * 0.4, y - extent.height * 0.5) / (extent.height / 2)
    top = 2**depth - 1
    return np.rint((1.2 - distance).clip(0, 1) * top).astype(np.uint8 if depth == 8 else np.uint16)


def go(run: Run, until: Callable[[Status], bool] = lambda status: status.over) -> Status:
    """Steps the run as an editor's timer does."""
    deadline = time.monotonic() + PATIENCE_S
    progress = 0.0
    while not until(run.step()):
        assert time.monotonic() < deadline, run.status
        assert run.status.progress >= progress
        assert not run.status.over or until(run.status), run.status
        progress = run.status.progress
        time.sleep(0.005)
    return run.status


def done(run: Run) -> Status:
    status = go(run)
    assert status.phase == "done", status.message
    assert status.progress == 1.0
    return status


def results(canvas: Canvas, run: Run) -> list[Painted]:
    return [canvas.find(id) for id in done(run).layers]


def result(canvas: Canvas, run: Run) -> Painted:
    (layer,) = results(canvas, run)
    return layer


def record(layer: Painted) -> LayerRecord:
    assert layer.record is not None
    return LayerRecord.from_json(layer.record)


def untouched(canvas: Canvas) -> Callable[[], bool]:
    """Whether the document is as it is now: layers, active one, selection, history."""
    before = canvas.layers, canvas.active, len(canvas.history), canvas.flat().tobytes()
    selected = None if canvas.selected is None else canvas.selected.tobytes()

    def same() -> bool:
        now = canvas.layers, canvas.active, len(canvas.history), canvas.flat().tobytes()
        return now == before and selected == (None if canvas.selected is None else canvas.selected.tobytes())

    return same


def controller_of(server: ServerProcess) -> Controller:
    environ = {"PENTIMENTO_HOME": str(server.home)}
    return Controller(lambda: Client.discover(environ), "test")
