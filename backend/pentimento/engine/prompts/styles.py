"""Styles: named words for both prompts, kept in a styles.csv as AUTOMATIC1111 writes and reads it."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pentimento_shared.settings import SettingError, did_you_mean

from ...disk import PRIVATE_FOLDER, write_whole
from .tracing import LONGEST

FIELD: Final = "styles"
PLACE: Final = "{prompt}"
"""Where a style's words have this, the prompt stands there; others follow the prompt after a comma."""
MAX_FILE: Final = 4 << 20
"""Bytes of a styles.csv."""
_COLUMNS: Final = ("name", "prompt", "negative_prompt")


@dataclass(frozen=True)
class Style:
    """The words that a style adds to the prompt and to the negative prompt; either may be empty."""

    name: str
    prompt: str = ""
    negative_prompt: str = ""


def read_styles(path: Path) -> tuple[Style, ...]:
    """The styles of a file, the last of one name; none where there is no file. Rows whose name starts with # or is a
    divider of AUTOMATIC1111's (---- FILE ----) are no styles. Raises SettingError for a file that cannot be read."""
    found = {row["name"]: row for row in _rows(path) if _is_style(row["name"])}
    return tuple(Style(name, row["prompt"], row["negative_prompt"]) for name, row in found.items())


def save_style(path: Path, style: Style) -> None:
    """Adds a style to the file, or puts it in the place of the one of its name; all other rows stay.

    Raises SettingError for a name that could not be read back, words that are too long, or a file that cannot be read;
    DiskFull.
    """
    allowed = 'one line that does not start with # or "----"'
    if not _is_style(style.name) or style.name != style.name.strip() or not style.name.isprintable():
        raise SettingError("name", style.name, allowed, f"{style.name!r} cannot name a style; allowed: {allowed}.")
    for words in (style.prompt, style.negative_prompt):
        if len(words) > LONGEST:
            raise SettingError("prompt", words, f"text of at most {LONGEST} characters")
    rows = _rows(path)
    row = {"name": style.name, "prompt": style.prompt, "negative_prompt": style.negative_prompt}
    places = [k for k, known in enumerate(rows) if known["name"] == style.name]
    if places:
        rows[places[-1]] = row
    _write(path, rows if places else [*rows, row])


def remove_style(path: Path, name: str) -> None:
    """Takes a style out of the file. Raises SettingError for a name that it does not hold; DiskFull."""
    choose(name, read_styles(path), path)
    _write(path, [row for row in _rows(path) if row["name"] != name])


def chosen(text: str, styles: Sequence[Style], path: Path) -> tuple[Style, ...]:
    """The styles that a list of names asks for: separated by commas, a name with a comma in quotes. Raises
    SettingError, naming the nearest, for one that there is not; `path` is where it was looked for."""
    rows = list(csv.reader([text.replace("\n", " ")], skipinitialspace=True))
    names = [name.strip() for row in rows for name in row]
    return tuple(choose(name, styles, path) for name in names if name)


def choose(name: str, styles: Sequence[Style], path: Path) -> Style:
    """The style of that name. Raises SettingError."""
    for style in styles:
        if style.name == name:
            return style
    names = [style.name for style in styles]
    detail = f"There is no style {name!r} in {path}.{did_you_mean(name, names)}"
    raise SettingError(FIELD, name, ", ".join(names) or "none: the file holds no style", detail)


def _is_style(name: str) -> bool:
    return bool(name.strip()) and not name.startswith(("#", "----"))


def _rows(path: Path) -> list[dict[str, str]]:
    try:
        if path.stat().st_size > MAX_FILE:
            raise ValueError(f"it has more than {MAX_FILE} bytes")
        text = path.read_text("utf-8-sig")
        reader = csv.DictReader(io.StringIO(text, newline=""))
        if text.strip() and "name" not in (reader.fieldnames or ()):
            raise ValueError("its first line does not name the columns name, prompt, negative_prompt")
        return [_row(row) for row in reader]
    except FileNotFoundError:
        return []
    except (OSError, ValueError, csv.Error) as error:
        detail = f"The styles in {path} cannot be read ({error}). Mend the file, or move it away."
        raise SettingError(FIELD, path.name, "a CSV file in UTF-8", detail) from error


def _row(row: dict[str, str | None]) -> dict[str, str]:
    """A row in today's columns; old files have `text` for the prompt."""
    values = {name: row.get(name) or "" for name in _COLUMNS}
    return {**values, "prompt": values["prompt"] or row.get("text") or ""}


def _write(path: Path, rows: Sequence[dict[str, str]]) -> None:
    """Raises DiskFull."""
    path.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerows([_COLUMNS, *([row[column] for column in _COLUMNS] for row in rows)])
    write_whole(path, text.getvalue().encode("utf-8-sig"))
