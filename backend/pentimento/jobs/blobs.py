"""Pictures on disk under the SHA-256 of their bytes: written to a temporary name, fsynced, renamed."""

from __future__ import annotations

import hashlib
import os
import re
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final
from uuid import uuid4

from ..disk import open_private, private_folder, room_in, sync_folder

_NAME: Final = re.compile(r"[0-9a-f]{64}")


class Blobs:
    """A folder of immutable files. Safe for several threads, and for the server and its worker at once.

    Whoever writes blobs that no stored job names yet does so under `hold()`, so that no sweep takes them
    away.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = private_folder(folder)
        self._drafts = private_folder(folder / "tmp")
        self._lock = threading.Lock()
        self._holds = 0

    def path(self, name: str) -> Path:
        """Where the blob of that hash lies, if it is there. Raises ValueError for anything but a SHA-256 in
        hex."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"{name!r} is not the name of a blob")
        return self.folder / name[:2] / name

    def read(self, name: str) -> bytes:
        """The bytes of a blob. Raises FileNotFoundError."""
        return self.path(name).read_bytes()

    def draft(self) -> Draft:
        """A new file to write to, which becomes a blob by `commit()` and vanishes otherwise."""
        with room_in(self.folder):
            return Draft(self, self._drafts / f"{os.getpid()}-{uuid4().hex}")

    def put(self, data: bytes) -> str:
        """Stores `data` durably and returns its hash. Raises DiskFull, leaving nothing behind."""
        with self.draft() as draft:
            draft.write(data)
            return draft.commit()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """While this is open no blob is swept."""
        with self._lock:
            self._holds += 1
        try:
            yield
        finally:
            with self._lock:
                self._holds -= 1

    def sweep(self, in_use: Callable[[], Collection[str]]) -> int | None:
        """Removes the blobs that are not in use and returns how many; None when a hold forbids it now.

        To be called only while the worker has no job: its results are on disk before a stored job names them.
        """
        with self._lock:
            if self._holds:
                return None
            keep = in_use()
            doomed = [path for path in self.folder.glob("[0-9a-f][0-9a-f]/*") if path.name not in keep]
            for path in doomed:
                path.unlink(missing_ok=True)
            return len(doomed)

    def sweep_drafts(self) -> int:
        """Removes what a killed process was writing. To be called before anyone writes."""
        leftovers = list(self._drafts.iterdir())
        for path in leftovers:
            path.unlink(missing_ok=True)
        return len(leftovers)

    def adopt(self, draft: Path, name: str) -> None:
        """Gives a written and fsynced file its final name, durably."""
        target = self.path(name)
        with room_in(self.folder):
            if not target.parent.is_dir():
                private_folder(target.parent)
                sync_folder(self.folder)
            draft.replace(target)
            sync_folder(target.parent)


class Draft:
    """A file being written, hashed on the way. A context manager: what is not committed by its end is
    removed."""

    def __init__(self, blobs: Blobs, path: Path) -> None:
        self._blobs = blobs
        self._path = path
        self._hash = hashlib.sha256()
        self._file: BinaryIO = os.fdopen(open_private(path), "w+b")
        self.size = 0

    def write(self, data: bytes) -> int:
        """Appends. Raises DiskFull."""
        with room_in(self._blobs.folder):
            count = self._file.write(data)
        self._hash.update(data)
        self.size += count
        return count

    def read(self, size: int = -1) -> bytes:
        return self._file.read(size)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves the place to read from. Raises DiskFull when what was written so far finds no room."""
        with room_in(self._blobs.folder):
            return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def commit(self) -> str:
        """Makes the file a blob, durably, and returns its hash. Raises DiskFull; then the draft is gone."""
        try:
            with room_in(self._blobs.folder):
                self._file.flush()
                os.fsync(self._file.fileno())
                self._file.close()
            name = self._hash.hexdigest()
            self._blobs.adopt(self._path, name)
        except BaseException:
            self.discard()
            raise
        return name

    def discard(self) -> None:
        """Removes the file unless it has become a blob. May be called twice."""
        try:
            self._file.close()
        except OSError:
            # Closing flushes, and on a full disk fails again; the descriptor is closed all the same.
            self._path.unlink(missing_ok=True)
        self._path.unlink(missing_ok=True)

    close = discard

    def __enter__(self) -> Draft:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.discard()
