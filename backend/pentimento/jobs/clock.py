"""The retention clock: how long ago something happened, whatever is done to the machine's clock."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from .store import Store

LONGEST_ABSENCE: Final = 12 * 3600.0
"""Seconds by which the time between two runs of the server counts at most. A clock that was set forward by
years, before or between runs, looks like a long absence: it must not cost a result that was fetched an hour
ago."""


class RetentionClock:
    """Seconds that only ever grow: those of the monotonic clock while the server runs, of the wall clock
    between."""

    def __init__(
        self,
        store: Store,
        wall: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store, self._wall, self._steady = store, wall, steady
        absence = wall() - store.fact("clock_wall", wall())
        self._start = store.fact("clock_reading", 0.0) + min(max(absence, 0.0), LONGEST_ABSENCE)
        self._since = steady()

    def now(self) -> float:
        """The present reading in seconds; only differences mean anything."""
        return self._start + self._steady() - self._since

    def save(self) -> None:
        """Notes the reading, so that the next run goes on from it."""
        self._store.set_facts(clock_reading=self.now(), clock_wall=self._wall())
