"""How a run stands, as one value for the artist's eyes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

Phase = Literal[
    "gathering",
    "submitting",
    "queued",
    "running",
    "fetching",
    "inserting",
    "done",
    "failed",
    "cancelled",
    "kept",
]

_OVER: Final = ("done", "failed", "cancelled", "kept")


@dataclass(frozen=True)
class Status:
    """A run as it is now.

    `message` is one sentence: what happens now, or what went wrong and what to do. `progress` is 0..1 and never falls.
    `stage` is the backend's (load, encode, sample, decode), with `step` of `steps` while sampling. `position`: 1 is
    next in the backend's queue. `preview` is a small JPEG. `layers` are the ids of the inserted layers, in order.
    `away`: the backend has not answered for seconds; the message says so, and the run goes on by itself.
    """

    phase: Phase
    message: str
    progress: float = 0.0
    stage: str | None = None
    step: int = 0
    steps: int = 0
    position: int | None = None
    preview: bytes | None = None
    job: str | None = None
    seeds: tuple[int, ...] = ()
    warnings: tuple[str, ...] = ()
    layers: tuple[str, ...] = ()
    away: bool = False

    @property
    def over(self) -> bool:
        """Whether nothing happens any more: done, failed, cancelled, or kept until it is inserted elsewhere."""
        return self.phase in _OVER
