"""What the supervisor and its worker say to each other: one JSON object a line, one frozen dataclass a
kind."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final


class ProtocolError(Exception):
    """A line that the other side should not have sent."""


@dataclass(frozen=True)
class Run:
    """To the worker: carry out this job. `request` is `wire.from_submission` of it: pictures are named by
    their blobs."""

    job: str
    request: Mapping[str, Any]


@dataclass(frozen=True)
class Cancel:
    """To the worker: stop that job, if it is the one that runs."""

    job: str


@dataclass(frozen=True)
class Ready:
    """The worker has imported the engine and takes jobs. `device` is a name for people."""

    device: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Unusable:
    """The worker cannot import the engine and ends."""

    reason: str


@dataclass(frozen=True)
class Progressed:
    """`fraction` of the job, 0..1; `step` of `steps` of the current picture."""

    job: str
    stage: str
    fraction: float
    step: int
    steps: int


@dataclass(frozen=True)
class Previewed:
    """A JPEG, base64, of picture `index` as it is so far."""

    job: str
    index: int
    jpeg: str


@dataclass(frozen=True)
class Noticed:
    """A warning for the artist."""

    job: str
    text: str


@dataclass(frozen=True)
class Made:
    """Picture `index` is finished and stored: `pixels` and `mask` are blobs, `context` is x, y, width,
    height."""

    job: str
    index: int
    pixels: str
    mask: str | None
    context: tuple[int, ...]
    recipe: Mapping[str, Any]


@dataclass(frozen=True)
class Done:
    """All pictures are made; the worker is free. `loaded` are the models that it keeps in memory."""

    job: str
    loaded: tuple[str, ...] = ()


@dataclass(frozen=True)
class Failed:
    """The job cannot be carried out; the worker is free."""

    job: str
    problem: Mapping[str, Any]
    loaded: tuple[str, ...] = ()


@dataclass(frozen=True)
class Stopped:
    """The job was cancelled; the worker is free."""

    job: str
    loaded: tuple[str, ...] = ()


Message = Run | Cancel | Ready | Unusable | Progressed | Previewed | Noticed | Made | Done | Failed | Stopped

_KINDS: Final[Mapping[str, type[Any]]] = {
    kind.__name__: kind
    for kind in (Run, Cancel, Ready, Unusable, Progressed, Previewed, Noticed, Made, Done, Failed, Stopped)
}


def encode(message: Message) -> bytes:
    """One line, with its line end."""
    document = {"kind": type(message).__name__, **asdict(message)}
    return json.dumps(document, separators=(",", ":")).encode("ascii") + b"\n"


def decode(line: bytes) -> Message:
    """The message of a line. Raises ProtocolError."""
    try:
        document = json.loads(line)
        kind = _KINDS[document.pop("kind")]
        if "loaded" in document:
            document["loaded"] = tuple(document["loaded"])
        return kind(**document)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProtocolError(f"not a message: {line[:200]!r}") from error
