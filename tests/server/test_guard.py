"""Who gets in: only programs on this machine that have the token."""

from __future__ import annotations

import http.client
import stat

import pytest
import requests

from pentimento.server.guard import Guard
from tests.server.serving import ServerProcess

GUARD = Guard.of("127.0.0.1", 7350, "t" * 40)
BEARER = f"Bearer {'t' * 40}"


def status(guard: Guard = GUARD, path: str = "/api/v1/jobs", **headers: str) -> int:
    """200 when the guard lets the request pass, the problem's status otherwise."""
    sent = {"host": "127.0.0.1:7350", "authorization": BEARER, **headers}
    problem = guard.check(path, {name: value for name, value in sent.items() if value is not None})
    return problem.status if problem else 200


@pytest.mark.parametrize("host", ["127.0.0.1:7350", "localhost:7350", "LOCALHOST:7350", "[::1]:7350"])
def test_own_hosts_pass(host: str) -> None:
    assert status(host=host) == 200


@pytest.mark.parametrize(
    "host",
    [
        "evil.example:7350",  # DNS rebinding: the name is the attacker's, the address ours
        "127.0.0.1",
        "127.0.0.1:7351",
        "localhost.:7350",
        "localhost:7350.",
        "127.0.0.1:7350, evil.example",
        "127.1:7350",
        "192.168.1.5:7350",
        "[::1]",
        "::1:7350",
        "[::1]:7350.",
        "[::ffff:127.0.0.1]:7350",
        "[0:0:0:0:0:0:0:1]:7350",
        "LOCALHOST.:7350",
        "EVIL.EXAMPLE:7350",
        "2130706433:7350",  # 127.0.0.1 as one number
        "0x7f.1:7350",
        "0.0.0.0:7350",
        "user@127.0.0.1:7350",
        "127.0.0.1:7350@evil.example",
        "127.0.0.1:07350",
        "127.0.0.1:7350/",
        "localhost\t:7350",
        "null",
        "",
    ],
)
def test_foreign_hosts_do_not(host: str) -> None:
    assert status(host=host) == 403


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://127.0.0.1:7350", 200),
        ("http://localhost:7350", 403),  # another origin than that of the Host, as a browser sees it
        ("http://127.0.0.1:8000", 403),
        ("https://127.0.0.1:7350", 403),
        ("https://evil.example", 403),
        ("null", 403),
        ("NULL", 403),
        ("", 403),
        ("HTTP://127.0.0.1:7350", 200),  # browsers send lower case; whoever does not is no worse
        ("http://127.0.0.1:7350/", 403),
        ("http://127.0.0.1:7350, http://evil.example", 403),
        ("http://127.0.0.1.:7350", 403),
        ("http://[::1]:7350", 403),
        ("file://", 403),
        ("moz-extension://a", 403),
    ],
)
def test_origin_must_be_the_same(origin: str, expected: int) -> None:
    assert status(origin=origin) == expected


@pytest.mark.parametrize(
    ("authorization", "expected"),
    [
        (BEARER, 200),
        (BEARER.replace("Bearer", "bearer"), 200),
        ("", 401),
        ("Bearer", 401),
        ("Bearer wrong", 401),
        (BEARER + "x", 401),
        (BEARER[:-1], 401),
        ("Basic " + "t" * 40, 401),
        ("Bearer \xfc\xff", 401),
        (f"{BEARER}, {BEARER}", 401),
    ],
)
def test_token(authorization: str, expected: int) -> None:
    assert status(authorization=authorization) == expected


def test_only_health_needs_no_token_but_it_needs_the_host() -> None:
    assert status(path="/api/v1/health", authorization="") == 200
    assert status(path="/api/v1/health", authorization="", host="evil.example") == 403
    assert status(path="/api/v1/health/", authorization="") == 401


def test_a_server_for_other_machines_takes_addresses_but_no_names() -> None:
    guard = Guard.of(
        "0.0.0.0",
        7350,
        "t" * 40,
    )
    assert status(guard, host="192.168.1.5:7350") == 200
    assert status(guard, host="[fe80::1]:7350") == 200
    assert status(guard, host="evil.example:7350") == 403
    assert status(guard, host="192.168.1.5:80") == 403


def test_over_http(server: ServerProcess) -> None:
    health, jobs = f"{server.url}/api/v1/health", f"{server.url}/api/v1/jobs"
    assert requests.get(health, timeout=10).status_code == 200
    assert requests.get(health, headers={"Host": "evil.example"}, timeout=10).status_code == 403
    refused = requests.get(jobs, timeout=10)
    assert refused.status_code == 401
    assert refused.headers["WWW-Authenticate"].startswith("Bearer")
    assert server.get("/jobs", headers={"Origin": "null"}).status_code == 403
    assert server.get("/no/such/page", headers={"Authorization": ""}).status_code == 401, "404 tells nobody anything"


def test_preflight_gets_no_permission(server: ServerProcess) -> None:
    answer = requests.options(
        f"{server.url}/api/v1/jobs",
        headers={"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"},
        timeout=10,
    )
    assert answer.status_code == 403
    assert not [name for name in answer.headers if name.lower().startswith("access-control")]


def test_every_answer_is_private(server: ServerProcess) -> None:
    for path in ("/health", "/jobs", "/no/such/page"):
        headers = server.get(path).headers
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer wrong"}, {"Host": "evil.example"}])
def test_a_large_body_is_refused_by_its_headers(server: ServerProcess, headers: dict[str, str]) -> None:
    body = b"x" * (20 << 20)
    answer = requests.post(f"{server.url}/api/v1/jobs", data=body, headers=headers, timeout=30)
    assert answer.status_code == (403 if "Host" in headers else 401)
    assert answer.headers["Content-Type"] == "application/problem+json"


def test_chunked_bodies_are_guarded_too(server: ServerProcess) -> None:
    answer = requests.post(f"{server.url}/api/v1/jobs", data=iter([b"x" * 1000] * 50), timeout=30)
    assert answer.status_code == 401


def test_a_body_larger_than_allowed_is_refused_before_it_is_sent(server: ServerProcess) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest("POST", "/api/v1/jobs")
    connection.putheader("Authorization", f"Bearer {server.token}")
    connection.putheader("Content-Length", str(10**12))
    connection.endheaders()
    answer = connection.getresponse()
    assert answer.status == 413
    assert b"MiB" in answer.read()
    connection.close()


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1\r\nHost: a b\r\nbroken\r\n\r\n", b"\x16\x03\x01\x02\r\n\r\n"])
def test_what_is_not_http_gets_a_problem(server: ServerProcess, line: bytes) -> None:
    import socket

    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as sock:
        sock.sendall(line)
        answer = sock.recv(4096)
    assert b" 400 " in answer.split(b"\r\n")[0]
    assert b"application/problem+json" in answer


def test_token_and_folders_are_for_this_user_alone(server: ServerProcess) -> None:
    private = [server.home / "config" / "token", server.home / "config" / "server.json", server.data / "jobs.sqlite3"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in private] == [0o600] * 3
    folders = [server.home / "config", server.data, server.data / "blobs", server.data / "logs"]
    assert [stat.S_IMODE(path.stat().st_mode) for path in folders] == [0o700] * 4
    assert len(server.token) >= 43


def test_the_token_is_in_no_log(server: ServerProcess) -> None:
    server.get("/jobs")
    for log in (server.data / "logs").iterdir():
        assert server.token not in log.read_text()
