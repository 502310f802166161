"""Times PNG encoding and decoding: `python tests/bench/bench_pixels.py [--side 4096] [--runs 5]`.

Prints medians, and ratios to what bounds any PNG code in the same run: zlib alone on the same bytes. Run it
under each Python that a plugin may meet; it needs nothing but the shared folder. Not collected by pytest.
"""

from __future__ import annotations

import argparse
import random
import statistics
import sys
import threading
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "shared"))

from pentimento_shared.geometry import Size
from pentimento_shared.pixels import Pixels, decode_png, encode_png


def painting(side: int, depth: int) -> Pixels:
    """RGBA with soft gradients, texture of a few levels and a flat area, as paint programs make them."""
    noise = random.Random(1).randbytes(2**20)
    wave = bytes((x * 7 // 16 + (x % 64) // 8) & 255 for x in range(side))
    rows = []
    for y in range(side):
        grain = noise[(start := (y * 977) % 2**19) : start + side].translate(_GRAIN)
        red = _added(wave, grain, y // 16)
        green = _added(wave[::-1], grain, y // 9)
        blue = bytes([90]) * side if y > side * 3 // 4 else _added(wave, grain, 255 - y // 12)
        row = bytearray(side * 4 * depth // 8)
        step = 4 * depth // 8
        for place, plane in enumerate((red, green, blue, b"\xff" * side)):
            row[place * depth // 8 :: step] = plane
            if depth == 16:  # the low bytes: finer grain, full in alpha
                fine = noise[start + place : start + place + side]
                row[place * 2 + 1 :: step] = plane if place == 3 else fine
        rows.append(bytes(row))
    return Pixels(Size(side, side), 4, depth, b"".join(rows))


_GRAIN = bytes(value // 64 for value in range(256))


def _added(a: bytes, b: bytes, offset: int) -> bytes:
    return bytes((x + y + offset) & 255 for x, y in zip(a, b, strict=True))


class Cost(NamedTuple):
    """Seconds: on the clock, and of all cores together (which other programs on the machine change less)."""

    wall: float
    cpu: float


def median(work: Callable[[], object], runs: int) -> Cost:
    walls, cpus = [], []
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        work()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return Cost(statistics.median(walls), statistics.median(cpus))


def longest_pause(work: Callable[[], object]) -> float:
    """The longest time, in seconds, that another thread of this process got no turn while `work` ran."""
    worst, ended = 0.0, threading.Event()

    def watch() -> None:
        nonlocal worst
        last = time.perf_counter()
        while not ended.is_set():
            time.sleep(0.001)
            now = time.perf_counter()
            worst, last = max(worst, now - last), now

    watcher = threading.Thread(target=watch)
    watcher.start()
    work()
    ended.set()
    watcher.join()
    return worst


def report(name: str, pixels: Pixels, runs: int) -> None:
    png = encode_png(pixels)
    stream = zlib.compress(pixels.data, 1)
    zlib_out = median(lambda: zlib.compress(pixels.data, 1), runs)
    zlib_in = median(lambda: zlib.decompress(stream), runs)
    million = len(pixels.data) / 1e6
    print(f"{name}: {million:.0f} MB -> {len(png) / 1e6:.0f} MB (zlib alone {len(stream) / 1e6:.0f} MB)")
    for what, work, alone in (
        ("encode", lambda: encode_png(pixels), zlib_out),
        ("encode stored", lambda: encode_png(pixels, level=0), zlib_out),
        ("decode", lambda: decode_png(png), zlib_in),
    ):
        cost = median(work, runs)
        print(
            f"  {what:13} {cost.wall:5.2f} s, of all cores {cost.cpu:5.2f} s; zlib alone takes "
            f"{alone.wall / cost.wall:4.2f} x as long, of all cores {alone.cpu / cost.cpu:4.2f} x; "
            f"another thread waits {longest_pause(work) * 1e3:.0f} ms at most"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", type=int, default=4096)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    print(f"Python {sys.version.split()[0]}, zlib {zlib.ZLIB_RUNTIME_VERSION}")
    for depth in (8, 16):
        report(f"RGBA {options.side}² {depth} bit", painting(options.side, depth), options.runs)


if __name__ == "__main__":
    main()
