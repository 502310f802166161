"""From chunks of tokens to what the model reads: the text encoder's hidden states, weighted.

Weights act on the hidden states of their tokens, and each chunk then gets its mean back, as in AUTOMATIC1111. The
library compel works on the same states but has a syntax, a way of weighting (a blend with the masked prompt) and a
treatment of long prompts of its own, so it cannot give the pictures that AUTOMATIC1111's users know.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import torch

from ..loading import LoadedModel
from .tokens import MARKS, Chunk, Vocabulary

_LEAST_MEAN: Final = 0.02
"""Least mean of a chunk, in standard deviations, that is restored. Stable Diffusion's encoders have about 0.1; where a
mean is nearly 0 a weight turns it into any other number, and the quotient of the two says nothing."""


def vocabulary_of(model: LoadedModel) -> Vocabulary:
    """How a loaded model reads text."""
    tokenizer = model.components["tokenizer"]
    length = min(tokenizer.model_max_length, model.components["text_encoder"].config.max_position_embeddings)
    return Vocabulary(
        lambda text: tokenizer(text, add_special_tokens=False, verbose=False).input_ids, int(length) - MARKS
    )


def encode_chunks(model: LoadedModel, chunks: Sequence[Chunk], clip_skip: int) -> torch.Tensor:
    """[1, tokens, width]: the chunks one after the other, each read on its own.

    `clip_skip` counts as AUTOMATIC1111 does: 1 is the last layer. The last layer norm is applied whatever the layer.
    """
    return torch.cat([_encode(model, chunk, clip_skip) for chunk in chunks], dim=1)


def _encode(model: LoadedModel, chunk: Chunk, clip_skip: int) -> torch.Tensor:
    tokenizer, encoder = model.components["tokenizer"], model.components["text_encoder"]
    room = vocabulary_of(model).room
    padding = [tokenizer.pad_token_id] * (room - len(chunk))
    ids = [tokenizer.bos_token_id, *(token.id for token in chunk), tokenizer.eos_token_id, *padding]
    output = encoder(torch.tensor([ids], device=model.device), output_hidden_states=clip_skip > 1)
    states = output[0]
    if clip_skip > 1:
        states = encoder.text_model.final_layer_norm(output.hidden_states[-clip_skip])
    weights = [1.0, *(token.weight for token in chunk), *[1.0] * (1 + len(padding))]
    return weighted(states, weights)


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
