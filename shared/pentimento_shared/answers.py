"""What the backend answers, as values: its health, a job, a preview, and the errors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

FINAL_STATES: Final = ("done", "failed", "cancelled")
"""States that a job does not leave again."""


class BackendError(Exception):
    """Something between this program and the backend went wrong; the message is a sentence for the user."""


class BackendUnreachable(BackendError):
    """Nothing answered, or not in time, or the connection broke. What was accepted before is not lost."""


class BackendForeign(BackendError):
    """Something answers at that address, but not a Pentimento backend, or not one that we understand."""


class BackendProblem(BackendError):
    """The backend refused, or a job failed, and said why (RFC 9457).

    `status` is the HTTP status, `title` a few words, `detail` the sentence (also the exception's message).
    `field`, `value` and `allowed` name the setting at fault, what was sent and what is allowed, each None
    where that does not apply.
    """

    def __init__(
        self,
        status: int,
        title: str,
        detail: str,
        field: str | None = None,
        value: object = None,
        allowed: object = None,
    ) -> None:
        super().__init__(detail or title)
        self.status = status
        self.title = title
        self.detail = detail or title
        self.field = field
        self.value = value
        self.allowed = allowed

    @classmethod
    def from_json(cls, problem: Mapping[str, Any], status: int = 0) -> BackendProblem:
        """Of an `application/problem+json` object; `status` counts where the object has none."""
        return cls(
            _integer(problem.get("status"), status),
            str(problem.get("title") or ""),
            str(problem.get("detail") or ""),
            problem.get("field"),
            problem.get("value"),
            problem.get("allowed"),
        )


@dataclass(frozen=True)
class Health:
    """`name` and `version` of what answers, whether it is `ready` to work, on which `device` (None: not known
    yet), and the state of its `worker`: starting, ready, busy or dead."""

    name: str
    version: str
    ready: bool
    device: str | None
    worker: str

    @classmethod
    def from_json(cls, answer: Mapping[str, Any]) -> Health:
        """Raises BackendForeign when it is not a Pentimento backend that answers."""
        if str(answer.get("name", "")).lower() != "pentimento":
            raise BackendForeign("it does not call itself Pentimento")
        device, worker = answer.get("device"), answer.get("worker")
        state = worker.get("state") if isinstance(worker, Mapping) else worker
        version = str(answer.get("version", ""))
        return cls("pentimento", version, bool(answer.get("ready")), device and str(device), str(state or ""))


@dataclass(frozen=True)
class Job:
    """A job as the backend last told it.

    `state` is queued, running, done, failed or cancelled; `stage` load, encode, sample or decode while
    running. `progress` is 0..1 and never falls. `position`: 0 running, 1 next in the queue, None otherwise.
    `step` of `steps` of the current image (0 of 0 outside sampling). `seeds`: one for each image. `images`:
    how many are finished. `warnings`: sentences for the user. `problem`: why it failed, or None; `raise
    job.problem` is fine. `recipe`: that of image 0 as JSON once it is done, or None. `rev` grows with every
    change.
    """

    id: str
    task: str
    state: str
    stage: str | None
    progress: float
    position: int | None
    step: int
    steps: int
    seeds: tuple[int, ...]
    images: int
    warnings: tuple[str, ...]
    problem: BackendProblem | None
    recipe: Mapping[str, Any] | None
    rev: int

    @property
    def final(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in FINAL_STATES

    @classmethod
    def from_json(cls, answer: Mapping[str, Any]) -> Job:
        """Unknown fields are ignored. Raises BackendForeign when one of id, state and rev is missing."""
        if missing := [field for field in ("id", "state", "rev") if field not in answer]:
            raise BackendForeign(f"it gave a job without {missing[0]!r}")
        problem = answer.get("problem")
        return cls(
            id=str(answer["id"]),
            task=str(answer.get("task", "")),
            state=str(answer["state"]),
            stage=answer.get("stage"),
            progress=float(answer.get("progress") or 0.0),
            position=answer.get("position"),
            step=_integer(answer.get("step")),
            steps=_integer(answer.get("steps")),
            seeds=tuple(answer.get("seeds") or ()),
            images=_integer(answer.get("images")),
            warnings=tuple(answer.get("warnings") or ()),
            problem=BackendProblem.from_json(problem) if problem else None,
            recipe=answer.get("recipe"),
            rev=_integer(answer["rev"]),
        )


@dataclass(frozen=True)
class Preview:
    """A picture of a job under way: a small JPEG (or WebP), and the `etag` to ask for newer ones with."""

    data: bytes
    etag: str


def check_version(health: Health, version: str) -> None:
    """Raises BackendForeign unless a program of `version` ("1.4.2") and that backend fit together.

    They do within one major version; before 1.0 within one minor version.
    """
    if _generation(health.version) == _generation(version):
        return
    if _numbers(health.version) < _numbers(version):
        remedy = (
            f"The backend is the older one: get Pentimento {version} into its folder, end it there with "
            "`python3 launch.py stop` and start it again with `python3 launch.py`."
        )
    else:
        remedy = (
            "This side is the older one: update the plugin with `python3 launch.py plugins install` in the backend's "
            "folder and restart the editor; a program of another kind by its own means."
        )
    raise BackendForeign(
        f"The backend is Pentimento {health.version}, this is {version}: they do not fit together. {remedy}"
    )


def _generation(version: str) -> tuple[str, ...]:
    parts = version.split(".")
    return tuple(parts[:2]) if parts[0] == "0" else tuple(parts[:1])


def _numbers(version: str) -> list[int]:
    return [int(part) for part in version.split(".") if part.isdecimal()]


def _integer(value: object, otherwise: int = 0) -> int:
    return int(value) if isinstance(value, (int, float)) else otherwise
