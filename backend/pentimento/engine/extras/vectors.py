"""The vectors of embeddings (Gal et al., arXiv 2208.01618), read for a loaded model and put in for their words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from safetensors import SafetensorError, safe_open

from ..loaded import LoadedModel
from ..request import EngineError
from .files import Embedding

Concepts = Mapping[str, Mapping[str, torch.Tensor]]
"""An embedding's name in lower case -> text encoder -> its vectors [n, width]."""


def read_concepts(model: LoadedModel, embeddings: Sequence[Embedding]) -> Concepts:
    """The vectors of those embeddings for that model. Raises EngineError for one that does not fit it."""
    return {embedding.name: _read(model, embedding) for embedding in embeddings}


def _read(model: LoadedModel, embedding: Embedding) -> Mapping[str, torch.Tensor]:
    _check(model, embedding)
    try:
        with safe_open(embedding.file.path, framework="pt") as opened:
            read = {encoder: opened.get_tensor(name) for encoder, name, _, _ in embedding.tensors}
    except (OSError, SafetensorError) as error:
        raise _refusal(embedding, f"cannot be read ({error}).") from error
    return {encoder: vectors.reshape(-1, vectors.shape[-1]).float() for encoder, vectors in read.items()}


def _check(model: LoadedModel, embedding: Embedding) -> None:
    own = _widths(model)
    theirs = {encoder: width for encoder, _, _, width in embedding.tensors}
    if own != theirs:
        had, wanted = (" and ".join(str(width) for width in widths.values()) for widths in (theirs, own))
        problem = (
            f"has vectors of width {had}, and the model {model.info.id} reads words of width {wanted}: it is for "
            "another family of models. Take its name out of the prompt, or take a model of its family."
        )
        raise _refusal(embedding, problem)


def _widths(model: LoadedModel) -> Mapping[str, int]:
    """Text encoder -> how wide the vectors of its words are."""
    parts = {name: model.components.get(name) for name in ("text_encoder", "text_encoder_2", "text_encoder_3")}
    return {name: part.config.hidden_size for name, part in parts.items() if part is not None}


def _refusal(embedding: Embedding, problem: str) -> EngineError:
    return EngineError(f"The embedding {embedding.file.path.name} {problem}", "prompt", embedding.name)


@contextmanager
def put_in(encoder: Any, vectors: Mapping[int, torch.Tensor]) -> Iterator[None]:
    """While it lasts, a text encoder takes the token at each of those places for the vector [width] given for it."""

    def replaced(_module: Any, _args: Any, output: torch.Tensor) -> torch.Tensor:
        output = output.clone()
        for place, vector in vectors.items():
            output[:, place] = vector.to(output)
        return output

    if not vectors:
        yield
        return
    hook = encoder.get_input_embeddings().register_forward_hook(replaced)
    try:
        yield
    finally:
        hook.remove()
