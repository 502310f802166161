"""The SQLite store: jobs and their pictures. What a method has returned from is on disk."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from pentimento_shared.geometry import Rect, Size

from ..disk import DiskFull, open_private
from .problem import Problem
from .records import ImageRecord, JobRecord, State, Submission
from .schema import migrate

_FULL: Final = frozenset({sqlite3.SQLITE_FULL})
_UNWRITABLE: Final = frozenset({sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_FSYNC, sqlite3.SQLITE_IOERR_SHMSIZE})
_BUSY_MS: Final = 10_000
_RECORD: Final = "SELECT jobs.*, (SELECT count(*) FROM images WHERE images.job = jobs.number) AS images FROM jobs"


class Store:
    """One guarded connection (WAL, synchronous=FULL). Every method is one transaction and may be called by
    any thread.

    Each raises DiskFull when there is no room for its write; nothing of it is stored then.
    """

    def __init__(self, path: Path) -> None:
        """Opens or makes the store. Raises StoreTooNew, DiskFull, sqlite3.DatabaseError for a damaged
        file."""
        self._folder = path.parent
        if not path.exists():
            os.close(open_private(path))
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
        self._connection.row_factory = sqlite3.Row
        with self._full_disk_told():
            for pragma in (
                "journal_mode = WAL",
                "synchronous = FULL",
                f"busy_timeout = {_BUSY_MS}",
                "foreign_keys = ON",
            ):
                self._connection.execute(f"PRAGMA {pragma}")
            migrate(self._connection)

    def close(self) -> None:
        with self._lock:
            self._connection.close()

    def intact(self) -> bool:
        """Whether SQLite finds nothing wrong with the file."""
        return self._read("PRAGMA integrity_check")[0][0] == "ok"

    # jobs

    def add(self, job_id: str, submission: Submission, rev: int, created: str) -> None:
        """A new queued job. Raises sqlite3.IntegrityError when its id or key is taken."""
        region = None
        if submission.canvas and submission.context:
            region = json.dumps([submission.canvas, submission.context])
        self._write(
            "INSERT INTO jobs (id, key, fingerprint, task, settings, seeds, region, parent, application,"
            " client, image, mask, state, rev, created) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'queued', ?, ?)",
            job_id,
            submission.key,
            submission.fingerprint,
            submission.task,
            json.dumps(dict(submission.settings)),
            json.dumps(submission.seeds),
            region,
            submission.parent,
            submission.application,
            submission.client,
            submission.image,
            submission.mask,
            rev,
            created,
        )

    def get(self, job_id: str) -> JobRecord | None:
        return self._one("WHERE id = ?", job_id)

    def by_key(self, key: str) -> JobRecord | None:
        """The job that was submitted with this Idempotency-Key."""
        return self._one("WHERE key = ?", key)

    def unfinished(self) -> list[JobRecord]:
        """Running and queued jobs, in the order of submission."""
        rows = self._read(f"{_RECORD} WHERE state IN ('queued', 'running') ORDER BY number")
        return [_record(row) for row in rows]

    def newest(self, limit: int) -> list[JobRecord]:
        """The last submitted jobs, newest first."""
        return [_record(row) for row in self._read(f"{_RECORD} ORDER BY number DESC LIMIT ?", limit)]

    def set_state(
        self,
        job_id: str,
        state: State,
        rev: int,
        *,
        problem: Problem | None = None,
        warnings: Sequence[str] = (),
        ended: float | None = None,
        deaths: int = 0,
    ) -> None:
        """Moves a job. `deaths` are added to those it has had. Pictures of a job that failed or was
        cancelled go."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE jobs SET state = ?, rev = ?, problem = ?, warnings = ?, ended = ?,"
                " deaths = deaths + ?, progress = CASE ? WHEN 'done' THEN 1.0 ELSE progress END WHERE id = ?",
                (
                    state,
                    rev,
                    json.dumps(problem.to_json()) if problem else None,
                    json.dumps(list(warnings)),
                    ended,
                    deaths,
                    state,
                    job_id,
                ),
            )
            if state in (State.FAILED, State.CANCELLED):
                connection.execute("DELETE FROM images WHERE job = (SELECT number FROM jobs WHERE id = ?)", (job_id,))

    def set_progress(self, job_id: str, progress: float) -> None:
        """Notes that nobody will be shown more than this before the next call."""
        self._write("UPDATE jobs SET progress = ? WHERE id = ?", progress, job_id)

    def requeue_running(self) -> None:
        """What ran when the server ended is queued again; it counts as nobody's death."""
        self._write("UPDATE jobs SET state = 'queued' WHERE state = 'running'")

    # pictures

    def add_image(self, job_id: str, image: ImageRecord) -> None:
        """Stores a finished picture of a running job; a second run of the job replaces that of the first."""
        self._write(
            "INSERT OR REPLACE INTO images (job, k, raw, mask, context, recipe)"
            " SELECT number, ?, ?, ?, ?, ? FROM jobs WHERE id = ? AND state = 'running'",
            image.k,
            image.raw,
            image.mask,
            json.dumps(image.context),
            json.dumps(image.recipe),
            job_id,
        )

    def image(self, job_id: str, k: int) -> ImageRecord | None:
        rows = self._read(
            "SELECT images.* FROM images JOIN jobs ON jobs.number = images.job WHERE jobs.id = ? AND k = ?",
            job_id,
            k,
        )
        return _image(rows[0]) if rows else None

    def set_fetched(self, job_id: str, k: int, when: float) -> None:
        """A client has picture `k` of a done job. With the last one the job itself counts as fetched."""
        with self._transaction() as connection:
            row = connection.execute("SELECT number FROM jobs WHERE id = ? AND state = 'done'", (job_id,)).fetchone()
            if row is None:
                return
            connection.execute("UPDATE images SET fetched = 1 WHERE job = ? AND k = ?", (row["number"], k))
            connection.execute(
                "UPDATE jobs SET fetched = ? WHERE number = ?"
                " AND NOT EXISTS (SELECT 1 FROM images WHERE job = jobs.number AND NOT fetched)",
                (when, row["number"]),
            )

    # retention

    def prune(self, before: float) -> int:
        """Removes done jobs fetched, and failed or cancelled ones ended, before that reading of the
        retention clock."""
        with self._transaction() as connection:
            gone = connection.execute(
                "DELETE FROM jobs WHERE (state = 'done' AND fetched < ?)"
                " OR (state IN ('failed', 'cancelled') AND ended < ?)",
                (before, before),
            )
            return gone.rowcount

    def blobs(self) -> set[str]:
        """The hashes of all blobs that any job needs; a failed or cancelled one needs none any more."""
        rows = self._read(
            "SELECT image FROM jobs WHERE state NOT IN ('failed', 'cancelled')"
            " UNION SELECT mask FROM jobs WHERE state NOT IN ('failed', 'cancelled')"
            " UNION SELECT raw FROM images UNION SELECT mask FROM images"
        )
        return {row[0] for row in rows if row[0] is not None}

    # small facts

    def fact(self, name: str, default: float) -> float:
        rows = self._read("SELECT value FROM meta WHERE name = ?", name)
        return rows[0]["value"] if rows else default

    def set_facts(self, **facts: float) -> None:
        with self._transaction() as connection:
            connection.executemany("INSERT OR REPLACE INTO meta (name, value) VALUES (?, ?)", facts.items())

    # plumbing

    def _one(self, where: str, *values: object) -> JobRecord | None:
        rows = self._read(f"{_RECORD} {where}", *values)
        return _record(rows[0]) if rows else None

    def _read(self, query: str, *values: object) -> list[sqlite3.Row]:
        with self._lock, self._full_disk_told():
            return self._connection.execute(query, values).fetchall()

    def _write(self, query: str, *values: object) -> None:
        with self._transaction() as connection:
            connection.execute(query, values)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._full_disk_told():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                # SQLite itself rolls back on some errors (a full disk is one); a second ROLLBACK would hide
                # the first.
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")
                raise

    @contextmanager
    def _full_disk_told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            code = error.sqlite_errorcode
            if code & 0xFF in _FULL or code in _UNWRITABLE:
                raise DiskFull(self._folder) from error
            raise


def _record(row: sqlite3.Row) -> JobRecord:
    canvas, context = json.loads(row["region"]) if row["region"] else (None, None)
    submission = Submission(
        task=row["task"],
        settings=json.loads(row["settings"]),
        seeds=tuple(json.loads(row["seeds"])),
        fingerprint=row["fingerprint"],
        key=row["key"],
        image=row["image"],
        mask=row["mask"],
        canvas=Size(*canvas) if canvas else None,
        context=Rect(*context) if context else None,
        parent=row["parent"],
        application=row["application"],
        client=row["client"],
    )
    return JobRecord(
        number=row["number"],
        id=row["id"],
        submission=submission,
        state=State(row["state"]),
        deaths=row["deaths"],
        progress=row["progress"],
        warnings=tuple(json.loads(row["warnings"])),
        problem=_problem(row["problem"]),
        rev=row["rev"],
        created=row["created"],
        images=row["images"],
    )


def _problem(text: str | None) -> Problem | None:
    return Problem.from_json(json.loads(text)) if text else None


def _image(row: sqlite3.Row) -> ImageRecord:
    recipe: dict[str, Any] = json.loads(row["recipe"])
    return ImageRecord(row["k"], row["raw"], row["mask"], Rect(*json.loads(row["context"])), recipe)
