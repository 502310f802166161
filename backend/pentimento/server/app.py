"""The Flask app: routes, guard and problems put together."""

from __future__ import annotations

from flask import Flask, Response, request

from . import problems
from .guard import CHALLENGE, SECURITY_HEADERS
from .routes import PREFIX, about, events, images, jobs, prompts
from .services import KEY, Services, services
from .transport import MAX_BODY
from .uploads import MAX_FIELD, MAX_PARTS, UploadRequest, discard_drafts


class App(Flask):
    """Flask with our own requests."""

    request_class = UploadRequest


def create_app(parts: Services, log_name: str) -> Flask:
    """The WSGI app that serves those parts. `log_name` is named to the user when the server itself fails."""
    app = App("pentimento", static_folder=None, template_folder=None)
    app.config.update(MAX_CONTENT_LENGTH=MAX_BODY, MAX_FORM_MEMORY_SIZE=MAX_FIELD, MAX_FORM_PARTS=MAX_PARTS)
    app.extensions[KEY] = parts
    app.before_request(_guard)
    app.after_request(_secure)
    app.teardown_request(discard_drafts)
    problems.install(app, log_name)
    for routes in (about, jobs, events, images, prompts):
        app.register_blueprint(routes.blueprint, url_prefix=PREFIX)
    return app


def _guard() -> Response | None:
    headers = {name.lower(): value for name, value in request.headers.items()}
    problem = services().guard.check(request.path, headers)
    if problem is None:
        return None
    if problem.status == 401:
        services().gate.wrong_token(request.remote_addr or "")
    return problems.respond(problem, CHALLENGE if problem.status == 401 else None)


def _secure(response: Response) -> Response:
    for name, value in SECURITY_HEADERS.items():
        response.headers.setdefault(name, value)
    return response
