"""What changes while a job runs, kept in memory, and those who wait for the next change."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from .store import Store

T = TypeVar("T")

_BLOCK: Final = 1_000_000
MOST_WAITERS: Final = 16


@dataclass(frozen=True)
class Live:
    """The volatile part of an unfinished job. `step` of `steps` belong to the current picture."""

    rev: int
    stage: str | None = None
    progress: float = 0.0
    step: int = 0
    steps: int = 0
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Picture:
    """A preview: a JPEG, which picture of the job it shows, and its entity tag."""

    index: int
    jpeg: bytes
    etag: str


class Hub:
    """Revisions, live states and previews. Safe for any thread.

    Revisions come from one counter for all jobs and never repeat, not even after a crash: each run of the
    server counts on from a block that no run before it has used.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._changed = threading.Condition()
        self._live: dict[str, Live] = {}
        self._previews: dict[str, Picture] = {}
        self._waiters = 0
        self._closed = False
        self._changes = 0
        self._end = 0
        self._rev = int(store.fact("rev_end", 0))
        self._shown = self._rev

    def next_rev(self) -> int:
        """A revision above all that were ever given out. Raises DiskFull (once in a million times it
        writes)."""
        with self._changed:
            if self._rev >= self._end:
                self._store.set_facts(rev_end=self._rev + _BLOCK)
                self._end = self._rev + _BLOCK
            self._rev += 1
            return self._rev

    @property
    def rev(self) -> int:
        """The latest revision that is to be seen anywhere."""
        with self._changed:
            return self._shown

    @property
    def changes(self) -> int:
        """A count of changes: read it before looking at a job, and `wait` for the next one after."""
        with self._changed:
            return self._changes

    def live(self, job_id: str) -> Live | None:
        """The live state of an unfinished job."""
        with self._changed:
            return self._live.get(job_id)

    def put(self, job_id: str, live: Live) -> None:
        """Shows a job in its new state to all who wait."""
        with self._changed:
            self._live[job_id] = live
            self._tell(live.rev)

    def touch(self, job_ids: Iterable[str]) -> None:
        """Gives jobs whose position has changed a new revision."""
        with self._changed:
            for job_id in job_ids:
                if job_id in self._live:
                    self._live[job_id] = replace(self._live[job_id], rev=self.next_rev())
            self._tell(self._rev)

    def drop(self, job_id: str, rev: int) -> None:
        """Forgets the live state and preview of a job that is final; its record says the rest."""
        with self._changed:
            self._live.pop(job_id, None)
            self._previews.pop(job_id, None)
            self._tell(rev)

    def preview(self, job_id: str) -> Picture | None:
        with self._changed:
            return self._previews.get(job_id)

    def put_preview(self, job_id: str, index: int, jpeg: bytes) -> None:
        """Keeps the latest preview of a job."""
        etag = hashlib.sha256(jpeg).hexdigest()[:24]
        with self._changed:
            self._previews[job_id] = Picture(index, jpeg, etag)

    @contextmanager
    def waiting(self) -> Iterator[bool]:
        """A place among those who wait: True when one was free. Waiters hold server threads, so places are
        few."""
        with self._changed:
            granted = self._waiters < MOST_WAITERS and not self._closed
            self._waiters += granted
        try:
            yield granted
        finally:
            with self._changed:
                self._waiters -= granted

    def wait(self, changes: int, timeout: float) -> bool:
        """Waits until there are more than so many `changes`; False after `timeout` seconds or when closed."""
        deadline = time.monotonic() + timeout
        with self._changed:
            while self._changes <= changes and not self._closed:
                left = deadline - time.monotonic()
                if left <= 0 or not self._changed.wait(left):
                    return False
            return not self._closed

    def until(self, look: Callable[[], T], enough: Callable[[T], bool], timeout: float) -> T:
        """What `look` returns as soon as it is `enough`, or whatever it returns after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            changes = self.changes
            seen = look()
            if enough(seen) or not self.wait(changes, deadline - time.monotonic()):
                return seen

    @property
    def closed(self) -> bool:
        return self._closed

    def close(self) -> None:
        """Sends all who wait home, and lets nobody wait any more."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _tell(self, rev: int) -> None:
        self._shown = max(self._shown, rev)
        self._changes += 1
        self._changed.notify_all()
