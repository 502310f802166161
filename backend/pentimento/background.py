"""The backend as a process of its own: find the one that runs, start one that stays, stop it."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pentimento_shared.answers import BackendError, BackendUnreachable, Health, check_version
from pentimento_shared.backend_start import port_option, reason, spawn, start_log
from pentimento_shared.client import CERTIFICATE_VARIABLE, TOKEN_VARIABLE, Client, find_backend
from pentimento_shared.places import server_file, token_file

from . import __version__

START_PATIENCE: Final = 30.0
"""Seconds until a backend that was started must answer. It takes under one; a loaded machine takes longer."""
STOP_PATIENCE: Final = 20.0
"""Seconds that a backend gets to end its worker and put a running job back into the queue."""
_LOOK: Final = 0.05


class BackgroundError(BackendError):
    """The backend could not be started or stopped; the sentence says why and what to do."""


@dataclass(frozen=True)
class Running:
    """A backend that answered: where, what it said of itself, and its process id as far as it is known."""

    url: str
    health: Health
    pid: int | None


def running() -> Running | None:
    """The backend of this user, asked for its health; None when none runs or none answers."""
    try:
        address = find_backend()
        with Client(*address) as client:
            return Running(address.url, client.health(), _pid())
    except BackendError:
        return None


def start(say: Callable[[str], None] = lambda _: None) -> Running:
    """The running backend, or one started now as a process that outlives this one.

    `say` is told when one is started. Raises BackgroundError with the reason when it does not come up. Two
    callers at a time get the same backend: the second process finds the first one's lock and leaves.
    """
    found = running()
    if found:
        return found
    say("starting the backend (it stays on for the next picture; `python3 launch.py stop` ends it)")
    # -P: a file in the user's folder must not pass for a module of ours.
    process = spawn([sys.executable, "-P", "-m", "pentimento", "serve", *port_option()], os.environ)
    deadline = time.monotonic() + START_PATIENCE
    while time.monotonic() < deadline:
        ended = process.poll()
        found = running()
        if found:
            return found
        if ended is not None:
            raise BackgroundError(f"The backend did not start: {reason(os.environ)}")
        time.sleep(_LOOK)
    log = start_log(os.environ)
    raise BackgroundError(
        f"The backend was started but has not answered for {START_PATIENCE:g} s. What it said is in {log}."
    )


def stop() -> Running | None:
    """Ends this user's backend as Ctrl+C in its terminal would, and waits for its end.

    Returns what ran, None when nothing did. Raises BackgroundError when it does not end or is not ours.
    """
    import psutil

    found = running()
    if found is None:
        return None
    if found.pid is None:
        raise BackgroundError(f"{server_file()} does not tell the process of the backend at {found.url}; end it there.")
    try:
        process = psutil.Process(found.pid)
        if not any("pentimento" in word for word in process.cmdline()):
            raise BackgroundError(f"The process {found.pid} of {server_file()} is not a Pentimento backend.")
        process.terminate()
        process.wait(STOP_PATIENCE)
    except psutil.NoSuchProcess:
        return found
    except psutil.AccessDenied as error:
        raise BackgroundError(f"The backend (process {found.pid}) belongs to another user.") from error
    except psutil.TimeoutExpired as error:
        raise BackgroundError(
            f"The backend (process {found.pid}) has not ended within {STOP_PATIENCE:g} s; it can be ended by "
            "force, its jobs are kept."
        ) from error
    return found


def _pid() -> int | None:
    try:
        return int(json.loads(server_file().read_text("utf-8"))["pid"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def connect(url: str | None, say: Callable[[str], None] = lambda _: None) -> Client:
    """A client of the backend at `url`, or of this user's own, started when none runs.

    Raises BackendUnreachable or BackendForeign for a `url` where no backend of this version answers,
    BackgroundError when the own one does not start.
    """
    if url is None:
        found = start(say)
        check_version(found.health, __version__)
        return Client.discover()
    certificate = os.environ.get(CERTIFICATE_VARIABLE, "")
    with Client(url, "", certificate) as stranger:
        check_version(stranger.health(), __version__)
    return Client(url, _token(), certificate)


def _token() -> str:
    """The token for a backend that was named by its URL: the same as that of this user's own."""
    if own := os.environ.get(TOKEN_VARIABLE):
        return own
    try:
        return token_file().read_text("utf-8").strip()
    except OSError as error:
        raise BackendUnreachable(
            f"There is no token for that backend ({error}). Set {TOKEN_VARIABLE} to the backend's token."
        ) from error
