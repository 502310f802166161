"""OpenAPI 3.1 of this server, made from the settings table."""

from __future__ import annotations

from typing import Any, Final

import pentimento
from pentimento.engine.prompts.resolving import PROMPTS
from pentimento.jobs.records import State
from pentimento_shared.settings import TASKS, json_schema

from .routes import PREFIX
from .routes.prompts import CHECKED, STYLE_FIELDS
from .submission import MAX_WORDS, PICTURES

_JSON: Final = "application/json"
_PROBLEM: Final = {"$ref": "#/components/responses/Problem"}
_WHOLE: Final = {"type": "integer", "minimum": 0}


def description() -> dict[str, Any]:
    """The whole document, JSON-ready."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Pentimento",
            "version": pentimento.__version__,
            "summary": "img2img and inpainting for Krita and GIMP, on this machine.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": PREFIX}],
        "security": [{"token": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": _schemas(),
            "responses": {
                "Problem": {
                    "description": "What was wrong (RFC 9457).",
                    "content": {"application/problem+json": {"schema": _ref("Problem")}},
                }
            },
        },
    }


def _paths() -> dict[str, Any]:
    return {
        "/health": {"get": {**_operation("health", "Who answers, and whether it can work.", "Health"), "security": []}},
        "/settings": {
            "get": _operation("settings", "The settings table.", "Settings", 422, parameters=[_query("model", _text())])
        },
        "/models": {"get": _operation("models", "The installed models.", "Models")},
        "/openapi.json": {"get": _operation("openapi", "This document.", None)},
        "/jobs": {"get": _list(), "post": _submit()},
        "/jobs/{id}": {
            "parameters": [_path("id")],
            "get": _operation(
                "job", "A job; waits for a change when asked to.", "Job", 404, 422, parameters=_waiting()
            ),
            "delete": _operation("cancel", "Cancels the job; one that is over stays as it is.", "Job", 404, 507),
        },
        "/jobs/{id}/events": {"parameters": [_path("id")], "get": _events()},
        "/jobs/{id}/preview": {"parameters": [_path("id")], "get": _preview()},
        "/jobs/{id}/images/{k}": {"parameters": [_path("id"), _path("k", _WHOLE)], "get": _image()},
        "/prompts/check": {
            "post": _operation(
                "check_prompts", "Counts tokens and finds faults.", "Checked", 400, 413, 415, 422, body="Check"
            )
        },
        "/styles": {"get": _operation("styles", "The styles.", "Styles", 422)},
        "/styles/{name}": {
            "parameters": [_path("name")],
            "put": _operation("save_style", "Keeps a style.", "Style", 400, 404, 413, 415, 422, 507, body="StyleWords"),
            "delete": _operation("remove_style", "Takes a style out.", "Styles", 404, 422, 507),
        },
    }


def _operation(
    name: str,
    summary: str,
    schema: str | None,
    *problems: int,
    parameters: list[dict[str, Any]] | None = None,
    body: str | None = None,
) -> dict[str, Any]:
    content = {"schema": _ref(schema) if schema else {"type": "object"}}
    answer = {"description": summary, "content": {_JSON: content}}
    about: dict[str, Any] = {"operationId": name, "summary": summary}
    if body:
        about["requestBody"] = {"required": True, "content": {_JSON: {"schema": _ref(body)}}}
    return _with_problems(about, {"200": answer}, problems, parameters)


def _with_problems(
    about: dict[str, Any],
    responses: dict[str, Any],
    problems: tuple[int, ...],
    parameters: list[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Every operation may be refused by the guard and the limits, or meet a fault of ours."""
    listed = {str(status): _PROBLEM for status in sorted({401, 403, 429, 500, *problems})}
    return {
        **about,
        **({"parameters": parameters} if parameters else {}),
        "responses": {**responses, **listed},
    }


def _list() -> dict[str, Any]:
    limit = _query("limit", {"type": "integer", "minimum": 1, "maximum": 1000, "default": 200})
    return _operation("jobs", "The last jobs, newest first.", "Jobs", 422, parameters=[limit, *_waiting()])


def _submit() -> dict[str, Any]:
    key = {
        "name": "Idempotency-Key",
        "in": "header",
        "schema": {"type": "string", "pattern": "^[!-~]{1,200}$"},
    }
    png = {"type": "string", "contentMediaType": "image/png"}
    parts = {
        "type": "object",
        "required": ["request"],
        "additionalProperties": False,
        "properties": {"request": _ref("Request"), "image": png, "mask": png},
    }
    encoding = {
        "request": {"contentType": _JSON},
        "image": {"contentType": "image/png"},
        "mask": {"contentType": "image/png"},
    }
    job = {
        "content": {_JSON: {"schema": _ref("Job")}},
        "headers": {"Location": {"schema": {"type": "string", "format": "uri-reference"}}},
    }
    about = {
        "operationId": "submit",
        "summary": "Takes a job.",
        "requestBody": {
            "required": True,
            "content": {
                "multipart/form-data": {"schema": parts, "encoding": encoding},
                _JSON: {"schema": _ref("Request")},
            },
        },
    }
    responses = {
        "201": {"description": "The job is on disk.", **job},
        "200": {"description": "The job that came before with this key.", **job},
    }
    return _with_problems(about, responses, (400, 413, 415, 422, 507), [key])


def _events() -> dict[str, Any]:
    about = {"operationId": "events", "summary": "The job at each change, as server-sent events."}
    answer = {
        "description": "Events `job`; id is the job's rev.",
        "content": {"text/event-stream": {"schema": _text()}},
    }
    return _with_problems(about, {"200": answer}, (404, 503))


def _preview() -> dict[str, Any]:
    about = {"operationId": "preview", "summary": "What the running job has so far."}
    return _with_problems(about, _picture("image/jpeg"), (404,), [_if_none_match()])


def _image() -> dict[str, Any]:
    about = {"operationId": "image", "summary": "Picture k of a done job, with its recipe."}
    kinds = {"enum": ["layer", "full", "raw"], "default": "layer"}
    return _with_problems(about, _picture("image/png"), (404, 409, 422), [_query("composite", kinds), _if_none_match()])


def _picture(kind: str) -> dict[str, Any]:
    return {
        "200": {
            "description": "The picture.",
            "content": {kind: {}},
            "headers": {"ETag": {"schema": _text()}},
        },
        "304": {"description": "It is the one named by If-None-Match."},
    }


def _schemas() -> dict[str, Any]:
    sides = {"type": "array", "prefixItems": [_WHOLE, _WHOLE], "minItems": 2, "maxItems": 2}
    rect = {"type": "array", "prefixItems": [_WHOLE] * 4, "minItems": 4, "maxItems": 4}
    region = _object({"canvas": sides, "context": rect}, "canvas", "context")
    return {
        **{f"Settings_{task}": json_schema(task) for task in TASKS},
        **{f"Request_{task}": _request(task, region) for task in TASKS},
        "Request": {"oneOf": [_ref(f"Request_{task}") for task in TASKS]},
        "Job": _job(),
        "Jobs": _object({"jobs": _array(_ref("Job")), "rev": _WHOLE}, "jobs", "rev"),
        "Health": _object(
            {
                "name": {"const": "pentimento"},
                "version": _text(),
                "ready": {"type": "boolean"},
                "device": _text(null=True),
                "worker": {"enum": ["starting", "ready", "busy", "dead"]},
            },
            "name",
            "version",
            "ready",
            "device",
            "worker",
        ),
        "Settings": {"type": "object", "required": ["model", "tasks", "settings"]},
        **_prompt_schemas(),
        "Models": {"type": "object", "required": ["models", "loras", "embeddings", "engine"]},
        "Problem": {
            "type": "object",
            "required": ["type", "title", "status", "detail"],
            "properties": {
                "type": _text(),
                "title": _text(),
                "status": {"type": "integer"},
                "detail": _text(),
                "field": _text(),
                "value": {},
                "allowed": _text(),
            },
        },
    }


def _prompt_schemas() -> dict[str, Any]:
    rows: Any = json_schema("txt2img")["properties"]
    words = {name: rows[name] for name in STYLE_FIELDS}
    whole_or_null = {"type": ["integer", "null"], "minimum": 0}
    fault = _object(
        {"detail": _text(), "position": {"type": "integer", "minimum": 1}, "expected": _text()},
        "detail",
        "position",
        "expected",
    )
    prompt: dict[str, Any] = {
        "tokens": whole_or_null,
        "limit": whole_or_null,
        "chunks": whole_or_null,
        "resolved": _text(null=True),
        "error": {"anyOf": [fault, {"type": "null"}]},
    }
    checked = {"model": _text(), "seed": _WHOLE, "chunk": _WHOLE, **dict.fromkeys(PROMPTS, _object(prompt, *prompt))}
    style = {"name": _text(), **words}
    return {
        "Check": _object({name: rows[name] for name in CHECKED}),
        "Checked": _object(checked, *checked),
        "StyleWords": _object(words),
        "Style": _object(style, *style),
        "Styles": _object({"file": _text(), "styles": _array(_ref("Style"))}, "file", "styles"),
    }


def _request(task: str, region: dict[str, Any]) -> dict[str, Any]:
    words = {"type": ["string", "null"], "maxLength": MAX_WORDS}
    properties: dict[str, Any] = {
        "task": {"const": task},
        "settings": _ref(f"Settings_{task}"),
        "parent": words,
        "application": words,
    }
    if any(task == known and pictures for known, pictures in PICTURES.items()):
        properties["region"] = {"anyOf": [region, {"type": "null"}]}
    return _object(properties, "task")


def _job() -> dict[str, Any]:
    whole_or_null = {"type": ["integer", "null"], "minimum": 0}
    properties: dict[str, Any] = {
        "id": _text(),
        "task": {"enum": list(TASKS)},
        "state": {"enum": [state.value for state in State]},
        "stage": {"enum": ["load", "encode", "sample", "decode", None]},
        "progress": {"type": "number", "minimum": 0, "maximum": 1},
        "position": whole_or_null,
        "step": _WHOLE,
        "steps": _WHOLE,
        "seeds": _array(_WHOLE),
        "images": _WHOLE,
        "warnings": _array(_text()),
        "problem": {"anyOf": [_ref("Problem"), {"type": "null"}]},
        "rev": _WHOLE,
        "created": {"type": "string", "format": "date-time"},
        "recipe": {"type": ["object", "null"]},
    }
    return _object(properties, *properties)


def _waiting() -> list[dict[str, Any]]:
    seconds = {"type": "number", "minimum": 0, "maximum": 3600, "description": "Capped at 25 s."}
    return [_query("wait", seconds), _query("since", _WHOLE)]


def _object(properties: dict[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _text(null: bool = False) -> dict[str, Any]:
    return {"type": ["string", "null"] if null else "string"}


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _path(name: str, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "schema": schema or _text()}


def _query(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "schema": schema}


def _if_none_match() -> dict[str, Any]:
    return {"name": "If-None-Match", "in": "header", "schema": _text()}
