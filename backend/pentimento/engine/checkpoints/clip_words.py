"""CLIP's byte pair encoding, which ships with us: single files hold a text encoder and no tokenizer."""

from __future__ import annotations

import gzip
from pathlib import Path
from typing import Final, NamedTuple

MERGES_FILE: Final = Path(__file__).parent / "clip" / "merges.txt.gz"
START, END = "<|startoftext|>", "<|endoftext|>"


class ClipWords(NamedTuple):
    """`ids` of all tokens by their text, and the pairs that are merged, first to last."""

    ids: dict[str, int]
    merges: list[tuple[str, str]]


def clip_words() -> ClipWords:
    """The encoding of OpenAI's and LAION's CLIP: bytes, bytes that end a word, merges, marks; 49,408 tokens."""
    lines = gzip.decompress(MERGES_FILE.read_bytes()).decode("utf-8").split("\n")
    merges = [(first, second) for first, _, second in (line.partition(" ") for line in lines)]
    letters = _letters()
    tokens = [*letters, *(letter + "</w>" for letter in letters), *map("".join, merges), START, END]
    return ClipWords({token: number for number, token in enumerate(tokens)}, merges)


def _letters() -> list[str]:
    """One visible character for each byte, in CLIP's order: bytes that are visible stand for themselves and are first,
    the others get those from U+0100 on."""
    visible = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    hidden = 0x100 - len(visible)
    return [*map(chr, visible), *(chr(0x100 + k) for k in range(hidden))]
