"""A client that goes away in the middle of its picture has not fetched it: it is kept for as long as it takes."""

from __future__ import annotations

import socket
import sqlite3
import ssl
import struct
from pathlib import Path

import pytest

from pentimento_shared.pinned import trust_only
from tests.conftest import StartServer
from tests.server.pictures import noise
from tests.server.serving import ServerProcess, until
from tests.server.test_tls import identity

LARGE = noise(2200, 2200)
"""14 MB that do not compress: far more than waits in the sockets of both sides."""
JOB = {"task": "img2img", "settings": {"model": "tiny", "strength": 0, "steps": 2}}


@pytest.fixture(scope="module", params=["http", "https"])
def cut_server(
    request: pytest.FixtureRequest,
    start_server: StartServer,
    tiny_model: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> ServerProcess:
    """A server that nobody else uses, without TLS and with it."""
    if request.param == "http":
        return start_server(model=tiny_model)
    own = identity(tmp_path_factory.mktemp("own"), "own")
    arguments = ("--port", "0", "--tls-cert", str(own.certificate), "--tls-key", str(own.key))
    server = start_server(model=tiny_model, arguments=arguments)
    trust_only(server.session, own.certificate)
    return server


@pytest.fixture(scope="module")
def done(cut_server: ServerProcess) -> str:
    return cut_server.finish(cut_server.submit(JOB, LARGE))["id"]


def hang_up_after(server: ServerProcess, job_id: str, count: int) -> None:
    """Asks for the picture, reads some bytes of it and breaks the connection."""
    with socket.socket() as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        plain.connect(("127.0.0.1", server.port))
        with encrypted(plain) if server.url.startswith("https") else plain as connection:
            lines = [
                f"GET /api/v1/jobs/{job_id}/images/0 HTTP/1.1",
                f"Host: 127.0.0.1:{server.port}",
                f"Authorization: Bearer {server.token}",
            ]
            connection.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
            while count > 0:
                count -= len(connection.recv(min(count, 1 << 16)))


def encrypted(plain: socket.socket) -> socket.socket:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context.wrap_socket(plain)


def fetched_at(home: Path, job_id: str) -> float | None:
    connection = sqlite3.connect(home / "data" / "jobs.sqlite3")
    try:
        return connection.execute("SELECT fetched FROM jobs WHERE id = ?", (job_id,)).fetchone()[0]
    finally:
        connection.close()


def test_a_picture_cut_off_counts_as_not_fetched(cut_server: ServerProcess, done: str) -> None:
    for count in (1, 100_000, 3_000_000):
        hang_up_after(cut_server, done, count)
    assert cut_server.session.head(f"{cut_server.url}/api/v1/jobs/{done}/images/0", timeout=90).status_code == 200
    assert cut_server.get("/health").status_code == 200
    assert fetched_at(cut_server.home, done) is None
    assert len(cut_server.get(f"/jobs/{done}/images/0").content) > 14_000_000
    until(lambda: fetched_at(cut_server.home, done) is not None)
