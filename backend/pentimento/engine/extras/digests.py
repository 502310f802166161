"""The hashes of LoRA files and embeddings, for recipes: ours of the whole file, and the short ones of AUTOMATIC1111."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import BinaryIO, Final, NamedTuple

from pentimento_shared.extra import Extra

from ..checkpoints.header import LENGTH_BYTES, read_header
from ..checkpoints.places import ModelFile
from ..interrupting import check_here
from ..prompts.resolving import Prompts

_BLOCK: Final = 1 << 22
_STATED: Final = "sshs_model_hash"
"""Where kohya's scripts keep the hash of a LoRA's tensors; AUTOMATIC1111 trusts it."""
_SHORT: Final = {"lora": 12, "embedding": 10}
"""Characters of a hash that AUTOMATIC1111 writes."""


class _Digest(NamedTuple):
    """SHA-256 (hex) of a file, and of what lies behind its header."""

    whole: str
    rest: str


class Digests:
    """Reads each file once for as long as it stays as it is."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, int, int], _Digest] = {}

    def of(self, prompts: Prompts) -> tuple[Extra, ...]:
        """What those prompts call for, each once. Raises OSError for a file that cannot be read."""
        loras = dict.fromkeys(lora.file for lora in prompts.loras)
        embeddings = dict.fromkeys(embedding.file for embedding in prompts.embeddings)
        return (*(self._lora(file) for file in loras), *(self._embedding(file) for file in embeddings))

    def _lora(self, file: ModelFile) -> Extra:
        digest = self._digest(file)
        short = read_header(file.path).metadata.get(_STATED) or digest.rest
        return Extra("lora", file.name, digest.whole, short[: _SHORT["lora"]])

    def _embedding(self, file: ModelFile) -> Extra:
        digest = self._digest(file).whole
        return Extra("embedding", file.name, digest, digest[: _SHORT["embedding"]])

    def _digest(self, file: ModelFile) -> _Digest:
        state = file.path.stat()
        key = (file.path, state.st_mtime_ns, state.st_size)
        if key not in self._known:
            with file.path.open("rb") as opened:
                self._known[key] = _read(opened)
        return self._known[key]


def _read(opened: BinaryIO) -> _Digest:
    length = opened.read(LENGTH_BYTES)
    # AUTOMATIC1111 leaves the whole header out: it changes when only the metadata are edited.
    header = opened.read(int.from_bytes(length, "little"))
    whole, rest = hashlib.sha256(length + header), hashlib.sha256()
    while block := opened.read(_BLOCK):
        check_here()
        whole.update(block)
        rest.update(block)
    return _Digest(whole.hexdigest(), rest.hexdigest())
