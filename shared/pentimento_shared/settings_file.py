"""The settings inside a picture: ours, else those of AUTOMATIC1111's infotext, and what of them cannot be taken.

The picture may be anybody's: nothing of it is believed unchecked, and nothing is taken for something near it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, BinaryIO, Final

from .png_file import PixelsError
from .png_texts import read_texts
from .recipe import INFOTEXT_KEY, PNG_KEY, Recipe, RecipeError, parse_infotext, settings_of_pairs
from .sampler_names import split
from .settings import SETTINGS, SettingError, Value

_WITHOUT_EFFECT: Final = frozenset(
    {"Model", "Model hash", "VAE hash", "Lora hashes", "TI hashes", "Batch size", "Batch pos", "Version", "RNG"}
)
"""Pairs that set nothing: the model is looked for by itself, the others tell how the picture came about."""
_SILENT_AT_DEFAULT: Final = (
    "styles",
    "clip_skip",
    "vae",
    "variation_seed",
    "variation_strength",
    "loops",
    "prompt_matrix",
    "masked_content",
)
"""Settings that an infotext leaves out where they are at their default, or, of a style, has the words instead."""
_OF_OTHERS: Final = {"workflow": "ComfyUI", "invokeai_metadata": "InvokeAI"}
"""Keyword of a PNG text -> the program that keeps its own settings there."""
_SHOWN: Final = 60
"""Most characters of a stranger's pair that a sentence repeats."""


class NoSettings(ValueError):
    """There are no settings to be had from a file; the message is the sentence that says why."""


@dataclass(frozen=True)
class FileSettings:
    """`settings` are valid rows of the table. `program` wrote them. `left_out` are the things in the file that mean
    nothing here, as "name: value"; `notes` are sentences about the rest."""

    settings: Mapping[str, Value]
    program: str
    left_out: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    def sentence(self, name: str) -> str:
        """What was taken from the file of that name, and what was not."""
        said = [f"Settings taken from {name} ({self.program})."]
        if self.left_out:
            said.append(f"Not known here, so left out: {', '.join(self.left_out)}.")
        return " ".join([*said, *self.notes])


def read_settings_file(path: str, models: Sequence[Mapping[str, Any]]) -> FileSettings:
    """The settings inside the PNG at `path`; `models` as in read_settings. Raises NoSettings."""
    name = PurePath(path).name
    try:
        # As bytes: inside Krita, Python may know no letters in a path but those of ASCII.
        with open(path.encode("utf-8"), "rb") as file:  # noqa: PTH123
            return read_settings(file, name, models)
    except (OSError, ValueError) as error:
        if isinstance(error, NoSettings):
            raise
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise NoSettings(f"{name} cannot be read ({reason}). Choose another file.") from error


def read_settings(file: BinaryIO, name: str, models: Sequence[Mapping[str, Any]]) -> FileSettings:
    """The settings inside an open PNG.

    `name` is what to call it; `models` are ModelInfo as JSON, none when they are not known. Raises NoSettings.
    """
    try:
        texts = read_texts(file, {PNG_KEY, INFOTEXT_KEY, *_OF_OTHERS})
    except PixelsError as error:
        raise NoSettings(f"{name}: {error}") from error
    problem = ""
    if PNG_KEY in texts:
        try:
            return _from_recipe(Recipe.from_json(texts[PNG_KEY]), models)
        except RecipeError as error:
            problem = str(error)
    if INFOTEXT_KEY in texts:
        found = _from_infotext(texts[INFOTEXT_KEY], models)
        notes = [f"Pentimento's own recipe in it was passed over: {problem}"] if problem else []
        return FileSettings(found.settings, found.program, found.left_out, (*notes, *found.notes))
    if problem:
        raise NoSettings(f"{name}: {problem}")
    others = [program for key, program in _OF_OTHERS.items() if key in texts]
    hint = f" What {others[0]} wrote into it is not read." if others else ""
    raise NoSettings(
        f"{name} holds no settings of Pentimento or AUTOMATIC1111.{hint} A program that saved it again may have"
        " removed them; choose the file as it was made."
    )


def _from_recipe(recipe: Recipe, models: Sequence[Mapping[str, Any]]) -> FileSettings:
    settings = recipe.as_written
    wanted = settings.pop("model")
    if not models or any(model.get("id") == wanted for model in models):
        return FileSettings({**settings, "model": wanted}, "Pentimento")
    return FileSettings(settings, "Pentimento", notes=(_missing(str(wanted)),))


def _from_infotext(text: str, models: Sequence[Mapping[str, Any]]) -> FileSettings:
    prompt, negative, pairs = parse_infotext(text)
    found: dict[str, Value] = {}
    refused: set[str] = set()
    rows = {row.name: row for row in SETTINGS}
    silent = {name: rows[name].default for name in _SILENT_AT_DEFAULT if pairs and name in rows}
    read = {**silent, "prompt": prompt, "negative_prompt": negative, **settings_of_pairs(pairs)}
    for name, value in _with_split_sampler(read).items():
        try:
            found[name] = rows[name].check(value)
        except SettingError:
            refused.add(name)
    left_out = [_pair(key, pairs[key]) for key in pairs if _means_nothing(key, pairs, refused)]
    left_out += [_pair(rows[name].label, str(read[name])) for name in refused & {"prompt", "negative_prompt"}]
    notes: list[str] = []
    if pairs.get("Model") or pairs.get("Model hash"):
        model = _model(pairs, models)
        if model is None:
            notes.append(_missing(pairs.get("Model") or pairs["Model hash"]))
        else:
            found["model"] = model
    return FileSettings(found, "AUTOMATIC1111", tuple(left_out), tuple(notes))


def _with_split_sampler(read: Mapping[str, Value]) -> dict[str, Value]:
    """With AUTOMATIC1111's older names, sampler and schedule in one, as two."""
    both = split(str(read.get("sampler", "")))
    return {**read, "sampler": both[0], "schedule": both[1]} if both else dict(read)


def _means_nothing(key: str, pairs: Mapping[str, str], refused: set[str]) -> bool:
    """Whether nothing would be different without the pair."""
    if key in _WITHOUT_EFFECT:
        return False
    all_, less = settings_of_pairs(pairs), settings_of_pairs({k: v for k, v in pairs.items() if k != key})
    changed = {name for name in all_ if all_[name] != less.get(name)}
    return not changed - refused


def _model(pairs: Mapping[str, str], models: Sequence[Mapping[str, Any]]) -> str | None:
    """The installed model that the pairs name: by its hash where both have one, else by its name."""
    hash_, name = pairs.get("Model hash", ""), pairs.get("Model", "").lower()
    for model in models:
        if len(hash_) >= 8 and str(model.get("hash", "")).startswith(hash_):
            return str(model["id"])
    for model in models:
        if name and name in (str(model["id"]).lower(), str(model.get("name", "")).lower()):
            return str(model["id"])
    return None


def _missing(name: str) -> str:
    return f"Its model, {_cut(name)}, is not among the installed ones, so the chosen one stays."


def _pair(key: str, value: str) -> str:
    return _cut(f"{key}: {value}")


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."
