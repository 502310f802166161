"""A client that goes away in the middle of its picture has not fetched it: it is kept for as long as it takes."""

from __future__ import annotations

import socket
import sqlite3
import struct
from pathlib import Path

import pytest

from tests.server.pictures import noise
from tests.server.serving import ServerProcess, until

LARGE = noise(2200, 2200)
"""14 MB that do not compress: far more than waits in the sockets of both sides."""
JOB = {"task": "img2img", "settings": {"model": "tiny", "strength": 0, "steps": 2}}


@pytest.fixture(scope="module")
def done(server: ServerProcess) -> str:
    return server.finish(server.submit(JOB, LARGE))["id"]


def hang_up_after(server: ServerProcess, job_id: str, count: int) -> None:
    """Asks for the picture, reads some bytes of it and breaks the connection."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.connect(("127.0.0.1", server.port))
        lines = [
            f"GET /api/v1/jobs/{job_id}/images/0 HTTP/1.1",
            f"Host: 127.0.0.1:{server.port}",
            f"Authorization: Bearer {server.token}",
        ]
        connection.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
        while count > 0:
            count -= len(connection.recv(min(count, 1 << 16)))


def fetched_at(home: Path, job_id: str) -> float | None:
    connection = sqlite3.connect(home / "data" / "jobs.sqlite3")
    try:
        return connection.execute("SELECT fetched FROM jobs WHERE id = ?", (job_id,)).fetchone()[0]
    finally:
        connection.close()


def test_a_picture_cut_off_counts_as_not_fetched(server: ServerProcess, done: str) -> None:
    for count in (1, 100_000, 3_000_000):
        hang_up_after(server, done, count)
    assert server.session.head(f"{server.url}/api/v1/jobs/{done}/images/0", timeout=90).status_code == 200
    assert server.get("/health").status_code == 200
    assert fetched_at(server.home, done) is None
    assert len(server.get(f"/jobs/{done}/images/0").content) > 14_000_000
    until(lambda: fetched_at(server.home, done) is not None)
