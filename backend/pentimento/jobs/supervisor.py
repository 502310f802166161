"""The supervisor: one thread that keeps one worker alive and gives it one job at a time."""

from __future__ import annotations

import base64
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, TypeVar

from pentimento_shared.geometry import Rect

from ..disk import DiskFull
from . import protocol, wire
from .problem import Problem
from .process import Ended, Report, Worker, bound_log
from .queue import Jobs
from .records import ImageRecord
from .retention import Retention

_log = logging.getLogger(__name__)

T = TypeVar("T")

CANCEL_S: Final = 30.0
"""Seconds that a worker has to obey a cancel before it is killed."""
_STOP_S: Final = 3.0
_MOST_FALSE_STARTS: Final = 5
_LONGEST_BACKOFF_S: Final = 30.0
_STEADY_S: Final = 60.0
_RETRY_S: Final = 1.0

WorkerState = Literal["starting", "ready", "busy", "dead"]


@dataclass(frozen=True)
class WorkerStatus:
    """What `health` shows of the worker. `reason` says why it is dead."""

    state: WorkerState
    device: str | None = None
    versions: Mapping[str, str] = field(default_factory=dict)
    loaded: tuple[str, ...] = ()
    reason: str | None = None


@dataclass(frozen=True)
class _Wake:
    """Look whether there is something to do."""


@dataclass(frozen=True)
class _Cancelled:
    job: str


@dataclass(frozen=True)
class _Said:
    worker: Worker
    report: Report


_Event = _Wake | _Cancelled | _Said


class Supervisor:
    """Feeds the queue to the worker, and outlives it.

    Everything below `_loop` runs in the supervisor's own thread, so it needs no lock; other threads only
    post events.
    """

    def __init__(
        self, jobs: Jobs, retention: Retention, blobs: Path, worker_log: Path, cancel_s: float = CANCEL_S
    ) -> None:
        self._jobs, self._retention, self._blobs, self._log_file = jobs, retention, blobs, worker_log
        self._cancel_s = cancel_s
        self._events: queue.SimpleQueue[_Event] = queue.SimpleQueue()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._loop, name="supervisor", daemon=True)
        self.status = WorkerStatus("starting")
        self._worker: Worker | None = None
        self._job: str | None = None
        self._cancel_by: float | None = None
        self._ready_at = 0.0
        self._restart_at = 0.0
        self._false_starts = 0
        self._deaths = 0
        self._sweep_at = 0.0

    # from any thread

    def start(self) -> None:
        """Starts the thread and with it the first worker."""
        self._thread.start()

    def wake(self) -> None:
        """There is a new job."""
        self._events.put(_Wake())

    def cancel(self, job_id: str) -> None:
        """The job is marked as cancelled; the worker shall stop it."""
        self._events.put(_Cancelled(job_id))

    def stop(self) -> None:
        """Ends worker and thread; what ran is queued again."""
        self._stopping.set()
        self.wake()
        self._thread.join()

    # the thread

    def _loop(self) -> None:
        while not self._stopping.is_set():
            try:
                self._tick()
                self._handle(self._events.get(timeout=self._patience()))
            except queue.Empty:
                continue
            except DiskFull:
                _log.warning("supervisor: stops while it waits for room on the disk")
            except Exception:  # noqa: BLE001 - logged, and the queue must go on
                # The job gets its second run with a fresh worker, or fails as with any other death of a
                # worker.
                _log.exception("supervisor: unexpected fault; the worker is replaced")
                if self._worker is not None:
                    self._worker.kill()
                self._stopping.wait(_RETRY_S)
        if self._worker is not None:
            self._worker.stop(_STOP_S)
        try:
            self._jobs.stop()
        except DiskFull:
            _log.warning("no room to note that the running job is queued; the next start does it")

    def _patience(self) -> float | None:
        """Seconds until a deadline; None to wait for the next event only."""
        deadlines = [self._cancel_by]
        if self._worker is None and (self.status.state != "dead" or self._jobs.waiting):
            deadlines.append(self._restart_at)
        if self._job is None:
            deadlines.append(self._sweep_at)
        due = [deadline for deadline in deadlines if deadline is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _tick(self) -> None:
        now = time.monotonic()
        if self._cancel_by is not None and now >= self._cancel_by:
            _log.warning("job %s: the worker did not stop within %g s and is killed", self._job, self._cancel_s)
            self._cancel_by = None
            if self._worker is not None:
                self._worker.kill()
        if self._job is None and now >= self._sweep_at:
            self._sweep_at = now + self._durably(self._retention.run)
        if self._worker is None and now >= self._restart_at and (self.status.state != "dead" or self._jobs.waiting):
            self._start_worker()
        if self._worker is not None and self._job is None and self.status.state == "ready":
            self._feed(self._worker)

    def _start_worker(self) -> None:
        self.status = WorkerStatus("starting")
        try:
            self._worker = Worker(
                self._blobs, self._log_file, lambda worker, report: self._events.put(_Said(worker, report))
            )
        except OSError as error:
            self._false_start(f"The worker process could not be started: {error}.")
            return
        _log.info("worker %d: starting", self._worker.pid)

    def _feed(self, worker: Worker) -> None:
        record = self._durably(self._jobs.claim)
        if record is None:
            return
        self._job = record.id
        self._set_status("busy")
        _log.info("job %s: %s runs in worker %d", record.id, record.submission.task, worker.pid)
        worker.send(protocol.Run(record.id, wire.from_submission(record.submission)))

    def _handle(self, event: _Event) -> None:
        if isinstance(event, _Cancelled):
            if event.job == self._job and self._worker is not None:
                self._worker.send(protocol.Cancel(event.job))
                self._cancel_by = self._cancel_by or time.monotonic() + self._cancel_s
        elif isinstance(event, _Said) and event.worker is self._worker:
            bound_log(self._log_file)
            if isinstance(event.report, Ended):
                self._ended(event.report)
            else:
                self._heard(event.report)

    def _heard(self, message: protocol.Message) -> None:
        jobs = self._jobs
        if isinstance(message, protocol.Ready):
            self._ready(message)
        elif isinstance(message, protocol.Unusable):
            self._false_starts = _MOST_FALSE_STARTS
            self._set_status("dead", reason=message.reason)
        elif isinstance(message, protocol.Progressed):
            jobs.progress(message.job, message.stage, message.fraction, message.step, message.steps)
        elif isinstance(message, protocol.Previewed):
            jobs.preview(message.job, message.index, base64.b64decode(message.jpeg))
        elif isinstance(message, protocol.Noticed):
            jobs.notice(message.job, message.text)
        elif isinstance(message, protocol.Made):
            image = ImageRecord(message.index, message.pixels, message.mask, Rect(*message.context), message.recipe)
            self._durably(lambda: jobs.add_image(message.job, image))
        elif isinstance(message, protocol.Done):
            self._durably(lambda: jobs.done(message.job))
            self._free(message, "done")
        elif isinstance(message, protocol.Failed):
            self._durably(lambda: jobs.failed(message.job, Problem.from_json(message.problem)))
            self._free(message, "failed")
        elif isinstance(message, protocol.Stopped):
            self._free(message, "stopped")

    def _ready(self, message: protocol.Ready) -> None:
        self._false_starts = 0
        self._ready_at = time.monotonic()
        self.status = WorkerStatus("ready", message.device, message.versions)
        _log.info("worker: ready on %s, %s", message.device, dict(message.versions))

    def _free(self, message: protocol.Done | protocol.Failed | protocol.Stopped, how: str) -> None:
        _log.info("job %s: %s; the worker is free", message.job, how)
        if message.job == self._job:
            self._job = self._cancel_by = None
            self._deaths = 0
            self._set_status("ready", loaded=message.loaded)

    def _ended(self, end: Ended) -> None:
        """The worker is gone: what becomes of its job, and when the next one starts."""
        _log.warning("worker: ended %s while %s", end.how, f"job {self._job} ran" if self._job else self.status.state)
        state, self._worker, self._cancel_by = self.status.state, None, None
        if state in ("starting", "dead"):
            self._false_start(self.status.reason or f"The worker process ended {end.how} while it started.")
            return
        if self._job is not None:
            job, self._job = self._job, None
            again = self._durably(lambda: self._jobs.died(job, self._death(end)))
            _log.warning("job %s: %s", job, "queued again" if again else "not run again")
        self._deaths = self._deaths + 1 if time.monotonic() - self._ready_at < _STEADY_S else 0
        self._restart_at = time.monotonic() + (0.0 if self._deaths <= 1 else _backoff(self._deaths))
        self.status = WorkerStatus("starting")

    def _false_start(self, reason: str) -> None:
        """A worker that never became ready: tried again, later and later; after some times what waits is
        told why."""
        self._false_starts += 1
        self._restart_at = time.monotonic() + _backoff(self._false_starts)
        if self._false_starts < _MOST_FALSE_STARTS:
            self.status = WorkerStatus("starting")
            return
        _log.error("worker: cannot start: %s", reason)
        self.status = WorkerStatus("dead", reason=reason)
        more = f"The log {self._log_file.name} says more; so does `pentimento doctor`."
        detail = f"The engine cannot start: {reason} {more}"
        self._durably(lambda: self._jobs.fail_all_queued(Problem(503, detail, "No engine")))

    def _death(self, end: Ended) -> Problem:
        detail = (
            f"The worker process died twice while this job ran (the last time {end.how}). Most often memory "
            f"ran out: try a smaller size or batch. The log {self._log_file.name} says more."
        )
        return Problem(500, detail, "Worker died")

    def _set_status(self, state: WorkerState, loaded: tuple[str, ...] | None = None, reason: str | None = None) -> None:
        now = self.status
        self.status = WorkerStatus(state, now.device, now.versions, now.loaded if loaded is None else loaded, reason)

    def _durably(self, write: Callable[[], T]) -> T:
        """`write()`, again and again while the disk is full: what happened to a job is not forgotten for
        want of room."""
        told = False
        while True:
            try:
                return write()
            except DiskFull as error:
                if self._stopping.is_set():
                    raise
                if not told:
                    _log.error("supervisor: %s Waiting for room.", error)
                told = True
                self._stopping.wait(_RETRY_S)


def _backoff(times: int) -> float:
    return min(0.25 * 2 ** min(times, 10), _LONGEST_BACKOFF_S)
