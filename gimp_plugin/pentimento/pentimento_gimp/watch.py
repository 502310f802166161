"""A small process beside a job. GIMP's own Cancel kills a plug-in without a word; this one then tells the backend."""

from __future__ import annotations

import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # as a process of its own this file has nothing but the standard library until it is needed
    from pentimento_shared.status import Status

_NO_WINDOW = 0x08000000
"""On Windows a program without a window would else open a console."""


class Watch:
    """`on(status)` at each look at the job. When the plug-in dies before the job is over, the job is cancelled."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._job: str | None = None

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._say("")
            with suppress(OSError):
                self._process.communicate()

    def on(self, status: Status) -> None:
        """Takes note of the job's id, once there is one."""
        if status.job == self._job or status.job is None:
            return
        if self._process is None:
            self._process = subprocess.Popen(
                [sys.executable, __file__],
                stdin=subprocess.PIPE,
                bufsize=0,
                start_new_session=True,
                creationflags=_NO_WINDOW if sys.platform == "win32" else 0,
            )
        self._job = status.job
        self._say(status.job)

    def _say(self, job: str) -> None:
        if self._process is not None and self._process.stdin is not None:
            with suppress(OSError):  # when it is gone the job goes on unwatched
                self._process.stdin.write(f"{job}\n".encode())


def main() -> None:
    """Reads job ids, one a line; an empty one says that all is well. At the end of input the last one is cancelled."""
    job = ""
    for line in sys.stdin:
        job = line.strip()
    if job:
        sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "vendor"))
        from pentimento_shared.client import BackendError, Client

        try:
            Client.discover().cancel(job)
        except BackendError:
            return  # it is gone as well, and nobody is left to be told


if __name__ == "__main__":
    main()
