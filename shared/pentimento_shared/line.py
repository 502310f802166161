"""The line to a backend that may be away for a while: asked again until it answers, wherever it comes back."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

from .client import BackendForeign, BackendProblem, BackendUnreachable, Client

AWAY_S: Final = 2.5
"""Seconds without an answer after which the backend counts as away."""
REFUSED_S: Final = 1.0
"""The same for one that takes no connection, or breaks it: it has ended, and may be coming back just now."""
PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 1.0
_PASSING: Final = frozenset({401, 503})
"""HTTP statuses of a backend that is ending, or has come back with a new token: it is worth asking again."""

_T = TypeVar("_T")


class GivenUp(Exception):
    """The answer is no longer wanted."""


class Line:
    """Used by one thread, except for `silence`."""

    def __init__(self, connect: Callable[[], Client], unwanted: Callable[[], bool]) -> None:
        """`connect` finds the backend as it is now; `unwanted` says whether to stop asking one that is away."""
        self._connect = connect
        self._unwanted = unwanted
        self._client: Client | None = None
        self._asking_since: float | None = None
        self._patience = AWAY_S

    def silence(self) -> float | None:
        """For how many seconds the backend has owed an answer, once that is longer than it should be."""
        since, patience = self._asking_since, self._patience
        quiet = 0.0 if since is None else time.monotonic() - since
        return quiet if quiet > patience else None

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
            self._client = None

    def ask(self, question: Callable[[Client], _T]) -> _T:
        """The answer, asked for once. Raises BackendError."""
        with self._waiting(0.0):
            return question(self._connected())

    def ask_patiently(self, question: Callable[[Client], _T], grace: float = 0.0) -> _T:
        """The answer, however long the backend is away. For questions that may arrive twice.

        `grace`: seconds that a connection which holds may take longer before the backend counts as away. Raises
        GivenUp, and BackendProblem when the backend refuses.
        """
        pause = PAUSE_S
        with self._waiting(grace):
            while True:
                try:
                    return question(self._connected())
                except (BackendUnreachable, BackendForeign):
                    self.close()
                except BackendProblem as problem:
                    if problem.status not in _PASSING:
                        raise
                    self.close()
                self._patience = REFUSED_S
                if self._unwanted():
                    raise GivenUp
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _connected(self) -> Client:
        """A new client after each failure: address and token of a restarted backend are in its files."""
        if self._client is None:
            self._client = self._connect()
        return self._client

    @contextmanager
    def _waiting(self, grace: float) -> Iterator[None]:
        self._patience = AWAY_S + grace
        self._asking_since = time.monotonic()
        try:
            yield
        finally:
            self._asking_since = None
