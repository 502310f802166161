"""The token: made at the first start, readable by this user alone."""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from pentimento.disk import private_folder, write_whole

VARIABLE: Final = "PENTIMENTO_TOKEN"
_BYTES: Final = 32
_SHORTEST: Final = 16


class TokenError(Exception):
    """The token file cannot be trusted; it is left as it is. The message says what to do."""


def token(path: Path, environ: Mapping[str, str]) -> str:
    """The server's token: PENTIMENTO_TOKEN of `environ`, else that of the file, which is made when missing.

    A file or folder that others could read is closed to them. Raises TokenError for a variable that is too
    short and for a file that is a link or another user's, DiskFull when it cannot be written.
    """
    if own := environ.get(VARIABLE, "").strip():
        if len(own) < _SHORTEST or not own.isascii() or not own.isprintable():
            raise TokenError(f"{VARIABLE} must have at least {_SHORTEST} visible ASCII characters.")
        return own
    private_folder(path.parent)
    if path.is_symlink() or (path.exists() and not path.is_file()):
        raise TokenError(f"The token file {path} is a link or no file. Remove it; a new one is made.")
    if path.exists():
        _tighten(path)
        if len(known := path.read_text("utf-8").strip()) >= _SHORTEST:
            return known
    fresh = secrets.token_urlsafe(_BYTES)
    write_whole(path, fresh.encode("ascii") + b"\n")
    return fresh


def _tighten(path: Path) -> None:
    if os.name != "posix":
        return
    status = path.stat()
    if status.st_uid != os.geteuid():
        raise TokenError(f"The token file {path} belongs to another user. Remove it; a new one is made.")
    if stat.S_IMODE(status.st_mode) & 0o077:
        path.chmod(0o600)
