"""What a T5 text encoder makes of a prompt: one stretch of fixed length, without chunks.

It reads sentences: a weight scales what it made of its words, and BREAK is no more than a blank.
"""

from __future__ import annotations

import torch

from ..loaded import LoadedModel
from ..request import EngineError
from .encoding import weighted
from .flattening import Flat


def t5_states(model: LoadedModel, flat: Flat, length: int, which: int) -> torch.Tensor:
    """[1, length, width]: a prompt as the model's text encoder number `which` reads it, padded to `length` tokens.

    Raises EngineError for a prompt that is longer.
    """
    tokenizer, encoder = model.components[f"tokenizer_{which}"], model.components[f"text_encoder_{which}"]
    ids: list[int] = []
    weights: list[float] = []
    for piece in (piece for stretch in flat for piece in stretch):
        found = tokenizer(piece.text.strip(), add_special_tokens=False, verbose=False).input_ids
        ids, weights = [*ids, *found], [*weights, *[piece.weight] * len(found)]
    if len(ids) >= length:
        detail = (
            f"A prompt comes to {len(ids)} tokens of the T5 text encoder; the model {model.info.id} reads at most "
            f"{length - 1}. Shorten it."
        )
        raise EngineError(detail, "prompt", len(ids), f"at most {length - 1} tokens")
    padding = length - len(ids) - 1
    tokens = [*ids, tokenizer.eos_token_id, *[tokenizer.pad_token_id] * padding]
    states = encoder(torch.tensor([tokens], device=model.device))[0]
    return weighted(states, [*weights, *[1.0] * (padding + 1)])
