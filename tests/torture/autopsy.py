"""What must be true when a storm is over: of the book that the customers kept, and of the home that is left."""

from __future__ import annotations

import hashlib
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from pentimento.jobs.blobs import Blobs
from pentimento.jobs.store import Store

from .backend import leftovers
from .customers import Entry


def faults_of_orders(
    entries: Sequence[Entry], expected: Mapping[str, Sequence[str]], struck: Mapping[str, int], log: str
) -> Iterator[str]:
    """A sentence for each order that was lost, made twice, came out otherwise than in fair weather, or ended without a
    true reason."""
    for entry in entries:
        what = f"{entry.work.name} ({entry.manner}, {sorted(entry.ids)})"
        if len(entry.ids) != 1:
            yield f"{what}: one key has brought {len(entry.ids)} jobs"
        elif entry.last is None or not entry.last.final:
            yield f"{what}: lost; last seen {entry.last}"
        elif entry.last.state == "done" and entry.pictures != expected[entry.work.name]:
            yield f"{what}: its pictures are not those of fair weather"
        elif entry.last.state == "cancelled" and not entry.cancelled:
            yield f"{what}: cancelled, but not by its owner"
        elif entry.last.state == "failed" and not _true_reason(entry, struck, log):
            yield f"{what}: failed without a true reason: {entry.last.problem!r}"
    for key, times in Counter(entry.id for entry in entries if len(entry.ids) == 1).items():
        if times > 1:
            yield f"{times} keys have brought the one job {key}"


def _true_reason(entry: Entry, struck: Mapping[str, int], log: str) -> bool:
    """Whether what a failed job gives as its reason has really happened to it."""
    problem = entry.last.problem if entry.last else None
    if problem is None:
        return False
    if problem.status == 507:
        return struck["disk filled"] + struck["server killed on a full disk"] > 0 and "full" in problem.detail
    if problem.title == "Worker died":
        return len(re.findall(rf"ended by signal 9 \(SIGKILL\) while job {entry.id} ran", log)) >= 2
    return False


def faults_of_home(home: Path, entries: Sequence[Entry], more: int) -> Iterator[str]:
    """A sentence for each thing that should not be in the home of a backend that has ended. `more`: jobs that are not
    in the book."""
    for process in leftovers(home):
        yield f"process {process.pid} is left: {process.cmdline()}"
    data = home / "data"
    store = Store(data / "jobs.sqlite3")
    try:
        if not store.intact():
            yield "the store does not pass PRAGMA integrity_check"
        named, records = store.blobs(), store.newest(1_000_000)
    finally:
        store.close()
    wanted = {entry.id for entry in entries}
    stored = {record.id for record in records}
    if wanted - stored:
        yield f"not in the store: {sorted(wanted - stored)}"
    if len(stored) != len(wanted) + more:
        yield f"the store holds {len(stored)} jobs, of which {len(wanted)} + {more} were accepted"
    yield from _faults_of_rows(data / "jobs.sqlite3")
    there = {path.name for path in (data / "blobs").glob("[0-9a-f][0-9a-f]/*")}
    if there != named:
        yield f"{len(there - named)} blobs that no job names, {len(named - there)} that are named and gone"
    blobs = Blobs(data / "blobs")
    for name in there & named:
        if hashlib.sha256(blobs.read(name)).hexdigest() != name:
            yield f"the blob {name} does not hold what its name says"
    known = {"blobs", "logs", "models", "jobs.sqlite3", "hashes.json", "server.lock", "token", "backend.json"}
    for folder in (data, home / "config", data / "blobs" / "tmp", data / "logs"):
        for path in folder.iterdir():
            if path.name not in known and not re.fullmatch(r"(server|worker)\.log(\.\d)?|[0-9a-f]{2}", path.name):
                yield f"{path.relative_to(home)} is left"


def _faults_of_rows(path: Path) -> Iterator[str]:
    connection = sqlite3.connect(path)
    try:
        rows = connection.execute(
            "SELECT id, state, json_array_length(seeds), (SELECT count(*) FROM images WHERE job = number) FROM jobs"
        ).fetchall()
    finally:
        connection.close()
    for job, state, wanted, made in rows:
        if made != (wanted if state == "done" else 0):
            yield f"job {job} is {state} and has {made} of {wanted} pictures"
