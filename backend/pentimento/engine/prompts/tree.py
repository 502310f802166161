"""What a prompt says, as a tree."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


@dataclass(frozen=True)
class Text:
    """Words, their backslashes resolved."""

    text: str


@dataclass(frozen=True)
class Break:
    """The end of a chunk."""


@dataclass(frozen=True)
class Weighted:
    """`content` with all weights in it multiplied by `weight`; `at` is its bracket's place in the text."""

    content: Nodes
    weight: float
    at: int = field(default=0, compare=False)


class Place(NamedTuple):
    """A place in the steps: after `number` steps where `whole`, else after that fraction (0..1) of them."""

    number: float
    whole: bool


@dataclass(frozen=True)
class Edit:
    """`before` up to the place `when`, `after` from there."""

    before: Nodes
    after: Nodes
    when: Place


@dataclass(frozen=True)
class Alternate:
    """One option after the other, a step each."""

    options: tuple[Nodes, ...]


Node = Text | Break | Weighted | Edit | Alternate
Nodes = tuple[Node, ...]


class Part(NamedTuple):
    """One of the prompts that AND joins, its weight, and the place of the AND before it in the text."""

    content: Nodes
    weight: float = 1.0
    at: int = 0


def branches(node: Node) -> tuple[Nodes, ...]:
    """All that a node may come to."""
    if isinstance(node, Edit):
        return node.before, node.after
    if isinstance(node, Alternate):
        return node.options
    return (node.content,) if isinstance(node, Weighted) else ()
