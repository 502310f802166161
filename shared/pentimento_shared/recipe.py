"""The recipe: all that makes a result again. JSON version 1, and AUTOMATIC1111's infotext in and out."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Final

from . import infotext_areas
from .extra import Extra, extras_from_json, extras_to_json, hash_pairs
from .geometry import Rect, Size
from .settings import AUTOMATIC_VAE, SEED_END, SettingError, Task, Value, check_task, validate

VERSION: Final = 1
PNG_KEY: Final = "pentimento"
"""Keyword of the PNG text chunk that holds `Recipe.to_json()`."""
INFOTEXT_KEY: Final = "parameters"
"""Keyword of the PNG text chunk that holds `Recipe.to_infotext()`, as AUTOMATIC1111 writes it."""


class RecipeError(ValueError):
    """A text that is not a recipe we can read. Recipes come from strangers' files: they are untrusted input."""


@dataclass(frozen=True)
class Recipe:
    """All that makes one picture again.

    `settings` are complete and those of this picture alone: its own seed, batch size and count 1. `sampler` and
    `schedule` are what "Automatic" came to. `steps_run` is how many steps the model took, `start` where on the training
    schedule (0..1) it started. `size` is the picture's, `work_size` the model's, both px. `canvas` and `context` say
    where the sent picture lies in the document. `source` and `mask` are SHA-256 of the sent pixels (hex), None where
    the task has none. `parent` is the id of the recipe of the layer that this one refines. `written` holds those
    settings as they were written that styles, wildcards or comments have made into what `settings` has. `extras` are
    the files that the prompts called for by name.
    """

    id: str
    task: Task
    settings: Mapping[str, Value]
    model: Mapping[str, str]
    sampler: str
    schedule: str
    steps_run: int
    start: float
    size: Size
    work_size: Size
    canvas: Size
    context: Rect
    source: str | None = None
    mask: str | None = None
    parent: str | None = None
    software: str = ""
    created: str = ""
    written: Mapping[str, Value] = field(default_factory=dict)
    extras: tuple[Extra, ...] = ()

    @property
    def seed(self) -> int:
        return int(self.settings["seed"])

    @property
    def loop(self) -> int:
        """Which loop of a loopback this is, from 1; 0 without one. The loops before it come first in a replay."""
        return int(self.settings["last_loop"]) if int(self.settings.get("loops", 1)) > 1 else 0

    @property
    def own_seed(self) -> int:
        """The seed of the noise that this picture began with: that of its own loop."""
        return (self.seed + max(0, self.loop - 1)) % SEED_END

    @property
    def as_written(self) -> dict[str, Value]:
        """The settings for making others of this kind: wildcards are drawn anew, styles are apart from the prompt, a
        loopback runs to its end."""
        return {**self.settings, **self.written, **({"last_loop": 0} if self.loop else {})}

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready, led by the version: `{"pentimento": 1, ...}`."""
        return {"pentimento": VERSION, **asdict(self), **_lists(self)}

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), ensure_ascii=False, separators=(",", ":"))

    def _variation(self) -> dict[str, Value]:
        if not self.settings["variation_strength"]:
            return {}
        names = {"Variation seed": "variation_seed", "Variation seed strength": "variation_strength"}
        return {key: self.settings[name] for key, name in names.items()}

    @classmethod
    def from_dict(cls, data: object) -> Recipe:
        """The recipe in a parsed JSON value. Raises RecipeError for anything else, naming what is wrong."""
        if not isinstance(data, dict):
            raise RecipeError("This is not a recipe: a JSON object is expected.")
        if data.get("pentimento") != VERSION:
            raise RecipeError(
                f"This recipe has version {data.get('pentimento')!r}; this software reads version {VERSION}."
            )
        values = {key: value for key, value in data.items() if key != "pentimento"}
        known = {known.name for known in fields(cls)}
        required = {"id", "task", "settings", "model", "sampler", "schedule", "steps_run", "start", *_SHAPES}
        if unknown := sorted(values.keys() - known):
            raise RecipeError(f"This recipe has fields that this software does not know: {', '.join(unknown)}.")
        if missing := sorted(required - values.keys()):
            raise RecipeError(f"This recipe lacks {', '.join(missing)}.")
        _check_types(values)
        try:
            task = check_task(values["task"])
            settings = validate(task, values["settings"])
            validate(task, values.get("written", {}))
            extras = extras_from_json(values.get("extras", []))
        except SettingError as error:
            raise RecipeError(f"This recipe cannot be replayed: {error}") from error
        except ValueError as error:
            raise RecipeError(f"In this recipe extras is {error}.") from error
        shapes = {name: shape(*values[name]) for name, shape in _SHAPES.items()}
        start = float(values["start"])
        return cls(**{**values, **shapes, "task": task, "settings": settings, "start": start, "extras": extras})

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        """The recipe in a JSON text. Raises RecipeError."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RecipeError(f"This is not a recipe: {error}") from error
        return cls.from_dict(data)

    def to_infotext(self) -> str:
        """The "parameters" text that AUTOMATIC1111 and its relatives write and read."""
        settings = self.settings
        pairs = {
            "Steps": settings["steps"],
            "Sampler": self.sampler,
            "Schedule type": self.schedule,
            "CFG scale": settings["cfg_scale"],
            **_unless_usual("Distilled CFG Scale", settings.get("distilled_cfg_scale"), 3.5),
            "Seed": self.own_seed,
            "Size": f"{self.work_size.width}x{self.work_size.height}",
            "Model hash": self.model.get("hash", "")[:10],
            "Model": self.model.get("id", ""),
            **(
                {}
                if self.task == "txt2img"
                else {"Denoising strength": self.start if self.loop else settings["strength"]}
            ),
            **self._variation(),
            **({} if settings["vae"] == AUTOMATIC_VAE else {"VAE": settings["vae"]}),
            **({} if settings["clip_skip"] == 1 else {"Clip skip": settings["clip_skip"]}),
            **infotext_areas.pairs(settings),
            **_unless_usual("Conditional mask weight", settings.get("inpainting_mask_weight"), 1),
            **hash_pairs(self.extras),
            "RNG": "CPU",
            "Version": self.software,
        }
        lines = [str(settings["prompt"])]
        if settings["negative_prompt"]:
            lines.append(f"Negative prompt: {settings['negative_prompt']}")
        lines.append(", ".join(f"{key}: {_quoted(value)}" for key, value in pairs.items() if value != ""))
        return "\n".join(lines)


def _unless_usual(key: str, value: Value | None, usual: Value) -> dict[str, Value]:
    """The pair, or nothing where a reader would take that value anyway."""
    return {} if value is None or value == usual else {key: value}


_SHAPES: Final[Mapping[str, type]] = {"size": Size, "work_size": Size, "canvas": Size, "context": Rect}


def _lists(recipe: Recipe) -> dict[str, Any]:
    return {
        **{name: list(getattr(recipe, name)) for name in _SHAPES},
        "settings": dict(recipe.settings),
        "written": dict(recipe.written),
        "model": dict(recipe.model),
        "extras": extras_to_json(recipe.extras),
    }


def _check_types(values: Mapping[str, Any]) -> None:
    for name in ("id", "sampler", "schedule", "software", "created"):
        _expect(isinstance(values.get(name, ""), str), name, "text")
    for name in ("source", "mask", "parent"):
        _expect(isinstance(values.get(name), (str, type(None))), name, "text or null")
    _expect(isinstance(values["settings"], dict), "settings", "an object")
    _expect(isinstance(values.get("written", {}), dict), "written", "an object")
    model = values["model"]
    _expect(
        isinstance(model, dict) and all(isinstance(value, str) for value in model.values()),
        "model",
        "an object of texts",
    )
    _expect(_is_int(values["steps_run"]) and values["steps_run"] >= 0, "steps_run", "a whole number from 0")
    start = values["start"]
    _expect(isinstance(start, (int, float)) and 0 <= start <= 1, "start", "a number from 0 to 1")
    for name, shape in _SHAPES.items():
        value = values[name]
        count = len(shape._fields)  # pyright: ignore[reportAttributeAccessIssue]
        whole = isinstance(value, list) and len(value) == count and all(map(_is_int, value))
        _expect(whole, name, f"{count} whole numbers")


def _is_int(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _expect(condition: bool, name: str, wanted: str) -> None:
    if not condition:
        raise RecipeError(f"In this recipe {name} is not {wanted}.")


def _quoted(value: object) -> str:
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return json.dumps(text, ensure_ascii=False) if any(mark in text for mark in ',:\n"') else text


_PAIR: Final = re.compile(r'\s*(\w[\w \-/]*):\s*("(?:\\.|[^\\"])*"|[^,]*)(?:,|$)')
_LEAST_PAIRS: Final = 3
_FROM_INFOTEXT: Final[Mapping[str, tuple[str, type]]] = {
    "Steps": ("steps", int),
    "Sampler": ("sampler", str),
    "Schedule type": ("schedule", str),
    "CFG scale": ("cfg_scale", float),
    "Distilled CFG Scale": ("distilled_cfg_scale", float),
    "Seed": ("seed", int),
    "Variation seed": ("variation_seed", int),
    "Variation seed strength": ("variation_strength", float),
    "Denoising strength": ("strength", float),
    "VAE": ("vae", str),
    "Clip skip": ("clip_skip", int),
    "Mask blur": ("feather", int),
    "Conditional mask weight": ("inpainting_mask_weight", float),
}


def parse_infotext(text: str) -> tuple[str, str, dict[str, str]]:
    """(prompt, negative prompt, the pairs of the last line), as AUTOMATIC1111 reads its own text.

    The last line counts as pairs only when it holds at least three; otherwise it belongs to the prompt.
    """
    lines = text.strip().split("\n")
    pairs = {key: _unquoted(value.strip()) for key, value in _PAIR.findall(lines[-1])}
    if len(pairs) < _LEAST_PAIRS:
        pairs = {}
    else:
        lines.pop()
    prompt, mark, negative = "\n".join(["", *lines]).partition("\nNegative prompt:")
    return prompt[1:].strip(), negative.strip() if mark else "", pairs


def settings_from_infotext(text: str) -> dict[str, Value]:
    """The settings of ours that an infotext holds, unchecked against ranges; pairs without a counterpart are left out.

    `width` and `height` come from "Size". A pair whose number cannot be read is left out: the text is a stranger's.
    """
    prompt, negative, pairs = parse_infotext(text)
    return {"prompt": prompt, "negative_prompt": negative, **settings_of_pairs(pairs)}


def settings_of_pairs(pairs: Mapping[str, str]) -> dict[str, Value]:
    """What `settings_from_infotext` takes from the pairs of the last line."""
    found: dict[str, Value] = {}
    for key, (name, convert) in _FROM_INFOTEXT.items():
        if key in pairs:
            try:
                found[name] = convert(pairs[key])
            except ValueError:
                continue
    found |= infotext_areas.settings_of(pairs)
    size = re.fullmatch(r"(\d{1,5})x(\d{1,5})", pairs.get("Size", ""))
    if size:
        found["width"], found["height"] = int(size[1]), int(size[2])
    return found


def _unquoted(value: str) -> str:
    if len(value) < 2 or value[0] != '"' or value[-1] != '"':
        return value
    try:
        return json.loads(value)
    except ValueError:
        return value
