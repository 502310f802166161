"""A line between a plugin and its backend on which the backend is killed after so many bytes of a request or answer."""

from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final, NamedTuple

from tests.server.serving import ServerProcess

_PIECE: Final = 4096
_BEGINNING: Final = re.compile(rb"[A-Z]+ /api/v1/\S* HTTP/1\.1\r\n")
_LENGTH: Final = re.compile(rb"\r\ncontent-length: (\d+)\r\n", re.IGNORECASE)


class Cut(NamedTuple):
    """Where the line is cut: `after` bytes of the request whose first line `request` matches, or of its answer."""

    request: re.Pattern[bytes]
    answer: bool
    after: int


class Detour:
    """Stands in `server.json` in the backend's place until the cut. From then on nothing listens here any more.

    `passed`: bytes of the message, headers and body, that had passed when the backend was killed; `length`: bytes of
    its body.
    """

    def __init__(self, server: ServerProcess, cut: Cut, kill: Callable[[], None]) -> None:
        """`kill` is called once, in another thread, while the rest of what was being said waits."""
        self.cut, self.port = cut, server.port
        self.passed = self.length = 0
        self.done = threading.Event()
        self._kill, self._once = kill, threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.own_port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        _announce(server, f"http://127.0.0.1:{self.own_port}")

    def strike(self, passed: int, length: int) -> None:
        """Kills the backend."""
        with self._once:
            if not self.done.is_set():
                self.passed, self.length = passed, length
                self._listener.shutdown(socket.SHUT_RDWR)
                self._listener.close()
                self._kill()
                self.done.set()

    def _accept(self) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                client, _ = self._listener.accept()
                threading.Thread(target=_Connection(self, client).run, daemon=True).start()


class _Connection:
    """One connection of a client, with requests one after the other."""

    def __init__(self, detour: Detour, client: socket.socket) -> None:
        self._detour, self._client, self._backend = detour, client, socket.socket()
        # What the backend has sent must not wait here: it would have sent all of it.
        self._backend.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 * _PIECE)
        self._meant = False
        self._passed = self._length = 0

    def run(self) -> None:
        with self._client, self._backend, suppress(OSError):  # one of the ends has hung up
            self._backend.connect(("127.0.0.1", self._detour.port))
            threading.Thread(target=self._ask, daemon=True).start()
            self._pass(self._backend, self._client, counted=self._detour.cut.answer)
            self._hang_up()

    def _ask(self) -> None:
        with suppress(OSError):
            self._pass(self._client, self._backend, counted=not self._detour.cut.answer)
        self._hang_up()

    def _pass(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        cut = self._detour.cut
        for piece in _pieces(source):
            data = self._begun(piece) if source is self._client and _BEGINNING.match(piece) else piece
            if not (counted and self._meant):
                target.sendall(data)
                continue
            if found := _LENGTH.search(data):
                self._length = int(found[1])
            room = cut.after - self._passed
            target.sendall(data[:room])
            self._passed += len(data[:room])
            if len(data) > room:
                self._detour.strike(self._passed, self._length)
                return

    def _begun(self, data: bytes) -> bytes:
        """The beginning of the next request, as the backend is to get it: it checks the Host that it is called by."""
        self._meant, self._passed, self._length = bool(self._detour.cut.request.match(data)), 0, 0
        return data.replace(_host(self._detour.own_port), _host(self._detour.port), 1)

    def _hang_up(self) -> None:
        for end in (self._client, self._backend):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def _pieces(source: socket.socket) -> Iterator[bytes]:
    while data := source.recv(_PIECE):
        yield data


def _host(port: int) -> bytes:
    return f"\r\nHost: 127.0.0.1:{port}\r\n".encode("ascii")


def _announce(server: ServerProcess, url: str) -> None:
    """Puts another address into the file by which clients find the backend."""
    file = server.home / "config" / "server.json"
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps({**json.loads(file.read_text("utf-8")), "url": url}), "utf-8")
    draft.rename(file)
