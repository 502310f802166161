"""Servers that are not ours, and lines that break: what a client may meet on a port."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Stranger:
    """Another program's HTTP server: it says `body` to everything and keeps the headers that it was sent."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b"<html>Not yours</html>"
    seen: list[dict[str, str]] = field(default_factory=list)
    url: str = ""


@contextmanager
def listening(stranger: Stranger) -> Iterator[Stranger]:
    """Runs that server; its `url` is set."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            stranger.seen.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(stranger.status)
            for name, value in {"Content-Length": str(len(stranger.body)), **stranger.headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(stranger.body)

        def log_message(self, format: str, *args: object) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    stranger.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield stranger
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def losing_the_first_answer(port: int) -> Iterator[int]:
    """A line to 127.0.0.1:port, by its own port: of the first connection the answer is lost, later ones are whole."""
    listener = socket.create_server(("127.0.0.1", 0))
    first = True

    def relay(client: socket.socket, lose: bool) -> None:
        with client, socket.create_connection(("127.0.0.1", port)) as backend:
            # The backend checks the Host that it is called by.
            start = client.recv(65536).replace(_host(listener.getsockname()[1]), _host(port), 1)
            backend.sendall(start)
            forward = threading.Thread(target=_copy, args=(client, backend), daemon=True)
            forward.start()
            if lose:
                backend.recv(1)  # the backend has done what was asked
                client.shutdown(socket.SHUT_RDWR)
            else:
                _copy(backend, client)
            forward.join()

    def accept() -> None:
        nonlocal first
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return  # the listener was closed: the test is over
            threading.Thread(target=relay, args=(client, first), daemon=True).start()
            first = False

    threading.Thread(target=accept, daemon=True).start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


def _host(port: int) -> bytes:
    return f"Host: 127.0.0.1:{port}\r\n".encode("ascii")


def _copy(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return  # one of the ends has hung up
