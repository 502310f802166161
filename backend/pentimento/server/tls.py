"""TLS in front of waitress, which has none: asyncio's, in a thread of its own.

waitress reads and writes a socket from several threads, which OpenSSL does not allow; so it gets the plain end of a
socket pair, and whatever a stranger does to the handshake holds up nobody else.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
import threading
from pathlib import Path
from typing import Any, Final

from .doors import DoorError

_log = logging.getLogger(__name__)

HANDSHAKE_S: Final = 10.0
"""Seconds that a handshake may take."""
_SHUTDOWN_S: Final = 3.0
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


class TlsFront:
    """Decrypts accepted connections. `adopt` may be called by any thread."""

    def __init__(self, context: ssl.SSLContext, handshake_s: float = HANDSHAKE_S) -> None:
        self._context, self._handshake_s = context, handshake_s
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_told_quietly)
        self._lines: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._loop.run_forever, name="tls", daemon=True)
        self._thread.start()

    def adopt(self, encrypted: socket.socket) -> socket.socket:
        """Takes a connection over and returns its plain end, which reads nothing until the handshake is done."""
        near, far = socket.socketpair()
        for end in (encrypted, far):
            end.setblocking(False)
        self._loop.call_soon_threadsafe(self._begin, encrypted, far)
        return near

    def close(self) -> None:
        """Ends the thread and every connection with it."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _begin(self, encrypted: socket.socket, plain: socket.socket) -> None:
        task = self._loop.create_task(self._carry(encrypted, plain))
        self._lines.add(task)  # the loop itself keeps only weak references
        task.add_done_callback(self._lines.discard)

    async def _carry(self, encrypted: socket.socket, plain: socket.socket) -> None:
        writers: list[asyncio.StreamWriter] = []
        try:
            inner, to_server = await asyncio.open_connection(sock=plain)
            writers.append(to_server)
            outer, to_client = await self._handshake(encrypted)
            writers.append(to_client)
            ways = {asyncio.ensure_future(_pump(outer, to_server)), asyncio.ensure_future(_pump(inner, to_client))}
            _, open_ways = await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for way in open_ways:
                way.cancel()
        except (OSError, TimeoutError) as error:
            _log.debug("tls: %s", error)
        finally:
            for writer in writers:
                writer.close()
            if len(writers) < 2:
                encrypted.close()

    async def _handshake(self, encrypted: socket.socket) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader = asyncio.StreamReader(_PIECE)
        protocol = asyncio.StreamReaderProtocol(reader)
        transport, _ = await self._loop.connect_accepted_socket(
            lambda: protocol,
            encrypted,
            ssl=self._context,
            ssl_handshake_timeout=self._handshake_s,
            ssl_shutdown_timeout=_SHUTDOWN_S,
        )
        return reader, asyncio.StreamWriter(transport, protocol, reader, self._loop)


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    """Copies until the source ends or one of both breaks."""
    try:
        while data := await source.read(_PIECE):
            sink.write(data)
            await sink.drain()
    except OSError as error:
        _log.debug("tls: %s", error)


def _told_quietly(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Whatever a stranger's connection makes asyncio complain of is no news."""
    _log.debug("tls: %s", context.get("message"))
