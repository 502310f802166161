"""Every error as `application/problem+json` (RFC 9457), whatever raised it."""

from __future__ import annotations

import json
import logging
from typing import Final
from uuid import uuid4

from flask import Flask, Response
from werkzeug.exceptions import HTTPException, MethodNotAllowed, NotFound, RequestEntityTooLarge

from pentimento.disk import DiskFull
from pentimento.engine.request import EngineError
from pentimento.jobs.problem import Problem
from pentimento_shared.pixels import PixelsError
from pentimento_shared.settings import SettingError

_log = logging.getLogger(__name__)

CONTENT_TYPE: Final = "application/problem+json"


class Refused(Exception):
    """A request that is answered with a problem. `headers` go with it."""

    def __init__(self, problem: Problem, headers: dict[str, str] | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.headers = headers or {}


def refuse(status: int, detail: str, field: str = "", value: object = None, allowed: str = "") -> Refused:
    """The exception for a request that is wrong; arguments as in Problem."""
    return Refused(Problem(status, detail, field=field, value=value, allowed=allowed))


def respond(problem: Problem, headers: dict[str, str] | None = None) -> Response:
    """The response that carries a problem."""
    body = json.dumps(problem.to_json(), ensure_ascii=True) + "\n"
    return Response(body, problem.status, headers, content_type=CONTENT_TYPE)


def install(app: Flask, log_name: str) -> None:
    """Makes every error of the app a problem. `log_name` is where the user finds the traceback of ours."""

    def fault(error: Exception) -> Response:
        reference = uuid4().hex[:8]
        _log.error("fault %s", reference, exc_info=error)
        detail = f"Pentimento itself has failed. The log {log_name} says more, under the number {reference}."
        return respond(Problem(500, detail))

    app.register_error_handler(Refused, lambda error: respond(error.problem, error.headers))
    app.register_error_handler(DiskFull, lambda error: respond(Problem(507, str(error))))
    app.register_error_handler(SettingError, lambda error: respond(_of_setting(error)))
    app.register_error_handler(EngineError, lambda error: respond(_of_engine(error)))
    app.register_error_handler(PixelsError, lambda error: respond(Problem(422, str(error))))
    app.register_error_handler(HTTPException, _of_http)
    app.register_error_handler(Exception, fault)


def _of_setting(error: SettingError) -> Problem:
    return Problem(422, error.detail, field=error.field, value=error.value, allowed=error.allowed)


def _of_engine(error: EngineError) -> Problem:
    return Problem(422, error.detail, field=error.field, value=error.value, allowed=error.allowed)


def _of_http(error: HTTPException) -> Response:
    status = error.code or 500
    headers: dict[str, str] = {}
    detail = error.description or "The request cannot be answered."
    if isinstance(error, NotFound):
        detail = "There is nothing at this address. /api/v1/openapi.json lists what there is."
    elif isinstance(error, MethodNotAllowed):
        methods = ", ".join(sorted(error.valid_methods or ()))
        headers["Allow"] = methods
        detail = f"This address does not take that method; allowed: {methods}."
    elif isinstance(error, RequestEntityTooLarge):
        detail = "The request is larger than allowed: 256 MiB for a picture, 1 MiB for the request itself."
    return respond(Problem(status, detail), headers)
