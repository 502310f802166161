"""The supervisor with a real worker that does not obey."""

from __future__ import annotations

import shutil
from pathlib import Path

import psutil
import pytest

from pentimento.jobs.records import State, Submission
from pentimento.jobs.supervisor import Supervisor
from pentimento_shared.settings import validate
from tests.server.serving import until
from tests.server.test_store import Desk


def test_a_worker_that_does_not_obey_a_cancel_is_replaced(
    tmp_path: Path, tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENTIMENTO_HOME", str(tmp_path))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    shutil.copytree(tiny_model, tmp_path / "data" / "models" / "tiny")
    desk = Desk(tmp_path / "data")
    values = {"model": "tiny", "width": 64, "height": 64, "steps": 2}
    submission = Submission("txt2img", validate("txt2img", values), (1,), "f")
    supervisor = Supervisor(desk.jobs, desk.retention, desk.blobs.folder, tmp_path / "worker.log", cancel_s=0.3)
    supervisor.start()
    try:
        until(lambda: supervisor.status.state == "ready")
        (worker,) = workers()
        worker.suspend()
        stuck, next_one = (desk.jobs.submit(submission)[0].record.id for _ in range(2))
        supervisor.wake()
        until(lambda: supervisor.status.state == "busy")
        desk.jobs.cancel(stuck)
        supervisor.cancel(stuck)
        until(lambda: not worker.is_running())
        until(lambda: workers() not in ([], [worker]))
        assert (desk.state(stuck), desk.state(next_one)) == (State.CANCELLED, State.QUEUED)
    finally:
        supervisor.stop()
    assert workers() == []


def workers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "pentimento.jobs.worker" in words(child)]


def words(process: psutil.Process) -> list[str]:
    """Its command line, empty once it has ended."""
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # or a zombie, which is one
        return []
