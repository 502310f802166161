"""The queue: what may happen to a job, in the store and in memory at once."""

from __future__ import annotations

import math
import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from ..disk import DiskFull
from .clock import RetentionClock
from .hub import Hub, Live
from .problem import Problem
from .records import ImageRecord, JobRecord, State, Submission
from .store import Store
from .turns import Waiting, after_turn, in_turn

_MARKS: Final = 8
"""Into how many parts a job's progress is cut for the store: so often it is written while the job runs."""
_NEARLY: Final = 0.99
"""The most that is shown of a job that is not done."""
_MOST_DEATHS: Final = 2


class KeyMisused(Exception):
    """An Idempotency-Key that came before with another request."""


class TooManyWaiting(Exception):
    """A client has as many jobs in the queue as it may."""

    def __init__(self, most: int) -> None:
        super().__init__(f"{most} jobs of this client wait already. Submit more when some of them are done.")
        self.most = most


@dataclass(frozen=True)
class JobView:
    """A job as its owner sees it. `position` is 0 while it runs, 1.. in the queue, None when it is over."""

    record: JobRecord
    live: Live | None
    position: int | None
    recipe: dict[str, Any] | None

    @property
    def rev(self) -> int:
        return self.live.rev if self.live else self.record.rev

    def to_json(self) -> dict[str, Any]:
        """The job object of the HTTP API."""
        record, live = self.record, self.live or Live(self.record.rev, progress=self.record.progress)
        return {
            "id": record.id,
            "task": record.submission.task,
            "state": record.state.value,
            "stage": live.stage,
            "progress": round(live.progress, 4),
            "position": self.position,
            "step": live.step,
            "steps": live.steps,
            "seeds": list(record.submission.seeds),
            "images": record.images,
            "warnings": list(live.warnings or record.warnings),
            "problem": record.problem.to_json() if record.problem else None,
            "rev": self.rev,
            "created": record.created,
            "recipe": self.recipe,
        }


class Jobs:
    """All jobs. The server's threads submit, look and cancel; the supervisor claims and reports.

    One lock makes each change whole: to the store first, then to what waiting clients see. Reports about a
    job that is not running any more (it was cancelled) are dropped. Methods that write raise DiskFull and
    have changed nothing then.
    """

    def __init__(self, store: Store, hub: Hub, clock: RetentionClock) -> None:
        self._store, self._hub, self._clock = store, hub, clock
        self._lock = threading.RLock()
        self._arrived: list[Waiting] = []
        self._queued: list[str] = []
        self._again: str | None = None
        self._served: dict[str, int] = {}
        self._running: str | None = None
        self._mark = 0.0
        store.requeue_running()
        for record in store.unfinished():
            self._arrived.append(Waiting(record.id, record.submission.client))
            hub.put(record.id, Live(hub.next_rev(), progress=record.progress))
        self._arrange()

    # for clients

    def submit(self, submission: Submission, most: int | None = None) -> tuple[JobView, bool]:
        """The job, durably stored, and whether it is new: the same key with the same request is the same job.

        Raises KeyMisused for the same key with another request, TooManyWaiting for a new job of a client that has
        `most` in the queue.
        """
        with self._lock:
            if submission.key is not None and (known := self._store.by_key(submission.key)):
                if known.submission.fingerprint != submission.fingerprint:
                    raise KeyMisused(submission.key)
                return self._view(known), False
            client = submission.client
            if most is not None and sum(entry.client == client for entry in self._arrived) >= most:
                raise TooManyWaiting(most)
            job_id, rev = uuid4().hex, self._hub.next_rev()
            self._store.add(job_id, submission, rev, datetime.now(UTC).isoformat(timespec="seconds"))
            self._arrived.append(Waiting(job_id, client))
            self._hub.put(job_id, Live(rev))
            self._hub.touch(self._arrange())
            return self._known(job_id), True

    def view(self, job_id: str) -> JobView | None:
        with self._lock:
            record = self._store.get(job_id)
            return self._view(record) if record else None

    def newest(self, limit: int) -> list[JobView]:
        """The last submitted jobs, newest first."""
        with self._lock:
            return [self._view(record) for record in self._store.newest(limit)]

    def wait(self, job_id: str, since: int, timeout: float) -> JobView | None:
        """The job as soon as its revision is above `since`; as it is after `timeout` seconds."""

        def enough(view: JobView | None) -> bool:
            return view is None or view.rev > since or view.record.state.final

        return self._hub.until(lambda: self.view(job_id), enough, timeout)

    def wait_any(self, since: int, timeout: float) -> int:
        """The latest revision of any job, as soon as it is above `since`; as it is after `timeout`
        seconds."""
        return self._hub.until(lambda: self._hub.rev, lambda rev: rev > since, timeout)

    def cancel(self, job_id: str) -> JobView | None:
        """Cancels a job that is not over; one that is over stays as it is."""
        with self._lock:
            record = self._store.get(job_id)
            if record is None or record.state.final:
                return self._view(record) if record else None
            self._end(job_id, State.CANCELLED)
            return self._known(job_id)

    def image(self, job_id: str, k: int) -> ImageRecord | None:
        return self._store.image(job_id, k)

    def fetched(self, job_id: str, k: int) -> None:
        """A client has picture `k`."""
        self._store.set_fetched(job_id, k, self._clock.now())

    @property
    def waiting(self) -> int:
        """How many jobs are queued."""
        with self._lock:
            return len(self._queued)

    # for the supervisor

    def claim(self) -> JobRecord | None:
        """The job whose turn it is, now running."""
        with self._lock:
            if not self._queued:
                return None
            job_id = self._queued[0]
            rev = self._hub.next_rev()
            self._store.set_state(job_id, State.RUNNING, rev)
            if job_id == self._again:
                self._again = None  # the turn was counted when it ran first
            else:
                self._served = after_turn(self._served, self._leave(job_id).client)
            moved = self._arrange()
            view = self._known(job_id)
            self._running, self._mark = job_id, view.record.progress
            self._hub.put(job_id, Live(rev, "load", view.live.progress if view.live else 0.0))
            self._hub.touch(moved)
            return view.record

    def progress(self, job_id: str, stage: str, fraction: float, step: int, steps: int) -> None:
        """The running job is in that stage; what is shown of `fraction` never falls, not over a second run
        either."""
        with self._lock:
            if (live := self._running_live(job_id)) is None:
                return
            shown = max(live.progress, min(fraction, _NEARLY))
            if shown > self._mark:
                shown = self._marked(job_id, shown)
            rev = self._hub.next_rev()
            self._hub.put(job_id, replace(live, rev=rev, stage=stage, progress=shown, step=step, steps=steps))

    def preview(self, job_id: str, index: int, jpeg: bytes) -> None:
        with self._lock:
            if (live := self._running_live(job_id)) is not None:
                self._hub.put_preview(job_id, index, jpeg)
                self._hub.put(job_id, replace(live, rev=self._hub.next_rev()))

    def notice(self, job_id: str, text: str) -> None:
        """Adds a warning, once."""
        with self._lock:
            live = self._running_live(job_id)
            if live is not None and text not in live.warnings:
                self._hub.put(job_id, replace(live, rev=self._hub.next_rev(), warnings=(*live.warnings, text)))

    def add_image(self, job_id: str, image: ImageRecord) -> None:
        with self._lock:
            if (live := self._running_live(job_id)) is not None:
                self._store.add_image(job_id, image)
                self._hub.put(job_id, replace(live, rev=self._hub.next_rev()))

    def done(self, job_id: str) -> None:
        """The worker has made all pictures."""
        with self._lock:
            if self._running_live(job_id) is None:
                return
            record = self._known(job_id).record
            if record.images == len(record.submission.seeds):
                self._end(job_id, State.DONE)
            else:
                wanted = len(record.submission.seeds)
                detail = f"The engine made {record.images} of {wanted} pictures and said no more."
                self._end(job_id, State.FAILED, Problem(500, detail))

    def failed(self, job_id: str, problem: Problem) -> None:
        with self._lock:
            if self._running_live(job_id) is not None:
                self._end(job_id, State.FAILED, problem)

    def died(self, job_id: str, problem: Problem) -> bool:
        """The worker died under the job: it is queued again as the next one, or failed the second time.

        Returns whether it is queued again.
        """
        with self._lock:
            live = self._running_live(job_id)
            if live is None:
                return False
            if self._known(job_id).record.deaths + 1 >= _MOST_DEATHS:
                self._end(job_id, State.FAILED, problem)
                return False
            rev = self._hub.next_rev()
            self._store.set_state(job_id, State.QUEUED, rev, deaths=1)
            self._running, self._again = None, job_id
            self._hub.put(job_id, Live(rev, progress=live.progress))
            self._hub.touch(self._arrange())
            return True

    def fail_all_queued(self, problem: Problem) -> None:
        """Nothing can run: every job that waits fails with the reason."""
        with self._lock:
            for job_id in tuple(self._queued):
                self._end(job_id, State.FAILED, problem)

    def stop(self) -> None:
        """The server ends: what runs is queued again."""
        with self._lock:
            self._running = None
            self._store.requeue_running()

    # plumbing

    def _end(self, job_id: str, state: State, problem: Problem | None = None) -> None:
        live, rev = self._hub.live(job_id), self._hub.next_rev()
        warnings = live.warnings if live else ()
        self._store.set_state(job_id, state, rev, problem=problem, warnings=warnings, ended=self._clock.now())
        if job_id == self._running:
            self._running = None
        if job_id == self._again:
            self._again = None
        elif job_id in self._queued:
            self._leave(job_id)
        moved = self._arrange()
        self._hub.drop(job_id, rev)
        self._hub.touch(moved)

    def _leave(self, job_id: str) -> Waiting:
        """Takes a job out of those that have arrived."""
        place = next(k for k, entry in enumerate(self._arrived) if entry.job == job_id)
        return self._arrived.pop(place)

    def _arrange(self) -> list[str]:
        """Puts the queue in the order of turns, a job that runs again before all. Returns whose place has changed."""
        before = {job_id: place for place, job_id in enumerate(self._queued)}
        first = [] if self._again is None else [self._again]
        self._queued = [*first, *(entry.job for entry in in_turn(self._arrived, self._served))]
        return [job_id for place, job_id in enumerate(self._queued) if before.get(job_id, place) != place]

    def _running_live(self, job_id: str) -> Live | None:
        return self._hub.live(job_id) if job_id == self._running else None

    def _marked(self, job_id: str, shown: float) -> float:
        """`shown`, after the store holds a mark above it; the old mark when the disk is full, where a mark
        is a luxury."""
        mark = min(math.ceil(shown * _MARKS) / _MARKS, _NEARLY)
        try:
            self._store.set_progress(job_id, mark)
        except DiskFull:
            return self._mark
        self._mark = mark
        return shown

    def _known(self, job_id: str) -> JobView:
        view = self.view(job_id)
        if view is None:
            raise LookupError(f"job {job_id} has vanished from the store")
        return view

    def _view(self, record: JobRecord) -> JobView:
        position = None
        recipe = None
        if record.id == self._running:
            position = 0
        elif record.id in self._queued:
            position = self._queued.index(record.id) + 1
        elif record.state is State.DONE and (first := self._store.image(record.id, 0)):
            recipe = dict(first.recipe)
        return JobView(record, self._hub.live(record.id), position, recipe)
