"""What the store holds, as frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from pentimento_shared.geometry import Rect, Size
from pentimento_shared.settings import Task, Value

from .problem import Problem


class State(StrEnum):
    """Where a job is in its life."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def final(self) -> bool:
        return self in FINAL


FINAL: Final = frozenset({State.DONE, State.FAILED, State.CANCELLED})


@dataclass(frozen=True)
class Submission:
    """A validated request. `image` and `mask` are blobs; `canvas` and `context` are both there or both None. `client`
    is who takes turns with the others; of jobs without one all are of the same."""

    task: Task
    settings: Mapping[str, Value]
    seeds: tuple[int, ...]
    fingerprint: str
    key: str | None = None
    image: str | None = None
    mask: str | None = None
    canvas: Size | None = None
    context: Rect | None = None
    parent: str | None = None
    application: str | None = None
    client: str = ""


@dataclass(frozen=True)
class JobRecord:
    """One row of jobs. `images` is how many of its pictures are stored."""

    number: int
    id: str
    submission: Submission
    state: State
    deaths: int
    progress: float
    warnings: tuple[str, ...]
    problem: Problem | None
    rev: int
    created: str
    images: int


@dataclass(frozen=True)
class ImageRecord:
    """One finished picture: its pixels before compositing and its selection (blobs), its place in the sent
    picture."""

    k: int
    raw: str
    mask: str | None
    context: Rect
    recipe: Mapping[str, Any]
