"""A list of values as it is written: words, numbers, quotes, and AUTOMATIC1111's ranges 1-5, 1-9 (+2), 1-9 [5]."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Final, NamedTuple

from .settings import Setting, SettingError, Value

MAX_VALUES: Final = 256
_NUMBER: Final = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)"
_RANGE: Final = re.compile(
    rf"(?P<first>{_NUMBER})\s*-\s*(?P<last>{_NUMBER})"
    rf"(?:\s*\(\s*(?P<step>{_NUMBER})\s*\)|\s*\[\s*(?P<count>[0-9]{{1,6}})\s*\])?"
)
_QUOTED: Final = re.compile(r'\s*"(?P<words>(?:[^"]|"")*)"\s*')
_FORMS: Final = "a number, or a range: 1-5, 1-10 (+2), 1-10 [5]"
_TRUTH: Final = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
_DIGITS: Final = 4
"""Decimals of a value within a range that is cut into equal parts."""


class Word(NamedTuple):
    """A value, as it was written, and where: its first character counts as `position` 1."""

    text: str
    position: int
    value: Value


def read_values(row: Setting, text: str) -> tuple[Word, ...]:
    """The values of a row that a list says, not yet held against the row's limits. Raises SettingError."""
    found: list[Word] = []
    for word, quoted in _words(row, text):
        if not word.text and not quoted:
            problem = "a value is missing here." if text.strip() else "there are no values."
            raise axis_error(row, word, problem, "values with commas between them")
        found.extend(_values(row, word, quoted))
        if len(found) > MAX_VALUES:
            raise axis_error(row, word, f"more than {MAX_VALUES} values.", f"at most {MAX_VALUES} values")
    return tuple(found)


def axis_error(row: Setting, word: Word, problem: str, allowed: str) -> SettingError:
    """An error about a value in the list of that row."""
    near = f', at "{word.text[:40]}"' if word.text else ""
    return SettingError(row.name, word.text, allowed, f"{row.label}, character {word.position}{near}: {problem}")


def _words(row: Setting, text: str) -> Iterator[tuple[Word, bool]]:
    """What stands between the commas outside of quotes, and whether it is in quotes."""
    at = 0
    while True:
        quoted = _QUOTED.match(text, at)
        end = quoted.end() if quoted else at
        if not quoted:
            end = text.find(",", at)
            end = len(text) if end < 0 else end
        written = text[at:end]
        position = at + len(written) - len(written.lstrip()) + 1
        words = quoted["words"].replace('""', '"') if quoted else written.strip()
        word = Word(words, position, words)
        if not quoted and words.startswith('"'):
            raise axis_error(row, word, 'this " is never closed. Double it for the mark itself.', '"words"')
        if end < len(text) and text[end] != ",":
            raise axis_error(row, Word(text[end:].strip(), end + 1, ""), "a comma is missing before this.", ",")
        yield word, quoted is not None
        if end >= len(text):
            return
        at = end + 1


def _values(row: Setting, word: Word, quoted: bool) -> list[Word]:
    if row.kind == "boolean":
        if word.text.lower() not in _TRUTH:
            raise axis_error(row, word, "this is neither yes nor no.", "yes, no")
        return [word._replace(value=_TRUTH[word.text.lower()])]
    if quoted or row.kind not in ("integer", "number") or word.text in row.choices:
        return [word]
    if re.fullmatch(_NUMBER, word.text):
        return [word._replace(value=_typed(row, word, Fraction(word.text)))]
    found = _RANGE.fullmatch(word.text)
    if found is None:
        words = f", or {', '.join(row.choices)}" if row.choices else ""
        raise axis_error(row, word, f"this is no number and no range; allowed: {_FORMS}{words}.", _FORMS)
    return [word._replace(value=value) for value in _ranged(row, word, found)]


def _ranged(row: Setting, word: Word, found: re.Match[str]) -> list[Value]:
    first, last = Fraction(found["first"]), Fraction(found["last"])
    if found["count"] is not None:
        return _parts(row, word, first, last, int(found["count"]))
    if found["step"] is None and row.kind == "number" and not (first.denominator == last.denominator == 1):
        problem = f"say how many values, {found[0]} [4], or how far apart they are, {found[0]} (+0.1)."
        raise axis_error(row, word, problem, _FORMS)
    step = Fraction(found["step"] or (1 if last >= first else -1))
    if step == 0 or (step > 0) != (last >= first):
        problem = f"steps of {found['step']} do not lead from {found['first']} to {found['last']}."
        raise axis_error(row, word, problem, "a step of the right sign")
    count = int((last - first) / step) + 1
    _check_count(row, word, count)
    return [_typed(row, word, first + k * step) for k in range(count)]


def _parts(row: Setting, word: Word, first: Fraction, last: Fraction, count: int) -> list[Value]:
    """So many values, evenly from the first to the last; whole numbers are cut off, as AUTOMATIC1111 does."""
    _check_count(row, word, count)
    values = [first + (last - first) * k / max(1, count - 1) for k in range(count)]
    if row.kind == "integer":
        whole = [int(value) for value in values]
        if len(set(whole)) < count:
            raise axis_error(row, word, f"there are not {count} whole numbers in it.", f"at most {len(set(whole))}")
        return list(whole)
    return [round(float(value), _DIGITS) for value in values]


def _check_count(row: Setting, word: Word, count: int) -> None:
    if not 1 <= count <= MAX_VALUES:
        problem = f"these are {count} values; allowed: 1 to {MAX_VALUES}."
        raise axis_error(row, word, problem, f"1 to {MAX_VALUES} values")


def _typed(row: Setting, word: Word, value: Fraction) -> Value:
    if row.kind == "number":
        return float(value)
    if value.denominator != 1:
        raise axis_error(row, word, f"{row.label} takes whole numbers only.", row.allowed)
    return int(value)
