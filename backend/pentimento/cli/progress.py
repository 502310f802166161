"""A job's progress: one bar that names the stage and the step, or plain lines without a terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from contextlib import AbstractContextManager
from types import TracebackType

from pentimento_shared.answers import Job


class Progress(AbstractContextManager["Progress"]):
    """Shows jobs on stderr until the end of its `with` block."""

    def __init__(self) -> None:
        self._bar: _Bar | _Lines = _Bar() if sys.stderr.isatty() else _Lines()

    def say(self, text: str) -> None:
        """A line that stays."""
        self._bar.say(text)

    def watch(self, jobs: Iterable[Job], number: int = 1, count: int = 1) -> Job:
        """Shows each state of a job as it comes, and returns the last. It is job `number` of `count`."""
        last: Job | None = None
        lead = f"{number} of {count}, " if count > 1 else ""
        for job in jobs:
            self._bar.show(lead + describe(job), (number - 1 + job.progress) / count)
            last = job
        if last is None:
            raise ValueError("a job has at least one state")
        return last

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()


_STAGES = {
    "load": "loading the model",
    "encode": "reading the picture and the prompt",
    "sample": "painting",
    "decode": "finishing",
}


def describe(job: Job) -> str:
    """What a job is doing, in a few words."""
    if job.state == "queued":
        ahead = (job.position or 1) - 1
        return f"waiting, {ahead} more before it" if ahead else "waiting for the engine"
    if job.final:
        return "fetching the result"
    stage = _STAGES.get(job.stage or "", "starting")
    picture = f", picture {job.images + 1} of {len(job.seeds)}" if len(job.seeds) > 1 else ""
    step = f", step {job.step} of {job.steps}" if job.stage == "sample" and job.steps else ""
    return stage + picture + step


class _Bar:
    """A bar by rich; imported when there is something to show, for it costs a tenth of a second."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
        from rich.progress import Progress as Rich

        self._rich = Rich(
            BarColumn(30),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.description}", markup=False),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = self._rich.add_task("", total=1.0)
        self._rich.start()

    def say(self, text: str) -> None:
        self._rich.console.print(text, markup=False, highlight=False)

    def show(self, text: str, fraction: float) -> None:
        self._rich.update(self._task, description=text, completed=fraction)

    def close(self) -> None:
        self._rich.stop()


class _Lines:
    """A line per stage, for logs and pipes; the steps within a stage would only fill the log."""

    def __init__(self) -> None:
        self._last = ""

    def say(self, text: str) -> None:
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()

    def show(self, text: str, fraction: float) -> None:
        stage = text.partition(",")[0]
        if stage != self._last:
            self._last = stage
            self.say(stage)

    def close(self) -> None:
        """Nothing is held."""
