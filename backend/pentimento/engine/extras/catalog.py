"""What there is for prompts to call for, told from headers: for lists that artists choose from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from ..checkpoints.header import Header, HeaderError, read_header
from ..checkpoints.places import ModelFile, ModelFolders
from ..checkpoints.recognise import Kind, recognise
from .files import Unusable, embedding_of
from .lora_files import trigger_words

Tell = Callable[[ModelFile, Header], dict[str, Any]]


class Catalog:
    """Reads each header once for as long as its file stays as it is. Files that cannot be used are left out."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, int, int], dict[str, Any] | None] = {}

    def contents(self, folders: ModelFolders) -> dict[str, list[dict[str, Any]]]:
        """JSON-ready: `loras` (`name` as `<lora:name:1>` takes it, `family`, `triggers`: the words that it was trained
        with most) and `embeddings` (`name`, the word that stands for it; `family`, `vectors`).

        A family that is not known is "".
        """
        kinds: Mapping[str, tuple[Kind, Tell]] = {"loras": ("lora", _lora), "embeddings": ("embedding", _embedding)}
        return {
            key: [told for file in folders.files(kind) if not file.refused and (told := self._told(file, tell))]
            for key, (kind, tell) in kinds.items()
        }

    def _told(self, file: ModelFile, tell: Tell) -> dict[str, Any] | None:
        try:
            state = file.path.stat()
        except OSError:
            return None
        key = (file.path, state.st_mtime_ns, state.st_size)
        if key not in self._known:
            self._known[key] = _read(file, tell)
        return self._known[key]


def _read(file: ModelFile, tell: Tell) -> dict[str, Any] | None:
    try:
        return tell(file, read_header(file.path))
    except (HeaderError, Unusable, OSError):
        return None


def _lora(file: ModelFile, header: Header) -> dict[str, Any]:
    return {"name": file.name, "family": recognise(header).family, "triggers": list(trigger_words(header.metadata))}


def _embedding(file: ModelFile, header: Header) -> dict[str, Any]:
    name, family = PurePosixPath(file.name).name, recognise(header).family
    return {"name": name, "family": family, "vectors": embedding_of(file, header).vectors}
