"""Time from a command to its layer in a real Krita, without the model: `python -m tests.bench.bench_editors`.

Strength 0 runs no model: what is left is reading, PNG, HTTP, the backend's own work and inserting. For each depth and
canvas: an img2img of the whole layer, and an inpainting of 256 x 256 px. Prints the median and the range of the times
(s), and how long the plugin held Krita's thread at a time (ms; in brackets the CPU time of that thread, which other
programs on the machine do not lengthen). The machine's load is printed with it. Not collected by pytest.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from tests.editors.conftest import SCRIPTS
from tests.editors.harness import Chamber, install_plugin, play_krita
from tests.editors.root import provide
from tests.server.serving import ServerProcess


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sides", type=int, nargs="+", default=[1024, 2048, 4096], help="of the canvas, px; times 256")
    parser.add_argument("--depths", nargs="+", default=["U8", "U16"], choices=["U8", "U16"])
    parser.add_argument("--times", type=int, default=5, help="runs of each")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = ServerProcess(_new(Path(folder) / "backend"))
        try:
            server.wait_answering()
            server.wait_ready()
            rows = measure(_new(Path(folder) / "krita"), server, vars(options))
        finally:
            server.kill()
    report(rows)


def measure(folder: Path, server: ServerProcess, given: dict[str, Any]) -> list[dict[str, Any]]:
    chamber = Chamber(provide(), [folder, server.home])
    run = play_krita(
        chamber,
        SCRIPTS / "krita_times.py",
        folder,
        prepare=partial(install_plugin, editor="krita", root=chamber.root),
        given=given,
        environ={"PENTIMENTO_HOME": str(server.home)},
        patience=3600,
    )
    return run.check("measure")


def report(rows: Sequence[dict[str, Any]]) -> None:
    print(f"load of the last 1, 5, 15 min on {os.cpu_count()} cores: {'  '.join(f'{x:.1f}' for x in os.getloadavg())}")
    print(f"{'task':9}{'canvas':>12}{'depth':>6}{'to the layer, s':>22}{'step() median':>18}{'p99':>16}{'most':>16}")
    for row in rows:
        seconds, canvas = row["seconds"], f"{row['side']} x {row['side']}"
        taken = f"{median(seconds):.2f} ({min(seconds):.2f}-{max(seconds):.2f})"
        clock, own = (sorted(times) for times in zip(*row["steps"], strict=True))
        held = [f"{clock[at]:.1f} ({own[at]:.1f})" for at in (len(clock) // 2, int(0.99 * len(clock)), -1)]
        print(f"{row['task']:9}{canvas:>12}{row['depth']:>6}{taken:>22}{held[0]:>18}{held[1]:>16}{held[2]:>16}")


def _new(folder: Path) -> Path:
    folder.mkdir()
    return folder


if __name__ == "__main__":
    main()
