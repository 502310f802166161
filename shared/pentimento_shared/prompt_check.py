"""What the backend says of the prompts while they are written: their tokens, and the place of what is wrong."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from .client import BackendError, BackendProblem, Client
from .settings import Value

QUESTION: Final = ("prompt", "negative_prompt", "styles", "model", "seed", "steps")
"""The settings that bear on what prompts say."""
PROMPTS: Final = ("prompt", "negative_prompt")

_QUIET_S: Final = 0.4
"""Seconds without a change before the backend is asked: not at every letter."""
_RETRY_S: Final = 2.0
"""Seconds between two looks for a backend that is not there."""


@dataclass(frozen=True)
class Finding:
    """Of one prompt: `count` like "12/75", empty when unknown; `fault`, a sentence about what cannot be read, with its
    `position`: characters from 1 in the prompt as it was written, 0 without one."""

    count: str = ""
    fault: str = ""
    position: int = 0


@dataclass(frozen=True)
class Findings:
    """`prompts` by their setting's name. `problem` is what is wrong with the styles."""

    prompts: Mapping[str, Finding] = field(default_factory=dict)
    problem: str = ""

    def of(self, name: str) -> Finding:
        return self.prompts.get(name, Finding())


class PromptCheck:
    """Asks the backend in a thread of its own, until it is closed. Every method returns at once."""

    def __init__(self, connect: Callable[[], Client]) -> None:
        """`connect` is called in the thread; it may raise BackendError."""
        self._connect = connect
        self._wanted: Mapping[str, Value] | None = None
        self._since = 0.0
        self._known: tuple[Mapping[str, Value] | None, Findings] = None, Findings()
        self._wake = threading.Event()
        self._closed = False
        threading.Thread(target=self._work, name="pentimento-prompts", daemon=True).start()

    def look(self, settings: Mapping[str, Value]) -> Findings:
        """What is known of the prompts in `settings`; to be called again and again, which is cheap.

        While the artist writes, the counts are the last ones and no fault is shown. Without a backend there is
        nothing, and no complaint.
        """
        question = {name: settings[name] for name in QUESTION if name in settings}
        if question != self._wanted:
            self._since = time.monotonic()
            self._wanted = question
            self._wake.set()
        answered, findings = self._known
        return findings if answered == question else _without_faults(findings)

    def close(self) -> None:
        """Ends the thread."""
        self._closed = True
        self._wake.set()

    def _work(self) -> None:
        pause: float | None = None
        while True:
            self._wake.wait(pause)
            self._wake.clear()
            if self._closed:
                return
            pause = self._step()

    def _step(self) -> float | None:
        """Asks when it is time to. The seconds until it is; None: when something has changed."""
        wanted = self._wanted
        if wanted is None or wanted == self._known[0]:
            return None
        early = self._since + _QUIET_S - time.monotonic()
        if early > 0:
            return early
        try:
            with self._connect() as client:
                findings = _findings(client.check_prompts(wanted))
        except BackendProblem as problem:
            # What is wrong with the model, say, is shown where that is chosen.
            findings = Findings(problem=problem.detail if problem.field == "styles" else "")
        except BackendError:
            self._known = None, Findings()
            return _RETRY_S
        self._known = wanted, findings
        return 0.0


def _findings(answer: Mapping[str, Any]) -> Findings:
    return Findings({name: _finding(answer.get(name) or {}) for name in PROMPTS})


def _finding(told: Mapping[str, Any]) -> Finding:
    error = told.get("error")
    if error:
        return Finding(fault=str(error.get("detail", "")), position=int(error.get("position") or 0))
    tokens = told.get("tokens")
    return Finding("" if tokens is None else f"{tokens}/{told.get('limit')}")


def _without_faults(findings: Findings) -> Findings:
    return Findings({name: replace(found, fault="", position=0) for name, found in findings.prompts.items()})
