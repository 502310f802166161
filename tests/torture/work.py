"""The jobs of a storm: a handful of different requests, and what their pictures look like when nothing happens."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pentimento_shared.client import Client
from pentimento_shared.pixels import decode_png
from tests.server.pictures import mask, noise, picture

MODELS: Final = ("tiny", "other")
"""Ids of the two models: a change of models is part of the weather."""


@dataclass(frozen=True)
class Work:
    """A request as a client sends it; it makes `count` pictures."""

    name: str
    request: dict[str, Any]
    image: bytes | None = None
    mask: bytes | None = None
    count: int = 1

    def submit(self, client: Client, key: str) -> str:
        """The id of the job that the backend has accepted under that key."""
        return client.submit(self.request, self.image, self.mask, key).id


def works() -> list[Work]:
    """All kinds of work, each with pictures of its own."""
    image, large, half = picture(64, 64), noise(640, 480), mask(64, 64)
    deep = picture(64, 64, depth=16)
    return [
        Work("text", _request("txt2img", 1, width=64, height=64)),
        Work("text, other model", _request("txt2img", 2, width=64, height=64, model=MODELS[1])),
        Work("image", _request("img2img", 3), image),
        Work("image, 16 bit", _request("img2img", 4), deep),
        Work("image, many steps", _request("img2img", 5, steps=60, strength=1), image),
        Work("image, strength 0", _request("img2img", 6, strength=0), large),
        Work("selection", _request("inpaint", 7), image, half),
        Work("selection, three pictures", _request("inpaint", 8, steps=12, batch_count=3), image, half, 3),
        Work("large image", _request("img2img", 9), large),
    ]


def _request(task: str, seed: int, **settings: Any) -> dict[str, Any]:
    return {"task": task, "settings": {"model": MODELS[0], "prompt": "weather", "steps": 4, "seed": seed, **settings}}


def fingerprint(png: bytes) -> str:
    """The SHA-256 of a picture's levels."""
    return hashlib.sha256(decode_png(png).data).hexdigest()


def fetched(client: Client, job_id: str, count: int, patiently: Callable[[Callable[[], bytes]], bytes]) -> list[str]:
    """The fingerprints of a done job's pictures; `patiently` makes each call."""
    return [fingerprint(patiently(lambda k=k: client.image(job_id, k, "layer"))) for k in range(count)]


def undisturbed(client: Client, kinds: Sequence[Work]) -> dict[str, list[str]]:
    """Name -> the fingerprints of its pictures, made in fair weather."""
    expected: dict[str, list[str]] = {}
    for work in kinds:
        job = client.submit(work.request, work.image, work.mask)
        *_, last = client.follow(job.id)
        if last.state != "done":
            raise RuntimeError(f"{work.name}: {last.state} in fair weather: {last.problem}")
        expected[work.name] = fetched(client, job.id, work.count, lambda ask: ask())
    return expected
