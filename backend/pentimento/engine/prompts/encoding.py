"""From chunks of tokens to what a model reads: a CLIP text encoder's hidden states, weighted.

Weights act on the hidden states of their tokens, and each chunk then gets its mean back, as in AUTOMATIC1111. The
library compel works on the same states but has a syntax, a way of weighting (a blend with the masked prompt) and a
treatment of long prompts of its own, so it cannot give the pictures that AUTOMATIC1111's users know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import torch

from ..extras.vectors import put_in
from ..loaded import LoadedModel
from .flattening import Flat
from .tokens import MARKS, NO_ID, Chunk, Vocabulary, chunks

_LEAST_MEAN: Final = 0.02
"""Least mean of a chunk, in standard deviations, that is restored. Stable Diffusion's encoders have about 0.1; where a
mean is nearly 0 a weight turns it into any other number, and the quotient of the two says nothing."""


class Clip(NamedTuple):
    """One CLIP text encoder of a model, and how it is read.

    `normed` applies the last layer norm whatever the layer. A clip skip below `least_skip` counts as that.
    """

    tokenizer: str = "tokenizer"
    encoder: str = "text_encoder"
    normed: bool = True
    least_skip: int = 1


ONLY: Final = Clip()
"""The text encoder of a model that has one."""


class States(NamedTuple):
    """`tokens` [1, tokens, width]: the chunks one after the other. `pooled` [1, width]: the first chunk as a whole, as
    in AUTOMATIC1111; weights do not act on it."""

    tokens: torch.Tensor
    pooled: torch.Tensor


def vocabulary_of(model: LoadedModel, clip: Clip = ONLY) -> Vocabulary:
    """How a loaded model reads text."""
    tokenizer = model.components[clip.tokenizer]
    length = min(tokenizer.model_max_length, model.components[clip.encoder].config.max_position_embeddings)
    return Vocabulary(
        lambda text: tokenizer(text, add_special_tokens=False, verbose=False).input_ids,
        int(length) - MARKS,
        {name: len(vectors[clip.encoder]) for name, vectors in model.concepts.items()},
    )


def clip_states(model: LoadedModel, flat: Flat, clip: Clip, clip_skip: int) -> States:
    """A prompt as that encoder reads it."""
    return encode_chunks(model, chunks(flat, vocabulary_of(model, clip)), clip_skip, clip)


def encode_chunks(model: LoadedModel, chunks: Sequence[Chunk], clip_skip: int, clip: Clip = ONLY) -> States:
    """The chunks, each read on its own.

    `clip_skip` counts as AUTOMATIC1111 does: 1 is the last layer.
    """
    read = [_encode(model, chunk, max(clip_skip, clip.least_skip), clip) for chunk in chunks]
    return States(torch.cat([states.tokens for states in read], dim=1), read[0].pooled)


def _encode(model: LoadedModel, chunk: Chunk, clip_skip: int, clip: Clip) -> States:
    tokenizer, encoder = model.components[clip.tokenizer], model.components[clip.encoder]
    padding = [tokenizer.pad_token_id] * (vocabulary_of(model, clip).room - len(chunk))
    ends = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
    # Any word will do where a vector is put in, but for those that say where the text ends.
    word = next(id for id in range(len(ends) + 1) if id not in ends)
    words = [word if token.id == NO_ID else token.id for token in chunk]
    ids = [tokenizer.bos_token_id, *words, tokenizer.eos_token_id, *padding]
    places = {
        1 + place: model.concepts[token.concept][clip.encoder][token.vector]
        for place, token in enumerate(chunk)
        if token.id == NO_ID
    }
    with put_in(encoder, places):
        output = encoder(torch.tensor([ids], device=model.device), output_hidden_states=clip_skip > 1)
    # An encoder with a projection puts what it pooled first, one without it the last layer's normed states.
    pooled = output.text_embeds if "text_embeds" in output else output.pooler_output
    states = output.last_hidden_state if clip_skip == 1 else output.hidden_states[-clip_skip]
    if clip_skip > 1 and clip.normed:
        states = _text_model(encoder).final_layer_norm(states)
    weights = [1.0, *(token.weight for token in chunk), *[1.0] * (1 + len(padding))]
    return States(weighted(states, weights), pooled)


def _text_model(encoder: Any) -> Any:
    # transformers >= 5.6 flattened CLIPTextModel, and CLIPTextModelWithProjection not.
    return getattr(encoder, "text_model", encoder)


def weighted(states: torch.Tensor, weights: Sequence[float]) -> torch.Tensor:
    """`states` [1, tokens, width], each token's multiplied by its weight, and then all so that their mean is as before.

    Untouched when all weights are 1.
    """
    if all(weight == 1 for weight in weights):
        return states
    factors = torch.tensor(weights, device=states.device, dtype=torch.float32)[None, :, None]
    before, after = states.float(), states.float() * factors
    least = _LEAST_MEAN * before.std()
    if before.mean().abs() > least and after.mean() * before.mean().sign() > least:
        after = after * (before.mean() / after.mean())
    return after.to(states.dtype)
