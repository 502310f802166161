"""Choices left open in a prompt: `{a|b}` and `__file__`, drawn from the picture's seed.

The same seed draws the same on every machine, and what was drawn stands in the recipe.
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, NamedTuple, NoReturn

from .tracing import Copy, Traced
from .wildcard_files import Unusable, WildcardFolder

MAX_DRAWS: Final = 1000
"""Draws for one prompt."""
MAX_DEPTH: Final = 32
"""Choices within choices, and lines of files that call for files."""
_TOKEN: Final = re.compile(
    r"(?P<escape>\\[][(){}|:<>#_\\])"
    r"|__(?=[^\s_])(?P<file>[^\n|{}()\[\],<>\"]{1,120}?)(?<!\s)__"
    r"|(?P<mark>[][(){}|])"
)
_CLOSING: Final = {"(": ")", "[": "]", "{": "}"}
_FOREIGN: Final = re.compile(r"[\s0-9-]*\$\$|\s*[0-9.]+::")
"""What other software writes in front of choices: how many to take, and how likely one is."""


class _Span(NamedTuple):
    """The characters `first` to `end`, as they stand."""

    first: int
    end: int


class _File(NamedTuple):
    """A choice among the lines of a file."""

    name: str
    at: int


class _Choice(NamedTuple):
    """A choice among options."""

    options: list[_Content]
    at: int


_Content = list["_Span | _File | _Choice"]


def draw(source: Traced, seed: int, folder: WildcardFolder) -> Traced:
    """The text with every choice made. Text without choices comes back as it is. Raises PromptError."""
    drawn = _Draw(seed, folder).made(source, 0)
    if drawn is source:
        return source
    for found in _TOKEN.finditer(drawn.text):
        if found["file"] or found[0] in ("{", "}"):
            problem = "what was drawn forms new wildcard marks with the words beside it."
            raise drawn.error(found.start(), problem, "words that stay as they are")
    return drawn


class _Draw:
    """The draws for one prompt."""

    def __init__(self, seed: int, folder: WildcardFolder) -> None:
        self._seed, self._folder = seed, folder
        self._count = 0

    def made(self, source: Traced, depth: int) -> Traced:
        content = _Parser(source, self._folder).content()
        if all(isinstance(item, _Span) for item in content):
            return source
        copy = Copy(source)
        self._write(copy, content, depth)
        return copy.done()

    def _write(self, copy: Copy, content: _Content, depth: int) -> None:
        source = copy.source
        for item in content:
            if isinstance(item, _Span):
                copy.keep(*item)
                continue
            if depth >= MAX_DEPTH:
                problem = f"choices are nested deeper than {MAX_DEPTH}."
                raise source.error(item.at, problem, f"at most {MAX_DEPTH} choices within choices")
            if isinstance(item, _Choice):
                self._write(copy, item.options[self._pick(len(item.options), source, item.at)], depth + 1)
                continue
            lines = self._folder.choices(item.name)
            line = source.replaced(lines[self._pick(len(lines), source, item.at)], item.at)
            copy.append(self.made(line, depth + 1))

    def _pick(self, count: int, source: Traced, index: int) -> int:
        """A number below `count` that follows from the seed, the field and how many draws came before."""
        if self._count >= MAX_DRAWS:
            problem = f"one prompt makes more than {MAX_DRAWS} choices."
            raise source.error(index, problem, f"at most {MAX_DRAWS} choices")
        digest = hashlib.sha256(f"{source.field}:{self._seed}:{self._count}".encode()).digest()
        self._count += 1
        return int.from_bytes(digest[:8], "big") % count


class _Open(NamedTuple):
    """A bracket that is not closed yet; for a brace its options so far, and the content that it stands in."""

    mark: str
    at: int
    options: list[_Content]
    outer: _Content


class _Parser:
    """Finds the choices in a text. Files are looked for in all options, whichever are drawn."""

    def __init__(self, source: Traced, folder: WildcardFolder) -> None:
        self._source, self._folder = source, folder
        self._content: _Content = []
        self._open: list[_Open] = []
        self._last = 0

    def content(self) -> _Content:
        """Raises PromptError."""
        for found in _TOKEN.finditer(self._source.text):
            if found["file"]:
                self._take(found)
                self._content.append(_File(found["file"], found.start()))
                self._check_file(found["file"], found.start())
            elif found["mark"]:
                self._mark(found)
        for unclosed in self._open:
            if unclosed.mark == "{":
                problem = 'this "{" is never closed. Write \\{ for the mark itself.'
                raise self._source.error(unclosed.at, problem, "}")
        if self._last < len(self._source.text):
            self._content.append(_Span(self._last, len(self._source.text)))
        return self._content

    def _take(self, found: re.Match[str]) -> None:
        """Keeps what stands before a token, and goes on after it."""
        if found.start() > self._last:
            self._content.append(_Span(self._last, found.start()))
        self._last = found.end()

    def _mark(self, found: re.Match[str]) -> None:
        mark, index = found[0], found.start()
        top = self._open[-1].mark if self._open else ""
        if mark == "{":
            self._take(found)
            self._open.append(_Open(mark, index, [], self._content))
            self._begin_option()
        elif mark in _CLOSING:
            self._open.append(_Open(mark, index, [], self._content))
        elif mark == "|" and top == "{":
            self._take(found)
            self._open[-1].options.append(self._content)
            self._begin_option()
        elif mark == "}":
            if top != "{":
                self._mismatch(mark, top, index)
            self._take(found)
            brace = self._open.pop()
            self._content, last = brace.outer, self._content
            self._content.append(_Choice([*brace.options, last], brace.at))
        elif mark != "|":
            if top == "{":
                self._mismatch(mark, top, index)
            if _CLOSING.get(top) == mark:
                self._open.pop()

    def _begin_option(self) -> None:
        self._content = []
        if found := _FOREIGN.match(self._source.text, self._last):
            problem = f'"{found[0].strip()[:40]}" in front of a choice is not understood; every choice is as likely.'
            raise self._source.error(found.start(), problem, "{one|another|a third}")

    def _mismatch(self, mark: str, top: str, index: int) -> NoReturn:
        what = f'"{mark}" cannot close the "{top}" before it' if top else f'this "{mark}" closes no bracket'
        expected = _CLOSING.get(top, "a bracket that was opened before")
        raise self._source.error(index, f"{what}. Write \\{mark} for the mark itself.", expected)

    def _check_file(self, name: str, index: int) -> None:
        try:
            self._folder.choices(name)
        except Unusable as error:
            raise self._source.error(index, error.problem, error.allowed) from error
