"""How much other machines may ask, and that this machine's own programs are never held up by it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from flask import Flask, Response

from pentimento.server.guard import Guard
from pentimento.server.limits import MOST_ADDRESSES, Gate, Limits, of_this_machine
from pentimento.server.transport import Patience, serve_on

FAR, OTHER, NEAR = "192.0.2.7", "192.0.2.8", "127.0.0.1"
TOKEN = "t" * 40


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def gate(clock: Clock) -> Gate:
    return Gate(Limits(requests=10, burst=20, wrong_tokens=3, shut_out_s=60), clock)


def admitted(gate: Gate, address: str, times: int) -> int:
    return sum(gate.admit(address) is None for _ in range(times))


def test_requests_in_a_second(gate: Gate, clock: Clock) -> None:
    assert admitted(gate, FAR, 100) == 20
    assert admitted(gate, OTHER, 10) == 10, "each address for itself"
    clock.now += 1
    assert admitted(gate, FAR, 100) == 10
    clock.now += 1000
    assert admitted(gate, FAR, 100) == 20
    problem = gate.admit(FAR)
    assert problem is not None
    assert (problem.status, FAR in problem.detail, "10 a second" in problem.detail) == (429, True, True)


def test_wrong_tokens_shut_an_address_out_for_a_while(gate: Gate, clock: Clock) -> None:
    for _ in range(3):
        assert gate.admit(FAR) is None
        gate.wrong_token(FAR)
    problem = gate.admit(FAR)
    assert problem is not None
    assert "wrong tokens" in problem.detail
    assert gate.admit(OTHER) is None
    clock.now += 61
    assert gate.admit(FAR) is None


@pytest.mark.parametrize("address", [NEAR, "127.8.9.10", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_never_shut_out(gate: Gate, address: str) -> None:
    for _ in range(100):
        gate.wrong_token(address)
    assert admitted(gate, address, 1000) == 1000
    assert gate.most_connections(address) is None
    assert gate.most_waiting(address) is None
    assert gate.client(address, "krita") == "krita"
    assert gate.client(address, None) == ""


@pytest.mark.parametrize("address", [FAR, "10.0.0.1", "fe80::1%eth0", "::ffff:192.0.2.7", "::", "0.0.0.0", "", "x"])
def test_whoever_is_not_of_this_machine_is_counted(gate: Gate, address: str) -> None:
    assert not of_this_machine(address)
    assert gate.most_connections(address) == 32
    assert gate.most_waiting(address) == 50
    assert gate.client(address, "krita") == gate.client(address, "gimp"), "nobody gets more turns by more names"


def test_the_memory_of_addresses_is_bounded(gate: Gate) -> None:
    for number in range(MOST_ADDRESSES + 50):
        gate.admit(f"2001:db8::{number:x}")
    assert len(gate._records) == MOST_ADDRESSES


# the same over real sockets, where this machine stands for another


Serve = Callable[..., int]


@pytest.fixture
def serve() -> Serve:
    """serve(limits, patience): the port of our transport in front of a small app; its threads end with the tests'."""

    def start(limits: Limits, patience: Patience | None = None) -> int:
        sock = socket.create_server((NEAR, 0))
        port = sock.getsockname()[1]
        gate = Gate(limits, local=lambda _: False)
        guard = Guard.of(NEAR, port, TOKEN)
        app = Flask("far", static_folder=None)

        @app.route("/", methods=["GET", "POST"])
        def here() -> Response:
            from flask import request

            request.get_data()
            return Response("here")

        server = serve_on(sock, app, guard, gate, patience=patience or Patience())
        threading.Thread(target=server.run, daemon=True).start()
        return port

    return start


def request(port: int, *lines: str, body: bytes = b"") -> bytes:
    head = [f"{'POST' if body else 'GET'} / HTTP/1.1", f"Host: {NEAR}:{port}", *lines]
    if body:
        head.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*head, "", ""]).encode("ascii") + body


@contextmanager
def connected(port: int) -> Iterator[socket.socket]:
    with socket.create_connection((NEAR, port), timeout=30) as sock:
        yield sock


def said(port: int, data: bytes) -> bytes:
    with connected(port) as sock:
        sock.sendall(data)
        return sock.recv(65536)


def served(answer: bytes) -> bool:
    return answer.startswith(b"HTTP/1.1 200 ")


def test_too_many_requests_get_429_and_are_told_when_to_come_back(serve: Serve) -> None:
    port = serve(Limits(requests=0.001, burst=3))
    answers = [said(port, request(port, f"Authorization: Bearer {TOKEN}", body=b"x")) for _ in range(5)]
    assert [answer.split(b" ")[1] for answer in answers] == [b"200"] * 3 + [b"429"] * 2
    assert b"Retry-After: 5" in answers[-1]
    assert b"application/problem+json" in answers[-1]


def test_guessing_tokens_ends_soon(serve: Serve) -> None:
    port = serve(Limits(wrong_tokens=3))
    answers = [said(port, request(port, f"Authorization: Bearer {k}", body=b"x")) for k in range(5)]
    assert [answer.split(b" ")[1] for answer in answers] == [b"401"] * 3 + [b"429"] * 2
    right = said(port, request(port, f"Authorization: Bearer {TOKEN}", body=b"x"))
    assert b" 429 " in right.splitlines()[0], "or a guess would be seen to be right"


def test_an_address_has_so_many_connections(serve: Serve) -> None:
    port = serve(Limits(connections=3))
    held = [socket.create_connection((NEAR, port), timeout=30) for _ in range(3)]
    for sock in held:
        sock.sendall(request(port))
        assert served(sock.recv(65536))
    with connected(port) as fourth:
        fourth.settimeout(30)
        assert fourth.recv(100) == b"", "it is closed"
    held.pop().close()
    until_served(port)
    for sock in held:
        sock.close()


def until_served(port: int) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if served(said(port, request(port))):
                return
        except OSError:
            time.sleep(0.05)
    raise AssertionError("it is never let in again")


QUICK = Patience(headers_s=0.5, body_s=0.5, body_rate=1000, every_s=0.1)
SLOW: dict[str, Callable[[int], bytes]] = {
    "silence": lambda _: b"",
    "half a header": lambda port: request(port)[:-2],
    "half a body": lambda port: request(port, f"Authorization: Bearer {TOKEN}", body=b"x" * 1500)[:-100],
}


@pytest.mark.parametrize("kind", SLOW)
def test_slow_clients_are_parted_from_and_hold_up_nobody(serve: Serve, kind: str) -> None:
    port = serve(Limits(connections=1000), QUICK)
    dripping = [socket.create_connection((NEAR, port), timeout=30) for _ in range(150)]
    for sock in dripping:
        sock.sendall(SLOW[kind](port))
    began = time.monotonic()
    assert served(said(port, request(port)))
    assert time.monotonic() - began < 5
    stop = threading.Event()
    drips = threading.Thread(target=_drip, args=(dripping, stop, kind == "silence"), daemon=True)
    drips.start()
    for sock in dripping:
        assert _closed(sock), "it is closed though a byte comes now and then"
    stop.set()
    drips.join()
    for sock in dripping:
        sock.close()


def _drip(socks: list[socket.socket], stop: threading.Event, silent: bool) -> None:
    while not silent and not stop.wait(0.2):
        for sock in socks:
            try:
                sock.send(b"x")
            except OSError:
                continue


def _closed(sock: socket.socket) -> bool:
    try:
        return sock.recv(100) == b""
    except ConnectionError:
        return True


def test_a_fast_client_with_a_large_body_is_served(serve: Serve) -> None:
    port = serve(Limits(), QUICK)
    body = b"x" * 300_000
    with connected(port) as sock:
        data = request(port, f"Authorization: Bearer {TOKEN}", body=body)
        for at in range(0, len(data), 20_000):
            sock.sendall(data[at : at + 20_000])
            time.sleep(0.1)
        assert served(sock.recv(65536))


CHUNKED = "Transfer-Encoding: chunked"


def post(port: int, *lines: str) -> bytes:
    return request(port, *lines).replace(b"GET", b"POST", 1)


FLOODS: dict[str, Callable[[int], tuple[bytes, bytes]]] = {
    "headers": lambda port: (request(port)[:-2], b"A: b\r\n"),
    "one header": lambda port: (request(port)[:-2] + b"A: ", b"bbbbbb"),
    "first line": lambda _: (b"GET /", b"aaaaaa"),
    "chunk line": lambda port: (post(port, CHUNKED, f"Authorization: Bearer {TOKEN}") + b"5;a=", b"bbbbbb"),
    "trailer": lambda port: (post(port, CHUNKED, f"Authorization: Bearer {TOKEN}") + b"0\r\n", b"A: b\r\n"),
    "trailer of a stranger": lambda port: (post(port, CHUNKED) + b"0\r\n", b"A: b\r\n"),
}


@pytest.mark.parametrize("kind", FLOODS)
def test_what_never_ends_is_refused_early(serve: Serve, kind: str) -> None:
    port = serve(Limits())
    start, more = FLOODS[kind](port)
    sent = 0
    with connected(port) as sock:
        sock.sendall(start)
        try:
            while sent < 4 << 20:
                sent += sock.send(more * 200)
                time.sleep(0.001)
        except OSError:
            pass
        answer = _rest(sock)
    assert sent < 4 << 20, "it was cut off"
    assert not answer or answer.split(b" ")[1] in (b"400", b"401", b"431")
    assert served(said(port, request(port)))


def _rest(sock: socket.socket) -> bytes:
    try:
        return sock.recv(65536)
    except OSError:
        return b""


@pytest.mark.parametrize(
    "line", ["Content-Length: " + "9" * 5000, "Content-Length: -1", "Content-Length: 1, 2", "Transfer-Encoding: gzip"]
)
def test_lengths_that_are_none(serve: Serve, line: str) -> None:
    port = serve(Limits())
    answer = said(port, post(port, line))
    assert answer.split(b" ")[1] in (b"400", b"501")
    assert b"application/problem+json" in answer


def test_many_at_once_are_all_answered(serve: Serve) -> None:
    port = serve(Limits(requests=1e6, burst=10**6, connections=1000))
    results: list[Any] = []
    threads = [threading.Thread(target=lambda: results.append(said(port, request(port)))) for _ in range(60)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sum(map(served, results)) == 60
