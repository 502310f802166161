"""What goes into the engine and what comes out of it, as frozen values. Free of torch: the server imports this."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from pentimento_shared.geometry import Rect, Size
from pentimento_shared.pixels import Pixels
from pentimento_shared.recipe import Recipe
from pentimento_shared.settings import Task, Value

Stage = Literal["load", "encode", "sample", "decode"]


class EngineError(Exception):
    """A request that cannot be carried out; `str()` is a sentence for the artist. Nothing was made."""

    def __init__(self, detail: str, field: str = "", value: object = None, allowed: str = "") -> None:
        super().__init__(detail)
        self.detail = detail
        self.field = field
        self.value = value
        self.allowed = allowed


class OutOfMemory(EngineError):
    """Memory ran out, whatever was done to need less of it. `allowed` says what would fit."""


class Cancelled(Exception):
    """The caller asked to stop; the engine is free for the next request."""


@dataclass(frozen=True)
class Region:
    """The sent picture is the px `context` of a document of size `canvas`; the engine crops no further."""

    canvas: Size
    context: Rect


@dataclass(frozen=True)
class Request:
    """One job.

    `settings` are complete and validated (`settings.validate`). `seeds` has one seed per picture to make. `image` is
    the source (img2img, inpaint), `mask` the selection (inpaint; 1 channel, same size, highest value = change).
    Without `region` the engine computes the context inside the sent picture.
    """

    task: Task
    settings: Mapping[str, Value]
    seeds: tuple[int, ...]
    image: Pixels | None = None
    mask: Pixels | None = None
    region: Region | None = None
    parent: str | None = None


@dataclass(frozen=True)
class Progress:
    """How far the job is: `fraction` of the whole job, 0..1, never falling; `step` of `steps` while sampling."""

    stage: Stage
    fraction: float
    step: int = 0
    steps: int = 0


@dataclass(frozen=True)
class Preview:
    """What picture `index` looks like so far, as a small JPEG."""

    index: int
    jpeg: bytes


@dataclass(frozen=True)
class Notice:
    """Something the artist should know about a job that goes on all the same."""

    text: str


@dataclass(frozen=True)
class Result:
    """One finished picture.

    `pixels` is the raw picture of the context's size in the source's depth and colour channels (no alpha, no selection
    applied). An img2img that was asked for another size has that, and brings the source's alpha in it. `mask` is the
    final selection (after grow and feather; 8 bit) of the sent picture's size, None without one. `context` is where
    `pixels` lies in the sent picture.
    """

    index: int
    pixels: Pixels
    mask: Pixels | None
    context: Rect
    recipe: Recipe


Event = Progress | Preview | Notice | Result
