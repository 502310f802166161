"""Files that are either whole and on disk or not there at all, and the one error that a full disk becomes."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import psutil

_FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
PRIVATE_FILE: Final = 0o600
PRIVATE_FOLDER: Final = 0o700


class DiskFull(Exception):
    """There was no room left for a write. Nothing half-written stays behind."""

    def __init__(self, folder: Path) -> None:
        super().__init__(f"The disk that holds {folder} is full. Free some space and try again.")
        self.folder = folder


class NotOurs(Exception):
    """A folder that another user owns, or put in the place of ours: what is written there would be theirs."""

    def __init__(self, folder: Path, owner: int) -> None:
        super().__init__(
            f"The folder {folder} belongs to another user (number {owner}), who could read and change everything in "
            "it. Move it away, or make it yours."
        )


@contextmanager
def room_in(folder: Path) -> Iterator[None]:
    """Turns the OSError of a full disk, a used-up quota or a file size limit into DiskFull."""
    try:
        yield
    except OSError as error:
        if error.errno in _FULL:
            raise DiskFull(folder) from error
        raise


def private_folder(folder: Path) -> Path:
    """`folder`, made with its parents where missing, open to this user alone.

    It may be a link of this user's own to a larger disk. Raises NotOurs when it, or the link, is somebody else's.
    """
    folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    if os.name != "posix":
        return folder
    status = folder.stat()
    for owner in (folder.lstat().st_uid, status.st_uid):
        if owner != os.geteuid():
            raise NotOurs(folder, owner)
    if status.st_mode & 0o077:
        folder.chmod(PRIVATE_FOLDER)
    return folder


def sync_folder(folder: Path) -> None:
    """Makes the names in `folder` durable. Windows does that by itself and cannot open folders."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def open_private(path: Path) -> int:
    """The descriptor of a new file that only this user can read. Raises FileExistsError when it is there."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0) | getattr(os, "O_NOFOLLOW", 0)
    return os.open(path, flags, PRIVATE_FILE)


def write_whole(path: Path, data: bytes) -> None:
    """Replaces `path` by `data` in one step: a reader sees the old file or the new one. Durable on return.

    Raises DiskFull; then the old file stands and no temporary file is left.
    """
    _remove_drafts_of_the_dead(path)
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    draft.unlink(missing_ok=True)
    try:
        with room_in(path.parent), os.fdopen(open_private(draft), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def _remove_drafts_of_the_dead(path: Path) -> None:
    """Removes what processes that were killed in the middle of writing `path` have left."""
    for draft in path.parent.glob(f".{path.name}.*.tmp"):
        writer = draft.name.removesuffix(".tmp").rpartition(".")[2]
        if not writer.isdecimal() or not psutil.pid_exists(int(writer)):
            draft.unlink(missing_ok=True)
