"""TLS for other machines: with a certificate made here, real servers, and clients that trust nothing but it."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
import trustme

from pentimento.background import connect
from pentimento.server.tls import PlainEnd, TlsFront, context_of
from pentimento_shared.client import BackendUnreachable, Client
from pentimento_shared.pinned import trust_only
from tests.conftest import StartServer
from tests.server.pictures import noise
from tests.server.serving import PATIENCE_S, ServerProcess, until
from tests.server.test_start import refused

TOKEN = "a token for all machines"


class Identity(NamedTuple):
    certificate: Path
    key: Path


def identity(folder: Path, name: str) -> Identity:
    """A certificate for a name that no test connects by: what counts is the certificate itself."""
    folder.mkdir(exist_ok=True)
    made = trustme.CA().issue_cert(f"{name}.example")
    files = Identity(folder / "cert.pem", folder / "key.pem")
    made.cert_chain_pems[0].write_to_path(files.certificate)
    made.private_key_pem.write_to_path(files.key)
    return files


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return identity(tmp_path_factory.mktemp("own"), "own")


@pytest.fixture(scope="module")
def secure(start_server: StartServer, tiny_model: Path, own: Identity) -> ServerProcess:
    arguments = ("--port", "0", "--listen", "0.0.0.0", "--tls-cert", str(own.certificate), "--tls-key", str(own.key))
    server = start_server(model=tiny_model, environ={"PENTIMENTO_TOKEN": TOKEN}, arguments=arguments, token=TOKEN)
    trust_only(server.session, own.certificate)
    return server


def test_a_job_goes_through_it(secure: ServerProcess) -> None:
    assert secure.url.startswith("https://127.0.0.1:")
    environ = {"PENTIMENTO_HOME": str(secure.home), "PENTIMENTO_TOKEN": TOKEN}
    with Client.discover(environ) as client:
        assert client.health().name == "pentimento"
        settings = {"model": "tiny", "steps": 2, "seed": 1}
        job = client.submit({"task": "img2img", "settings": settings}, noise(400, 300))
        *_, last = client.follow(job.id)
        assert last.state == "done", last.problem
        assert client.image(job.id).startswith(b"\x89PNG")


def test_the_client_trusts_that_certificate_alone(secure: ServerProcess, own: Identity, tmp_path: Path) -> None:
    other = identity(tmp_path / "other", "own")
    with Client(secure.url, TOKEN, str(own.certificate)) as client:
        assert client.jobs() is not None
    for certificate in (str(other.certificate), ""):
        with Client(secure.url, TOKEN, certificate) as client, pytest.raises(BackendUnreachable, match="not trusted"):
            client.health()
    with pytest.raises(BackendUnreachable, match=r"gone\.pem"):
        Client(secure.url, TOKEN, str(tmp_path / "gone.pem"))


def test_clients_find_the_certificate_where_the_server_says(secure: ServerProcess, own: Identity) -> None:
    facts = json.loads((secure.home / "config" / "server.json").read_text())
    assert facts["certificate"] == str(own.certificate)
    assert not (secure.home / "config" / "token").exists(), "a token that was set for it is nowhere on the disk"


def test_the_command_line_goes_to_another_machine(
    secure: ServerProcess, own: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PENTIMENTO_TOKEN", TOKEN)
    monkeypatch.setenv("PENTIMENTO_CERTIFICATE", str(own.certificate))
    with connect(secure.url) as client:
        assert isinstance(client.jobs(), list)


def test_whose_pages_may_ask(secure: ServerProcess) -> None:
    host = secure.url.removeprefix("https://")
    assert secure.get("/jobs", headers={"Origin": f"https://{host}"}).status_code == 200
    assert secure.get("/jobs", headers={"Origin": f"http://{host}"}).status_code == 403
    assert secure.get("/jobs", headers={"Authorization": "Bearer no"}).status_code == 401
    assert secure.get("/jobs", headers={"Host": "evil.example"}).status_code == 403


@pytest.mark.parametrize("first", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", os.urandom(600)])
def test_broken_handshakes_hold_up_nobody(secure: ServerProcess, first: bytes) -> None:
    broken = [socket.create_connection(("127.0.0.1", secure.port), timeout=30) for _ in range(40)]
    for sock in broken:
        sock.sendall(first)
    began = time.monotonic()
    assert secure.get("/health").status_code == 200
    assert time.monotonic() - began < 5
    for sock in broken:
        sock.close()
    assert secure.get("/health").status_code == 200


def test_old_protocols_are_not_spoken(secure: ServerProcess) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    with socket.create_connection(("127.0.0.1", secure.port), timeout=30) as sock, pytest.raises(OSError):
        context.wrap_socket(sock)


def test_a_client_that_reads_nothing_costs_little_memory(secure: ServerProcess) -> None:
    import psutil

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    process = psutil.Process(secure.pid)
    secure.get("/openapi.json")
    before = process.memory_info().rss
    lines = [
        f"GET /api/v1/openapi.json HTTP/1.1\r\nHost: 127.0.0.1:{secure.port}\r\nAuthorization: Bearer {TOKEN}\r\n\r\n"
    ]
    socks = [context.wrap_socket(socket.create_connection(("127.0.0.1", secure.port), timeout=30)) for _ in range(20)]
    for sock in socks:
        sock.sendall("".join(lines * 50).encode())
    assert secure.get("/health").status_code == 200
    assert process.memory_info().rss - before < 64 << 20
    for sock in socks:
        sock.close()


def test_what_keeps_such_a_server_from_starting(tmp_path: Path, own: Identity) -> None:
    def why(*arguments: str) -> str:
        code, message = refused(tmp_path, "--port", "0", *arguments, PENTIMENTO_TOKEN=TOKEN)
        assert code == 1
        return message

    cert, key = str(own.certificate), str(own.key)
    assert "--tls-cert" in why("--listen", "0.0.0.0")
    assert "--insecure" in why("--listen", "0.0.0.0")
    assert "one of them is missing" in why("--tls-cert", cert)
    assert "one of them is missing" in why("--tls-key", key)
    assert "no file" in why("--tls-cert", "/gone.pem", "--tls-key", key)
    assert "cannot be used" in why("--tls-cert", key, "--tls-key", cert)
    assert "cannot be used" in why("--tls-cert", cert, "--tls-key", str(identity(tmp_path / "x", "x").key))


def test_without_tls_only_when_asked_for(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(
        home=tmp_path,
        environ={"PENTIMENTO_TOKEN": TOKEN},
        arguments=("--port", "0", "--listen", "0.0.0.0", "--insecure"),
        token=TOKEN,
    )
    assert server.get("/jobs").status_code == 200
    assert "without TLS" in server.log()


def test_a_second_one_on_its_port_is_told_who_is_there(secure: ServerProcess, tmp_path: Path, own: Identity) -> None:
    with_tls = ("--tls-cert", str(own.certificate), "--tls-key", str(own.key))
    for arguments in ((), with_tls):
        code, message = refused(tmp_path, "--port", str(secure.port), *arguments)
        assert (code, f"Pentimento 0.1.0 already answers at {secure.url}," in message) == (3, True), message


WHOLE = 100_000
"""Bytes that the pair of sockets inside the server takes at once, and two sockets with small buffers do not."""


@contextlib.contextmanager
def answering(own: Identity, linger_s: float = PATIENCE_S) -> Iterator[tuple[ssl.SSLSocket, PlainEnd, threading.Event]]:
    """A client and the server's end of its connection, into which an answer of WHOLE bytes was written; and whether
    these are said to have left."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    front, told = TlsFront(context_of(own.certificate, own.key), linger_s=linger_s), threading.Event()
    with contextlib.closing(front), socket.socket() as listening, socket.socket() as client:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.settimeout(PATIENCE_S)
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        client.connect(listening.getsockname())
        with front.adopt(listening.accept()[0]) as near, context.wrap_socket(client) as encrypted:
            near.settimeout(PATIENCE_S)
            encrypted.sendall(b"?")
            assert near.recv(1) == b"?"
            assert near.send(bytes(WHOLE)) == WHOLE
            front.when_sent(near, told.set)
            yield encrypted, near, told


def read(client: ssl.SSLSocket, count: int) -> int:
    """Reads so many bytes, or all that come before the end; how many these were."""
    left = count
    while left > 0 and (data := client.recv(left)):
        left -= len(data)
    return count - left


@pytest.mark.parametrize("count", [0, 1, WHOLE // 4])
def test_an_answer_cut_off_has_not_left(own: Identity, count: int) -> None:
    with answering(own) as (client, near, told):
        assert read(client, count) == count
        client.close()
        with contextlib.suppress(ConnectionError):
            assert near.recv(1) == b"", "the front has parted from the client"
        assert not told.is_set()


@pytest.mark.parametrize("closing", [False, True])
def test_an_answer_that_was_read_has_left(own: Identity, closing: bool) -> None:
    with answering(own) as (client, near, told):
        if closing:
            near.close()
        assert read(client, WHOLE) == WHOLE
        assert told.wait(PATIENCE_S)
        if closing:
            assert client.recv(1) == b""


def test_a_client_that_never_reads_its_answer_holds_no_connection(own: Identity) -> None:
    with answering(own, linger_s=0.1) as (client, near, told):
        port = client.getpeername()[1]
        near.close()
        until(lambda: not server_ends(port))
        assert read(client, WHOLE) < WHOLE
        assert not told.is_set()


def server_ends(port: int) -> list[str]:
    """The connections of this process that its front at `port` holds."""
    import psutil

    found = psutil.Process().net_connections("tcp")
    return [one.status for one in found if one.laddr.port == port and one.status != psutil.CONN_LISTEN]
