"""What a prompt says at each step: the tree of the grammar flattened to plain pieces of one weight each."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from .tree import Alternate, Break, Edit, Node, Nodes, Text, Weighted


class Piece(NamedTuple):
    """Words of one weight."""

    text: str
    weight: float = 1.0


Flat = tuple[tuple[Piece, ...], ...]
"""The pieces between one BREAK and the next. Neighbours have different weights: words only meet where those change."""


def flatten(nodes: Nodes, step: int, steps: int) -> Flat:
    """What `nodes` come to at `step` (0..) of the `steps` that run."""
    stretches: list[list[Piece]] = [[]]
    for found in _leaves(nodes, 1.0, step, steps):
        if found is None:
            stretches.append([])
        else:
            stretches[-1].append(found)
    return tuple(tuple(_joined(stretch)) for stretch in stretches)


def is_empty(flat: Flat) -> bool:
    """Whether a prompt has no words."""
    return not any(piece.text.strip() for stretch in flat for piece in stretch)


def _joined(pieces: Sequence[Piece]) -> Iterator[Piece]:
    for weight, neighbours in groupby(pieces, lambda piece: piece.weight):
        yield Piece("".join(piece.text for piece in neighbours), weight)


def _leaves(nodes: Sequence[Node], weight: float, step: int, steps: int) -> Iterator[Piece | None]:
    """The pieces in their order, None for each BREAK."""
    for node in nodes:
        if isinstance(node, Text):
            yield Piece(node.text, weight)
        elif isinstance(node, Break):
            yield None
        elif isinstance(node, Weighted):
            yield from _leaves(node.content, weight * node.weight, step, steps)
        elif isinstance(node, Edit):
            yield from _leaves(node.before if step < _switch(node, steps) else node.after, weight, step, steps)
        elif isinstance(node, Alternate):
            yield from _leaves(node.options[step % len(node.options)], weight, step, steps)


def _switch(edit: Edit, steps: int) -> float:
    """How many steps run before an edit changes its words."""
    if edit.when.whole:
        return edit.when.number
    # 0.29 of 100 steps is 28.999999999999996 in binary: rounding keeps such hairs from costing a step.
    return math.floor(round(edit.when.number * steps, 9))
