"""Whatever comes over HTTP: no answer of class 5xx, none that takes long, and the worker lives through it all."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests
import schemathesis
from hypothesis import given
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from pentimento.server.openapi import description
from tests.conftest import StartServer
from tests.fuzz.mutations import LONGEST_S, TIMES, mutated, repaired, rounds
from tests.fuzz.test_parsers import PNGS
from tests.server.pictures import mask, picture
from tests.server.serving import ServerProcess, over

MOST_MEMORY = 400 << 20
"""Bytes that the server process may come to hold."""
JOB = {"task": "img2img", "settings": {"model": "tiny", "steps": 1, "strength": 0.1, "prompt": "a (red:1.2) house"}}
INPAINT = {"task": "inpaint", "settings": {"model": "tiny", "steps": 1, "strength": 0.1}}
_CHECKS: list[Any] = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def target(start_server: StartServer, tiny_model: Path) -> Iterator[ServerProcess]:
    """A server that is healthy before and after: the same worker, little memory, every job over."""
    server = start_server(model=tiny_model)
    server.wait_ready()
    (worker,) = server.workers()
    yield server
    for job in server.get("/jobs", params={"limit": 1000}).json()["jobs"]:
        server.delete(f"/jobs/{job['id']}")
    last = server.finish(server.submit(JOB, picture()))
    assert last["state"] == "done", last
    assert server.workers() == [worker], "the worker has died on the way"
    assert psutil.Process(server.pid).memory_info().rss < MOST_MEMORY
    assert '"error"' not in server.log()
    assert not list((server.data / "blobs" / "tmp").iterdir())


described = schemathesis.openapi.from_dict(description())
described.config.phases.coverage.enabled = TIMES > 1  # every bound of every setting: thousands of requests


@described.parametrize()
@rounds(8)
def test_every_operation_as_it_is_described(case: Any, target: ServerProcess) -> None:
    if isinstance(case.query, dict) and "wait" in case.query:
        case.query["wait"] = 0  # to wait is what it is for
    answer = case.call(
        base_url=f"{target.url}/api/v1", headers={"Authorization": f"Bearer {target.token}"}, timeout=LONGEST_S
    )
    case.validate_response(answer, checks=_CHECKS)


def answered(ask: Callable[[], requests.Response]) -> requests.Response:
    """The answer, which must not be a fault of the server, and must be soon."""
    began = time.monotonic()
    answer = ask()
    assert answer.status_code < 500, answer.text
    assert time.monotonic() - began < LONGEST_S
    if answer.status_code >= 400:
        assert answer.headers["Content-Type"] == "application/problem+json", answer.headers
        assert answer.json()["detail"]
    return answer


def accepted(server: ServerProcess, answer: requests.Response) -> None:
    """A job that was taken comes to its end without the worker's."""
    if answer.status_code == 201:
        last = server.finish(answer.json()["id"])
        assert over(last)
        problem = last["problem"] or {"status": 0}
        assert problem["status"] < 500, problem


@rounds(60)
@given(st.one_of(mutated(PNGS), mutated(PNGS).map(repaired)))
def test_pictures(target: ServerProcess, data: bytes) -> None:
    accepted(target, answered(lambda: target.post(JOB, data)))


@rounds(30)
@given(mutated([mask(), mask(), *PNGS]).map(repaired))
def test_masks(target: ServerProcess, data: bytes) -> None:
    accepted(target, answered(lambda: target.post(INPAINT, picture(), data)))


@rounds(100)
@given(
    mutated(
        [
            json.dumps(JOB).encode(),
            json.dumps({**JOB, "region": {"canvas": [64, 64], "context": [0, 0, 64, 64]}}).encode(),
        ]
    )
)
def test_requests(target: ServerProcess, data: bytes) -> None:
    text: Any = data
    answer = answered(
        lambda: target.session.post(
            f"{target.url}/api/v1/jobs",
            files={"request": ("r.json", text, "application/json"), "image": ("i.png", picture(), "image/png")},
            timeout=LONGEST_S,
        )
    )
    if answer.status_code == 201:
        target.delete(f"/jobs/{answer.json()['id']}")  # it may ask for 150 steps of 16 pictures


def multipart() -> bytes:
    parts = [
        b'name="request"; filename="r"\r\n\r\n' + json.dumps(JOB).encode(),
        b'name="image"; filename="i"\r\n\r\n' + picture(),
    ]
    return b"".join(b"--b\r\nContent-Disposition: form-data; " + part + b"\r\n" for part in parts) + b"--b--\r\n"


@rounds(100)
@given(mutated([multipart()]))
def test_multipart(target: ServerProcess, body: bytes) -> None:
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    url = f"{target.url}/api/v1/jobs"
    answer = answered(lambda: target.session.post(url, data=body, headers=headers, timeout=LONGEST_S))
    if answer.status_code == 201:
        target.delete(f"/jobs/{answer.json()['id']}")


_START = "HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
_JSON = "Content-Type: application/json\r\n"
_CHUNKS = '10\r\n{{"prompt": "(a)"}}\r\n0\r\n\r\n'
HEADS = (
    f"GET /api/v1/jobs?limit=3 {_START}\r\n",
    f"PUT /api/v1/styles/a%20b {_START}{_JSON}Content-Length: 2\r\n\r\n{{{{}}}}",
    f"POST /api/v1/prompts/check {_START}{_JSON}Transfer-Encoding: chunked\r\n\r\n{_CHUNKS}",
)


@rounds(150)
@given(st.data())
def test_raw_bytes(target: ServerProcess, data: st.DataObject) -> None:
    host = target.url.removeprefix("http://")
    seeds = [head.format(host=host, token=target.token).encode() for head in HEADS]
    sent = data.draw(mutated(seeds))
    began = time.monotonic()
    with socket.create_connection(("127.0.0.1", target.port), timeout=LONGEST_S) as sock:
        sock.sendall(sent)
        sock.settimeout(0.3)  # half a request gets no answer yet
        try:
            answer = sock.recv(4096)
        except (TimeoutError, ConnectionError):
            answer = b""
    status = answer.split(b" ", 2)[1] if answer else b"200"
    assert status[:1] in (b"1", b"2", b"3", b"4") or status == b"501", answer  # 501: an unknown Transfer-Encoding
    assert target.get("/health").status_code == 200
    assert time.monotonic() - began < LONGEST_S
