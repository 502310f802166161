"""The grammar of a prompt, as AUTOMATIC1111's users write it: text in, a tree out, or an error with its position.

`(a)` and `(a:1.3)` weigh more, `[a]` less; `[a:b:0.5]`, `[b:0.5]` and `[a::0.5]` change the words on the way, `[a|b]`
takes turns; BREAK begins a new chunk, AND joins whole prompts. A backslash takes a mark's meaning away. Where
AUTOMATIC1111 falls back to reading marks as words (an unbalanced bracket, an edit without a number) this is an error:
nothing of a prompt has another effect than it says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from .tracing import Traced
from .tree import Alternate, Break, Edit, Node, Nodes, Part, Place, Text, Weighted, branches

BRACKET_WEIGHT: Final = 1.1
"""What one pair of round brackets multiplies a weight by; square ones divide by it."""
MAX_WEIGHT: Final = 10.0
"""Largest weight, with all brackets around taken together; beyond it pictures are noise."""
MAX_DEPTH: Final = 64
"""Brackets within brackets."""


_TOKEN: Final = re.compile(
    r"(?P<escape>\\[][(){}|:<>#_\\])"
    r"|(?P<word>\b(?:BREAK|AND)\b)"
    r"|(?P<mark>[][():|])"
)
_CLOSING: Final = {"(": ")", "[": "]"}
_NUMBER: Final = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)\s*")
_NUMBERLIKE: Final = re.compile(r"[\s0-9.,+%-]*")
_WEIGHT: Final = f"a number from -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}"
_WHEN: Final = "a share of the steps from 0.0 to 1.0, or a whole number of steps"


class _Item(NamedTuple):
    """A piece of a bracket's content: `kind` is "text", "node", "AND" or a mark; `at` its place in the text."""

    kind: str
    at: int
    node: Node


def parse(source: Traced) -> tuple[Part, ...]:
    """The parts of a prompt, at least one. Raises PromptError."""
    items = _Parser(source).content(None, 0)
    cuts = [item for item in items if item.kind == "AND"]
    if cuts:
        parts = tuple(_part(source, side, cuts[max(0, k - 1)]) for k, side in enumerate(_split(items, "AND")))
    else:
        parts = (Part(_nodes(items)),)
    for part in parts:
        _check_weights(source, part.content, 1.0)
    return parts


def _part(source: Traced, items: Sequence[_Item], joint: _Item) -> Part:
    rest, weight = _take_weight(source, items, 1.0)
    if _is_blank(rest):
        problem = 'AND joins two prompts, and one side of it is empty. Write "and" for the word.'
        raise source.error(joint.at, problem, "words on both sides of AND")
    return Part(_nodes(rest), weight, joint.at)


def _check_weights(source: Traced, nodes: Nodes, around: float) -> None:
    for node in nodes:
        if isinstance(node, Weighted):
            product = around * node.weight
            if abs(product) > MAX_WEIGHT:
                problem = f"with the brackets around it this comes to a weight of {product:.4g}; allowed: {_WEIGHT}."
                raise source.error(node.at, problem, _WEIGHT)
            _check_weights(source, node.content, product)
        else:
            for inner in branches(node):
                _check_weights(source, inner, around)


class _Parser:
    """Reads brackets from left to right; the recursion is as deep as they are, at most MAX_DEPTH."""

    def __init__(self, source: Traced) -> None:
        self._source = source
        self._tokens = _tokens(source)

    def content(self, opening: _Item | None, depth: int) -> list[_Item]:
        """What stands up to the bracket that closes `opening`, or up to the end of the text for None."""
        items: list[_Item] = []
        for item in self._tokens:
            if item.kind in _CLOSING:
                items.append(self._bracket(item, depth + 1))
            elif item.kind in _CLOSING.values():
                self._check_closing(item, opening)
                return items
            elif item.kind == "AND" and opening is not None:
                problem = 'AND joins whole prompts and cannot stand in brackets. Write "and" for the word.'
                raise self._source.error(item.at, problem, "AND outside all brackets")
            else:
                items.append(item)
        if opening is not None:
            problem = f'this "{opening.kind}" is never closed. {_escape(opening.kind)}'
            raise self._source.error(opening.at, problem, _CLOSING[opening.kind])
        return items

    def _bracket(self, opening: _Item, depth: int) -> _Item:
        if depth > MAX_DEPTH:
            problem = f"brackets are nested deeper than {MAX_DEPTH}."
            raise self._source.error(opening.at, problem, f"at most {MAX_DEPTH} brackets around a word")
        items = self.content(opening, depth)
        node = (_square if opening.kind == "[" else _round)(self._source, items, opening)
        return _Item("node", opening.at, node)

    def _check_closing(self, item: _Item, opening: _Item | None) -> None:
        if opening is None:
            problem = f'this "{item.kind}" closes no bracket. {_escape(item.kind)}'
            raise self._source.error(item.at, problem, "a bracket that was opened before")
        if _CLOSING[opening.kind] != item.kind:
            problem = f'"{item.kind}" cannot close the "{opening.kind}" before it. {_escape(item.kind)}'
            raise self._source.error(item.at, problem, _CLOSING[opening.kind])


def _tokens(source: Traced) -> Iterator[_Item]:
    last = 0
    for found in _TOKEN.finditer(source.text):
        if found.start() > last:
            yield _Item("text", last, Text(source.text[last : found.start()]))
        last = found.end()
        yield _item(source, found)
    if last < len(source.text):
        yield _Item("text", last, Text(source.text[last:]))


def _item(source: Traced, found: re.Match[str]) -> _Item:
    text, index = found[0], found.start()
    if found.lastgroup == "escape":
        return _Item("text", index, Text(text[1:]))
    if text == "BREAK":
        return _Item("node", index, Break())
    return _Item(text, index, Text(text))


def _escape(mark: str) -> str:
    return f"Write \\{mark} for the mark itself."


def _nodes(items: Sequence[_Item]) -> Nodes:
    return tuple(item.node for item in items)


def _plain(items: Sequence[_Item]) -> str | None:
    """The text of items that are all text, None for others."""
    texts = [item.node.text for item in items if isinstance(item.node, Text)]
    return "".join(texts) if len(texts) == len(items) else None


def _is_blank(items: Sequence[_Item]) -> bool:
    words = _plain(items)
    return words is not None and not words.strip()


def _split(items: Sequence[_Item], kind: str) -> list[Sequence[_Item]]:
    """The items between those of that kind."""
    ends = [k for k, item in enumerate(items) if item.kind == kind]
    starts = [0, *(end + 1 for end in ends)]
    return [items[start:end] for start, end in zip(starts, [*ends, len(items)], strict=True)]


def _round(source: Traced, items: Sequence[_Item], opening: _Item) -> Weighted:
    rest, weight = _take_weight(source, items, BRACKET_WEIGHT)
    return Weighted(_nodes(rest), weight, opening.at)


def _take_weight(source: Traced, items: Sequence[_Item], usual: float) -> tuple[Sequence[_Item], float]:
    """What stands before the weight at the end, and the weight; `usual` where there is none.

    A colon before other words than a number is a colon, "(style: oil)"; before what was meant as one it is an error.
    """
    colons = [k for k, item in enumerate(items) if item.kind == ":"]
    if not colons:
        return items, usual
    colon, tail = items[colons[-1]], items[colons[-1] + 1 :]
    words = _plain(tail)
    if words is None:
        if all(_is_number(item.node) for item in tail):
            problem = "a weight that changes on the way is not understood; write a bracket with its weight per choice."
            raise source.error(colon.at, problem, _WEIGHT)
        return items, usual
    if not _NUMBERLIKE.fullmatch(words):
        return items, usual
    if not _NUMBER.fullmatch(words) or abs(float(words)) > MAX_WEIGHT:
        problem = f'"{words.strip()[:40]}" is no weight; allowed: {_WEIGHT}. Write \\: for the mark itself.'
        raise source.error(colon.at, problem, _WEIGHT)
    return items[: colons[-1]], float(words)


def _is_number(node: Node) -> bool:
    """Whether a number comes of a node whatever happens on the way."""
    if isinstance(node, Text):
        return bool(_NUMBERLIKE.fullmatch(node.text))
    return isinstance(node, (Edit, Alternate)) and all(all(map(_is_number, branch)) for branch in branches(node))


def _square(source: Traced, items: Sequence[_Item], opening: _Item) -> Node:
    marks = [item for item in items if item.kind in (":", "|")]
    if not marks:
        return Weighted(_nodes(items), 1 / BRACKET_WEIGHT, opening.at)
    other = next((mark for mark in marks if mark.kind != marks[0].kind), None)
    if other is not None:
        problem = "one pair of square brackets either edits (:) or takes turns (|); put a pair of its own around one."
        raise source.error(other.at, problem, f'"{marks[0].kind}" or "]"')
    parts = _split(items, marks[0].kind)
    if marks[0].kind == "|":
        return Alternate(tuple(map(_nodes, parts)))
    return _edit(source, parts, marks)


def _edit(source: Traced, parts: Sequence[Sequence[_Item]], marks: Sequence[_Item]) -> Edit:
    words = _plain(parts[-1])
    when = None if words is None else _when(words)
    if when is None:
        shown = "" if words is None else words.strip()[:40]
        problem = f'"{shown}" does not say when to change; allowed: {_WHEN}. Write \\: for the mark itself.'
        raise source.error(marks[-1].at, problem, _WHEN)
    if len(parts) > 3:
        problem = "an edit has one or two texts and a number, [from:to:when]; this has more. Write \\: for a colon."
        raise source.error(marks[2].at, problem, "]")
    before, after = ((), parts[0]) if len(parts) == 2 else (parts[0], parts[1])
    return Edit(_nodes(before), _nodes(after), when)


def _when(words: str) -> Place | None:
    """A dot makes it a fraction: 1 is the first step, 1.0 the end, as in AUTOMATIC1111."""
    if not _NUMBER.fullmatch(words):
        return None
    number = float(words)
    whole = "." not in words
    return Place(number, whole) if number >= 0 and (whole or number <= 1) else None
