"""How long an editor's thread is held: `python -m tests.bench.bench_controller [--side N] [--depth 8]`.

One img2img and one inpainting of a whole layer through the controller, on a document in memory, with a real backend and
a small random model. Prints, for each phase, how many ticks there were and how long step() took (ms). Not collected by
pytest.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from pathlib import Path

import numpy as np

from pentimento_shared.controller import Order, Run
from pentimento_shared.geometry import Size
from tests.models import build_tiny_model
from tests.server.canvas import Canvas, Levels
from tests.server.driving import SETTINGS, controller_of
from tests.server.serving import ServerProcess

TICK_S = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--depth", type=int, default=16, choices=(8, 16))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        build_tiny_model(Path(home) / "data" / "models" / "tiny")
        server = ServerProcess(Path(home))
        try:
            server.wait_answering()
            server.wait_ready()
            measure(server, Size(options.side, options.side), options.depth)
        finally:
            server.kill()


def measure(server: ServerProcess, extent: Size, depth: int) -> None:
    controller = controller_of(server)
    canvas = Canvas(extent, depth)
    source = canvas.paint(photograph(extent, depth))
    report("img2img", controller.start(canvas, Order("img2img", SETTINGS)))
    canvas.active = source
    canvas.selected = photograph(extent, depth)[..., 0]
    report("inpaint", controller.start(canvas, Order("inpaint", SETTINGS)))


def photograph(extent: Size, depth: int) -> Levels:
    """Smooth colours with some noise: what PNG finds neither easy nor impossible."""
    y, x = np.mgrid[: extent.height, : extent.width].astype(np.float32) / max(extent)
    planes = [np.sin(9 * x * (k + 1) + 5 * y) / 3 + 0.5 for k in range(3)]
    noisy = np.stack(planes, axis=2) + np.random.default_rng(0).normal(0, 0.01, (extent.height, extent.width, 3))
    return np.rint(noisy.clip(0, 1) * (2**depth - 1)).astype(np.uint8 if depth == 8 else np.uint16)


def report(task: str, run: Run) -> None:
    held: dict[str, list[float]] = defaultdict(list)
    started = time.perf_counter()
    while not run.status.over:
        phase, before = run.status.phase, time.perf_counter()
        run.step()
        held[phase].append(1000 * (time.perf_counter() - before))
        time.sleep(TICK_S)
    print(f"{task}: {run.status.phase} after {time.perf_counter() - started:.1f} s. {run.status.message}")
    for phase, times in held.items():
        times.sort()
        middle, late = times[len(times) // 2], times[int(0.99 * len(times))]
        print(f"  {phase:12}{len(times):6} ticks{middle:8.1f} median{late:8.1f} p99{times[-1]:8.1f} most")


if __name__ == "__main__":
    main()
