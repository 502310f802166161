"""Errors as a log may hold them: where they arose and what they say, without what the artist has written."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterable, Mapping
from typing import Any, Final

from pentimento_shared.settings import SETTINGS

HIDDEN: Final = "[...]"
_SHORTEST: Final = 4
"""Letters of a word that says something; hiding shorter ones would make errors unreadable and hide nothing."""
_WORD: Final = re.compile(rf"\w{{{_SHORTEST},}}")


def private_texts(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """What a job's settings hold of the artist's own words."""
    names = [row.name for row in SETTINGS if row.kind == "text"]
    return tuple(text for name in names if isinstance(text := settings.get(name), str) and text)


def hidden(text: str, private: Iterable[str]) -> str:
    """`text` without the private texts, and without any longer word of theirs."""
    for whole in private:
        if len(whole.strip()) >= _SHORTEST:
            text = text.replace(whole, HIDDEN)
    words = {word for whole in private for word in _WORD.findall(whole)}
    if not words:
        return text
    pattern = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    return re.sub(pattern, HIDDEN, text, flags=re.IGNORECASE)


def told(error: BaseException, private: Iterable[str]) -> str:
    """The traceback of an error and of those that led to it, without the private texts in what they say."""
    return "".join(_told(traceback.TracebackException.from_exception(error), tuple(private)))


def _told(error: traceback.TracebackException, private: tuple[str, ...]) -> list[str]:
    before: list[str] = []
    if error.__cause__ is not None:
        before = [*_told(error.__cause__, private), "which was the cause of:\n"]
    elif error.__context__ is not None and not error.__suppress_context__:
        before = [*_told(error.__context__, private), "during which came:\n"]
    said = hidden("".join(error.format_exception_only()), private)
    return [*before, "Traceback:\n", *error.stack.format(), said]
