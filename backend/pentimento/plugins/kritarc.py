"""Switching the plugin on in Krita's settings file, which stays as it is in every other byte."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_GROUP: Final = b"[python]"
_KEY: Final = b"enable_pentimento"
_RESOURCES: Final = b"ResourceDirectory"


def is_enabled(text: bytes) -> bool:
    """Whether Krita loads the plugin. The last of several entries counts, as with Krita."""
    lines = _lines(text)
    values = [lines[k].partition(b"=")[2].strip().lower() for k in _entries(lines)]
    return bool(values) and values[-1] in {b"true", b"1", b"on", b"yes"}


def enable(text: bytes) -> bytes:
    """The settings with the plugin switched on."""
    if is_enabled(text):
        return text
    lines = _lines(text)
    ending = b"\r\n" if b"\r\n" in text else b"\n"
    line = _KEY + b"=true" + ending
    if entries := list(_entries(lines)):
        for k in entries:
            lines[k] = line
        return b"".join(lines)
    if lines and not lines[-1].endswith(b"\n"):
        lines[-1] += ending
    if (header := _header(lines)) is not None:
        lines.insert(header + 1, line)
        return b"".join(lines)
    return b"".join([*lines, *([ending] if lines else []), _GROUP + ending, line])


def disable(text: bytes) -> bytes:
    """The settings without the plugin's entry, and without its group when nothing else is in there."""
    lines = _lines(text)
    entries = set(_entries(lines))
    if not entries:
        return text
    kept = [line for k, line in enumerate(lines) if k not in entries]
    header = _header(kept)
    if header is not None and not any(line.strip() for line in _until_next_group(kept, header)):
        blank_before = header > 0 and not kept[header - 1].strip()
        del kept[header - blank_before : header + 1]
    return b"".join(kept)


def resource_folder(text: bytes) -> Path | None:
    """Where the user moved Krita's resources to (Settings > Configure Krita > General > Resources), if at all."""
    for line in _lines(text):
        if line.lstrip().startswith(b"["):
            return None
        key, _, value = line.partition(b"=")
        if key.strip() == _RESOURCES and value.strip():
            name = re.sub(
                r"\\(.)", lambda match: {"s": " "}.get(match[1], match[1]), value.strip().decode("utf-8", "replace")
            )
            return Path(name)
    return None


def _lines(text: bytes) -> list[bytes]:
    return text.splitlines(keepends=True)


def _header(lines: list[bytes]) -> int | None:
    return next((k for k, line in enumerate(lines) if line.strip() == _GROUP), None)


def _until_next_group(lines: list[bytes], header: int) -> Iterator[bytes]:
    for line in lines[header + 1 :]:
        if line.lstrip().startswith(b"["):
            return
        yield line


def _entries(lines: list[bytes]) -> Iterator[int]:
    """The numbers of the lines that switch the plugin on or off."""
    within = False
    for k, line in enumerate(lines):
        if line.lstrip().startswith(b"["):
            within = line.strip() == _GROUP
        elif within and line.partition(b"=")[0].strip() == _KEY:
            yield k
