"""The server process: locks its folder, opens its port, serves until it is told to end, and leaves nothing
behind."""

from __future__ import annotations

import errno
import json
import logging
import os
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Final, NamedTuple

import pentimento
from pentimento import start_command
from pentimento.disk import DiskFull, NotOurs, private_folder, write_whole
from pentimento.engine.models import ModelLibrary
from pentimento.jobs.blobs import Blobs
from pentimento.jobs.clock import RetentionClock
from pentimento.jobs.hub import Hub
from pentimento.jobs.queue import Jobs
from pentimento.jobs.retention import Retention
from pentimento.jobs.schema import StoreTooNew
from pentimento.jobs.store import Store
from pentimento.jobs.supervisor import Supervisor
from pentimento_shared.places import data_folder, server_file

from . import logs
from .app import create_app
from .doors import DoorError, Options, secret, tls_front
from .guard import HEALTH_PATH, Guard
from .heap import share_heaps
from .lock import FolderLock, Locked
from .services import Services
from .token import TokenError
from .transport import serve_on

if TYPE_CHECKING:
    from .tls import TlsFront

_log = logging.getLogger(__name__)

EXIT_FAILED: Final = 1
EXIT_RUNNING: Final = 3
_STOP_SIGNALS: Final = [
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK") if hasattr(signal, name)
]
_ASK_S: Final = 2.0
_LOOK_S: Final = 1.0
_DRAIN_S: Final = 3


_DEFAULTS: Final = Options()


@dataclass(frozen=True)
class Running:
    """A server that answers now. `certificate` is the file of the one that it shows, None without TLS; `warning` says
    what is dangerous about it, "" when nothing is."""

    url: str
    port: int
    pid: int
    log: Path
    certificate: Path | None = None
    warning: str = ""


class ServeError(Exception):
    """The server cannot start; the message says why and what to do. `code` is for the process to exit
    with."""

    def __init__(self, message: str, code: int = EXIT_FAILED) -> None:
        super().__init__(message)
        self.code = code


def serve(options: Options = _DEFAULTS, started: Callable[[Running], None] | None = None) -> None:
    """Serves until SIGTERM, SIGINT (Ctrl+C) or SIGHUP. To be called from the main thread.

    `started` is called once requests are answered. At the end the worker is gone, a running job is queued
    again and `server.json` is removed. Raises ServeError when the server cannot start; then nothing was
    started.
    """
    share_heaps()
    with ExitStack() as stack:
        stops = _stop_signals()
        running = _start(options, stack)
        if started is not None:
            started(running)
        _log.info("server: ends on %s", _first(stops))


def _start(options: Options, stack: ExitStack) -> Running:
    """Starts everything; what is started is ended by `stack`, in reverse order. Raises ServeError."""
    with _reasons():
        data = private_folder(data_folder())
        log = private_folder(data / "logs") / "server.log"
        stack.callback(_lock(data).release)
        token = secret(options, os.environ)
        front = tls_front(options)
        if front:
            stack.callback(front.close)
        sock = stack.enter_context(_bind(options))
        logs.start(log, options.log_level)
        store = Store(data / "jobs.sqlite3")
        stack.callback(store.close)
        blobs = Blobs(data / "blobs")
        blobs.sweep_drafts()
        clock, hub = RetentionClock(store), Hub(store)
        jobs = Jobs(store, hub, clock)
        supervisor = Supervisor(jobs, Retention(store, blobs, clock), blobs.folder, log.with_name("worker.log"))
        port = int(sock.getsockname()[1])
        guard = Guard.of(options.listen, port, token, options.scheme)
        parts = Services(guard, jobs, hub, blobs, supervisor, ModelLibrary.standard())
        certificate = options.tls_cert and options.tls_cert.absolute()
        url = _url(options.scheme, options.listen, port)
        running = Running(url, port, os.getpid(), log, certificate, options.warning)
        _announce(running, stack)
    _listen(sock, parts, log, front, stack)
    supervisor.start()
    stack.callback(supervisor.stop)
    stack.callback(hub.close)
    _log.info("server: Pentimento %s answers at %s", pentimento.__version__, running.url)
    if running.warning:
        _log.warning("server: %s", running.warning)
    return running


def _listen(sock: socket.socket, parts: Services, log: Path, front: TlsFront | None, stack: ExitStack) -> None:
    """Answers requests from a thread of its own; at the end those that are begun get a few seconds."""
    server = serve_on(sock, create_app(parts, str(log)), parts.guard, parts.gate, front)
    threading.Thread(target=server.run, name="http", daemon=True).start()

    def drain() -> None:
        server.task_dispatcher.shutdown(timeout=_DRAIN_S)

    stack.callback(drain)


def _stop_signals() -> SimpleQueue[str]:
    """Where the signals that end the server arrive from now on; a second one leaves no half of the end undone.

    An exception out of a handler would be lost where Python drops exceptions, in a finalizer for one, and the server
    would go on; an Event could deadlock with its own waiter. SimpleQueue.put is made for this.
    """
    stops: SimpleQueue[str] = SimpleQueue()
    for number in _STOP_SIGNALS:
        signal.signal(number, lambda number, _: stops.put(signal.Signals(number).name))
    return stops


def _first(stops: SimpleQueue[str]) -> str:
    while True:
        try:
            return stops.get(timeout=_LOOK_S)  # without a timeout Windows does not run a signal's handler
        except Empty:
            continue


@contextmanager
def _reasons() -> Iterator[None]:
    """Whatever keeps the server from starting, as a ServeError."""
    try:
        yield
    except (DoorError, TokenError, StoreTooNew, DiskFull, NotOurs) as error:
        raise ServeError(str(error)) from error
    except sqlite3.DatabaseError as error:
        store = data_folder() / "jobs.sqlite3"
        raise ServeError(f"The job store {store} cannot be read ({error}). Move it away to start anew.") from error
    except OSError as error:
        raise ServeError(f"{error.filename} cannot be used: {error.strerror}. Check what and whose it is.") from error


def _lock(data: Path) -> FolderLock:
    try:
        return FolderLock(data / "server.lock")
    except Locked as error:
        try:
            url = json.loads(server_file().read_text("utf-8"))["url"]
        except (OSError, ValueError, KeyError, TypeError):
            url = "an address that it has not announced yet"
        raise ServeError(f"Pentimento already runs at {url}.", EXIT_RUNNING) from error


@contextmanager
def _bind(options: Options) -> Iterator[socket.socket]:
    """The listening socket. Raises ServeError with the reason and the remedy."""
    try:
        family, _, _, _, address = socket.getaddrinfo(options.listen, options.port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise ServeError(f"{options.listen!r} is no address to listen on ({error.strerror}).") from error
    with socket.socket(family, socket.SOCK_STREAM) as sock:
        exclusive = getattr(socket, "SO_EXCLUSIVEADDRUSE", None)
        sock.setsockopt(socket.SOL_SOCKET, exclusive or socket.SO_REUSEADDR, 1)
        try:
            sock.bind(address)
            sock.listen()
        except OSError as error:
            raise _cannot_bind(options, error) from error
        yield sock


def _cannot_bind(options: Options, error: OSError) -> ServeError:
    place = f"{options.listen}:{options.port}"
    if error.errno == errno.EADDRINUSE:
        other = _pentimento_at(options)
        if other is not None:
            return ServeError(
                f"Pentimento {other.version} already answers at {other.url}, for another folder. Use that one, or "
                "choose another port: `serve --port N`.",
                EXIT_RUNNING,
            )
        return ServeError(f"Another program uses {place}. Choose another port: `serve --port N` (0: any free one).")
    if error.errno == errno.EADDRNOTAVAIL:
        return ServeError(f"This machine has no address {options.listen} to listen on.")
    return ServeError(f"The port {place} cannot be opened: {error.strerror}. Choose another: `serve --port N`.")


class _Other(NamedTuple):
    """A Pentimento that was there first."""

    version: str
    url: str


def _pentimento_at(options: Options) -> _Other | None:
    """The Pentimento that answers there, with TLS or without; None when it is something else."""
    for scheme in ("http", "https"):
        version = _version_at(scheme, *_reachable(options.listen, options.port))
        if version is not None:
            return _Other(version, _url(scheme, options.listen, options.port))
    return None


def _version_at(scheme: str, host: str, port: int) -> str | None:
    """The version of the Pentimento that answers so, None when none does."""
    import http.client
    import ssl

    # Whose certificate it is does not matter: nothing is told to that program but that it is asked for its name.
    anyone = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    anyone.check_hostname, anyone.verify_mode = False, ssl.CERT_NONE
    connection = (
        http.client.HTTPSConnection(host, port, timeout=_ASK_S, context=anyone)
        if scheme == "https"
        else http.client.HTTPConnection(host, port, timeout=_ASK_S)
    )
    try:
        connection.request("GET", HEALTH_PATH)
        health = json.loads(connection.getresponse().read(1 << 16))
        return str(health["version"]) if health["name"] == "pentimento" else None
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError):
        return None
    finally:
        connection.close()


def _reachable(listen: str, port: int) -> tuple[str, int]:
    """Where a program on this machine reaches a server that listens so."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(listen, listen), port


def _url(scheme: str, listen: str, port: int) -> str:
    host, _ = _reachable(listen, port)
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"


def _announce(running: Running, stack: ExitStack) -> None:
    """Writes server.json for clients to find this server by, and removes it at the end; and backend.json for editors
    to start it again by, which stays."""
    path = server_file()
    private_folder(path.parent)
    facts = {"url": running.url, "pid": running.pid, "version": pentimento.__version__, "port": running.port}
    if running.certificate:
        facts["certificate"] = str(running.certificate)
    stack.callback(path.unlink, missing_ok=True)
    write_whole(path, json.dumps(facts).encode("utf-8"))
    start_command.remember()
