"""The way from a plugin or the CLI to the backend: one Client, over HTTP on this machine.

A request is a plain JSON mapping and pictures are PNG bytes, so that nothing here knows about diffusion.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, TypeVar
from urllib.parse import quote

import requests

from .answers import (
    BackendError,
    BackendForeign,
    BackendProblem,
    BackendUnreachable,
    Health,
    Job,
    Preview,
    check_version,
)
from .form_data import FormData, Part
from .pinned import trust_only
from .places import server_file, token_file

__all__ = [
    "BackendError",
    "BackendForeign",
    "BackendProblem",
    "BackendUnreachable",
    "Client",
    "Health",
    "Job",
    "Preview",
    "check_version",
]

TOKEN_VARIABLE: Final = "PENTIMENTO_TOKEN"
"""Environment variable: the token, instead of the token file."""
CERTIFICATE_VARIABLE: Final = "PENTIMENTO_CERTIFICATE"
"""Environment variable: the PEM file of the only certificate that is trusted, for a backend with an https URL."""

_CONNECT: Final = 2.0
"""Seconds to connect: the backend is on this machine."""
_QUICK: Final = 10.0
"""Seconds without a byte before a small answer counts as missing."""
_LARGE: Final = 120.0
"""The same for pictures, which the backend may have to write to a slow disk or to put together first."""
_ATTEMPTS: Final = 4
_PAUSE: Final = 0.25
_LONGEST_PAUSE: Final = 2.0
"""Seconds between attempts: the first pause, doubled up to the longest."""

_T = TypeVar("_T")


class Address(NamedTuple):
    """Where a backend listens, the token that it wants, and the PEM file of the certificate that it shows, "" where any
    that the system trusts will do."""

    url: str
    token: str
    certificate: str = ""


def find_backend(environ: Mapping[str, str] | None = None) -> Address:
    """The running backend of this user, by the files that it writes (places.server_file and token_file).

    Asks nothing over the network: a backend that was killed leaves its file behind. Raises BackendUnreachable
    when none was started, or its files cannot be read.
    """
    environ = os.environ if environ is None else environ
    start = "Start it with `python3 launch.py` in Pentimento's folder."
    try:
        facts = json.loads(server_file(environ).read_text(encoding="utf-8"))
        url, certificate = facts["url"], facts.get("certificate", "")
        token = environ.get(TOKEN_VARIABLE) or token_file(environ).read_text(encoding="utf-8").strip()
    except FileNotFoundError as error:
        raise BackendUnreachable(f"The Pentimento backend is not running. {start}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise BackendUnreachable(
            f"The backend's files in {server_file(environ).parent} cannot be read ({error}). {start}"
        ) from error
    return Address(str(url), token, environ.get(CERTIFICATE_VARIABLE) or str(certificate))


class Client:
    """A connection to one backend.

    Proxy variables and .netrc are ignored: what is sent stays on this machine. Methods that ask may be called
    from several threads. Every method raises BackendUnreachable when nothing answers, BackendForeign when
    something else than Pentimento does, and BackendProblem when the backend refuses.
    """

    def __init__(self, url: str, token: str, certificate: str = "") -> None:
        """`url` like "http://127.0.0.1:7350"; nothing is sent yet. `certificate`: the PEM file of the one that is
        trusted, "" where the system's judgment counts. Raises BackendUnreachable when that file is none."""
        self._find: Callable[[], Address] | None = None
        self._session = requests.Session()
        # Without this a proxy variable would reroute loopback, and .netrc replace the token.
        self._session.trust_env = False
        self._address = Address("", "")
        self._move(Address(url.rstrip("/"), token, certificate))

    @classmethod
    def discover(cls, environ: Mapping[str, str] | None = None) -> Client:
        """A client of this user's running backend; it finds a restarted one again on another port.

        Raises BackendUnreachable as find_backend does. `environ` stands in for os.environ.
        """
        address = find_backend(environ)
        client = cls(*address)
        client._find = lambda: find_backend(environ)
        return client

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections that are kept open. The client may be used again."""
        self._session.close()

    @property
    def url(self) -> str:
        """The backend's base URL, without a slash at its end."""
        return self._address.url

    def health(self) -> Health:
        """Who answers, and whether it can work. Sends no token; see check_version for what to make of it."""
        return self._ask(Health.from_json, "GET", "/health", authorized=False)

    def settings(self, model: str | None = None) -> dict[str, Any]:
        """The settings table, with what `model` (an id; None: the default one) supports, as JSON."""
        return self._ask(dict, "GET", "/settings", query={} if model is None else {"model": model})

    def models(self) -> list[dict[str, Any]]:
        """ModelInfo of each model the backend has, as JSON."""
        return self._ask(_rows("models"), "GET", "/models")

    def styles(self) -> list[dict[str, Any]]:
        """The styles that prompts may take, as JSON: {"name", "prompt", "negative_prompt"}."""
        return self._ask(_rows("styles"), "GET", "/styles")

    def check_prompts(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The tokens of both prompts, what becomes of them, and the place of what cannot be read, as JSON.

        `settings` may hold prompt, negative_prompt, styles, model, seed and steps.
        """
        body = json.dumps(dict(settings)).encode("utf-8")
        headers = {"Content-Type": "application/json"}
        return self._ask(dict, "POST", "/prompts/check", headers=headers, body=body)

    def submit(
        self,
        request: Mapping[str, Any],
        image: bytes | None = None,
        mask: bytes | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Hands a job over: when this returns, the backend has it on disk.

        `request` is JSON: {"task", "settings", "region", "parent", "application"}, of which only task is
        required. `image` and `mask` are PNG bytes: none for txt2img, the image for img2img, both, of one
        size, for inpaint (255 = change). When the connection breaks it is sent again under the same
        `idempotency_key` (a fresh one when None), which makes no second job; after BackendUnreachable the
        caller may do the same.
        """
        key = idempotency_key or uuid.uuid4().hex
        parts = [Part("request", "request.json", "application/json", json.dumps(request).encode("utf-8"))]
        if image is not None:
            parts.append(Part("image", "image.png", "image/png", image))
        if mask is not None:
            parts.append(Part("mask", "mask.png", "image/png", mask))
        form = FormData(parts)
        headers = {"Idempotency-Key": key, "Content-Type": form.content_type}
        return self._repeat(
            lambda: self._ask(Job.from_json, "POST", "/jobs", timeout=_LARGE, headers=headers, body=form)
        )

    def jobs(self) -> list[Job]:
        """The jobs that the backend keeps."""
        return [Job.from_json(job) for job in self._ask(_rows("jobs"), "GET", "/jobs")]

    def job(self, id: str, wait: float = 0.0, since: int | None = None) -> Job:
        """A job as it is now; when its rev still is `since`, as it is at its next change, within `wait` s."""
        query: dict[str, str] = {}
        if wait > 0 and since is not None:
            query = {"wait": f"{wait:g}", "since": str(since)}
        return self._ask(Job.from_json, "GET", _job_path(id), query=query, timeout=wait + _QUICK)

    def follow(self, id: str, patience: float = 60.0, wait: float = 20.0) -> Iterator[Job]:
        """The job at once and at each change, up to and with its final state (done, failed, cancelled).

        A broken connection or a restart of the backend goes by unnoticed when it lasts less than `patience`
        s; after that BackendUnreachable is raised, and the job can be followed again later: the backend keeps
        it. `wait` is how long one request waits for a change, s.
        """
        seen: int | None = None
        while True:
            asked = time.monotonic()
            job = self._job_patiently(id, wait, seen, patience)
            if job.rev != seen:
                yield job
            elif time.monotonic() - asked < _PAUSE:
                time.sleep(_PAUSE)  # a backend with too many waiting requests answers at once
            if job.final:
                return
            seen = job.rev

    def cancel(self, id: str) -> Job:
        """Cancels the job, in whatever state it is, and gives it back; one that has ended stays as it is."""
        return self._repeat(lambda: self._ask(Job.from_json, "DELETE", _job_path(id)))

    def image(self, id: str, k: int = 0, composite: str = "layer") -> bytes:
        """Image `k` of a job that is done, as PNG with its recipe inside.

        `composite`: "layer" (alpha = the selection), "full" (laid over the sent picture) or "raw" (as the
        model made it). Fetching the last image tells the backend that it need not keep the job for more than
        a day.
        """
        path, query = f"{_job_path(id)}/images/{k}", {"composite": composite}
        return self._repeat(lambda: self._send("GET", path, query=query, timeout=_LARGE)).content

    def preview(self, id: str, etag: str | None = None) -> Preview | None:
        """The latest preview of a running job; None when there is none newer than `etag`'s, or none yet."""
        headers = {} if etag is None else {"If-None-Match": etag}
        try:
            answer = self._send("GET", f"{_job_path(id)}/preview", headers=headers)
        except BackendProblem as problem:
            if problem.status == 404:
                return None
            raise
        if answer.status_code == 304:
            return None
        return Preview(answer.content, answer.headers.get("ETag", ""))

    def _job_patiently(self, id: str, wait: float, since: int | None, patience: float) -> Job:
        """job(), tried again for `patience` s when the backend is away or ending."""
        failing_since: float | None = None
        pause = _PAUSE
        while True:
            try:
                return self.job(id, wait, since)
            except (BackendUnreachable, BackendProblem) as error:
                if isinstance(error, BackendProblem) and error.status != 503:
                    raise
                failing_since = time.monotonic() if failing_since is None else failing_since
                if time.monotonic() - failing_since >= patience:
                    raise BackendUnreachable(
                        f"The backend at {self.url} has not answered for {patience:g} s. It keeps the job "
                        f"{id}: start it again and the job goes on."
                    ) from error
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
            self._look_again()
            since = None  # a restarted backend may count anew: ask for the state as it is

    def _ask(self, parse: Callable[[dict[str, Any]], _T], method: str, path: str, **options: Any) -> _T:
        """What `parse` makes of the JSON object that answers."""
        return self._parsed(self._send(method, path, **options), parse)

    def _parsed(self, answer: requests.Response, parse: Callable[[dict[str, Any]], _T]) -> _T:
        try:
            return parse(_json_object(answer))
        except BackendForeign as error:
            raise self._foreign(str(error)) from error

    def _send(
        self,
        method: str,
        path: str,
        *,
        timeout: float = _QUICK,
        authorized: bool = True,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        body: FormData | bytes | None = None,
    ) -> requests.Response:
        """The answer to one request; raises for everything but success and 304."""
        all_headers = dict(headers or {})
        if authorized:
            all_headers["Authorization"] = f"Bearer {self._address.token}"
        try:
            answer = self._session.request(
                method,
                f"{self.url}/api/v1{path}",
                params=query,
                headers=all_headers,
                data=body,
                timeout=(_CONNECT, timeout),
                allow_redirects=False,
            )
        except requests.exceptions.SSLError as error:
            raise BackendUnreachable(
                f"Whoever answers at {self.url} shows a certificate that is not trusted. Name the backend's own (a "
                f"copy of its --tls-cert) in the environment variable {CERTIFICATE_VARIABLE}."
            ) from error
        except requests.RequestException as error:
            raise BackendUnreachable(
                f"No backend answers at {self.url} ({_reason(error)}). Start it with `python3 launch.py` in "
                "Pentimento's folder."
            ) from error
        if 200 <= answer.status_code < 300 or answer.status_code == 304:
            return answer
        if answer.headers.get("Content-Type", "").startswith("application/problem+json"):
            raise self._parsed(answer, lambda problem: BackendProblem.from_json(problem, answer.status_code))
        raise self._foreign(f"it said {answer.status_code} {answer.reason}")

    def _repeat(self, ask: Callable[[], _T]) -> _T:
        """`ask()`, again after pauses when the connection breaks. For requests that may arrive twice."""
        pause = _PAUSE
        for _ in range(_ATTEMPTS - 1):
            try:
                return ask()
            except BackendUnreachable:
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
                self._look_again()
        return ask()

    def _look_again(self) -> None:
        """Takes the address of a restarted backend, when this client was made by discover()."""
        if self._find is None:
            return
        try:
            self._move(self._find())
        except BackendUnreachable:
            return  # not back yet: the old address is as good as any

    def _move(self, address: Address) -> None:
        """Talks to that address from now on. Raises BackendUnreachable for a certificate that cannot be read."""
        if address.certificate and address.certificate != self._address.certificate:
            try:
                trust_only(self._session, Path(address.certificate))
            except (OSError, ValueError) as error:
                raise BackendUnreachable(
                    f"The backend's certificate {address.certificate} cannot be read ({error})."
                ) from error
        self._address = address

    def _foreign(self, why: str) -> BackendForeign:
        return BackendForeign(
            f"What answers at {self.url} is not a Pentimento backend that this program understands: {why}. "
            "Start Pentimento on another port (`python3 launch.py serve --port N`)."
        )


def _job_path(id: str) -> str:
    return f"/jobs/{quote(id, safe='')}"


def _json_object(answer: requests.Response) -> dict[str, Any]:
    """Raises BackendForeign unless the body is a JSON object."""
    try:
        value = answer.json()
    except requests.JSONDecodeError as error:
        raise BackendForeign("its answer is not JSON") from error
    if not isinstance(value, dict):
        raise BackendForeign("its answer is not a JSON object")
    return value


def _rows(key: str) -> Callable[[dict[str, Any]], list[dict[str, Any]]]:
    """Takes the list of JSON objects out of {key: [...]}."""

    def rows(answer: dict[str, Any]) -> list[dict[str, Any]]:
        found = answer.get(key)
        if not isinstance(found, list):
            raise BackendForeign(f"no list of {key}")
        return found

    return rows


def _reason(error: BaseException) -> str:
    """A few words for why a request failed: the system's own where it has some."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.strerror:
            return cause.strerror.lower()
        cause = cause.__cause__ or cause.__context__
    return "the connection broke"
