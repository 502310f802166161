"""Models from a hub of huggingface's kind to this machine: the only thing here that uses the network, on command alone.

What is done half is kept and gone on with the next time; what is done is compared with the hub's hash before it counts.
Only safetensors, JSON and text are fetched.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Final

from .engine.checkpoints.header import HeaderError, read_header
from .engine.checkpoints.places import INDEX_FILE
from .engine.checkpoints.recognise import Kind, recognise

if TYPE_CHECKING:
    from huggingface_hub import HfApi

SUFFIXES: Final = (".safetensors", ".json", ".txt")
HALF_DONE: Final = ".pull"
"""Below the models folder: what is being fetched. Hidden, so that nothing there is taken for a model."""
FOLDER_OF: Final[Mapping[Kind, str]] = {
    "checkpoint": "checkpoints",
    "lora": "loras",
    "embedding": "embeddings",
    "vae": "vae",
    "upscaler": "upscalers",
}
"""Where a single file goes below the models folder."""
_NOT_PAINTING: Final = ("safety_checker", "feature_extractor", "image_encoder")
_HALF: Final = ".fp16.safetensors"

Report = Callable[[str, int, int], None]
"""(what is being fetched, bytes that are here, bytes in all); called often."""


class PullError(Exception):
    """A model that did not come; `str()` is a sentence. What came of it stays, for the next time."""


@dataclass(frozen=True)
class Wanted:
    """A repository, and one file of it where not the whole model is meant."""

    repo: str
    file: str = ""

    @classmethod
    def parse(cls, text: str) -> Wanted:
        """`owner/name` or `owner/name:path/to/file.safetensors`. Raises PullError."""
        repo, _, file = text.strip().partition(":")
        parts = repo.split("/")
        if len(parts) != 2 or not all(part and part.strip(".") and part.isprintable() for part in parts):
            raise PullError(f"{text!r} is not of the form owner/name or owner/name:file.")
        return cls(repo, file)

    @property
    def name(self) -> str:
        return self.repo.split("/")[1]


@dataclass(frozen=True)
class HubFile:
    """A file of a repository. `digest` is its SHA-256 where the hub keeps it as a large file, else git's hash of it."""

    path: str
    size: int
    digest: str
    is_large: bool


def pull(wanted: Wanted, models: Path, report: Report, full: bool = False) -> Path:
    """Fetches what is wanted into the folder `models` and returns where it lies now.

    With `full` in full precision, also where the hub has the weights in half. Raises PullError.
    """
    hub = _Hub(wanted.repo)
    every = hub.files()
    half_done = models / HALF_DONE / f"{wanted.repo.replace('/', '--')}--{hub.revision[:12]}"
    if wanted.file:
        return _one_file(hub, _named(wanted, every), models, half_done, report)
    goal = models / wanted.name
    if goal.exists():
        raise PullError(f"{goal} is there already. Remove it first: `pentimento models remove {wanted.name}`.")
    listed = {file.path: file for file in every}
    if INDEX_FILE not in listed:
        raise PullError(_no_model(wanted, every))
    hub.fetch([listed[INDEX_FILE]], half_done, report)
    hub.fetch(choose(every, _index(half_done), full), half_done, report)
    goal.parent.mkdir(parents=True, exist_ok=True)
    half_done.rename(goal)
    return goal


def choose(files: Sequence[HubFile], index: Mapping[str, Any], full: bool) -> list[HubFile]:
    """The files of a diffusers folder that are needed: those of its components, their weights once."""
    parts = [
        name
        for name, what in index.items()
        if isinstance(what, list) and what and what[0] and name not in _NOT_PAINTING
    ]
    needed = [file for file in files if file.path.split("/")[0] in parts and file.path.count("/") == 1]
    weights = [file for file in needed if file.path.endswith(".safetensors")]
    half = [file for file in weights if file.path.endswith(_HALF)]
    folders = {PurePosixPath(file.path).parent for file in weights}
    in_half = not full and {PurePosixPath(file.path).parent for file in half} == folders
    whole = [file for file in weights if file not in half and ".non_ema." not in file.path]
    others = [file for file in needed if file not in weights]
    return [*others, *(half if in_half else whole)]


def _one_file(hub: _Hub, file: HubFile, models: Path, half_done: Path, report: Report) -> Path:
    hub.fetch([file], half_done, report)
    here = half_done / file.path
    try:
        kind = recognise(read_header(here), here.stem).kind
    except HeaderError as error:
        here.unlink()
        raise PullError(f"{hub.repo}:{file.path} {error.problem}") from error
    goal = models / FOLDER_OF.get(kind, kind) / here.name
    if goal.exists():
        raise PullError(f"{goal} is there already. Remove it first.")
    goal.parent.mkdir(parents=True, exist_ok=True)
    here.rename(goal)
    shutil.rmtree(half_done, ignore_errors=True)
    return goal


def _named(wanted: Wanted, files: Sequence[HubFile]) -> HubFile:
    found = next((file for file in files if file.path == wanted.file), None)
    if found is not None and wanted.file.endswith(".safetensors"):
        return found
    if PurePosixPath(wanted.file).suffix in (".ckpt", ".pt", ".pth", ".bin"):
        raise PullError(f"{wanted.file} is a pickle, which can run any program when it is opened; only safetensors.")
    raise PullError(f"{wanted.repo} has no file {wanted.file!r}; {_weights(files)}.")


def _no_model(wanted: Wanted, files: Sequence[HubFile]) -> str:
    return f"{wanted.repo} is no model in diffusers' folder format; {_weights(files)}."


def _weights(files: Sequence[HubFile]) -> str:
    names = [file.path for file in files if file.path.endswith(".safetensors")]
    if not names:
        return "it has no safetensors file at all"
    return f"say which file is meant (owner/name:file): {', '.join(names[:20])}{', ...' if len(names) > 20 else ''}"


def _index(folder: Path) -> Mapping[str, Any]:
    try:
        index = json.loads((folder / INDEX_FILE).read_text("utf-8"))
        if isinstance(index, dict):
            return index
    except ValueError:
        pass
    raise PullError(f"The {INDEX_FILE} of this repository is damaged.")


class _Hub:
    """One repository at one revision."""

    def __init__(self, repo: str) -> None:
        from huggingface_hub import HfApi

        self.repo = repo
        self._api: HfApi = HfApi()
        self.revision = "main"

    def files(self) -> list[HubFile]:
        """What the repository has of the kinds that are fetched; all later requests are for this revision of it."""
        info = self._asked(lambda: self._api.model_info(self.repo, files_metadata=True))
        self.revision = info.sha or "main"
        found = []
        for sibling in info.siblings or ():
            path = PurePosixPath(sibling.rfilename)
            # The hub is a stranger, too.
            if path.is_absolute() or ".." in path.parts or "\\" in sibling.rfilename or path.suffix not in SUFFIXES:
                continue
            large = sibling.lfs.sha256 if sibling.lfs else None
            found.append(HubFile(sibling.rfilename, sibling.size or 0, large or sibling.blob_id or "", bool(large)))
        return found

    def fetch(self, files: Sequence[HubFile], folder: Path, report: Report) -> None:
        """Fetches what is not in `folder` yet, each file under a name of its own until it is whole and right."""
        total, done = sum(file.size for file in files), 0
        missing = sum(file.size for file in files if not (folder / file.path).is_file())
        folder.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(folder).free
        if missing > free:
            need = f"{self.repo} needs {missing / 1e9:.1f} GB"
            raise PullError(f"{need}, and {folder} has {free / 1e9:.1f} GB free. Make room.")
        for file in files:
            if not (folder / file.path).is_file():
                self._fetch_one(file, folder / file.path, partial(_add, report, file.path, done, total))
            done += file.size
            report(file.path, done, total)

    def _fetch_one(self, file: HubFile, goal: Path, told: Callable[[int], None]) -> None:
        goal.parent.mkdir(parents=True, exist_ok=True)
        part = goal.with_name(f"{goal.name}.{file.digest[:12]}.part")
        self._download(file, part, told)
        if digest(part, file.is_large) != file.digest:
            part.unlink()
            raise PullError(f"{self.repo}:{file.path} came damaged (its hash is another). Pull it again.")
        part.rename(goal)

    def _download(self, file: HubFile, part: Path, told: Callable[[int], None]) -> None:
        """Appends to what is there. Not hf_hub_download, which begins again from nothing in a new process."""
        from huggingface_hub import hf_hub_url
        from huggingface_hub.file_download import http_get
        from huggingface_hub.utils import build_hf_headers

        url = hf_hub_url(self.repo, file.path, revision=self.revision)
        # Compressed, a file would have no length and no middle to go on from.
        headers = {**build_hf_headers(), "Accept-Encoding": "identity"}
        with part.open("ab") as goal:
            here = goal.tell()
            if here < file.size or not file.size:
                self._asked(
                    lambda: http_get(
                        url,
                        goal,
                        resume_size=here,
                        headers=headers,
                        expected_size=file.size,
                        tqdm_class=_bar(told),
                    )
                )

    def _asked(self, ask: Callable[[], Any]) -> Any:
        """What the hub answers, its refusals as sentences."""
        import httpx2
        from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, OfflineModeIsEnabled, RepositoryNotFoundError

        try:
            return ask()
        except GatedRepoError as error:
            detail = "asks for an agreement first. Accept it on its page, and set HF_TOKEN to a token of your account"
            raise PullError(f"{self.repo} {detail}.") from error
        except RepositoryNotFoundError as error:
            raise PullError(f"The hub {self._api.endpoint} has no model {self.repo}, or it is private.") from error
        except OfflineModeIsEnabled as error:
            raise PullError("HF_HUB_OFFLINE is set: nothing is fetched. Unset it to pull models.") from error
        except HfHubHTTPError as error:
            raise PullError(f"The hub {self._api.endpoint} refused {self.repo}: {error}") from error
        except (httpx2.HTTPError, OSError) as error:
            detail = "What came stays; the same command goes on from there."
            raise PullError(f"The hub {self._api.endpoint} cannot be reached ({error}). {detail}") from error


def digest(path: Path, is_large: bool) -> str:
    """SHA-256 of a file, or git's own hash of it, hex: what the hub says of large and of small files."""
    with path.open("rb") as file:
        if is_large:
            return hashlib.file_digest(file, "sha256").hexdigest()
        data = file.read()
        return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def _add(report: Report, name: str, done: int, total: int, here: int) -> None:
    report(name, done + here, total)


def _bar(told: Callable[[int], None]) -> type[Any]:
    """What huggingface_hub takes for a progress bar; it calls `told` with the bytes that are here."""

    class Bar:
        def __init__(self, *_arguments: Any, initial: int = 0, **_settings: Any) -> None:
            self.here = initial

        def update(self, count: int) -> None:
            self.here += count
            told(self.here)

        def close(self) -> None:
            pass

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_error: object) -> None:
            pass

    return Bar
