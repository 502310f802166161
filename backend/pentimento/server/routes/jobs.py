"""Jobs: submit, look at, wait for, cancel."""

from __future__ import annotations

import math
from typing import Any

from flask import Blueprint, Response, jsonify, request, url_for

from pentimento.jobs.problem import Problem
from pentimento.jobs.queue import JobView, KeyMisused, TooManyWaiting

from .. import submission
from ..problems import Refused, refuse
from ..services import services
from ..transport import RETRY_AFTER_S

blueprint = Blueprint("jobs", __name__)

LONGEST_WAIT_S = 25.0
"""Seconds that a long poll lasts at most: less than what anything on the way might cut."""
_DEFAULT_LIMIT, _MOST = 200, 1000


@blueprint.post("/jobs")
def submit() -> Response:
    """Takes a job: 201 when it is new and on disk, 200 for a retry with the same Idempotency-Key."""
    parts = services()
    with parts.blobs.hold():
        wanted = submission.read(request, parts.library, parts.words.files, parts.gate)
        try:
            view, new = parts.jobs.submit(wanted, parts.gate.most_waiting(request.remote_addr or ""))
        except TooManyWaiting as error:
            problem = Problem(429, str(error), allowed=f"{error.most} jobs in the queue")
            raise Refused(problem, {"Retry-After": RETRY_AFTER_S}) from error
        except KeyMisused as error:
            detail = "This Idempotency-Key came before with another request. Take a new key for a new request."
            raise refuse(422, detail, "Idempotency-Key", str(error), "a key that was not used") from error
    parts.supervisor.wake()
    answer = _answer(view)
    answer.status_code = 201 if new else 200
    answer.headers["Location"] = url_for(".show", job_id=view.record.id)
    return answer


@blueprint.get("/jobs")
def listing() -> Response:
    """The last jobs, newest first, and the latest revision; `?wait=S&since=REV` waits for any change."""
    limit = int(number("limit", _DEFAULT_LIMIT, 1, _MOST))
    jobs, since, wait = services().jobs, since_argument(), wait_argument()
    rev = services().hub.rev
    if wait > 0 and since is not None and rev <= since:
        with services().hub.waiting() as granted:
            rev = jobs.wait_any(since, wait if granted else 0.0)
    return jsonify({"jobs": [view.to_json() for view in jobs.newest(limit)], "rev": rev})


@blueprint.get("/jobs/<job_id>")
def show(job_id: str) -> Response:
    """One job; `?wait=S&since=REV` answers when its rev is above REV, or after S seconds."""
    view = known(job_id)
    since, wait = since_argument(), wait_argument()
    if wait > 0 and since is not None and view.rev <= since and not view.record.state.final:
        with services().hub.waiting() as granted:
            if granted:
                view = services().jobs.wait(job_id, since, wait) or known(job_id)
    return _answer(view)


@blueprint.delete("/jobs/<job_id>")
def cancel(job_id: str) -> Response:
    """Cancels a job, whatever it is doing; one that is over stays as it is."""
    known(job_id)
    view = services().jobs.cancel(job_id)
    services().supervisor.cancel(job_id)
    return _answer(view or known(job_id))


def known(job_id: str) -> JobView:
    """The job of that id. Raises Refused (404)."""
    view = services().jobs.view(job_id)
    if view is None:
        raise unknown_job(job_id)
    return view


def unknown_job(job_id: str) -> Refused:
    detail = "There is no such job. Finished jobs are kept for a day after their pictures were fetched."
    return refuse(404, detail, "id", job_id)


def wait_argument() -> float:
    return min(number("wait", 0.0, 0.0, 3600.0), LONGEST_WAIT_S)


def since_argument() -> int | None:
    return int(number("since", 0, 0, 2**62)) if "since" in request.args else None


def number(name: str, default: float, minimum: float, maximum: float) -> float:
    """A number of the query. Raises Refused for anything else, or out of range."""
    text = request.args.get(name)
    if text is None:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not minimum <= value <= maximum:
        allowed = f"a number from {minimum:g} to {maximum:g}"
        raise refuse(422, f"{name} is {text[:80]!r}; allowed: {allowed}.", name, text, allowed)
    return value


def _answer(view: JobView) -> Response:
    document: dict[str, Any] = view.to_json()
    return jsonify(document)
