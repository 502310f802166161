"""`pentimento info`: the recipe inside a PNG, for people and for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pentimento_shared.pixels import PixelsError
from pentimento_shared.png_texts import read_texts
from pentimento_shared.recipe import INFOTEXT_KEY, PNG_KEY, Recipe, RecipeError, parse_infotext

from .failures import Failure, wrong

_ORDER = (
    "task",
    "model",
    "size",
    "work_size",
    "sampler",
    "schedule",
    "steps_run",
    "start",
    "parent",
    "software",
    "created",
)


def read_recipe(file: Path) -> dict[str, Any]:
    """The recipe of a picture as JSON: ours, else AUTOMATIC1111's infotext. Raises Failure for none."""
    try:
        with file.open("rb") as opened:
            text = read_texts(opened, (PNG_KEY, INFOTEXT_KEY))
    except FileNotFoundError as error:
        raise wrong(f"{file}: there is no such file.") from error
    except IsADirectoryError as error:
        raise wrong(f"{file} is a folder.") from error
    except PixelsError as error:
        raise wrong(f"{file}: {error}") from error
    try:
        if PNG_KEY in text:
            return json.loads(Recipe.from_json(text[PNG_KEY]).to_json())
    except RecipeError as error:
        raise Failure(f"{file}: {error}") from error
    if INFOTEXT_KEY in text:
        prompt, negative, pairs = parse_infotext(text[INFOTEXT_KEY])
        return {"settings": {"prompt": prompt, "negative_prompt": negative}, **pairs}
    raise Failure(f"{file} has no recipe in it. Pictures that Pentimento wrote have one, unless a program removed it.")


def recipe_lines(recipe: Mapping[str, Any]) -> list[str]:
    """The recipe as lines to read: first the settings, then how they came out."""
    settings = recipe.get("settings", {})
    names = {key: "place" if key == "context" else key for key in recipe if key not in ("settings", "pentimento")}
    rest = {names[key]: recipe[key] for key in (*_ORDER, *recipe) if key in names}
    return [
        f"{key + ':':<18} {_shown(value)}" for key, value in {**settings, **rest}.items() if value not in (None, "", {})
    ]


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {part}" for key, part in value.items() if part)
    if isinstance(value, list):
        return " ".join(map(str, value))
    return str(value)
