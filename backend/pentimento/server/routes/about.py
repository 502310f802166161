"""What the server is and can do: health, models, settings, and the description of the API."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from flask import Blueprint, request

import pentimento
from pentimento.engine.checkpoints.places import ModelFile
from pentimento.engine.models import ModelInfo
from pentimento_shared.settings import SETTINGS, TASKS, Setting

from ..openapi import description
from ..services import services

blueprint = Blueprint("about", __name__)


@blueprint.get("/health")
def health() -> dict[str, Any]:
    """Who answers and whether it can work; the only route without a token, so it says no more."""
    status = services().supervisor.status
    return {
        "name": "pentimento",
        "version": pentimento.__version__,
        "ready": status.state in ("ready", "busy"),
        "device": status.device,
        "worker": status.state,
    }


@blueprint.get("/models")
def models() -> dict[str, Any]:
    """Every installed model, what else can be chosen, what cannot be used and why, and what is known of the engine."""
    status, library = services().supervisor.status, services().library
    return {
        "models": [{**info.to_json(), "loaded": info.id in status.loaded} for info in library.list()],
        "vaes": library.usable("vae"),
        "upscalers": library.usable("upscaler"),
        "refused": [
            {
                "name": file.name,
                "kind": file.kind,
                "path": str(file.path),
                "problem": f"{file.path.name} {file.refused}",
            }
            for file in library.refused()
        ],
        **services().words.catalog.contents(services().words.files.models),
        "engine": {"versions": dict(status.versions), "problem": status.reason},
    }


def _refused(file: ModelFile) -> dict[str, str]:
    problem = f"{file.path.name} {file.refused}"
    return {"name": file.name, "kind": file.kind, "path": str(file.path), "problem": problem}


@blueprint.get("/settings")
def settings() -> dict[str, Any]:
    """The settings table; with `?model=ID` its defaults, limits and tasks are those of that model.

    `task_defaults` holds the tasks in which a row's default is another.
    """
    name = request.args.get("model")
    library = services().library
    model = library.get(name) if name else None
    # A row whose value may be a file's name says which files there are.
    named = {"vae": library.usable("vae"), "upscale_first": library.usable("upscaler")}
    return {
        "model": model.id if model else None,
        "tasks": list(model.tasks if model else TASKS),
        "settings": [_row(setting, model, named) for setting in SETTINGS],
    }


@blueprint.get("/openapi.json")
def openapi() -> dict[str, Any]:
    """This API, described."""
    return description()


def _row(setting: Setting, model: ModelInfo | None, named: Mapping[str, Sequence[str]]) -> dict[str, Any]:
    row = {
        **asdict(setting),
        "choices": [*setting.choices, *named.get(setting.name, ())],
        "tasks": list(setting.tasks),
        "supported": True,
        "task_defaults": {},
    }
    if model is None:
        return row
    limit = model.limits.get(setting.name)
    if limit is not None and setting.maximum is not None:
        row["maximum"] = min(setting.maximum, limit)
    if setting.name == "model":
        row["default"] = model.id
    else:
        row["default"] = model.defaults.get(setting.name, setting.default)
        row["task_defaults"] = {
            task: values[setting.name] for task, values in model.task_defaults.items() if setting.name in values
        }
    if setting.name in model.choices:
        row["choices"] = [choice for choice in setting.choices if choice in model.choices[setting.name]]
    row["tasks"] = [task for task in setting.tasks if task in model.tasks]
    row["supported"] = bool(row["tasks"]) and setting.name not in model.without
    return row
