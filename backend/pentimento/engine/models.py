"""Which models there are, read from their folders' JSON files. Free of torch: the server imports this."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from pentimento_shared.geometry import Size
from pentimento_shared.places import data_folder
from pentimento_shared.settings import SETTINGS, TASKS, SettingError, Task, Value, did_you_mean

from .families.info import PIPELINES, Facts
from .request import EngineError

INFO_FILE: Final = "pentimento.json"
"""Optional file of ours in a model's folder; it overrides what is derived from the model's own configuration."""
INDEX_FILE: Final = "model_index.json"
PIXELS_OVER_NATIVE: Final = 2.25
"""Largest area worked at once, in native areas, where a model's folder does not say: 1.5 times each side."""


class UnknownModel(EngineError):
    """A model id that no folder holds."""

    def __init__(self, model: str, known: Sequence[str]) -> None:
        listed = ", ".join(known) or "none"
        detail = f"There is no model {model!r}; installed: {listed}.{did_you_mean(model, known)}"
        super().__init__(detail, "model", model, listed)


class BrokenModel(EngineError):
    """A model folder whose files cannot be used; the sentence names the file and what to do."""

    def __init__(self, model: str, path: Path, problem: str, remedy: str) -> None:
        said = f"The model {model!r} cannot be loaded: {path.name} {problem} {remedy}"
        super().__init__(said.rstrip(), "model", model)
        self.path = path


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model without loading it.

    `native_size` is the size it was trained at, `max_pixels` the largest area it is worked at in one piece, `multiple`
    what both sides of the work picture are multiples of (px). `min_steps` is the least number of steps that run at any
    strength. `defaults` are values of the settings table that suit this model, `limits` upper bounds below the table's,
    `choices` the values that a choice has here where that is not all of them, `without` the rows that do nothing here.
    `preview` maps latents to RGB (rows: latent channels, then the bias), empty when it is to be measured.
    """

    id: str
    name: str
    family: str
    native_size: Size
    max_pixels: int
    multiple: int
    folder: Path
    min_steps: int = 1
    tasks: tuple[Task, ...] = TASKS
    defaults: Mapping[str, Value] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    preview: tuple[tuple[float, ...], ...] = ()
    description: str = ""
    license: str = ""

    def to_json(self) -> dict[str, Any]:
        """JSON-ready, without the preview map; `folder` as text."""
        return {
            "id": self.id,
            "name": self.name,
            "family": self.family,
            "native_size": list(self.native_size),
            "max_pixels": self.max_pixels,
            "multiple": self.multiple,
            "min_steps": self.min_steps,
            "tasks": list(self.tasks),
            "defaults": dict(self.defaults),
            "limits": dict(self.limits),
            "choices": {name: list(values) for name, values in self.choices.items()},
            "without": list(self.without),
            "description": self.description,
            "license": self.license,
            "folder": str(self.folder),
        }

    def check(self, settings: Mapping[str, Value]) -> None:
        """Raises SettingError for a setting that the table allows and this model does not."""
        for name, limit in self.limits.items():
            value = settings.get(name)
            if isinstance(value, (int, float)) and value > limit:
                allowed = f"at most {limit:g} with the model {self.id}"
                raise SettingError(name, value, allowed)
        for name, choices in self.choices.items():
            value = settings.get(name)
            if isinstance(value, str) and value not in choices:
                allowed = f"{', '.join(choices)} with the model {self.id}"
                raise SettingError(name, value, allowed, hint=did_you_mean(value, choices))


class ModelLibrary:
    """The models in a number of folders, each of which holds one folder per model in diffusers' format."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self.folders = tuple(folders)

    @classmethod
    def standard(cls) -> ModelLibrary:
        """The embedded demo model and what the user has put into the data folder's `models`."""
        return cls((demo_folder(), data_folder() / "models"))

    def list(self) -> tuple[ModelInfo, ...]:
        """Every readable model, in folder order, then by name; of two with one id the first counts."""
        found: dict[str, ModelInfo] = {}
        for folder in self._model_folders():
            info = _readable(folder)
            if info is not None:
                found.setdefault(info.id, info)
        return tuple(found.values())

    def get(self, model: str) -> ModelInfo:
        """The model with that id. Raises UnknownModel, or BrokenModel for one whose configuration cannot be read."""
        for folder in self._model_folders():
            if folder.name == model:
                return read_info(folder)
        models = self.list()
        for info in models:
            if info.id == model:
                return info
        raise UnknownModel(model, [info.id for info in models])

    def _model_folders(self) -> list[Path]:
        folders: list[Path] = []
        for home in self.folders:
            if (home / INDEX_FILE).is_file():
                folders.append(home)
            elif home.is_dir():
                folders.extend(sorted(path.parent for path in home.glob(f"*/{INDEX_FILE}")))
        return folders


def demo_folder() -> Path:
    """Where the embedded demo model lies."""
    return Path(__file__).parents[1] / "demo" / "model"


def _readable(folder: Path) -> ModelInfo | None:
    """A folder that is no model of ours is left out of the list; asked for by name, it says why."""
    try:
        return read_info(folder)
    except BrokenModel:
        return None


def read_info(folder: Path) -> ModelInfo:
    """The ModelInfo of a diffusers folder. Raises BrokenModel."""
    index = read_json(folder, folder / INDEX_FILE)
    pipeline = str(index.get("_class_name"))
    reader = PIPELINES.get(pipeline)
    if reader is None:
        known = ", ".join(PIPELINES)
        raise BrokenModel(folder.name, folder / INDEX_FILE, f"names the pipeline {pipeline}.", f"Supported: {known}.")
    configs = {part: read_json(folder, folder / part / _config_name(part)) for part in reader.components}
    own = read_json(folder, folder / INFO_FILE) if (folder / INFO_FILE).is_file() else {}
    try:
        return _info(folder, reader.facts(configs), own)
    except (KeyError, TypeError, ValueError) as error:
        remedy = "Put the model's original files there again."
        raise BrokenModel(
            folder.name, folder / INFO_FILE, f"or a config.json is not as expected ({error!r}).", remedy
        ) from error


def _config_name(part: str) -> str:
    return "scheduler_config.json" if part == "scheduler" else "config.json"


def _info(folder: Path, facts: Facts, own: dict) -> ModelInfo:
    native = Size(*own.get("native_size", facts.native_size))
    preview = own.get("preview")
    return ModelInfo(
        id=str(own.get("id", folder.name)),
        name=str(own.get("name", folder.name)),
        family=facts.family,
        native_size=native,
        max_pixels=int(own.get("max_pixels", PIXELS_OVER_NATIVE * native.area)),
        multiple=math.lcm(int(own.get("multiple", 1)), facts.multiple),
        folder=folder,
        min_steps=int(own.get("min_steps", 1)),
        defaults={**facts.defaults, **_table_values(own.get("defaults", {}))},
        limits=facts.limits,
        choices=facts.choices,
        without=facts.without,
        preview=tuple(tuple(map(float, row)) for row in (*preview["matrix"], preview["bias"])) if preview else (),
        description=str(own.get("description", "")),
        license=str(own.get("license", "")),
    )


def _table_values(defaults: Mapping[str, object]) -> dict[str, Value]:
    rows = {row.name: row for row in SETTINGS}
    return {name: rows[name].check(value) for name, value in defaults.items()}


def read_json(folder: Path, path: Path) -> dict[str, Any]:
    """The JSON object in a file of a model's folder. Raises BrokenModel."""
    remedy = "Put the model's original files there again."
    try:
        data = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise BrokenModel(folder.name, path, f"is missing from {path.parent}.", remedy) from error
    except (OSError, ValueError) as error:
        raise BrokenModel(folder.name, path, f"cannot be read ({error}).", remedy) from error
    if not isinstance(data, dict):
        raise BrokenModel(folder.name, path, "is not a JSON object.", remedy)
    return data
