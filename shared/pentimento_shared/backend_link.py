"""Whether the backend is there and what it can do, looked after in a thread, so that asking costs nothing."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from . import backend_start
from .client import BackendError, BackendForeign, BackendProblem, Client, Health, check_version
from .line import AWAY_S

LinkName = Literal["searching", "absent", "starting", "ready", "busy", "foreign"]
Row = Mapping[str, Any]

_STARTING: Final = "The backend is starting."
_RUNS_ALREADY: Final = 3
"""Exit code of a backend that has found another one at work."""
START_S: Final = 60.0
"""Seconds that a backend which was started from here gets to answer."""
_OFTEN_S: Final = 0.4
_RARELY_S: Final = 2.0
"""Seconds between two looks: while something may change soon, and else."""
_MODELS_S: Final = 10.0
"""Seconds after which the models are asked for again: one may have been installed."""


@dataclass(frozen=True)
class LinkState:
    """What is known of the backend.

    `message` is a sentence for the artist. `usable`: it takes jobs (also while its worker still starts, or works on
    others). `can_start`: start_backend() would help; `command` is what to type in a terminal instead. `models` are
    ModelInfo as JSON, empty until known; `device` is what they run on. `styles` are those that prompts may take.
    """

    state: LinkName
    message: str
    usable: bool = False
    can_start: bool = False
    command: str = backend_start.BY_HAND
    models: tuple[Row, ...] = ()
    device: str | None = None
    styles: tuple[Row, ...] = ()


class BackendLink:
    """Looks for this user's backend until it is closed. Every method returns at once and may be called anywhere."""

    def __init__(self, version: str, environ: Mapping[str, str] | None = None) -> None:
        """`version` is the plugin's own; `environ` stands in for os.environ."""
        self._version = version
        self._environ = dict(os.environ if environ is None else environ)
        self._state = LinkState("searching", "Looking for the backend.")
        self._rows: dict[str | None, tuple[Row, ...] | None] = {}
        self._wake = threading.Event()
        self._closed = False
        self._start_wanted = False
        self._process: subprocess.Popen[bytes] | None = None
        self._start_until: float | None = None
        self._complaint = ""
        self._asking_since: float | None = None
        self._models: tuple[Row, ...] = ()
        self._models_of = ("", 0.0)
        self._styles: tuple[Row, ...] = ()
        threading.Thread(target=self._watch, name="pentimento-link", daemon=True).start()

    def snapshot(self) -> LinkState:
        """What is known now."""
        since, state = self._asking_since, self._state
        if since is not None and time.monotonic() - since > AWAY_S and state.usable:
            return replace(state, state="absent", message="The backend does not answer at the moment.", usable=False)
        return state

    def settings(self, model: str | None) -> tuple[Row, ...] | None:
        """The settings table with that model's defaults, limits and `supported`; None until it is known.

        Of a model that the backend does not have it is the table alone.
        """
        if model not in self._rows:
            self._rows[model] = None
            self._wake.set()
        return self._rows[model]

    def start_backend(self) -> None:
        """Starts the installed backend when none runs; the state tells what comes of it."""
        if self._state.state in ("searching", "absent"):
            self._start_wanted = True
            self._state = LinkState("starting", _STARTING)
            self._wake.set()

    def connect(self) -> Client:
        """A client of the backend, which finds it again after a restart. Raises BackendUnreachable."""
        return Client.discover(self._environ)

    def close(self) -> None:
        """Ends the watch. A backend that was started goes on."""
        self._closed = True
        self._wake.set()

    def _watch(self) -> None:
        while not self._closed:
            self._wake.clear()
            if self._start_wanted:
                self._start_wanted = False
                self._start()
            state = self._look()
            if not self._start_wanted:
                self._state = state
            settled = state.state in ("ready", "busy", "foreign")
            self._wake.wait(_RARELY_S if settled else _OFTEN_S)

    def _start(self) -> None:
        self._complaint = ""
        try:
            self._process = backend_start.start(self._environ)
            self._start_until = time.monotonic() + START_S
        except backend_start.StartError as error:
            self._complaint = str(error)

    def _look(self) -> LinkState:
        self._reap()
        self._asking_since = time.monotonic()
        try:
            with self.connect() as client:
                health = client.health()
                check_version(health, self._version)
                self._start_until, self._complaint = None, ""
                self._learn(client)
                return replace(_usable(health, self._models), styles=self._styles)
        except (BackendForeign, BackendProblem) as error:
            return LinkState("foreign", str(error))
        except BackendError:
            return self._absent()
        finally:
            self._asking_since = None

    def _learn(self, client: Client) -> None:
        """Models, styles and settings, as far as they are wanted and may have changed."""
        url, at = self._models_of
        if client.url != url or time.monotonic() - at > _MODELS_S:
            models = tuple(client.models())
            if models != self._models:
                self._rows = dict.fromkeys(self._rows)
            # The files that a setting may name come and go as well.
            for model in [model for model, rows in self._rows.items() if rows is not None]:
                self._rows[model] = _rows(client, model)
            self._models, self._styles = models, _styles(client)
            self._models_of = client.url, time.monotonic()
        for model in [model for model, rows in self._rows.items() if rows is None]:
            self._rows[model] = _rows(client, model)

    def _absent(self) -> LinkState:
        if self._start_until is not None and time.monotonic() < self._start_until:
            return LinkState("starting", _STARTING)
        if self._start_until is not None:
            self._start_until = None
            log = backend_start.start_log(self._environ)
            self._complaint = f"The backend was started but has not answered for {START_S:.0f} s; {log} says more."
        command = backend_start.typed(backend_start.remembered_command(self._environ))
        able = backend_start.can_start(self._environ)
        how = "Start it, or type in a terminal" if able else "Type in Pentimento's folder"
        message = self._complaint or f"The backend is not running. {how}: {command}"
        return LinkState("absent", message, can_start=able, command=command)

    def _reap(self) -> None:
        """Looks whether the backend that was started from here has ended, so that no dead process stays listed."""
        code = None if self._process is None else self._process.poll()
        if code is None:
            return
        self._process = None
        if self._start_until is not None and code != _RUNS_ALREADY:
            self._start_until = None
            self._complaint = f"The backend did not start: {backend_start.reason(self._environ)}"


def _usable(health: Health, models: tuple[Row, ...]) -> LinkState:
    where = f" on {health.device}" if health.device else ""
    if health.worker == "dead":
        message = "The backend runs, but its engine does not start. `python3 launch.py doctor` says why."
        return LinkState("absent", message, models=models, device=health.device)
    if health.worker == "starting":
        return LinkState("starting", "The backend loads its libraries; jobs wait.", True, models=models)
    if health.worker == "busy":
        return LinkState("busy", f"The backend works{where}.", True, models=models, device=health.device)
    return LinkState("ready", f"The backend is ready{where}.", True, models=models, device=health.device)


def _rows(client: Client, model: str | None) -> tuple[Row, ...]:
    try:
        answer = client.settings(model)
    except BackendProblem:
        answer = client.settings()
    return tuple(answer.get("settings", ()))


def _styles(client: Client) -> tuple[Row, ...]:
    """None when their file cannot be read: a prompt that asks for one is told why."""
    try:
        return tuple(client.styles())
    except BackendProblem:
        return ()
