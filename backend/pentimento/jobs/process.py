"""A worker process from outside: started, written to and read from without ever blocking its owner."""

from __future__ import annotations

import logging
import os
import queue
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

import pentimento
import pentimento_shared

from ..disk import open_private
from . import protocol

_log = logging.getLogger(__name__)

_LAST_WORDS_S: Final = 5.0
_LONGEST_LOG: Final = 4 << 20
_SHARING: Final = {"GOMP_SPINCOUNT": "1000"}
"""torch's OpenMP threads wait for each other by spinning, by default for milliseconds. Beside a program that computes,
an editor say, that holds up the very thread that is waited for: a step took 2 to 10 times as long. After a thousand
turns they sleep: as fast on an idle machine, and as good as sleeping at once on a busy one."""
_QUIET: Final = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "DO_NOT_TRACK": "1",
    # Their warnings quote prompts, and prompts are no log's business.
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",
    "TQDM_DISABLE": "1",
    "PYTHONUNBUFFERED": "1",
}


@dataclass(frozen=True)
class Ended:
    """The worker process is gone. `code` as subprocess has it: negative for a signal."""

    code: int

    @property
    def how(self) -> str:
        """ "with exit code 1", "by signal 9 (SIGKILL)"."""
        if self.code >= 0:
            return f"with exit code {self.code}"
        try:
            return f"by signal {-self.code} ({signal.Signals(-self.code).name})"
        except ValueError:
            return f"by signal {-self.code}"


Report = protocol.Message | Ended


class Worker:
    """One process. What it says, and at last its end, is handed to `report` by a thread of its own."""

    def __init__(self, blobs: Path, log: Path, report: Callable[[Worker, Report], None]) -> None:
        self._report = report
        self._outbox: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        with _log_file(log) as stderr:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-X", "faulthandler", "-m", "pentimento.jobs.worker", str(blobs)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=stderr,
                env=_environment(),
                start_new_session=os.name == "posix",
            )
        for name, work in (("read", self._read), ("write", self._write)):
            threading.Thread(target=work, name=f"worker-{self.pid}-{name}", daemon=True).start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def send(self, message: protocol.Message) -> None:
        """Hands over a message; a worker that does not read holds up nobody."""
        self._outbox.put(protocol.encode(message))

    def kill(self) -> None:
        """Ends the process at once. Its `Ended` is reported as any other."""
        self._process.kill()

    def stop(self, patience: float) -> None:
        """Ends the process by closing its stdin, and by force after `patience` seconds. Returns when it is
        gone."""
        self._outbox.put(None)
        try:
            self._process.wait(patience)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                try:
                    self._report(self, protocol.decode(line))
                except protocol.ProtocolError:
                    # Half a line is what a killed worker leaves.
                    _log.warning("worker %d sent something that is not a message", self.pid)
        try:
            code = self._process.wait(_LAST_WORDS_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            code = self._process.wait()
        self._outbox.put(None)
        self._report(self, Ended(code))

    def _write(self) -> None:
        assert self._process.stdin is not None
        pipe: BinaryIO = self._process.stdin  # pyright: ignore[reportAssignmentType]
        try:
            while (data := self._outbox.get()) is not None:
                pipe.write(data)
                pipe.flush()
            pipe.close()
        except OSError:
            _log.debug("worker %d is gone while it is written to", self.pid)


def bound_log(path: Path) -> None:
    """Empties a log that has grown too long, keeping what it held under another name where there is room for it.

    The worker that writes it goes on at its new end: it has the file open for appending.
    """
    try:
        if path.stat().st_size <= _LONGEST_LOG:
            return
    except FileNotFoundError:
        return
    old = path.with_suffix(".log.1")
    try:
        old.unlink(missing_ok=True)
        with os.fdopen(open_private(old), "wb") as kept, path.open("rb") as log:
            log.seek(-_LONGEST_LOG, os.SEEK_END)
            shutil.copyfileobj(log, kept)
    except OSError as error:
        _log.warning("the old part of %s is not kept: %s", path.name, error)
    os.truncate(path, 0)


def _log_file(path: Path) -> BinaryIO:
    bound_log(path)
    if not path.exists():
        os.close(open_private(path))
    return path.open("ab")


def _environment() -> dict[str, str]:
    """This process's environment, with our packages found wherever they are and libraries kept off the
    network."""
    roots = [str(Path(package.__path__[0]).parent) for package in (pentimento, pentimento_shared)]
    inherited = os.environ.get("PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if name != "PENTIMENTO_TOKEN"}
    return {**_SHARING, **kept, **_QUIET, "PYTHONPATH": os.pathsep.join([*roots, *([inherited] if inherited else [])])}
