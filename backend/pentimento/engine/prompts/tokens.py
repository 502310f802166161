"""From words to the tokens that a CLIP text encoder reads: chunks of 75, each token with its weight."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final, NamedTuple

from .flattening import Flat, Piece, flatten
from .networks import names_pattern
from .tree import Part

MARKS: Final = 2
"""Tokens of a chunk that hold its start and end."""
COMMA_REACH: Final = 20
"""How far from the end of a full chunk a comma may lie for the chunk to end there, as in AUTOMATIC1111."""


class Token(NamedTuple):
    """A token's number in the vocabulary, and what its embedding is multiplied by.

    `concept` names the embedding whose vector number `vector` stands here instead of a token; the id is then NO_ID.
    """

    id: int
    weight: float
    concept: str = ""
    vector: int = 0


NO_ID: Final = -1
"""The id of an embedding's vectors."""

Chunk = tuple[Token, ...]


@dataclass(frozen=True)
class Vocabulary:
    """How a model reads text: `encode` gives the ids of words, without marks; `room` is a chunk's most tokens.

    `concepts` are the embeddings that words may name: their names in lower case, and how many vectors they have. With
    `whole` there is only one chunk, and a longer prompt cannot be read.
    """

    encode: Callable[[str], Sequence[int]]
    room: int
    concepts: Mapping[str, int] = field(default_factory=dict)
    whole: bool = False

    @property
    def comma(self) -> int | None:
        """The id of a comma that stands alone, None where it is not one token."""
        ids = self.encode(",")
        return ids[0] if len(ids) == 1 else None

    def tokens(self, piece: Piece) -> Iterator[Token]:
        """The tokens of some words, and the vectors of the embeddings that they name."""
        last = 0
        for found in self._names.finditer(piece.text) if self.concepts else ():
            name = found[0].lower()
            yield from self._words(piece.text[last : found.start()], piece.weight)
            yield from (Token(NO_ID, piece.weight, name, vector) for vector in range(self.concepts[name]))
            last = found.end()
        yield from self._words(piece.text[last:], piece.weight)

    def _words(self, text: str, weight: float) -> Iterator[Token]:
        return (Token(id, weight) for id in self.encode(text))

    @cached_property
    def _names(self) -> re.Pattern[str]:
        return names_pattern(self.concepts)


def chunks(flat: Flat, vocabulary: Vocabulary) -> tuple[Chunk, ...]:
    """The chunks of a prompt, at least one, which may be empty. BREAK ends one; a last one without words is left out.

    A stretch that is longer than a chunk is cut behind a comma near the end, so that what belongs together stays; never
    within an embedding, unless that alone is longer.
    """
    found: list[Chunk] = []
    comma = vocabulary.comma
    for number, pieces in enumerate(flat):
        tokens = [token for piece in pieces for token in vocabulary.tokens(piece)]
        if tokens or number < len(flat) - 1 or not found:
            found.extend(_cut(tokens, vocabulary.room, comma))
    return tuple(found)


def _cut(tokens: Sequence[Token], room: int, comma: int | None) -> list[Chunk]:
    parts: list[Chunk] = []
    start = 0
    while len(tokens) - start > room:
        end = start + room
        if tokens[end].id != comma:
            near = range(end - 1, max(start, end - COMMA_REACH) - 1, -1)
            end = next((k + 1 for k in near if tokens[k].id == comma), end)
            begin = end - tokens[end].vector
            end = begin if begin > start else end
        parts.append(tuple(tokens[start:end]))
        start = end
    return [*parts, tuple(tokens[start:])]


class Extent(NamedTuple):
    """How long a prompt is: the tokens of its words, and the chunks that hold them."""

    tokens: int
    chunks: int


def measure(parts: Sequence[Part], vocabulary: Vocabulary, steps: int) -> Extent:
    """The most that any part of a prompt comes to at any of its `steps`."""
    flats = {flatten(part.content, step, steps) for part in parts for step in range(steps)}
    each = [chunks(flat, vocabulary) for flat in flats]
    return max(Extent(sum(map(len, found)), len(found)) for found in each)
