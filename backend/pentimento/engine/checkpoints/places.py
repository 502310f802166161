"""Which files with weights there are: in our own `models` folder, and in other programs' that the user points to.

Nothing leaves its folder: links that lead out of all known folders, devices and pipes are not followed.
"""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from pentimento_shared.places import config_folder, data_folder

from ..request import EngineError
from .header import HeaderError, read_header
from .recognise import Kind, recognise

INDEX_FILE: Final = "model_index.json"
"""What a model in diffusers' folder format has at its top."""
SUFFIX: Final = ".safetensors"
PICKLES: Final = (".ckpt", ".pt", ".pth", ".bin")
PICKLE: Final = (
    "is a pickle, which can run any program when it is opened. Convert it to safetensors, or get the model in that"
    " format."
)
_GGUF: Final = "is a GGUF file, which is not read here. Get the model as safetensors."
_LEADS_OUT: Final = (
    "is a link that leads out of the model folders. Add the folder that it leads to: `pentimento models add FOLDER`."
)
_WEIGHTS: Final[Mapping[str, str]] = {SUFFIX: "", ".gguf": _GGUF, **dict.fromkeys(PICKLES, PICKLE)}
"""Suffixes of files with weights, and why those of that suffix are refused."""
MAX_DEPTH: Final = 5
"""How many folders deep files are looked for."""
MAX_FILES: Final = 20_000
"""Most files that are looked at below one folder; a home folder added by mistake has more."""

_LAYOUT: Final[tuple[tuple[str, Kind], ...]] = (
    ("checkpoints", "checkpoint"),
    ("stable-diffusion", "checkpoint"),
    ("diffusers", "checkpoint"),
    ("diffusion_models", "checkpoint"),
    ("unet", "checkpoint"),
    ("main", "checkpoint"),
    ("loras", "lora"),
    ("lora", "lora"),
    ("lycoris", "lora"),
    ("embeddings", "embedding"),
    ("embedding", "embedding"),
    ("vae", "vae"),
    ("upscalers", "upscaler"),
    ("upscale_models", "upscaler"),
    ("esrgan", "upscaler"),
    ("realesrgan", "upscaler"),
    ("swinir", "upscaler"),
    ("dat", "upscaler"),
    ("hat", "upscaler"),
    ("controlnet", "controlnet"),
    ("text_encoders", "text_encoder"),
    ("text_encoder", "text_encoder"),
    ("clip", "text_encoder"),
)
"""Names of folders, in lower case, and what lies in them: ours, AUTOMATIC1111's, Forge's, ComfyUI's, InvokeAI's."""
_KIND_OF: Final = dict(_LAYOUT)
_INSIDE: Final = ("models", "comfyui", "sd-1", "sd-2", "sdxl", "sd-3", "flux", "any")
"""Folders that hold no files of their own but such folders, in lower case; the bases are InvokeAI's."""


class FolderError(EngineError):
    """A folder that cannot be added or removed, or a list of them that cannot be read."""


@dataclass(frozen=True)
class ModelFile:
    """A file with weights, or a model's folder in diffusers' format (`is_folder`).

    `name` is what it is called by: its path below its folder without suffix, parts joined by "/", and unlike all others
    of its kind. `kind` is what its folder is for, or what its header says where the folder is for anything. `refused`
    says why it cannot be used, going on after the file's name; empty where it can.
    """

    name: str
    path: Path
    kind: Kind
    is_folder: bool = False
    refused: str = ""


class ModelFolders:
    """Looks at a number of folders, anew each time: files come and go while the backend runs.

    `own` are searched for anything anywhere. `added` gives the user's; where those have subfolders for checkpoints,
    LoRA and so on as other programs do, only there. A header is read only where no folder's name says what a file is,
    and once for as long as the file stays as it is.
    """

    def __init__(self, own: Sequence[Path], added: Callable[[], Sequence[Path]] = tuple) -> None:
        self._own = tuple(own)
        self._added = added
        self._kinds: dict[tuple[Path, int, int], tuple[Kind, str]] = {}

    @classmethod
    def standard(cls) -> ModelFolders:
        """The data folder's `models`, and what the user has added."""
        return cls((data_folder() / "models",), remembered)

    @property
    def folders(self) -> tuple[Path, ...]:
        """Every folder that is looked through, the user's in the order in which they were added. Raises FolderError."""
        return (*self._own, *(folder for folder in self._added() if folder not in self._own))

    def files(self, kind: Kind) -> tuple[ModelFile, ...]:
        """What there is of that kind, refused files too, in folder order, then by name. Raises FolderError."""
        return tuple(file for file in self.all() if file.kind == kind)

    def all(self) -> tuple[ModelFile, ...]:
        """Every file with weights and every model's folder. Raises FolderError."""
        folders = self.folders
        allowed = tuple(folder.resolve() for folder in folders)
        taken: set[tuple[Kind, str]] = set()
        found: list[ModelFile] = []
        for folder in folders:
            for file in self._below(folder, allowed):
                name = _unlike(taken, file.kind, file.name, folder.name)
                taken.add((file.kind, name.lower()))
                found.append(replace(file, name=name))
        return tuple(found)

    def _below(self, folder: Path, allowed: Sequence[Path]) -> Iterator[ModelFile]:
        typed = dict(typed_folders(folder))
        if folder in self._own or not typed:
            yield from self._walk(folder, None, allowed, typed)
        for home, kind in typed.items():
            yield from self._walk(home, kind, allowed, ())

    def _walk(
        self, home: Path, kind: Kind | None, allowed: Sequence[Path], but: Container[Path]
    ) -> Iterator[ModelFile]:
        for path, refused in candidates(home, allowed, but):
            below = Path(home.name) if path == home else path.relative_to(home)
            bare = below.with_suffix("").as_posix()
            if refused:
                guess = "checkpoint" if path.suffix == ".ckpt" else "unknown"
                # With its suffix: a file of the same name that can be used is to have that name.
                yield ModelFile(below.as_posix(), path, kind or guess, refused=refused)
            elif path.suffix == SUFFIX and path.is_file():
                yield ModelFile(bare, path, kind) if kind else self._unsorted(bare, path)
            else:
                yield ModelFile(below.as_posix(), path, "checkpoint", is_folder=True)

    def _unsorted(self, name: str, path: Path) -> ModelFile:
        """A file in a folder for anything: its header says what it is."""
        try:
            state = path.stat()
            key = (path, state.st_mtime_ns, state.st_size)
            if key not in self._kinds:
                self._kinds[key] = _kind(path)
            kind, problem = self._kinds[key]
        except OSError as error:
            kind, problem = "unknown", f"cannot be read ({error.strerror})."
        return ModelFile(name, path, kind, refused=problem)


def _kind(path: Path) -> tuple[Kind, str]:
    try:
        return recognise(read_header(path), path.stem).kind, ""
    except HeaderError as error:
        return "unknown", error.problem


def typed_folders(folder: Path) -> Iterator[tuple[Path, Kind]]:
    """The folders below `folder` whose names say what lies in them: how other programs lay theirs out.

    A model's own folders (`vae`, `text_encoder`) are none of these.
    """
    if (folder / INDEX_FILE).exists():
        return
    for child in _entries(folder):
        name = child.name.lower()
        if not child.is_dir() or name.startswith(".") or Path(child, INDEX_FILE).exists():
            continue
        if name in _KIND_OF:
            yield Path(child.path), _KIND_OF[name]
        elif name in _INSIDE:
            yield from typed_folders(Path(child.path))


def candidates(home: Path, allowed: Sequence[Path], but: Container[Path]) -> Iterator[tuple[Path, str]]:
    """Paths below `home` that may hold weights, each with why it is refused ("" where it is not), by name.

    Folders of models are not gone into, nor those in `but`; links only where they stay inside the `allowed` folders.
    """
    if (home / INDEX_FILE).is_file():
        yield home, ""
        return
    waiting, seen, looked_at = [(home, 0)], {home.resolve()}, 0
    while waiting:
        folder, depth = waiting.pop(0)
        for entry in _entries(folder):
            looked_at += 1
            path = Path(entry.path)
            if looked_at > MAX_FILES:
                return
            if entry.name.startswith(".") or path in but:
                continue
            inside = not entry.is_symlink() or _inside(path, allowed)
            if path.suffix in _WEIGHTS and entry.is_file():
                yield path, "" if inside and path.suffix == SUFFIX else _WEIGHTS[path.suffix] if inside else _LEADS_OUT
            elif inside and entry.is_dir():
                if (path / INDEX_FILE).is_file():
                    yield path, ""
                elif depth < MAX_DEPTH and (real := path.resolve()) not in seen:
                    seen.add(real)
                    waiting.append((path, depth + 1))


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """What lies in a folder, by name; nothing where there is none or it may not be read."""
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name.lower())
    except OSError:
        return []


def _inside(path: Path, allowed: Sequence[Path]) -> bool:
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError):
        return False
    return any(real.is_relative_to(folder) for folder in allowed)


def _unlike(taken: Container[tuple[Kind, str]], kind: Kind, name: str, folder: str) -> str:
    """`name`, or where another of its kind is called so (in any case): with its folder's, then with a number."""
    tries = itertools.chain((name, f"{folder}/{name}"), (f"{folder}/{name}-{k}" for k in itertools.count(2)))
    return next(one for one in tries if (kind, one.lower()) not in taken)


def remembered(file: Path | None = None) -> tuple[Path, ...]:
    """The folders that the user has added, also those that are not there now. Raises FolderError."""
    file = file or folders_file()
    try:
        folders = json.loads(file.read_text("utf-8"))["folders"]
        return tuple(Path(folder) for folder in folders)
    except FileNotFoundError:
        return ()
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise FolderError(
            f"The list of model folders in {file} cannot be read ({error}). Mend it or delete it."
        ) from error


def remember(folder: Path, file: Path | None = None) -> Path:
    """Adds a folder to those that are looked through, and returns it as it is kept. Raises FolderError."""
    folder = folder.expanduser().absolute()
    if not folder.is_dir():
        raise FolderError(f"There is no folder {folder}.")
    known = remembered(file)
    if folder in known:
        raise FolderError(f"{folder} is in the list already.")
    _write(file or folders_file(), (*known, folder))
    return folder


def forget(folder: Path, file: Path | None = None) -> Path:
    """Takes a folder from the list; its files stay. Raises FolderError for one that is not in it."""
    folder = folder.expanduser().absolute()
    known = remembered(file)
    if folder not in known:
        listed = ", ".join(map(str, known)) or "it is empty"
        raise FolderError(f"{folder} is not in the list of model folders: {listed}.")
    _write(file or folders_file(), tuple(one for one in known if one != folder))
    return folder


def folders_file() -> Path:
    """JSON `{"folders": [...]}`: what the user has added."""
    return config_folder() / "folders.json"


def _write(file: Path, folders: Sequence[Path]) -> None:
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = file.with_suffix(".new")
    draft.write_text(json.dumps({"folders": [str(folder) for folder in folders]}, indent=2), "utf-8")
    draft.replace(file)
