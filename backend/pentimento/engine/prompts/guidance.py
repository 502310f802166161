"""What guides each step: the prompt's conditions, and the model's prediction under them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch

from ..families.family import Embeds
from ..families.registry import family_of, guided_by
from ..loaded import LoadedModel
from .flattening import Flat, flatten
from .resolving import Prompts
from .tree import Nodes

Predict = Callable[[torch.Tensor, Embeds], torch.Tensor]
"""(latents [n, c, h, w], embeddings of n) -> the model's output [n, c, h, w]."""


class Condition(NamedTuple):
    """One prompt of those that AND joins: its weight, and its embeddings (of 1) at each step."""

    weight: float
    embeds: Sequence[Embeds]


class Conditions(NamedTuple):
    """All that guides one picture. `negative` is empty where nothing is asked to be away from."""

    positives: tuple[Condition, ...]
    negative: Sequence[Embeds]


class Encoder:
    """Encodes the prompts of one job; what several steps or pictures share is encoded once."""

    def __init__(self, model: LoadedModel, clip_skip: int, steps: int) -> None:
        self._model, self._clip_skip, self._steps = model, clip_skip, steps
        self._of_nodes: dict[Nodes, Sequence[Embeds]] = {}
        self._of_flat: dict[Flat, Embeds] = {}

    def conditions(self, prompts: Prompts, cfg_scale: float) -> Conditions:
        """What guides a picture of those prompts, at a CFG scale from 1.

        The prediction is n + s * sum(w * (p - n)) over the prompts p of weight w, with the negative prompt n. Where n
        cancels out (one prompt at scale 1) it is not run.
        """
        cfg_scale = guided_by(self._model, cfg_scale)
        positives = tuple(Condition(part.weight, self._embeds(part.content)) for part in prompts.prompt)
        cancels = cfg_scale * sum(part.weight for part in prompts.prompt) == 1
        return Conditions(positives, () if cancels else self._embeds(prompts.negative))

    def _embeds(self, nodes: Nodes) -> Sequence[Embeds]:
        if nodes not in self._of_nodes:
            flats = [flatten(nodes, step, self._steps) for step in range(self._steps)]
            self._of_nodes[nodes] = tuple(map(self._encode, flats))
        return self._of_nodes[nodes]

    def _encode(self, flat: Flat) -> Embeds:
        if flat not in self._of_flat:
            self._of_flat[flat] = family_of(self._model).encode(self._model, flat, self._clip_skip)
        return self._of_flat[flat]


def guided(
    predict: Predict, latents: torch.Tensor, conditions: Sequence[Conditions], cfg_scale: float, step: int
) -> torch.Tensor:
    """The prediction [n, c, h, w] for `latents` [n, c, h, w] at `step` (0..) under each picture's own conditions.

    Composable diffusion (Liu et al., arXiv 2206.01714) with weights; for one prompt it is classifier-free guidance
    (Ho and Salimans, arXiv 2207.12598). Embeddings of one length run together, the others after them.
    """
    negatives = [each.negative[step] if each.negative else None for each in conditions]
    positives = [[condition.embeds[step] for condition in each.positives] for each in conditions]
    rows = [(k, embeds) for k, embeds in enumerate(negatives) if embeds is not None]
    rows += [(k, embeds) for k, several in enumerate(positives) for embeds in several]
    outputs = iter(_predict(predict, latents, rows))
    away = [None if embeds is None else next(outputs) for embeds in negatives]
    results: list[torch.Tensor] = []
    for each, negative in zip(conditions, away, strict=True):
        results.append(_combined(each, [next(outputs) for _ in each.positives], negative, cfg_scale))
    return torch.cat(results)


def _predict(predict: Predict, latents: torch.Tensor, rows: Sequence[tuple[int, Embeds]]) -> list[torch.Tensor]:
    """The output [1, c, h, w] for each (picture, embeddings)."""
    outputs: list[torch.Tensor] = [latents[:0]] * len(rows)
    lengths = dict.fromkeys(embeds.tokens.shape[1] for _, embeds in rows)
    for length in lengths:
        places = [place for place, (_, embeds) in enumerate(rows) if embeds.tokens.shape[1] == length]
        pictures = torch.cat([latents[rows[place][0]][None] for place in places])
        found = predict(pictures, _together([rows[place][1] for place in places]))
        for place, output in zip(places, found.split(1), strict=True):
            outputs[place] = output
    return outputs


def _together(several: Sequence[Embeds]) -> Embeds:
    pooled = [embeds.pooled for embeds in several if embeds.pooled is not None]
    return Embeds(torch.cat([embeds.tokens for embeds in several]), torch.cat(pooled) if pooled else None)


def _combined(
    conditions: Conditions, positives: Sequence[torch.Tensor], negative: torch.Tensor | None, cfg_scale: float
) -> torch.Tensor:
    scales = [cfg_scale * condition.weight for condition in conditions.positives]
    if negative is None:
        if scales == [1.0]:
            return positives[0]
        return torch.stack([scale * output for scale, output in zip(scales, positives, strict=True)]).sum(dim=0)
    result = negative
    for scale, output in zip(scales, positives, strict=True):
        result = result + scale * (output - negative)
    return result
