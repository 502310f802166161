"""The setting `styles`: names in one line of text, and what a style's words make of a prompt."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from typing import Any, Final

PLACE: Final = "{prompt}"
"""Where a style's words have this, the prompt stands there; others follow the prompt after a comma."""


def names_in(text: str) -> tuple[str, ...]:
    """The names that the setting holds: separated by commas, a name with a comma in quotes."""
    rows = csv.reader([text.replace("\n", " ")], skipinitialspace=True)
    return tuple(name.strip() for row in rows for name in row if name.strip())


def text_of(names: Iterable[str]) -> str:
    """The setting that holds those names."""
    return ", ".join(_quoted(name) for name in names)


def toggled(text: str, name: str) -> str:
    """The setting with one more name, or without it where it has it."""
    names = names_in(text)
    return text_of([other for other in names if other != name] if name in names else [*names, name])


def applied(prompt: str, words: str) -> str:
    """The prompt as a style's words make it, to be written into the prompt itself."""
    words = words.strip()
    if not words:
        return prompt
    if "#" in prompt.rpartition("\n")[2]:
        prompt += "\n"  # else the style would be part of the comment
    if PLACE not in words:
        return f"{prompt}, {words}" if prompt.strip() else words
    return words.replace(PLACE, prompt)


def written_out(styles: Iterable[Mapping[str, Any]], values: Mapping[str, str]) -> dict[str, str]:
    """The settings prompt, negative_prompt and styles with the words of the chosen styles in the prompts.

    `styles` are the known ones, as the backend tells them; of one that is not known the name stays.
    """
    by_name = {str(style["name"]): style for style in styles}
    names = names_in(values["styles"])
    written = dict(values)
    for style in (by_name[name] for name in names if name in by_name):
        for prompt in ("prompt", "negative_prompt"):
            written[prompt] = applied(written[prompt], str(style.get(prompt) or ""))
    return {**written, "styles": text_of(name for name in names if name not in by_name)}


def _quoted(name: str) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="").writerow([name])
    return line.getvalue()
