"""Those who have pictures made in the storm: each a thread with the real client, and an honest book of what it saw."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
import uuid
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Final, TypeVar
from urllib.parse import urlsplit

import requests

from pentimento_shared.client import BackendProblem, BackendUnreachable, Client, Job, find_backend

from .work import Work, fetched

T = TypeVar("T")

MANNERS: Final = ("plain", "plain", "twice", "cut upload", "cut download", "cancel", "cancel late", "later")
"""How a customer behaves: sends a request twice at once, breaks off, cancels, or leaves the result for the end."""
_AGAIN: Final = (503, 507)
"""Ending, or no room: to be tried again."""
_PATIENCE_S: Final = 240.0


@dataclass
class Entry:
    """One order in the book. `ids`: every job id that came back for its key."""

    work: Work
    manner: str
    key: str = field(default_factory=lambda: uuid.uuid4().hex)
    ids: set[str] = field(default_factory=set)
    cancelled: bool = False
    last: Job | None = None
    pictures: list[str] | None = None

    @property
    def id(self) -> str:
        """The id of the job. Raises ValueError when the key has brought none or several."""
        (only,) = self.ids
        return only


class Customer(threading.Thread):
    """Carries its orders out, one after the other.

    `failure`: what went wrong that should not have. `turned_away`: how often it had to ask again, and why.
    """

    def __init__(self, number: int, entries: Sequence[Entry], environ: Mapping[str, str], seed: int) -> None:
        super().__init__(name=f"customer-{number}", daemon=True)
        self.entries = entries
        self.finished = 0
        self.failure: BaseException | None = None
        self.turned_away: Counter[str] = Counter()
        self._environ = environ
        self._random = random.Random(seed)

    def run(self) -> None:
        try:
            self._client = self.patiently(lambda: Client.discover(self._environ))
            for entry in self.entries:
                self._order(entry)
                self.finished += 1
        except BaseException as error:  # noqa: BLE001 - told by the storm, in its own thread
            self.failure = error

    def patiently(self, ask: Callable[[], T]) -> T:
        """`ask()`, again and again while the backend is away, ending or out of room, as a plugin does."""
        deadline = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return ask()
            except BackendUnreachable:
                self.turned_away["no answer"] += 1
                if time.monotonic() > deadline:
                    raise
            except BackendProblem as problem:
                self.turned_away[str(problem.status)] += 1
                if problem.status not in _AGAIN or time.monotonic() > deadline:
                    raise
            time.sleep(0.2)

    def _order(self, entry: Entry) -> None:
        if entry.manner == "cut upload":
            self._cut_upload(entry)
        self._submit(entry)
        if entry.manner.startswith("cancel"):
            self._cancel(entry)
        entry.last = self._followed(entry)
        if entry.last.state == "done" and entry.manner != "later":
            if entry.manner == "cut download":
                self._cut_download(entry)
            self.fetch(entry)

    def fetch(self, entry: Entry) -> None:
        """Fetches the pictures of an order that is done."""
        entry.pictures = fetched(self._client, entry.id, entry.work.count, self.patiently)

    def _submit(self, entry: Entry) -> None:
        def once(_: int) -> str:
            return self.patiently(lambda: entry.work.submit(self._client, entry.key))

        times = 3 if entry.manner == "twice" else 1
        with ThreadPoolExecutor(times) as pool:
            entry.ids.update(pool.map(once, range(times)))

    def _cancel(self, entry: Entry) -> None:
        if entry.manner == "cancel late":
            time.sleep(self._random.uniform(0, 1))
        entry.cancelled = True
        self.patiently(lambda: self._client.cancel(entry.id))

    def _followed(self, entry: Entry) -> Job:
        """The order's job when it is over. Raises RuntimeError when its progress or revision ever falls."""
        before: Job | None = None
        for job in self._client.follow(entry.id, patience=_PATIENCE_S, wait=2):
            if before is not None and (job.progress < before.progress or job.rev < before.rev):
                raise RuntimeError(f"a job went backwards: {before} and then {job}")
            before = job
        if before is None:
            raise RuntimeError("a job that was followed said nothing")
        return before

    # rudeness

    def _cut_upload(self, entry: Entry) -> None:
        """Sends a part of the request, any part, and hangs up."""
        parts = {"request": ("r.json", str(entry.work.request), "application/json")}
        files: dict[str, object] = {**parts, **({"image": entry.work.image} if entry.work.image else {})}
        self._rudely("POST", "/api/v1/jobs", files, {"Idempotency-Key": entry.key}, reads=0)

    def _cut_download(self, entry: Entry) -> None:
        """Asks for a picture, reads a few bytes of it and hangs up."""
        path = f"/api/v1/jobs/{entry.id}/images/0"
        self._rudely("GET", path, None, {}, reads=self._random.randrange(1, 400))

    def _rudely(self, method: str, path: str, files: object, headers: dict[str, str], reads: int) -> None:
        try:
            address = find_backend(self._environ)
            place = urlsplit(address.url)
            headers = {**headers, "Host": place.netloc, "Authorization": f"Bearer {address.token}"}
            # The stub of requests wants one of its own many unions.
            ready = requests.Request(method, address.url + path, headers, files=files).prepare()  # pyright: ignore
            lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in ready.headers.items())]
            body = ready.body if isinstance(ready.body, bytes) else b""
            message = "\r\n".join([*lines, "", ""]).encode("latin-1") + body
            end = len(message) if reads else self._random.randrange(1, len(message))
            with socket.create_connection((str(place.hostname), int(place.port or 80)), timeout=5) as connection:
                # Hanging up at once, with a reset, whatever is under way.
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.sendall(message[:end])
                if reads:
                    connection.recv(reads)
        except (OSError, BackendUnreachable):
            return  # the backend was away just then: the more rude
