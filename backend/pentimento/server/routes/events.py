"""A job's changes as server-sent events."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Final

from flask import Blueprint, Response, request

from pentimento.jobs.problem import Problem
from pentimento.jobs.queue import JobView

from ..problems import Refused
from ..services import Services, services
from .jobs import known

blueprint = Blueprint("events", __name__)

HEARTBEAT_S: Final = 10.0
LONGEST_S: Final = 600.0
"""After this long a stream ends; browsers and clients ask again by themselves, and no thread is held for
ever."""
_RETRY: Final = {"Retry-After": "5"}


@blueprint.get("/jobs/<job_id>/events")
def events(job_id: str) -> Response:
    """`event: job` with the job as JSON and its rev as id, at once and at each change, up to its end."""
    view, parts = known(job_id), services()
    seat = parts.hub.waiting()
    if not seat.__enter__():
        seat.__exit__(None, None, None)
        detail = "Too many clients wait for changes at once. Ask again soon, or ask without waiting."
        raise Refused(Problem(503, detail), _RETRY)
    last = request.headers.get("Last-Event-ID", "")
    seen = int(last) if last.isascii() and last.isdigit() and len(last) < 19 else -1
    response = Response(_stream(parts, view, seen), content_type="text/event-stream")
    response.call_on_close(lambda: seat.__exit__(None, None, None))
    return response


def _stream(parts: Services, view: JobView, seen: int) -> Iterator[str]:
    end = time.monotonic() + LONGEST_S
    job_id = view.record.id
    yield "retry: 2000\n\n"
    while True:
        if view.rev > seen:
            yield f"id: {view.rev}\nevent: job\ndata: {json.dumps(view.to_json())}\n\n"
            seen = view.rev
        else:
            yield ": still here\n\n"
        if view.record.state.final or parts.hub.closed or time.monotonic() >= end:
            return
        changed = parts.jobs.wait(job_id, seen, HEARTBEAT_S)
        if changed is None:
            return
        view = changed
