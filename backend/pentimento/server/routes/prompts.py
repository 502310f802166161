"""Prompts before they are painted: count their tokens, find their faults; and the styles that they may take."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Final

from flask import Blueprint, request

from pentimento.engine.prompts.checking import check_prompts
from pentimento.engine.prompts.styles import Style, read_styles, remove_style, save_style
from pentimento_shared.settings import SEED_END, did_you_mean, validate

from .. import strict_json
from ..problems import refuse
from ..services import services
from ..uploads import MAX_FIELD

blueprint = Blueprint("prompts", __name__)

CHECKED: Final = ("prompt", "negative_prompt", "styles", "prompt_matrix", "model", "seed", "steps")
"""The settings that bear on what prompts say, all optional in a check."""
STYLE_FIELDS: Final = ("prompt", "negative_prompt")


@blueprint.post("/prompts/check")
def check() -> dict[str, Any]:
    """The tokens of both prompts with a model, what they become with a seed, and the place of what is wrong."""
    settings = validate("txt2img", _document("prompt", CHECKED))
    seed = int(settings["seed"])
    info = services().library.get(str(settings["model"]))
    words = services().words
    return check_prompts(
        settings,
        secrets.randbelow(SEED_END) if seed < 0 else seed,
        info,
        words.vocabularies.of(info),
        words.files,
    )


@blueprint.get("/styles")
def styles() -> dict[str, Any]:
    """The styles, and the file that they are kept in."""
    path = services().words.files.styles
    return {"file": str(path), "styles": [asdict(style) for style in read_styles(path)]}


@blueprint.put("/styles/<path:name>")
def save(name: str) -> dict[str, Any]:
    """Keeps a style under that name, in the place of one that has it."""
    words = services().words
    values = {field: str(value) for field, value in validate("txt2img", _document("style", STYLE_FIELDS)).items()}
    style = Style(name, values["prompt"], values["negative_prompt"])
    with words.writing:
        save_style(words.files.styles, style)
    return asdict(style)


@blueprint.delete("/styles/<path:name>")
def remove(name: str) -> dict[str, Any]:
    """Takes a style out of the file."""
    words = services().words
    with words.writing:
        remove_style(words.files.styles, name)
    return styles()


def _document(what: str, known: tuple[str, ...]) -> Mapping[str, Any]:
    """The request's JSON object, which holds only known names. Raises Refused."""
    if request.mimetype != "application/json":
        raise refuse(415, "Send JSON.", "Content-Type", request.mimetype, "application/json")
    if (request.content_length or 0) > MAX_FIELD:
        raise refuse(413, f"The JSON has more than {MAX_FIELD} bytes.", what)
    document = strict_json.parse(request.get_data(), what)
    for name in document:
        if name not in known:
            detail = f"There is no {name[:80]!r} in this request.{did_you_mean(name, known)}"
            raise refuse(422, detail, name[:80], None, ", ".join(known))
    return document
