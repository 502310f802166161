"""waitress, with four things of ours: refusals before a body is kept, problem+json, TLS, and bounds on
everything."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from waitress.adjustments import Adjustments
from waitress.buffers import OverflowableBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import ChunkedReceiver, FixedStreamReceiver
from waitress.server import TcpWSGIServer
from waitress.task import ErrorTask, ThreadedTaskDispatcher, WSGITask
from waitress.utilities import BadRequest, Error, RequestEntityTooLarge

from pentimento.jobs.problem import Problem

from .guard import CHALLENGE, SECURITY_HEADERS, Guard
from .limits import Gate
from .problems import CONTENT_TYPE

if TYPE_CHECKING:
    from .tls import TlsFront

THREADS: Final = 24
"""Of these at most hub.MOST_WAITERS wait for changes; the others are free to answer."""
MAX_BODY: Final = (2 * 256 + 4) << 20
RETRY_AFTER_S: Final = "5"
"""Seconds, for those who asked too much."""
_KEPT_IN_MEMORY: Final = 8 << 20


_MAX_CONTROL_LINE: Final = 1 << 10
_MAX_TRAILER: Final = 8 << 10
"""Bytes of a chunk's first line and of what follows the last chunk. waitress itself sets no limit, and searches all of
it again with every piece that comes: a line that never ends would stop the server for everybody."""


WHEN_SENT: Final = "pentimento.when_sent"
"""In a request's environ: a function that has another one called when all that was written so far has left for the
client; behind TLS later than it was written."""


@dataclass(frozen=True)
class Patience:
    """For whom the server waits. `headers_s`: seconds from a connection's or a request's first sign to the end of its
    headers; `body_s` and `body_rate`: a body must after that many seconds have come at that many bytes/s on average.
    `every_s`: seconds between two looks."""

    headers_s: float = 20.0
    body_s: float = 30.0
    body_rate: float = 1024.0
    every_s: float = 5.0


PATIENCE: Final = Patience()


def serve_on(
    sock: socket.socket,
    app: Any,
    guard: Guard,
    gate: Gate,
    front: TlsFront | None = None,
    patience: Patience = PATIENCE,
) -> TcpWSGIServer:
    """The waitress server of a bound socket, behind `front` where there is one. Its `asyncore` loop is not yet running:
    call `run()`."""
    settings = Adjustments(
        sockets=[sock],
        threads=THREADS,
        connection_limit=200,
        channel_timeout=60,
        cleanup_interval=patience.every_s,
        max_request_header_size=32 << 10,
        max_request_body_size=MAX_BODY,
        inbuf_overflow=_KEPT_IN_MEMORY,
        outbuf_overflow=_KEPT_IN_MEMORY,
        # A client that does not read its picture must not hold a thread: the whole answer fits here.
        outbuf_high_watermark=1 << 30,
        ident="pentimento",
        clear_untrusted_proxy_headers=True,
        url_scheme="https" if front else "http",
    )
    return _Server(app, sock, settings, _channel(guard, gate, front), gate=gate, front=front, patience=patience)


class _Server(TcpWSGIServer):
    """Lets in as many connections of an address as it may have, and parts from those that never come to an end."""

    def __init__(
        self,
        app: Any,
        sock: socket.socket,
        settings: Adjustments,
        channel: type[HTTPChannel],
        *,
        gate: Gate,
        front: TlsFront | None,
        patience: Patience,
    ) -> None:
        self.channel_class = channel
        self._gate, self._front, self._patience = gate, front, patience
        dispatcher = ThreadedTaskDispatcher()
        dispatcher.set_thread_count(settings.threads)
        kind = (sock.family, sock.type, sock.proto, sock.getsockname())
        super().__init__(app, {}, True, sock, dispatcher=dispatcher, adj=settings, bind_socket=False, sockinfo=kind)

    def accept(self) -> tuple[socket.socket, Any] | None:
        found = super().accept()
        if found is None:
            return None
        sock, address = found
        most = self._gate.most_connections(address[0])
        if most is not None and self._open(address[0]) >= most:
            sock.close()
            return None
        return (self._front.adopt(sock) if self._front else sock), address

    def set_socket_options(self, conn: socket.socket) -> None:
        if self._front is None:  # the options are TCP's, and what the front hands on is a socket pair
            super().set_socket_options(conn)

    def _open(self, address: str) -> int:
        return sum(channel.addr[0] == address for channel in self._channels())

    def _channels(self) -> list[Any]:
        channels: Any = self.active_channels  # its stub calls it one channel; it is a mapping from descriptors
        return list(channels.values())

    def maintenance(self, now: float) -> None:  # pyright: ignore[reportIncompatibleMethodOverride] - its stub says int
        super().maintenance(now)  # pyright: ignore[reportArgumentType]
        for channel in self._channels():
            if self._too_slow(channel, now):
                channel.will_close = True

    def _too_slow(self, channel: Any, now: float) -> bool:
        """Whether a client sends its request so slowly that it only holds a connection."""
        parser, patience = channel.request, self._patience
        if parser is None:
            silent = channel.last_activity == channel.creation_time
            return silent and now - channel.creation_time > patience.headers_s
        age = now - parser.born
        if not parser.headers_finished:
            return age > patience.headers_s
        return age > patience.body_s and parser.taken < patience.body_rate * age


def _channel(guard: Guard, gate: Gate, front: TlsFront | None) -> type[HTTPChannel]:
    class Task(WSGITask):
        def get_environment(self) -> dict[str, Any]:
            environ: dict[str, Any] = super().get_environment()
            channel: Any = self.channel  # its stub knows no other sockets than the system's
            environ[WHEN_SENT] = partial(front.when_sent, channel.socket) if front else _now
            return environ

    class Channel(HTTPChannel):
        task_class = Task
        error_task_class = _ProblemTask

        def __init__(self, server: Any, sock: socket.socket, addr: Any, adj: Adjustments, map: Any = None) -> None:
            parser: Any = partial(_Parser, guard=guard, gate=gate, address=addr[0])
            self.parser_class = parser
            super().__init__(server, sock, addr, adj, map)

    return Channel


def _now(told: Callable[[], None]) -> None:
    told()


class _Parser(HTTPRequestParser):
    """Counts each request of an address, and refuses one with a body by its headers alone.

    The body is read into nothing all the same, so that the client, which sends first, gets to the answer.
    """

    def __init__(self, adj: Adjustments, guard: Guard, gate: Gate, address: str) -> None:
        super().__init__(adj)
        self._guard, self._gate, self._address = guard, gate, address
        self._vetted = False
        self._refusal: Problem | None = None
        self.born = time.time()
        self.taken = 0

    def received(self, data: bytes) -> int:
        count = super().received(data)
        self.taken += count
        if self.headers_finished and not self._vetted:
            self._vetted = True
            self._look()
        if isinstance(self.body_rcv, ChunkedReceiver) and _overlong(self.body_rcv):
            self.error, self.completed = BadRequest("Chunked encoding with an overlong line"), True
        if self.completed and self._refusal is not None:
            self.error = _Refusal(self._refusal)
        return count

    def parse_header(self, header_plus: bytes) -> None:
        try:
            super().parse_header(header_plus)
        except ValueError as error:  # a length of thousands of digits, an address that is none
            raise ParsingError("Header value invalid") from error

    def _look(self) -> None:
        if self.empty:
            return
        self._refusal = self._gate.admit(self._address)
        too_large = isinstance(self.error, RequestEntityTooLarge)
        if not (self.chunked or self.content_length) or (self.error is not None and not too_large):
            return
        self._refusal = self._refusal or self._vet() or (_too_large() if too_large else None)
        if self._refusal is None:
            return
        self.error, self.completed = None, too_large or self.expect_continue
        self.expect_continue = False
        self.body_rcv = (
            ChunkedReceiver(_Nothing()) if self.chunked else FixedStreamReceiver(self.content_length, _Nothing())
        )

    def _vet(self) -> Problem | None:
        headers = {name.lower().replace("_", "-"): value for name, value in self.headers.items()}
        path: str = self.path  # pyright: ignore[reportAttributeAccessIssue] - its stub forgets it
        problem = self._guard.check(path, headers)
        if problem is not None and problem.status == HTTPStatus.UNAUTHORIZED:
            self._gate.wrong_token(self._address)
        return problem


def _overlong(receiver: ChunkedReceiver) -> bool:
    return len(receiver.control_line) > _MAX_CONTROL_LINE or len(receiver.trailer) > _MAX_TRAILER


class _Nothing(OverflowableBuffer):
    """A buffer that keeps nothing of what it gets."""

    def __init__(self) -> None:
        super().__init__(overflow=0)

    def append(self, s: bytes) -> None:
        """Lets go of what it gets."""


class _Refusal(Error):
    """A problem, in the place of waitress' own errors."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem.detail)
        self.problem = problem


class _ProblemTask(ErrorTask):
    """Answers a request that never reached the app, in the form that the app would have given it."""

    def execute(self) -> None:
        error = self.request.error  # pyright: ignore[reportAttributeAccessIssue] - its stub is too wide
        problem = error.problem if isinstance(error, _Refusal) else _of_waitress(error)
        body = json.dumps(problem.to_json()).encode("ascii") + b"\n"
        self.status = f"{problem.status} {HTTPStatus(problem.status).phrase}"
        challenge = CHALLENGE if problem.status == HTTPStatus.UNAUTHORIZED else {}
        self.response_headers = [
            ("Content-Type", CONTENT_TYPE),
            *SECURITY_HEADERS.items(),
            *challenge.items(),
            *([("Retry-After", RETRY_AFTER_S)] if problem.status == HTTPStatus.TOO_MANY_REQUESTS else []),
        ]
        self.set_close_on_finish()
        self.content_length = len(body)
        self.write(body)


def _of_waitress(error: Error) -> Problem:
    if isinstance(error, RequestEntityTooLarge):
        return _too_large()
    return Problem(error.code, f"The HTTP request cannot be read: {error.body}.")


def _too_large() -> Problem:
    return Problem(413, f"The request has more than {MAX_BODY >> 20} MiB. Scale the picture down or crop it.")
