"""What can be said of prompts before anything is made of them: their tokens, what they become, what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pentimento_shared.settings import Value

from ..models import ModelInfo
from .resolving import PROMPTS, PromptFiles, PromptReader
from .tokens import Vocabulary, measure
from .tracing import PromptError


def check_prompts(
    settings: Mapping[str, Value], seed: int, info: ModelInfo, vocabulary: Vocabulary, files: PromptFiles
) -> dict[str, Any]:
    """JSON-ready: `tokens` of `limit`, `chunks`, the `resolved` text and an `error` for each prompt.

    `limit` is what the chunks hold together. An error has `detail`, `position` (from 1, in the prompt as it was
    written) and `expected`; the rest is null then, unless the prompt is only too long. Raises SettingError for a style
    that there is not.
    """
    reader = PromptReader(files, info.family)
    found: dict[str, Any] = {"model": info.id, "seed": seed, "chunk": vocabulary.room}
    for name in PROMPTS:
        try:
            read = reader.field(settings, name, seed)
        except PromptError as error:
            fault = {"detail": error.detail, "position": error.position, "expected": error.allowed}
            found[name] = {**dict.fromkeys(("tokens", "limit", "chunks", "resolved")), "error": fault}
            continue
        concepts = {embedding.name: embedding.vectors for embedding in read.embeddings}
        tokens, chunks = measure(read.parts, replace(vocabulary, concepts=concepts), int(settings["steps"]))
        fault = None
        if vocabulary.whole:
            fault = _too_long(tokens, vocabulary.room, len(read.text), info) if chunks > 1 else None
            chunks = 1
        limit = chunks * vocabulary.room
        found[name] = {"tokens": tokens, "limit": limit, "chunks": chunks, "resolved": read.text, "error": fault}
    return found


def _too_long(tokens: int, room: int, end: int, info: ModelInfo) -> dict[str, Any]:
    detail = f"This comes to {tokens} tokens, and the model {info.id} reads at most {room}. Shorten it."
    return {"detail": detail, "position": end, "expected": f"at most {room} tokens"}
