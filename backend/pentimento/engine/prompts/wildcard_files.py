"""The files that `__name__` in a prompt draws from.

Names come from prompts, so from strangers too: they never leave the folder of wildcards.
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path
from typing import Final

from pentimento_shared.settings import did_you_mean

MAX_FILE: Final = 4 << 20
"""Bytes of a file of wildcards."""
SUFFIX: Final = ".txt"
_DEVICES: Final = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


class Unusable(Exception):
    """A file of wildcards that cannot be drawn from: what is wrong with it, and what is allowed."""

    def __init__(self, problem: str, allowed: str) -> None:
        super().__init__(problem)
        self.problem, self.allowed = problem, allowed


class WildcardFolder:
    """The files `NAME.txt` in a folder and its folders: one choice a line; empty lines and those with # do not count.

    A file is read once; a new object reads it anew.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._read: dict[str, tuple[str, ...]] = {}

    def names(self) -> tuple[str, ...]:
        """The names that prompts may use, sorted."""
        files = self.folder.rglob(f"*{SUFFIX}")
        return tuple(sorted(path.relative_to(self.folder).with_suffix("").as_posix() for path in files))

    def choices(self, name: str) -> tuple[str, ...]:
        """The choices of a file, at least one. Raises Unusable."""
        if name not in self._read:
            self._read[name] = self._lines(name)
        return self._read[name]

    def _lines(self, name: str) -> tuple[str, ...]:
        try:
            text = _read_file(self._path(name)).decode("utf-8-sig")
        except FileNotFoundError as error:
            raise self._unknown(name) from error
        except (OSError, ValueError) as error:
            reason = "is not UTF-8 text" if isinstance(error, UnicodeDecodeError) else f"cannot be read ({error})"
            raise Unusable(f'the wildcard file "{name}" {reason}.', "a text file in UTF-8") from error
        lines = (line.strip() for line in text.splitlines())
        choices = tuple(line for line in lines if line and not line.startswith("#"))
        if not choices:
            raise Unusable(f'the wildcard file "{name}" holds no choice.', "one choice a line")
        return choices

    def _path(self, name: str) -> Path:
        """The file of that name. Raises Unusable for one that might lie outside the folder, or be none."""
        steps = name.split("/")
        odd = any(step in ("", ".", "..") or _DEVICES.fullmatch(step) for step in steps)
        if odd or "\\" in name or "\0" in name or not (path := self.folder.joinpath(*steps)).name:
            problem = f'the wildcard file "{name}" would lie outside the folder of wildcards.'
            raise Unusable(problem, "names of files in that folder, like colors or places/cities")
        path = path.with_name(path.name + SUFFIX)
        if not path.resolve().is_relative_to(self.folder.resolve()):
            problem = f'the wildcard file "{name}" is a link that leads out of the folder of wildcards.'
            raise Unusable(problem, "files in that folder")
        return path

    def _unknown(self, name: str) -> Unusable:
        names = self.names()
        listed = ", ".join(names[:20]) + (", ..." if len(names) > 20 else "")
        problem = (
            f'there is no wildcard file "{name}". Put {name}{SUFFIX} with one choice a line into {self.folder},'
            f" or write \\__ for the marks themselves.{did_you_mean(name, names)}"
        )
        return Unusable(problem, listed or f"a file {name}{SUFFIX}")


def _read_file(path: Path) -> bytes:
    """A plain file of at most MAX_FILE bytes. Raises OSError, or ValueError for anything else."""
    # A pipe would otherwise hold up whoever opens it.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a plain file")
        if status.st_size > MAX_FILE:
            raise ValueError(f"it has {status.st_size} bytes; allowed are {MAX_FILE}")
        return file.read(MAX_FILE)
