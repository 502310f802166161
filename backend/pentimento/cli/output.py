"""Pictures out: where they go, and how they get there whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Final

from .failures import Failure, wrong

SUFFIX: Final = ".png"


@dataclass(frozen=True)
class Output:
    """Where the pictures of one job go.

    `file` was named by the user and may be overwritten; several pictures become file-1, file-2, ... Without
    it they are named in `folder` after `stem`, with the next free numbers, and nothing is overwritten.
    """

    folder: Path
    stem: str
    file: Path | None = None
    inputs: tuple[Path, ...] = ()

    def names(self, pictures: int) -> list[Path]:
        """The files that the user named, for that many pictures; empty when the names are ours to choose."""
        if self.file is None:
            return []
        if pictures == 1:
            return [self.file]
        return [self.file.with_name(f"{self.file.stem}-{k}{self.file.suffix}") for k in range(1, pictures + 1)]

    def check(self, pictures: int) -> None:
        """Raises Failure, before any work, when a picture could not be written or an input would be lost."""
        if not self.folder.is_dir():
            raise wrong(f"{self.folder}: there is no such folder to write the result to.")
        if not os.access(self.folder, os.W_OK):
            raise wrong(f"{self.folder} cannot be written to; name another place with -o.")
        for name in self.names(pictures):
            if name.is_dir():
                raise wrong(f"{name} is a folder; the picture needs a name of its own.")
            for source in self.inputs:
                if name.exists() and source.exists() and name.samefile(source):
                    raise wrong(f"The result would overwrite the input {source}; name another file with -o.")

    def write(self, pictures: Sequence[bytes]) -> list[Path]:
        """Writes all pictures, each whole: a temporary file beside the goal, then renamed. Raises Failure.

        When one cannot be written none is left behind.
        """
        names = self.names(len(pictures))
        parts: list[Path] = []
        try:
            parts.extend(_part(self.folder, data) for data in pictures)
            if names:
                for part, name in zip(parts, names, strict=True):
                    part.replace(name)
                return names
            free = (self.folder / f"{self.stem}-pentimento-{k}{SUFFIX}" for k in count(1))
            return [_place(part, free) for part in parts]
        except OSError as error:
            raise Failure(f"The picture could not be written to {self.folder}: {error.strerror}.") from error
        finally:
            for part in parts:
                part.unlink(missing_ok=True)


def output_for(option: Path | None, inputs: Sequence[Path]) -> Output:
    """Where the result goes: by the -o option (a file or a folder), else beside the first input, else here.

    Raises Failure for a name that does not end in .png: a result is a PNG, for its 16 bits and its recipe.
    """
    stem = inputs[0].stem if inputs else "picture"
    if option is None:
        return Output(inputs[0].parent if inputs else Path(), stem, None, tuple(inputs))
    if option.is_dir():
        return Output(option, stem, None, tuple(inputs))
    if option.suffix.lower() != SUFFIX:
        better = option.with_suffix(SUFFIX) if option.name else option
        raise wrong(f"{option}: results are PNG files, which keep 16 bits and the recipe; name it {better}.")
    return Output(option.parent, stem, option, tuple(inputs))


def _part(folder: Path, data: bytes) -> Path:
    descriptor, name = tempfile.mkstemp(prefix=".pentimento-", suffix=".part", dir=folder)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            # mkstemp makes files for the owner alone; a picture gets what the user's other files get.
            if hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), 0o666 & ~_umask())
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return part


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _place(part: Path, names: Iterator[Path]) -> Path:
    """Moves a file to the first name that is free, without a moment in which another file could be lost."""
    for name in names:
        try:
            os.link(part, name)
        except FileExistsError:
            continue
        except OSError:
            # A file system without hard links (FAT, some network shares).
            if name.exists():
                continue
            part.replace(name)
        return name
    raise AssertionError("the names are endless")
