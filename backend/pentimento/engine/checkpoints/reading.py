"""A single file as a model: what its header says of it, put together. Nothing is loaded."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from .architecture import CONFIGS, Config, UnknownShape, configuration
from .header import Header, HeaderError, read_header
from .recognise import FAMILY_NAMES, SD2, Recognised, recognise
from .variants import variant_of

SIDECAR: Final = ".pentimento.json"
"""Beside NAME.safetensors, NAME.pentimento.json overrides what is derived, as pentimento.json does in a folder; also
`prediction_type`."""
_TURBO_SIDE: Final = 512
"""The native side of Stability's own turbo models, px, whatever their family's is."""
_STABILITY_TURBO: Final = re.compile(r"(?i)sd[-_]?(xl)?[-_]turbo")
_SIZE: Final = re.compile(r"(\d{2,4})x(\d{2,4})")
_LONGEST_TEXT: Final = 500
_PREDICTIONS: Final = ("epsilon", "v_prediction")


class NoModel(Exception):
    """A file that cannot be loaded as a model. `problem` goes on where a sentence has named the file."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


@dataclass(frozen=True)
class Checkpoint:
    """`config` is `architecture.configuration`. `own` are values as in a folder's pentimento.json. `variant` is "" for
    a model that takes the usual number of steps. `without` are the components that the file lacks and that come from
    another."""

    header: Header
    found: Recognised
    config: Config
    own: Mapping[str, Any]
    variant: str = ""
    without: tuple[str, ...] = ()


def read_checkpoint(path: Path) -> Checkpoint:
    """The model in that safetensors file. Raises NoModel."""
    try:
        header = read_header(path)
    except HeaderError as error:
        raise NoModel(error.problem) from error
    except OSError as error:
        raise NoModel(f"cannot be read ({error.strerror}).") from error
    sidecar = _sidecar(path)
    found = recognise(header, path.stem)
    if sidecar.get("prediction_type") in _PREDICTIONS:
        found = replace(found, prediction=sidecar["prediction_type"])
    _check_usable(path, found)
    try:
        config = configuration(header, found)
    except UnknownShape as error:
        problem = f"is laid out as {found.architecture}, but its tensors have other shapes ({error})."
        raise NoModel(problem) from error
    title = _text(header, "title")
    variant = variant_of(path.stem, title)
    derived: dict[str, Any] = {
        "name": title or path.stem,
        "description": _text(header, "description"),
        "license": _text(header, "license"),
        **_native_size(header, found, path.stem),
    }
    if variant is not None:
        derived.update(variant.own())
    without = tuple(part for part in _REPLACED if part not in found.parts)
    return Checkpoint(header, found, config, {**derived, **sidecar}, variant.name if variant else "", without)


def _check_usable(path: Path, found: Recognised) -> None:
    if found.problem:
        raise NoModel(found.problem)
    if found.kind != "checkpoint":
        raise NoModel(f"is no model but {_article(found.architecture)}. {_USE.get(found.kind, '')}".format(path.stem))
    if not (CONFIGS / f"{found.family}.json").is_file():
        whole = "Its text encoders and VAE are files of their own"
        name = FAMILY_NAMES[found.family]
        raise NoModel(f"is {found.architecture}. {whole}: get {name} as a folder, `pentimento models pull OWNER/NAME`.")
    missing = [part for part in _PARTS if part not in found.parts]
    if any(part not in _REPLACED for part in missing):
        listed = " and no ".join(_PARTS[part] for part in missing)
        raise NoModel(f"holds no {listed}. Get the version of it that does.")


_PARTS: Final = {"unet": "UNet", "text_encoder": "text encoder", "vae": "VAE"}
_REPLACED: Final = ("vae",)
"""Parts that a setting takes from another file."""
_USE: Final = {
    "lora": "Put it into the folder models/loras and write <lora:{}:1> into the prompt.",
    "embedding": "Put it into the folder models/embeddings and write {} into the prompt.",
    "vae": "Put it into the folder models/vae and choose it as SD VAE.",
    "upscaler": "Put it into the folder models/upscalers and choose it to enlarge small sources first.",
}
"""What a file of another kind is for."""


def _article(words: str) -> str:
    return f"an {words}" if words[0] in "aeiouAEIOU" else f"a {words}"


def sidecar_of(path: Path) -> Path:
    """Where values that override a single file's lie."""
    return path.with_name(path.stem + SIDECAR)


def _sidecar(path: Path) -> dict[str, Any]:
    file = sidecar_of(path)
    try:
        values = json.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        raise NoModel(f"has a {file.name} beside it that cannot be read ({error}).") from error
    if not isinstance(values, dict):
        raise NoModel(f"has a {file.name} beside it that is not a JSON object.")
    return values


def _native_size(header: Header, found: Recognised, name: str) -> dict[str, Any]:
    """The size it was trained at where that is not the one of its family's configuration."""
    stated = _SIZE.fullmatch(header.metadata.get("modelspec.resolution", ""))
    if stated:
        return {"native_size": [int(stated[1]), int(stated[2])]}
    if _STABILITY_TURBO.search(name) or (found.family == SD2 and found.prediction == "epsilon"):
        return {"native_size": [_TURBO_SIDE, _TURBO_SIDE]}
    return {}


def _text(header: Header, name: str) -> str:
    """A text of the file's metadata (Stability's ModelSpec), made fit to be shown: it is a stranger's."""
    text = " ".join(header.metadata.get(f"modelspec.{name}", "").split())
    return "".join(letter for letter in text if letter.isprintable())[:_LONGEST_TEXT]
