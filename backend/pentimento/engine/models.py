"""Which models there are, read from folders' JSON files and files' headers. Free of torch: the server imports this."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from pentimento_shared.geometry import Size
from pentimento_shared.places import data_folder
from pentimento_shared.settings import (
    AUTOMATIC_VAE,
    SETTINGS,
    TASKS,
    UPSCALE_WORDS,
    SettingError,
    Task,
    Value,
    check_task,
    did_you_mean,
)

from .checkpoints.places import INDEX_FILE, ModelFile, ModelFolders, remembered
from .checkpoints.reading import NoModel, read_checkpoint, sidecar_of
from .checkpoints.recognise import FLOWS, Kind
from .checkpoints.variants import variant_of
from .families.info import PIPELINES, Facts
from .request import EngineError

INFO_FILE: Final = "pentimento.json"
"""Optional file of ours in a model's folder; it overrides what is derived from the model's own configuration."""
PIXELS_OVER_NATIVE: Final = 2.25
"""Largest area worked at once, in native areas, where a model's folder does not say: 1.5 times each side."""


class UnknownModel(EngineError):
    """A model id that no folder holds."""

    def __init__(self, model: str, known: Sequence[str]) -> None:
        listed = ", ".join(known) or "none"
        detail = f"There is no model {model!r}; installed: {listed}.{did_you_mean(model, known)}"
        super().__init__(detail, "model", model, listed)


class BrokenModel(EngineError):
    """A model whose files cannot be used; the sentence names the file and what to do. `problem` is it from there on."""

    def __init__(self, model: str, path: Path, problem: str, remedy: str) -> None:
        said = f"The model {model!r} cannot be loaded: {path.name} {problem} {remedy}"
        super().__init__(said.rstrip(), "model", model)
        self.path = path
        self.problem = f"{problem} {remedy}".rstrip()


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a model without loading it.

    `native_size` is the size it was trained at, `max_pixels` the largest area it is worked at in one piece, `multiple`
    what both sides of the work picture are multiples of (px). `min_steps` is the least number of steps that run at any
    strength. `defaults` are values of the settings table that suit this model, `task_defaults` those that are others in
    one task, `limits` upper bounds below the table's, `choices` the values that a choice has here where that is not all
    of them, `without` the rows that do nothing here. `preview` maps latents to RGB (rows: latent channels, then the
    bias), empty when it is to be measured. `folder` is a model's in diffusers' format; a model in a single `file` has
    only what else lies beside it there. `variant` says how it was distilled ("turbo", "lightning", ...), "" for a model
    that takes the usual number of steps. `has_vae` is False for a file without one, which paints with the VAE that the
    setting `vae` names.
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
    task_defaults: Mapping[Task, Mapping[str, Value]] = field(default_factory=dict)
    limits: Mapping[str, float] = field(default_factory=dict)
    choices: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    preview: tuple[tuple[float, ...], ...] = ()
    description: str = ""
    license: str = ""
    file: Path | None = None
    variant: str = ""
    has_vae: bool = True

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
            "task_defaults": {task: dict(values) for task, values in self.task_defaults.items()},
            "limits": dict(self.limits),
            "choices": {name: list(values) for name, values in self.choices.items()},
            "without": list(self.without),
            "description": self.description,
            "license": self.license,
            "folder": str(self.folder),
            "file": None if self.file is None else str(self.file),
            "variant": self.variant,
            "has_vae": self.has_vae,
        }

    def defaults_of(self, task: Task) -> dict[str, Value]:
        """The values of the settings table that suit this model in a task."""
        return {**self.defaults, **self.task_defaults.get(task, {})}

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
    """The models in a number of folders: folders in diffusers' format, and single files. Files come and go."""

    def __init__(self, folders: Sequence[Path] | ModelFolders) -> None:
        self.folders = folders if isinstance(folders, ModelFolders) else ModelFolders(folders)
        self._files: dict[tuple[str, Path, int, int, int], ModelInfo] = {}

    @classmethod
    def standard(cls) -> ModelLibrary:
        """The embedded demo model, what lies in the data folder's `models`, and in the folders that the user added."""
        return cls(ModelFolders((demo_folder(), data_folder() / "models"), remembered))

    def list(self) -> tuple[ModelInfo, ...]:
        """Every model that can be read, in folder order, then by name; of two with one id the first counts."""
        found: dict[str, ModelInfo] = {}
        for file in self.folders.files("checkpoint"):
            info = None if file.refused else self._read(file)
            if isinstance(info, ModelInfo):
                found.setdefault(info.id, info)
        return tuple(found.values())

    def refused(self) -> tuple[ModelFile, ...]:
        """The files and folders that cannot be used, each with the reason; not those of kinds that have no use here."""
        problems = ((file, self._problem(file)) for file in self.folders.all() if file.kind in _TOLD)
        return tuple(replace(file, refused=problem) for file, problem in problems if problem)

    def _problem(self, file: ModelFile) -> str:
        """Why a file or folder cannot be used, going on after its name; "" where it can."""
        if file.refused or file.kind not in ("checkpoint", "unknown"):
            return file.refused
        info = self._read(file)
        if isinstance(info, ModelInfo):
            return ""
        return info.problem if info.path == file.path else f"holds {info.path.name}, which {info.problem}"

    def get(self, model: str) -> ModelInfo:
        """The model with that id. Raises UnknownModel, or BrokenModel for one that cannot be used, saying why."""
        files = self.folders.all()
        for file in files:
            if file.name == model and file.kind == "checkpoint":
                info = BrokenModel(model, file.path, file.refused, "") if file.refused else self._read(file)
                if isinstance(info, BrokenModel):
                    raise info
                return info
        models = self.list()
        for info in models:
            if info.id == model:
                return info
        for file in files:
            if file.name == model and not file.is_folder:
                # Asked for as a model: what it is instead, or why it is refused.
                raise BrokenModel(model, file.path, file.refused or _no_model(file), "")
        raise UnknownModel(model, [info.id for info in models])

    def extra(self, kind: Kind, name: str, field: str, words: Sequence[str] = ()) -> ModelFile:
        """The file of that kind and name, without or with its suffix.

        Raises EngineError about the setting `field`, which may have `words` of its own in the place of a name.
        """
        files = self.folders.files(kind)
        wanted = name.removesuffix(".safetensors").lower()
        for file in files:
            if file.name.lower() in (wanted, name.lower()):
                if file.refused:
                    raise EngineError(f"{field} is {name!r}, but {file.path.name} {file.refused}", field, name)
                return file
        known = [*words, *self.usable(kind)]
        listed = ", ".join(known) or _none(field)
        raise EngineError(f"{field} is {name!r}; there is: {listed}.{did_you_mean(name, known)}", field, name, listed)

    def usable(self, kind: Kind) -> list[str]:
        """The names of the files of that kind that can be used, as far as their headers tell."""
        return [file.name for file in self.folders.files(kind) if not file.refused]

    def vae(self, model: ModelInfo, name: str) -> ModelFile | None:
        """The file of the setting `vae`; None for the model's own. Raises EngineError, also where it has none."""
        if name.lower() != AUTOMATIC_VAE:
            return self.extra("vae", name, "vae")
        if model.has_vae:
            return None
        listed = ", ".join(self.usable("vae")) or _none("vae")
        raise EngineError(
            f"The model {model.id} has no VAE of its own. Choose one as SD VAE: {listed}.", "vae", name, listed
        )

    def upscaler(self, name: str) -> ModelFile | None:
        """The file of the setting `upscale_first`; None for its own words. Raises EngineError."""
        return None if name in UPSCALE_WORDS else self.extra("upscaler", name, "upscale_first", UPSCALE_WORDS)

    def _read(self, file: ModelFile) -> ModelInfo | BrokenModel:
        """What is known of a model; a file is read once for as long as it stays as it is."""
        try:
            if file.is_folder:
                return read_info(file.path, file.name)
            state = file.path.stat()
            key = (file.name, file.path, state.st_mtime_ns, state.st_size, _changed(sidecar_of(file.path)))
            if key not in self._files:
                self._files[key] = read_file(file.path, file.name)
            return self._files[key]
        except BrokenModel as error:
            return error
        except OSError as error:
            return BrokenModel(file.name, file.path, f"cannot be read ({error.strerror}).", "")


_TOLD: Final[tuple[Kind, ...]] = ("checkpoint", "lora", "embedding", "vae", "upscaler", "unknown")
"""Kinds of files of which it is told when one cannot be used."""


def _none(folder: str) -> str:
    return f"none; put files into models/{folder}"


def _no_model(file: ModelFile) -> str:
    try:
        read_checkpoint(file.path)
    except NoModel as error:
        return error.problem
    return f"lies in a folder for files of the kind {file.kind}. Move it to one for checkpoints."


def _changed(path: Path) -> int:
    """When a file was changed last, in ns; 0 where there is none."""
    return path.stat().st_mtime_ns if path.is_file() else 0


def demo_folder() -> Path:
    """Where the embedded demo model lies."""
    return Path(__file__).parents[1] / "demo" / "model"


def read_info(folder: Path, name: str = "") -> ModelInfo:
    """The ModelInfo of a diffusers folder, whose id is `name` where it does not say. Raises BrokenModel."""
    index = read_json(folder, folder / INDEX_FILE)
    pipeline = str(index.get("_class_name"))
    reader = PIPELINES.get(pipeline)
    if reader is None:
        known = ", ".join(PIPELINES)
        raise BrokenModel(folder.name, folder / INDEX_FILE, f"names the pipeline {pipeline}.", f"Supported: {known}.")
    configs = {part: read_json(folder, folder / part / _config_name(part)) for part in reader.components}
    own = read_json(folder, folder / INFO_FILE) if (folder / INFO_FILE).is_file() else {}
    variant = variant_of(folder.name)
    try:
        facts = reader.facts(configs)
        derived = {"id": name or folder.name, "name": folder.name}
        if variant is not None:
            derived |= variant.own(flow=facts.family in FLOWS)
        return replace(_info(folder, facts, {**derived, **own}), variant=variant.name if variant else "")
    except (KeyError, TypeError, ValueError) as error:
        remedy = "Put the model's original files there again."
        raise BrokenModel(
            folder.name, folder / INFO_FILE, f"or a config.json is not as expected ({error!r}).", remedy
        ) from error


def read_file(path: Path, name: str) -> ModelInfo:
    """The ModelInfo of a single file, whose id is `name`. Raises BrokenModel."""
    try:
        checkpoint = read_checkpoint(path)
    except NoModel as error:
        raise BrokenModel(name, path, error.problem, "") from error
    try:
        facts = PIPELINES[checkpoint.config["pipeline"]].facts(checkpoint.config)
        info = _info(path.parent, facts, {**checkpoint.own, "id": name})
    except (KeyError, TypeError, ValueError) as error:
        raise BrokenModel(name, path, f"has values beside it that are not as expected ({error!r}).", "") from error
    return replace(info, file=path, variant=checkpoint.variant, has_vae="vae" not in checkpoint.without)


def _config_name(part: str) -> str:
    return "scheduler_config.json" if part == "scheduler" else "config.json"


def _info(folder: Path, facts: Facts, own: Mapping[str, Any]) -> ModelInfo:
    native = Size(*own.get("native_size", facts.native_size))
    preview = own.get("preview")
    return ModelInfo(
        id=str(own["id"]),
        name=str(own["name"]),
        family=facts.family,
        native_size=native,
        max_pixels=int(own.get("max_pixels", PIXELS_OVER_NATIVE * native.area)),
        multiple=math.lcm(int(own.get("multiple", 1)), facts.multiple),
        folder=folder,
        min_steps=int(own.get("min_steps", 1)),
        defaults={**facts.defaults, **_table_values(own.get("defaults", {}))},
        task_defaults={check_task(task): _table_values(some) for task, some in own.get("task_defaults", {}).items()},
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
