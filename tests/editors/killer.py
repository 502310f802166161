"""Kills a backend in the moments that a script in an editor asks for, and starts it again."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.editors.detour import Cut, Detour
from tests.editors.inside.blow import PREPARED, RESTART, RESTARTED, STRUCK, WANTED, Blow
from tests.server.serving import PATIENCE_S, ServerProcess, sampling, until

ON_THE_WAY: Final = {
    "upload": "killed_in_the_upload",
    "answer": "killed_before_the_answer",
    "queue": "killed_in_the_queue",
    "step": "killed_in_a_step",
    "download": "killed_in_the_download",
}
"""The moments of a job that has been sent, and the cases that are about them: in the middle of the upload; when the job
is on disk and nobody was told so; while it waits for another client's; in a step; in the middle of the picture's way
back. Before the command there are two more: "idle", and "dialog" in front of an open one."""
CUTS: Final = {
    "upload": Cut(re.compile(rb"POST /api/v1/jobs "), answer=False, after=8_000),
    "answer": Cut(re.compile(rb"POST /api/v1/jobs "), answer=True, after=0),
    "download": Cut(re.compile(rb"GET /api/v1/jobs/[^/]+/images/0"), answer=True, after=20_000),
}
AWAY: Final = re.compile(
    r"The backend has not answered for \d+ s\. The job goes on as soon as it is back: "
    r"start the backend again if it was stopped\."
)
"""What the artist reads until the backend is back."""
STATES: Final[Mapping[str, Sequence[str | None]]] = {
    "idle": (None,),
    "dialog": (None,),
    "upload": (None,),
    "answer": ("queued", "running"),
    "queue": ("queued",),
    "step": ("running",),
    "download": ("done",),
}
"""How the job may stand in the store when the backend is killed; None: it is not there."""
OTHER: Final = {
    "task": "txt2img",
    "settings": {"width": 64, "height": 64, "steps": 150, "batch_count": 50, "seed": 1},
    "application": "another client",
}
"""A job that takes longer than anything here."""


@dataclass(frozen=True)
class Death:
    """What was known in the moment of a death: the editor's jobs in the store (id -> state); and where it came in the
    middle of a message, how many bytes of it had passed, and how long its body is."""

    jobs: dict[str, str]
    passed: int = 0
    length: int = 0


class Killer(threading.Thread):
    """`server` is the backend as it is now; `deaths` those so far, by moment; `others`: ids of other clients' jobs."""

    def __init__(self, server: ServerProcess, start: Callable[[Path], ServerProcess], folders: Path, run: str) -> None:
        """`start` starts a backend in a home. The script's run has its folder in `folders`, by a name that matches
        `run`."""
        super().__init__(daemon=True)
        self.server, self.deaths, self.others = server, dict[str, Death](), list[str]()
        self._begin, self._folders, self._run = start, folders, run
        self._over = threading.Event()
        self._failure: BaseException | None = None

    def run(self) -> None:
        try:
            while (blow := self._wanted()) is not None:
                self._strike(blow)
        except BaseException as failure:  # noqa: BLE001  raised again where the test looks
            self._failure = failure

    def end(self) -> None:
        """Ends it. Raises what has gone wrong here."""
        self._over.set()
        self.join(PATIENCE_S)
        if self._failure is not None:
            raise self._failure

    def jobs(self) -> dict[str, str]:
        """The editor's jobs in the store: id -> state."""
        jobs: list[dict[str, Any]] = self.server.get("/jobs").json()["jobs"]
        return {job["id"]: job["state"] for job in jobs if job["id"] not in self.others}

    def _wanted(self) -> Blow | None:
        """The next death that is asked for; None at the end."""
        while not self._over.wait(0.02):
            for file in self._folders.glob(f"{self._run}/*.{WANTED}"):
                if file.stem not in self.deaths:
                    return Blow(file.parent, file.stem)
        return None

    def _strike(self, blow: Blow) -> None:
        self.server.wait_ready()
        if blow.moment in CUTS:
            self._cut(blow)
        else:
            self._kill_when_it_is_time(blow)
        while blow.told(RESTART) is None:
            if self._over.wait(0.02):
                return
        self.server = self._begin(self.server.home)
        for job in self.others:
            self.server.delete(f"/jobs/{job}")
        blow.tell(RESTARTED)

    def _cut(self, blow: Blow) -> None:
        known: list[tuple[dict[str, str], float]] = []

        def kill() -> None:
            known.append((self.jobs(), time.monotonic()))
            self.server.kill()

        detour = Detour(self.server, CUTS[blow.moment], kill)
        blow.tell(PREPARED)
        assert detour.done.wait(PATIENCE_S), f"nothing came to be cut in the moment {blow.moment}"
        jobs, at = known[0]
        self.deaths[blow.moment] = Death(jobs, detour.passed, detour.length)
        blow.tell(STRUCK, str(at))

    def _kill_when_it_is_time(self, blow: Blow) -> None:
        moment, before = blow.moment, self.jobs()
        if moment == "queue":
            self.others.append(self.server.submit(OTHER))
            self.server.follow(self.others[-1], sampling)
        blow.tell(PREPARED)
        if moment == "queue":
            until(lambda: "queued" in self.jobs().values())
        if moment == "step":
            until(lambda: self.jobs().keys() - before)
            (own,) = self.jobs().keys() - before
            self.server.follow(own, sampling)
        self.deaths[moment] = Death(self.jobs())
        at = time.monotonic()
        self.server.kill()
        blow.tell(STRUCK, str(at))


def check_death(killer: Killer, moment: str, job: str) -> None:
    """The backend was killed in that moment of the job, and not a little before or after."""
    death = killer.deaths[moment]
    assert death.jobs.get(job) in STATES[moment]
    if moment in CUTS:
        assert 0 <= death.passed < death.length


def check_jobs(killer: Killer, made: Sequence[str], cancelled: int) -> None:
    """The store has those jobs, and but for `cancelled` ones nothing else of the editor's."""
    jobs = killer.jobs()
    assert len(set(made)) == len(made)
    assert {id: state for id, state in jobs.items() if state != "cancelled"} == dict.fromkeys(made, "done")
    assert len(jobs) == len(made) + cancelled
