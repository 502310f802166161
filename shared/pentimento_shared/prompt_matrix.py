"""The prompt matrix: "a|b|c" is the first part with each combination of the others, as AUTOMATIC1111 has it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from .settings import SettingError, Value

MAX_CHOICES: Final = 8
"""Parts behind the first; each doubles the pictures."""
ALL: Final = -1
"""The combination of all parts."""
_TOKEN: Final = re.compile(r"\\.|#[^\n]*|<\w+:[^<>]*>|(?P<mark>[][(){}|])", re.DOTALL)
_CLOSING: Final = {"(": ")", "[": "]", "{": "}"}

Span = tuple[int, int]
"""Characters of a prompt, from the first to before the second."""


def parts(prompt: str) -> tuple[Span, ...]:
    """The parts of a prompt: what stands between the `|` outside all brackets, without blanks and commas around it."""
    cuts, closing = [-1], []
    for found in _TOKEN.finditer(prompt):
        mark = found["mark"]
        if mark == "|" and not closing:
            cuts.append(found.start())
        elif mark in _CLOSING:
            closing.append(_CLOSING[mark])
        elif mark and closing and mark == closing[-1]:
            closing.pop()
    return tuple(_trimmed(prompt, first + 1, end) for first, end in zip(cuts, [*cuts[1:], len(prompt)], strict=True))


def combinations(settings: Mapping[str, Value]) -> int:
    """How many prompts the settings' prompt stands for; 1 without a matrix. Raises SettingError for too many."""
    if not settings.get("prompt_matrix"):
        return 1
    choices = len(parts(str(settings["prompt"]))) - 1
    if choices > MAX_CHOICES:
        detail = (
            f"The prompt matrix has {choices} parts behind the first, which makes {2**choices} pictures; "
            f"at most {MAX_CHOICES} parts are allowed. Take some out."
        )
        raise SettingError("prompt_matrix", True, f"at most {MAX_CHOICES} parts behind the first", detail)
    return 2**choices


def chosen(prompt: str, combination: int) -> tuple[Span, ...]:
    """The parts that make up a combination: the first, and those whose bit it has; empty ones are left out."""
    first, *others = parts(prompt)
    spans = (first, *(span for k, span in enumerate(others) if combination >> k & 1))
    return tuple(span for span in spans if span[0] < span[1])


def _trimmed(prompt: str, first: int, end: int) -> Span:
    while first < end and prompt[first] in " \t\n,":
        first += 1
    while end > first and prompt[end - 1] in " \t\n,":
        end -= 1
    return first, end
