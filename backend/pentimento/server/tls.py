"""TLS in front of waitress, which has none: asyncio's, in a thread of its own.

waitress reads and writes a socket from several threads, which OpenSSL does not allow; so it gets the plain end of a
socket pair, and whatever a stranger does to the handshake holds up nobody else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final

from .doors import DoorError

_log = logging.getLogger(__name__)

HANDSHAKE_S: Final = 10.0
"""Seconds that a handshake may take."""
LINGER_S: Final = 60.0
"""Seconds that a client has for what is left of an answer once the server has closed the connection."""
_SHUTDOWN_S: Final = 3.0
_LOOK_S: Final = 0.02
_PIECE: Final = 1 << 16


def context_of(certificate: Path, key: Path) -> ssl.SSLContext:
    """What a server with those PEM files says of itself; TLS 1.2 and later. Raises DoorError."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2

    def no_password() -> str:
        raise DoorError(f"The key {key} is protected by a password. Give a key without one, readable by you only.")

    for path in (certificate, key):
        if not path.is_file():
            raise DoorError(f"There is no file {path}. Name the certificate and its key, both as PEM files.")
    try:
        context.load_cert_chain(certificate, key, password=no_password)
    except (ssl.SSLError, OSError) as error:
        why = error.strerror or error
        raise DoorError(f"The certificate {certificate} and the key {key} cannot be used: {why}.") from error
    return context


class PlainEnd(socket.socket):
    """The server's end of a connection; counts the bytes that went into it by `send`."""

    def __init__(self, end: socket.socket, line: Line) -> None:
        super().__init__(fileno=end.detach())
        self.line, self.sent = line, 0

    def send(self, data: Any, flags: int = 0, /) -> int:
        count = super().send(data, flags)
        self.sent += count
        return count


class Line:
    """What the server sends on a connection, on its way to the client. For the thread that carries it alone."""

    def __init__(self) -> None:
        self.taken = 0
        """Bytes that were taken over from the server."""
        self.transports: tuple[asyncio.WriteTransport, ...] = ()
        """What the bytes go through to the kernel, once the handshake is done."""
        self._waiting: list[tuple[int, Callable[[], None]]] = []

    def wait(self, count: int, told: Callable[[], None]) -> None:
        """Has `told` called when the kernel has the first `count` bytes, and never when it does not get them."""
        self._waiting.append((count, told))

    async def arrive(self, count: int) -> None:
        """Returns when the kernel has the first `count` bytes and all else that was taken, or the connection is
        broken."""
        while not self._broken and (self.taken < count or self._on_the_way):
            # asyncio tells when one of its buffers runs empty, and not when all of them have.
            await asyncio.sleep(_LOOK_S)
        if self._broken:
            return
        arrived = [told for count, told in self._waiting if count <= self.taken]
        self._waiting = [(count, told) for count, told in self._waiting if count > self.taken]
        for told in arrived:
            # It may write to a disk, and other connections shall not wait for that.
            asyncio.get_running_loop().run_in_executor(None, told).add_done_callback(_said)

    @property
    def _on_the_way(self) -> int:
        return sum(transport.get_write_buffer_size() for transport in self.transports)

    @property
    def _broken(self) -> bool:
        return not self.transports or any(transport.is_closing() for transport in self.transports)


class TlsFront:
    """Decrypts accepted connections. `adopt` and `when_sent` may be called by any thread."""

    def __init__(self, context: ssl.SSLContext, handshake_s: float = HANDSHAKE_S, linger_s: float = LINGER_S) -> None:
        self._context, self._handshake_s, self._linger_s = context, handshake_s, linger_s
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_told_quietly)
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tls", daemon=True)
        self._thread.start()

    def adopt(self, encrypted: socket.socket) -> PlainEnd:
        """Takes a connection over and returns its plain end, which reads nothing until the handshake is done."""
        near, far = socket.socketpair()
        for end in (encrypted, far):
            end.setblocking(False)
        line = Line()
        self._loop.call_soon_threadsafe(self._begin, encrypted, far, line)
        return PlainEnd(near, line)

    def when_sent(self, near: PlainEnd, told: Callable[[], None]) -> None:
        """Has `told` called, in a thread of its own, when all that was sent so far has left this program encrypted: the
        kernel has it. It is never called when the connection breaks before."""
        self._loop.call_soon_threadsafe(self._begin_waiting, near.line, near.sent, told)

    def close(self) -> None:
        """Ends the thread and every connection with it."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    async def _end(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _begin(self, encrypted: socket.socket, plain: socket.socket, line: Line) -> None:
        self._run(self._carry(encrypted, plain, line))

    def _begin_waiting(self, line: Line, count: int, told: Callable[[], None]) -> None:
        line.wait(count, told)
        self._run(line.arrive(count))

    def _run(self, work: Coroutine[Any, Any, None]) -> None:
        task = self._loop.create_task(work)
        self._tasks.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, encrypted: socket.socket, plain: socket.socket, line: Line) -> None:
        writers: list[asyncio.StreamWriter] = []
        ways: set[asyncio.Task[None]] = set()
        try:
            inner, to_server = await asyncio.open_connection(sock=plain)
            writers.append(to_server)
            outer, to_client = await self._handshake(encrypted, line)
            writers.append(to_client)
            ways = {
                self._loop.create_task(_pump(outer, to_server)),
                self._loop.create_task(self._deliver(inner, to_client, line)),
            }
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        except (OSError, TimeoutError) as error:
            _log.debug("tls: %s", error)
        finally:
            for way in ways:
                way.cancel()
            for writer in writers:
                writer.close()
            if len(writers) < 2:
                encrypted.close()

    async def _deliver(self, inner: asyncio.StreamReader, to_client: asyncio.StreamWriter, line: Line) -> None:
        """Copies what the server sends, and leaves time to what is on the way when it has sent all."""

        def take(count: int) -> None:
            line.taken += count

        await _pump(inner, to_client, take)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._linger_s):
                await line.arrive(line.taken)

    async def _handshake(
        self, encrypted: socket.socket, line: Line
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        # In two steps: who starts with TLS never sees the transport below it, where bytes wait as well.
        below, _ = await self._loop.connect_accepted_socket(_Silent, encrypted)
        reader = asyncio.StreamReader(_PIECE)
        protocol = asyncio.StreamReaderProtocol(reader)
        above = await self._loop.start_tls(
            below,
            protocol,
            self._context,
            server_side=True,
            ssl_handshake_timeout=self._handshake_s,
            ssl_shutdown_timeout=_SHUTDOWN_S,
        )
        if above is None:
            raise ConnectionAbortedError("it was closed during the handshake")
        protocol.connection_made(above)
        line.transports = (above, below)
        return reader, asyncio.StreamWriter(above, protocol, reader, self._loop)


class _Silent(asyncio.Protocol):
    """Leaves what comes where it is, for TLS to read."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.ReadTransport):
            transport.pause_reading()


async def _pump(
    source: asyncio.StreamReader, sink: asyncio.StreamWriter, taken: Callable[[int], None] | None = None
) -> None:
    """Copies until the source ends or one of both breaks; `taken` is told of each piece's bytes."""
    try:
        while data := await source.read(_PIECE):
            sink.write(data)
            if taken is not None:
                taken(len(data))
            await sink.drain()
    except OSError as error:
        _log.debug("tls: %s", error)


def _said(done: asyncio.Future[None]) -> None:
    if error := done.exception():
        _log.error("tls: nobody could be told that an answer was sent", exc_info=error)


def _told_quietly(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Whatever a stranger's connection makes asyncio complain of is no news."""
    _log.debug("tls: %s", context.get("message"))
