"""A backend that is started again whenever it dies, as an editor's user would."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import psutil

from pentimento_shared.client import BackendUnreachable, Client
from tests.server.serving import environment

_PAUSE_S: Final = 0.3


class Backend:
    """`python -m pentimento.server`, kept alive by a thread until `stop`. Whoever kills it does so by `signal`."""

    def __init__(self, home: Path, outputs: Path, clock: Path) -> None:
        """`outputs`: a folder for what the server prints; `clock`: the file that shifts its wall clock."""
        self.home = home
        self._outputs = outputs
        self._environ = environment(
            home, {"PYTHONPATH": str(Path(__file__).parent / "clock"), "TORTURE_CLOCK": str(clock)}
        )
        self._lock = threading.Lock()
        self._wanted = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self._keeper: threading.Thread | None = None

    @property
    def environ(self) -> dict[str, str]:
        """For clients that look for this backend."""
        return {"PENTIMENTO_HOME": str(self.home)}

    def start(self) -> None:
        self._wanted.set()
        self._keeper = threading.Thread(target=self._keep, name="keeper", daemon=True)
        self._keeper.start()

    def _keep(self) -> None:
        while self._wanted.is_set():
            process = self._process
            if process is None or process.poll() is not None:
                with self._lock:
                    self._launch()
            time.sleep(_PAUSE_S)

    def _launch(self) -> None:
        with (self._outputs / "server.out").open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "pentimento.server", "--port", "0"],
                env=self._environ,
                cwd=self._outputs,
                stdout=output,
                stderr=output,
            )
        self.starts += 1

    def signal(self, number: signal.Signals) -> bool:
        """Sends the server a signal; whether there was one."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                return False
            self._process.send_signal(number)
            return True

    def signal_worker(self, number: signal.Signals) -> bool:
        """The same to its worker."""
        worker = self.worker()
        if worker is None:
            return False
        try:
            worker.send_signal(number)
        except psutil.NoSuchProcess:
            return False
        return True

    def server(self) -> psutil.Process | None:
        """The server, if it runs."""
        with self._lock:
            if self._process is None or self._process.poll() is not None:
                return None
            return psutil.Process(self._process.pid)

    def worker(self) -> psutil.Process | None:
        """The server's worker, if it has one."""
        with self._lock:
            try:
                children = psutil.Process(self._process.pid).children() if self._process else []
            except psutil.NoSuchProcess:
                return None
            return children[0] if children else None

    def stop(self, patience: float = 30.0) -> int:
        """Ends the server by SIGTERM and returns its exit code; it may be started again. May be called twice."""
        self._wanted.clear()
        if self._keeper is not None:
            self._keeper.join()
        if self._process is None:
            return 0
        self._process.send_signal(signal.SIGTERM)
        return self._process.wait(patience)

    def log(self) -> str:
        """What its servers have written to their log, the parts that were put aside too."""
        logs = sorted((self.home / "data" / "logs").glob("server.log*"), reverse=True)
        return "".join(log.read_text() for log in logs)


def leftovers(home: Path) -> list[psutil.Process]:
    """Every process that works for that home, whoever started it."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get("PENTIMENTO_HOME") == str(home):
                found.append(process)
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue
    return found


def until(condition: Callable[[], object], what: str, patience: float = 300.0) -> None:
    """Returns once the condition holds. Raises TimeoutError with `what` was waited for."""
    deadline = time.monotonic() + patience
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {patience:g} s in vain for {what}")
        time.sleep(0.05)


def client_of(backend: Backend) -> Client:
    """A client of a backend that is ready to work."""

    def ready() -> bool:
        try:
            return Client.discover(backend.environ).health().ready
        except BackendUnreachable:
            return False

    until(ready, "the backend")
    return Client.discover(backend.environ)
