"""waitress, with three things of ours: refusals before a body is kept, problem+json, and bounds on
everything."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

from waitress.buffers import OverflowableBuffer
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.receiver import ChunkedReceiver, FixedStreamReceiver
from waitress.server import BaseWSGIServer, create_server
from waitress.task import ErrorTask
from waitress.utilities import Error, RequestEntityTooLarge

from pentimento.jobs.problem import Problem

from .guard import CHALLENGE, SECURITY_HEADERS, Guard
from .problems import CONTENT_TYPE

THREADS: Final = 24
"""Of these at most hub.MOST_WAITERS wait for changes; the others are free to answer."""
MAX_BODY: Final = (2 * 256 + 4) << 20
_KEPT_IN_MEMORY: Final = 8 << 20


def serve_on(sock: socket.socket, app: Any, guard: Guard) -> BaseWSGIServer:
    """The waitress server of a bound socket. Its `asyncore` loop is not yet running: call `run()`."""
    server = create_server(
        app,
        sockets=[sock],
        threads=THREADS,
        connection_limit=200,
        channel_timeout=60,
        cleanup_interval=15,
        max_request_header_size=32 << 10,
        max_request_body_size=MAX_BODY,
        inbuf_overflow=_KEPT_IN_MEMORY,
        outbuf_overflow=_KEPT_IN_MEMORY,
        # A client that does not read its picture must not hold a thread: the whole answer fits here.
        outbuf_high_watermark=1 << 30,
        ident="pentimento",
        clear_untrusted_proxy_headers=True,
    )
    assert isinstance(server, BaseWSGIServer)
    server.channel_class = _channel(guard)
    return server


def _channel(guard: Guard) -> type[HTTPChannel]:
    class Parser(_Parser):
        vet = staticmethod(guard.check)

    class Channel(HTTPChannel):
        parser_class = Parser
        error_task_class = _ProblemTask

    return Channel


class _Parser(HTTPRequestParser):
    """Refuses a request with a body by its headers alone.

    The body is read into nothing all the same, so that the client, which sends first, gets to the answer.
    """

    vet: Callable[[str, Mapping[str, str]], Problem | None]
    _vetted = False
    _refusal: Problem | None = None

    def received(self, data: bytes) -> int:
        count = super().received(data)
        if self.headers_finished and not self._vetted:
            self._vetted = True
            self._look()
        if self.completed and self._refusal is not None:
            self.error = _Refusal(self._refusal)
        return count

    def _look(self) -> None:
        too_large = isinstance(self.error, RequestEntityTooLarge)
        if not (self.chunked or self.content_length) or (self.error is not None and not too_large):
            return
        headers = {name.lower().replace("_", "-"): value for name, value in self.headers.items()}
        path: str = self.path  # pyright: ignore[reportAttributeAccessIssue] - its stub forgets it
        self._refusal = self.vet(path, headers) or (_too_large() if too_large else None)
        if self._refusal is None:
            return
        self.error, self.completed = None, too_large or self.expect_continue
        self.expect_continue = False
        self.body_rcv = (
            ChunkedReceiver(_Nothing()) if self.chunked else FixedStreamReceiver(self.content_length, _Nothing())
        )


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
