"""What happens to a backend in a storm, drawn from a seed."""

from __future__ import annotations

import os
import random
import resource
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import psutil

from .backend import Backend, leftovers

DAY_S: Final = 86_400.0


class Disk:
    """The disk that the home lies on: filled to the last bytes, and freed again.

    A tmpfs is really filled. Without one (`filler` is None) the processes are kept from writing by a limit on the size
    of files, which they cannot tell from a full disk.
    """

    def __init__(self, home: Path, filler: Path | None) -> None:
        self._home, self._filler = home, filler

    @contextmanager
    def full(self, spare: int) -> Iterator[None]:
        """While this is open at most about `spare` bytes more find room."""
        if self._filler is None:
            self._limit(spare)
        else:
            self._fill(self._filler, spare)
        try:
            yield
        finally:
            if self._filler is None:
                self._limit(resource.RLIM_INFINITY)
            else:
                self._filler.unlink()

    def _fill(self, filler: Path, spare: int) -> None:
        """The backend goes on writing meanwhile, so what was free a moment ago may be taken now."""
        with filler.open("wb") as file:
            while True:
                free = os.statvfs(filler.parent)
                with suppress(OSError):
                    os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_frsize - spare))
                    return

    def _limit(self, size: int) -> None:
        for process in leftovers(self._home):
            try:
                resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            except (ProcessLookupError, psutil.NoSuchProcess):
                continue


class Adversary:
    """Strikes once each time it is told to. `struck` counts what it has done."""

    def __init__(self, backend: Backend, disk: Disk, clock: Path, seed: int) -> None:
        self._backend, self._disk, self._clock = backend, disk, clock
        self._random = random.Random(seed)
        self._kinds: list[str] = []
        self._behind = 0.0
        self.struck: Counter[str] = Counter()

    @property
    def blows(self) -> dict[str, Callable[[], bool]]:
        """Name -> what it does; whether it could be done now."""
        return {
            "server killed": lambda: self._backend.signal(signal.SIGKILL),
            "worker killed": lambda: self._backend.signal_worker(signal.SIGKILL),
            "server stopped and continued": lambda: self._pause(self._backend.signal),
            "worker stopped and continued": lambda: self._pause(self._backend.signal_worker),
            "disk filled": self._fill,
            "server killed on a full disk": self._fill_and_kill,
            "clock set back": self._set_back,
        }

    def strike(self) -> None:
        """One blow, after a moment; each kind comes once before any comes again."""
        if not self._kinds:
            self._kinds = list(self.blows)
            self._random.shuffle(self._kinds)
        kind = self._kinds.pop()
        time.sleep(self._random.uniform(0, 0.7))
        if self.blows[kind]():
            self.struck[kind] += 1
        else:
            self._kinds.insert(0, kind)

    def _pause(self, send: Callable[[signal.Signals], bool]) -> bool:
        there = send(signal.SIGSTOP)
        try:
            time.sleep(self._random.uniform(0.1, 2))
        finally:
            send(signal.SIGCONT)
        return there

    def _fill(self) -> bool:
        with self._disk.full(self._random.choice((0, 5_000, 60_000))):
            time.sleep(self._random.uniform(0.5, 2.5))
        return True

    def _fill_and_kill(self) -> bool:
        with self._disk.full(self._random.choice((0, 5_000, 60_000))):
            time.sleep(self._random.uniform(0, 0.5))
            there = self._backend.signal(signal.SIGKILL)
            time.sleep(self._random.uniform(0.5, 2.5))
        return there

    def _set_back(self) -> bool:
        self._behind += self._random.uniform(1, 40) * DAY_S
        self._clock.write_text(f"{-self._behind:.0f}", "ascii")
        return True
