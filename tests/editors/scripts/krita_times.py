"""Played inside Krita by tests/bench/bench_editors.py: how long a command takes without a model, and Krita's thread."""

import time

from krita_document import SPACES, names, opened, painted, settled
from krita_scene import activated, command, pressed, rectangle

from pentimento_shared.controller import Run
from pentimento_shared.geometry import Rect

PATIENCE_S = 300


def case_measure(stage):
    """For each depth and side that is given, the facts of each task: seconds of each run, and ms of each step()."""
    steps = timed_steps()
    facts = []
    for depth in stage.given["depths"]:
        for side in stage.given["sides"]:
            facts += yield from measured(stage, depth, side, steps)
    return facts


def timed_steps():
    """The times of all steps of runs from now on, by the clock and in CPU time of the thread, ms."""
    times, step = [], Run.step

    def timed(run):
        begun, spent = time.perf_counter(), time.thread_time()
        try:
            return step(run)
        finally:
            times.append((1000 * (time.perf_counter() - begun), 1000 * (time.thread_time() - spent)))

    Run.step = timed
    return times


def measured(stage, depth, side, steps):
    space = SPACES["16 bit linear" if depth == "U16" else "8 bit"]
    document = yield from opened(stage, side, side, *space)
    source = painted(document, "source", photograph(side, depth), Rect(0, 0, side, side))
    facts = []
    for task in ("img2img", "inpaint"):
        document.setSelection(rectangle(side // 2 - 128, side // 2 - 128, 256, 256) if task == "inpaint" else None)
        seconds, held = [], []
        for _ in range(stage.given["times"] + 1):
            yield from settled(stage, document)
            yield from activated(stage, document, source)
            tree = names(document.rootNode())
            steps.clear()
            begun = time.perf_counter()
            run = command(document, task, strength=0.0)
            yield stage.until(lambda run=run: run.status.over, "the run's end", PATIENCE_S)
            seconds.append(time.perf_counter() - begun)
            assert run.status.phase == "done", run.status.message
            held += steps
            yield from pressed(stage, document, "edit_undo", lambda tree=tree: names(document.rootNode()) == tree)
        # The first run makes tables and loads the model.
        facts.append({"task": task, "side": side, "depth": depth, "seconds": seconds[1:], "steps": held})
    yield stage.rest()
    document.setModified(False)
    document.close()
    return facts


def photograph(side, depth):
    """Krita's bytes of smooth ramps with a little noise: what PNG finds neither easy nor impossible."""
    noise = [k * 2654435761 % 4294967296 >> 30 for k in range(side)]
    rows = []
    for y in range(256):
        row = bytearray()
        for x in range(side):
            level = (x + y + noise[(x * 7 + y * 13) % side]) % 256
            row += bytes((level, 255 - level, level // 2 + 40, 255))
        rows.append(bytes(row))
    block = b"".join(rows)
    if depth == "U16":
        deep = bytearray(2 * len(block))
        deep[0::2], deep[1::2] = block[::-1], block
        deep[6::8], deep[7::8] = (b"\xff" * (len(block) // 4),) * 2
        block = bytes(deep)
    return block * (side // 256)
