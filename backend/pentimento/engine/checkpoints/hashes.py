"""The SHA-256 of files with weights, kept from one process to the next.

To read gigabytes for it takes as long as to load them.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from pentimento_shared.places import data_folder

from ...disk import PRIVATE_FOLDER, DiskFull, write_whole
from ..interrupting import check_here

_log = logging.getLogger(__name__)

_BLOCK: Final = 1 << 22
_HASH: Final = re.compile(r"[0-9a-f]{64}")


class _State(NamedTuple):
    """What a file cannot change without: its size in bytes, and when it was changed, in ns."""

    path: str
    size: int
    changed: int


class Hashes:
    """Reads files once for as long as they stay as they are.

    `kept` is the JSON file that remembers them; without it nothing outlives this object. Whatever is wrong with that
    file, and whoever else writes it, costs no more than another reading.
    """

    def __init__(self, kept: Path | None = None) -> None:
        self._kept = kept
        self._known: dict[tuple[_State, ...], str] = {}

    @classmethod
    def standard(cls) -> Hashes:
        """With what is kept in the user's data folder."""
        return cls(data_folder() / "hashes.json")

    def of(self, files: Sequence[Path]) -> str:
        """SHA-256 (hex) of the files one after the other. Raises OSError for one that cannot be read."""
        states = _states(files)
        found = self._known.get(states) or _remembered(self._entries(), states)
        if found is None:
            found = _read(files)
            # Not of a file that somebody is writing.
            if _states(files) != states:
                return found
            self._remember(states, found)
        self._known[states] = found
        return found

    def _entries(self) -> dict[str, Any]:
        """What is kept, unchecked: the first file's path -> its states and hash."""
        if self._kept is None:
            return {}
        try:
            entries = json.loads(self._kept.read_bytes())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, RecursionError) as error:
            _log.info("%s cannot be read (%s); it is written anew", self._kept, error)
            return {}
        return entries if isinstance(entries, dict) else {}

    def _remember(self, states: Sequence[_State], digest: str) -> None:
        if self._kept is None:
            return
        entries = {**self._entries(), states[0].path: {"files": states, "sha256": digest}}
        try:
            self._kept.parent.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            write_whole(self._kept, json.dumps(entries, indent=1).encode("ascii"))
        except (OSError, DiskFull) as error:
            _log.info("%s cannot be written (%s); the hash is worked out again next time", self._kept, error)


def _states(files: Sequence[Path]) -> tuple[_State, ...]:
    found = [(path.absolute(), path.stat()) for path in files]
    return tuple(_State(str(path), state.st_size, state.st_mtime_ns) for path, state in found)


def _remembered(entries: dict[str, Any], states: Sequence[_State]) -> str | None:
    entry = entries.get(states[0].path)
    if not isinstance(entry, dict) or entry.get("files") != [list(state) for state in states]:
        return None
    digest = entry.get("sha256")
    return digest if isinstance(digest, str) and _HASH.fullmatch(digest) else None


def _read(files: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in files:
        with path.open("rb") as file:
            while block := file.read(_BLOCK):
                check_here()
                digest.update(block)
    return digest.hexdigest()
