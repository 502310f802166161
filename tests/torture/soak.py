"""A soak: mixed jobs and model switches for as long as wanted, and a look at what grows.

    python -m tests.torture.soak --minutes 60

Within each run of the server the memory, open files and threads of server and worker must stay flat after warm-up. The
runs lie half a day apart by the wall clock, so that retention comes to its turn: what was fetched is gone two runs
later, with its blobs, and what nobody has fetched is there to the end. Exit code 1, and a line for each fault.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import psutil

from pentimento.jobs.clock import LONGEST_ABSENCE
from pentimento.jobs.store import Store
from pentimento_shared.client import Client

from .backend import Backend, client_of, until
from .models import copy_models
from .work import Work, fetched, works

GROWTH: Final = 24 << 20
"""Bytes of memory that a process may gain after warm-up; allocators keep some of what they once had."""
WARM: Final = 2
"""Rounds before the first figures: models, previews and pools have come into memory by then."""
KINDS: Final = ("text", "text, other model", "image, 16 bit", "image, strength 0", "selection")
RUNS: Final = 3
HALF_DAY_S: Final = LONGEST_ABSENCE + 3600
"""How far the wall clock goes on between two runs: as much as retention believes, and a bit."""


@dataclass(frozen=True)
class Figures:
    """What server and worker take: resident bytes, open files, threads."""

    server_rss: int
    server_files: int
    server_threads: int
    worker_rss: int
    worker_files: int
    worker_threads: int


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.torture.soak", description=__doc__)
    parser.add_argument(
        "--minutes", type=float, default=0.0, help="at least so long; 0: as few rounds as tell anything"
    )
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--models", type=Path)
    options = parser.parse_args(arguments)
    print(f"soak: --seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="soak-") as folder:
        soak = _Soak(Path(folder), options.models, options.seed)
        try:
            faults = list(soak.run(options.minutes * 60))
        finally:
            soak.backend.stop()
    print(*faults, json.dumps(soak.told), sep="\n", flush=True)
    return 1 if faults else 0


class _Soak:
    """`told` are the figures for the report."""

    def __init__(self, folder: Path, models: Path | None, seed: int) -> None:
        home, self._clock = folder / "home", folder / "clock"
        copy_models(models, folder, home)
        self.backend = Backend(home, folder, self._clock)
        self.told: dict[str, object] = {}
        self._kinds = [work for work in works() if work.name in KINDS]
        self._chance = random.Random(seed)
        self._runs: list[list[str]] = []
        self._unfetched: list[tuple[str, Work]] = []

    def run(self, seconds: float) -> Iterator[str]:
        """The whole soak; a sentence for each fault."""
        rows: list[int] = []
        for number in range(RUNS):
            self._runs.append([])
            self._clock.write_text(f"{number * HALF_DAY_S:.0f}", "ascii")
            self.backend.start()
            with client_of(self.backend) as client:
                # The last run only has to show what the ones before have left.
                figures = list(self._rounds(client, seconds / (RUNS - 1) if number < RUNS - 1 else 0, number == 0))
                if number == RUNS - 1:
                    yield from self._unfetched_faults(client)
            yield from _growth(figures)
            self.told[f"run {number + 1}"] = [asdict(each) for each in (figures[0], figures[-1])]
            self.backend.stop()
            rows.append(self._rows())
        for number in (RUNS, RUNS + 1):
            self._clock.write_text(f"{number * HALF_DAY_S:.0f}", "ascii")
            self.backend.start()
            until(self.backend.worker, "the sweep, which comes before the worker")
            self.backend.stop()
        yield from self._kept_faults()
        self.told |= {"jobs": [len(run) for run in self._runs], "rows": [*rows, self._rows()]}

    def _rounds(self, client: Client, seconds: float, several: bool) -> Iterator[Figures]:
        began, done, least = time.monotonic(), 0, WARM + 3 if several else 1
        while done < least or time.monotonic() - began < seconds:
            self._round(client)
            done += 1
            if done > WARM or not several:
                yield self._measured()

    def _round(self, client: Client) -> None:
        """Each kind of work once, in another order; the last of them is left unfetched, and one more is cancelled."""
        kinds = list(self._kinds)
        self._chance.shuffle(kinds)
        for place, work in enumerate(kinds):
            job = client.submit(work.request, work.image, work.mask)
            *_, last = client.follow(job.id)
            if last.state != "done":
                raise RuntimeError(f"{work.name}: {last.state}: {last.problem}")
            if place < len(kinds) - 1:
                fetched(client, job.id, work.count, lambda ask: ask())
            else:
                self._unfetched.append((job.id, work))
            self._runs[-1].append(job.id)
        unwanted = client.submit(kinds[0].request, kinds[0].image, kinds[0].mask)
        client.cancel(unwanted.id)
        self._runs[-1].append(unwanted.id)

    def _measured(self) -> Figures:
        server, worker = self.backend.server(), self.backend.worker()
        if server is None or worker is None:
            raise RuntimeError("the backend has died of nothing but work")
        return Figures(*_taken(server), *_taken(worker))

    def _unfetched_faults(self, client: Client) -> Iterator[str]:
        for job_id, work in self._unfetched[:-1]:
            if len(fetched(client, job_id, work.count, lambda ask: ask())) != work.count:
                yield f"{job_id}: not all of its pictures were kept, though nobody had fetched them"

    def _rows(self) -> int:
        store = Store(self.backend.home / "data" / "jobs.sqlite3")
        try:
            return len(store.newest(1_000_000))
        finally:
            store.close()

    def _kept_faults(self) -> Iterator[str]:
        """What is wrong with what is kept a day after the last run but one: the last run's jobs, and what nobody had
        fetched before."""
        store = Store(self.backend.home / "data" / "jobs.sqlite3")
        try:
            kept, named = {record.id for record in store.newest(1_000_000)}, store.blobs()
        finally:
            store.close()
        wanted = {*self._runs[-1], *(job_id for job_id, _ in self._unfetched)}
        if kept != wanted:
            yield f"{len(wanted - kept)} jobs were removed too early, {len(kept - wanted)} are kept for too long"
        there = {path.name for path in (self.backend.home / "data" / "blobs").glob("[0-9a-f][0-9a-f]/*")}
        if there != named:
            yield f"{len(there - named)} blobs that no job names, {len(named - there)} that are named and gone"


def _taken(process: psutil.Process) -> tuple[int, int, int]:
    with process.oneshot():
        return process.memory_info().rss, process.num_fds(), process.num_threads()


def _growth(figures: Sequence[Figures]) -> Iterator[str]:
    """A sentence for each thing that was more at the end than after warm-up."""
    third = max(1, len(figures) // 3)
    early, late = figures[:third], figures[-third:]
    for name in asdict(figures[0]):
        before, after = (min(getattr(each, name) for each in part) for part in (early, late))
        slack = GROWTH if name.endswith("rss") else 2
        if after > before + slack:
            yield f"{name} grew from {before} to {after} in {len(figures)} rounds"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
