"""The parts below the server, each for itself: store, blobs, retention, queue, waiting."""

from __future__ import annotations

import hashlib
import os
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pentimento.disk import write_whole
from pentimento.jobs import protocol
from pentimento.jobs.blobs import Blobs
from pentimento.jobs.clock import LONGEST_ABSENCE, RetentionClock
from pentimento.jobs.hub import MOST_WAITERS, Hub
from pentimento.jobs.problem import Problem
from pentimento.jobs.queue import Jobs, JobView, KeyMisused
from pentimento.jobs.records import ImageRecord, State, Submission
from pentimento.jobs.retention import KEPT_S, Retention
from pentimento.jobs.schema import VERSION, StoreTooNew
from pentimento.jobs.store import Store
from pentimento_shared.geometry import Rect, Size

SUBMISSION = Submission(
    task="inpaint",
    settings={"prompt": "a \u2603", "strength": 0.5, "color_match": True},
    seeds=(1, 2),
    fingerprint="f",
    canvas=Size(100, 80),
    context=Rect(1, 2, 64, 48),
    parent="p",
)
HOUR = 3600.0


class Machine:
    """A machine whose clocks the test moves: the user's, and the one that only runs while the machine does."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_000_000_000.0, 0.0

    def run(self, seconds: float) -> None:
        self.wall += seconds
        self.steady += seconds


class Desk:
    """A store with everything on top, as after a start of the server."""

    def __init__(self, folder: Path, machine: Machine | None = None) -> None:
        machine = machine or Machine()
        self.store = Store(folder / "jobs.sqlite3")
        self.blobs = Blobs(folder / "blobs")
        self.hub = Hub(self.store)
        self.clock = RetentionClock(self.store, lambda: machine.wall, lambda: machine.steady)
        self.jobs = Jobs(self.store, self.hub, self.clock)
        self.retention = Retention(self.store, self.blobs, self.clock)

    def submit(self, **changes: object) -> str:
        return self.jobs.submit(replace(SUBMISSION, **changes))[0].record.id  # pyright: ignore[reportArgumentType]

    def finish(self, job_id: str) -> None:
        """Runs the job that is next, which must be this one, to its end."""
        record = self.jobs.claim()
        assert record is not None
        assert record.id == job_id
        for k in range(len(record.submission.seeds)):
            self.jobs.add_image(job_id, self.image(k))
        self.jobs.done(job_id)

    def image(self, k: int) -> ImageRecord:
        return ImageRecord(
            k, self.blobs.put(b"raw %d" % k), self.blobs.put(b"mask"), Rect(0, 0, 64, 48), {"id": f"r{k}"}
        )

    def view(self, job_id: str) -> JobView:
        view = self.jobs.view(job_id)
        assert view is not None
        return view

    def claim(self) -> str:
        """Starts the job whose turn it is; its id."""
        record = self.jobs.claim()
        assert record is not None
        return record.id

    def state(self, job_id: str) -> str:
        return self.view(job_id).record.state.value


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_what_was_submitted_comes_back_whole(desk: Desk, tmp_path: Path) -> None:
    job_id = desk.submit(image="a" * 64, mask="b" * 64, key="k", application="krita")
    record = Store(tmp_path / "jobs.sqlite3").get(job_id)
    assert record is not None
    assert record.submission == replace(SUBMISSION, image="a" * 64, mask="b" * 64, key="k", application="krita")
    assert (record.state, record.deaths, record.problem, record.images) == (State.QUEUED, 0, None, 0)


def test_the_store_is_durable_and_versioned(desk: Desk, tmp_path: Path) -> None:
    connection = sqlite3.connect(tmp_path / "jobs.sqlite3")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)
    assert desk.store.intact()
    connection.execute("PRAGMA user_version = 99")
    with pytest.raises(StoreTooNew, match="newer"):
        Store(tmp_path / "jobs.sqlite3")


def test_a_key_is_one_request(desk: Desk) -> None:
    first, new = desk.jobs.submit(replace(SUBMISSION, key="k"))
    again, newer = desk.jobs.submit(replace(SUBMISSION, key="k", seeds=(9, 10)))
    assert (new, newer, again.record.id, again.record.submission.seeds) == (True, False, first.record.id, (1, 2))
    with pytest.raises(KeyMisused):
        desk.jobs.submit(replace(SUBMISSION, key="k", fingerprint="other"))


def test_first_come_first_served_and_a_rerun_goes_first(desk: Desk) -> None:
    first, second = desk.submit(), desk.submit()
    assert desk.claim() == first
    desk.jobs.progress(first, "sample", 0.7, 3, 4)
    assert desk.jobs.died(first, Problem(500, "dead"))
    view = desk.view(first)
    assert (view.position, view.to_json()["progress"], view.to_json()["stage"]) == (1, 0.7, None)
    assert desk.claim() == first
    desk.jobs.progress(first, "load", 0.1, 0, 0)
    assert desk.view(first).to_json()["progress"] == 0.7
    assert not desk.jobs.died(first, Problem(500, "dead again"))
    assert desk.view(first).record.problem == Problem(500, "dead again", "Internal Server Error")
    assert desk.claim() == second


@settings(max_examples=25)
@given(fractions=st.lists(st.floats(0, 1), min_size=1), restarts=st.sets(st.integers(0, 30)))
def test_progress_never_falls_whatever_dies(
    fractions: list[float], restarts: set[int], tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("desk")
    desk = Desk(folder)
    job_id = desk.submit()
    shown, rev = 0.0, 0
    for k, fraction in enumerate(fractions):
        if k in restarts:
            desk.store.close()
            desk = Desk(folder)
        if desk.state(job_id) == "queued":
            desk.jobs.claim()
        desk.jobs.progress(job_id, "sample", fraction, 1, 2)
        view = desk.view(job_id)
        assert shown <= view.to_json()["progress"] < 1
        assert view.rev > rev
        shown, rev = view.to_json()["progress"], view.rev
    desk.store.close()


def test_reports_about_a_cancelled_job_are_dropped(desk: Desk) -> None:
    job_id = desk.submit()
    desk.jobs.claim()
    desk.jobs.add_image(job_id, desk.image(0))
    view = desk.jobs.cancel(job_id)
    assert view is not None
    assert view.record.state is State.CANCELLED
    for report in (
        lambda: desk.jobs.progress(job_id, "sample", 0.5, 1, 2),
        lambda: desk.jobs.preview(job_id, 0, b"jpeg"),
        lambda: desk.jobs.notice(job_id, "text"),
        lambda: desk.jobs.add_image(job_id, desk.image(1)),
        lambda: desk.jobs.done(job_id),
        lambda: desk.jobs.failed(job_id, Problem(500, "late")),
        lambda: desk.jobs.died(job_id, Problem(500, "late")),
    ):
        report()
        assert desk.jobs.view(job_id) == view
    assert desk.hub.preview(job_id) is None
    assert desk.jobs.claim() is None


def test_a_job_with_too_few_pictures_is_not_done(desk: Desk) -> None:
    job_id = desk.submit()
    desk.jobs.claim()
    desk.jobs.add_image(job_id, desk.image(0))
    desk.jobs.done(job_id)
    assert desk.state(job_id) == "failed"


def test_warnings_are_told_once_and_kept(desk: Desk) -> None:
    job_id = desk.submit(seeds=(1,))
    desk.jobs.claim()
    desk.jobs.notice(job_id, "long prompt")
    desk.jobs.notice(job_id, "long prompt")
    desk.jobs.add_image(job_id, desk.image(0))
    desk.jobs.done(job_id)
    assert desk.view(job_id).to_json()["warnings"] == ["long prompt"]


def test_revisions_never_repeat_not_even_after_a_crash(tmp_path: Path) -> None:
    seen: list[int] = []
    for _ in range(3):
        desk = Desk(tmp_path)
        seen += [desk.hub.next_rev() for _ in range(5)]
    assert seen == sorted(set(seen))


def test_what_is_kept_and_for_how_long(tmp_path: Path) -> None:
    machine = Machine()
    desk = Desk(tmp_path, machine)
    source = desk.blobs.put(b"source")
    fetched, half, unfetched, failed = (desk.submit(image=source) for _ in range(4))
    for job_id in (fetched, half, unfetched):
        desk.finish(job_id)
    desk.jobs.fetched(fetched, 0)
    desk.jobs.fetched(fetched, 1)
    desk.jobs.fetched(half, 0)
    desk.jobs.claim()
    desk.jobs.failed(failed, Problem(500, "no"))
    machine.run(KEPT_S - 1)
    desk.retention.run()
    assert len(desk.jobs.newest(10)) == 4
    machine.run(2)
    desk.retention.run()
    assert {view.record.id for view in desk.jobs.newest(10)} == {half, unfetched}
    machine.run(100 * KEPT_S)
    desk.retention.run()
    assert desk.blobs.read(source) == b"source", "what nobody has fetched stays"


@pytest.mark.parametrize("jump", [-40 * 365 * 24 * HOUR, -HOUR, 12 * HOUR, 40 * 365 * 24 * HOUR])
def test_a_clock_that_jumps_takes_nothing_away(tmp_path: Path, jump: float) -> None:
    machine = Machine()
    desk = Desk(tmp_path, machine)
    job_id = desk.submit(seeds=(1,))
    desk.finish(job_id)
    desk.jobs.fetched(job_id, 0)
    desk.clock.save()
    machine.run(HOUR)
    machine.wall += jump
    desk.retention.run()
    assert desk.state(job_id) == "done"
    again = Desk(tmp_path, machine)
    again.retention.run()
    assert again.state(job_id) == "done"
    machine.run(KEPT_S)
    again.retention.run()
    assert again.jobs.view(job_id) is None, "and a day later it goes all the same"


def test_time_without_a_server_counts_up_to_a_limit(tmp_path: Path) -> None:
    machine = Machine()
    before = Desk(tmp_path, machine).clock
    before.save()
    machine.wall += 10 * HOUR
    assert Desk(tmp_path, machine).clock.now() == before.now() + 10 * HOUR
    machine.wall += 1000 * HOUR
    assert Desk(tmp_path, machine).clock.now() == before.now() + LONGEST_ABSENCE


def test_blobs_that_no_job_needs_are_swept(desk: Desk) -> None:
    kept, loose = desk.blobs.put(b"kept"), desk.blobs.put(b"loose")
    desk.submit(image=kept)
    with desk.blobs.hold():
        assert desk.blobs.sweep(desk.store.blobs) is None, "someone is about to name a blob"
    assert desk.blobs.sweep(desk.store.blobs) == 1
    assert desk.blobs.read(kept) == b"kept"
    with pytest.raises(FileNotFoundError):
        desk.blobs.read(loose)


@given(st.binary(max_size=2000), st.integers(1, 500))
def test_a_blob_is_named_by_its_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes, step: int) -> None:
    blobs = Blobs(tmp_path_factory.getbasetemp() / "blobs")
    with blobs.draft() as draft:
        for at in range(0, len(data), step):
            draft.write(data[at : at + step])
        draft.seek(0)
        assert draft.read() == data
        name = draft.commit()
    assert name == hashlib.sha256(data).hexdigest() == blobs.put(data)
    assert blobs.read(name) == data
    assert blobs.path(name).stat().st_mode & 0o777 == 0o600


def test_an_uncommitted_draft_vanishes(tmp_path: Path) -> None:
    blobs = Blobs(tmp_path)
    with blobs.draft() as draft:
        draft.write(b"half")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("name", ["", "../jobs.sqlite3", "A" * 64, "a" * 63, "a" * 64 + "\n", "/etc/passwd"])
def test_only_hashes_name_blobs(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="not the name of a blob"):
        Blobs(tmp_path).path(name)


def test_waiting_sees_every_change_and_has_few_seats(desk: Desk) -> None:
    job_id = desk.submit()
    changes = desk.hub.changes
    desk.jobs.cancel(job_id)
    assert desk.hub.wait(changes, 10), "a change before the wait began counts"
    seats = [desk.hub.waiting() for _ in range(MOST_WAITERS + 1)]
    assert [seat.__enter__() for seat in seats] == [True] * MOST_WAITERS + [False]
    seats[0].__exit__(None, None, None)
    with desk.hub.waiting() as granted:
        assert granted
    waiter = threading.Thread(target=desk.hub.wait, args=(desk.hub.changes, 60))
    waiter.start()
    desk.hub.close()
    waiter.join(10)
    assert not waiter.is_alive()


@pytest.mark.parametrize(
    "message",
    [
        protocol.Run("j", {"task": "txt2img", "settings": {"prompt": "\u2603\n"}}),
        protocol.Ready("cpu", {"torch": "2"}),
        protocol.Previewed("j", 1, "AAEC"),
        protocol.Done("j", ("demo",)),
        protocol.Failed("j", Problem(422, "no", field="steps", value=0).to_json()),
    ],
)
def test_messages_survive_the_pipe(message: protocol.Message) -> None:
    line = protocol.encode(message)
    assert line.count(b"\n") == 1
    assert line.isascii()
    assert protocol.decode(line) == message


@pytest.mark.parametrize("line", [b"", b"{", b"[]", b"3", b'{"kind": "Nothing"}', b'{"kind": "Done"}', b'{"kind": []}'])
def test_what_is_no_message_is_told(line: bytes) -> None:
    with pytest.raises(protocol.ProtocolError):
        protocol.decode(line)


def test_what_a_killed_process_was_writing_goes_with_the_next_write(tmp_path: Path) -> None:
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    left, others = (tmp_path / f".server.json.{pid}.tmp" for pid in (ended.pid, os.getppid()))
    for draft in (left, others):
        draft.write_bytes(b"half")
    write_whole(tmp_path / "server.json", b"whole")
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([others.name, "server.json"])
