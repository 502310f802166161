"""Text that remembers where each of its characters was written, so that an error can point there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pentimento_shared.settings import SettingError

LONGEST: Final = 20_000
"""Characters of a prompt, as written and after styles and wildcards: what the settings table allows."""
_AROUND: Final = 20
"""Characters that an error shows on either side of the place it is about."""


class PromptError(SettingError):
    """A prompt that cannot be read; nothing was made. `position` counts the written characters from 1."""

    def __init__(self, field: str, written: str, position: int, problem: str, expected: str) -> None:
        self.position = position
        place = f"{field}, character {position}"
        super().__init__(field, written, expected, f'{place}, at "{_around(written, position)}": {problem}')


def _around(text: str, position: int) -> str:
    first, end = max(0, position - 1 - _AROUND), position - 1 + _AROUND
    shown = " ".join(text[first:end].encode("utf-8", "replace").decode("utf-8").split())
    return f"{'…' if first else ''}{shown}{'…' if end < len(text) else ''}"


@dataclass(frozen=True)
class Traced:
    """`text`, made from what was `written` in the setting `field`; `origins` has an index into `written` for each
    character. What came out of a file has the origin of the words that called for it."""

    field: str
    written: str
    text: str
    origins: Sequence[int]

    @classmethod
    def of(cls, field: str, written: str) -> Traced:
        return cls(field, written, written, range(len(written)))

    def replaced(self, text: str, index: int) -> Traced:
        """Another text that stands for the character `index`."""
        return Traced(self.field, self.written, text, [self.origins[index] if self.origins else 0] * len(text))

    def error(self, index: int, problem: str, expected: str) -> PromptError:
        """The error about the character `index` of `text`."""
        origin = self.origins[min(index, len(self.origins) - 1)] if self.origins else 0
        return PromptError(self.field, self.written, origin + 1, problem, expected)


@dataclass
class Copy:
    """A Traced in the making, part by part out of another. Raises PromptError when it grows beyond LONGEST."""

    source: Traced
    _text: list[str] = field(default_factory=list)
    _origins: list[int] = field(default_factory=list)

    def keep(self, first: int, end: int) -> None:
        """The source's own characters `first` to `end`."""
        self._add(self.source.text[first:end], self.source.origins[first:end])

    def append(self, other: Traced) -> None:
        """All of another text."""
        self._add(other.text, other.origins)

    def _add(self, text: str, origins: Sequence[int]) -> None:
        if len(self._origins) + len(text) > LONGEST:
            field, position = self.source.field, origins[0] + 1
            problem = f"with its styles and wildcards the {field} gets longer than {LONGEST} characters."
            raise PromptError(field, self.source.written, position, problem, f"at most {LONGEST} characters")
        self._text.append(text)
        self._origins.extend(origins)

    def done(self) -> Traced:
        return Traced(self.source.field, self.source.written, "".join(self._text), self._origins)
