"""A stored job as JSON for the worker, and from there as the engine's request. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pentimento.engine.request import Region, Request
from pentimento_shared.geometry import Rect, Size
from pentimento_shared.pixels import Pixels, decode_png
from pentimento_shared.settings import validate

from .blobs import Blobs
from .records import Submission


def from_submission(submission: Submission) -> dict[str, Any]:
    """All of a submission that bears on its pictures, JSON-ready; images are named by their blobs."""
    return {
        "task": submission.task,
        "settings": dict(submission.settings),
        "seeds": list(submission.seeds),
        "image": submission.image,
        "mask": submission.mask,
        "canvas": submission.canvas,
        "context": submission.context,
        "parent": submission.parent,
    }


def to_request(wire: Mapping[str, Any], blobs: Blobs) -> Request:
    """The engine's request, its pictures read and decoded. Raises FileNotFoundError for a blob that is
    gone.

    A job that an older version has stored knows nothing of settings that came since: those are at the table's defaults,
    which change nothing.
    """
    task, region = wire["task"], None
    if wire["canvas"] is not None:
        region = Region(Size(*wire["canvas"]), Rect(*wire["context"]))
    return Request(
        task=task,
        settings={**validate(task, {}), **wire["settings"]},
        seeds=tuple(wire["seeds"]),
        image=_picture(blobs, wire["image"]),
        mask=_picture(blobs, wire["mask"]),
        region=region,
        parent=wire["parent"],
    )


def _picture(blobs: Blobs, name: str | None) -> Pixels | None:
    return None if name is None else decode_png(blobs.read(name))
