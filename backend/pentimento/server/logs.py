"""The server's log: one rotating file of JSON lines. Job ids go in; prompts, pictures and the token never do."""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import re
import sqlite3
import time
import traceback
from pathlib import Path
from types import TracebackType
from typing import Final

from pentimento.disk import open_private

_LARGEST: Final = 4 << 20
_KEPT: Final = 3
_JOB: Final = re.compile(r"\bjob ([0-9a-f]{32})\b")
_HARMLESS: Final = (OSError, sqlite3.Error, MemoryError, ImportError)
"""Errors that speak of the machine. What others say may quote a request, and with it a prompt."""

_ErrorInfo = tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]


class _PrivateFile(logging.handlers.RotatingFileHandler):
    """A rotating file that only this user can read."""

    def _open(self):
        path = Path(self.baseFilename)
        if not path.exists():
            os.close(open_private(path))
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk must not stop the server, nor fill stderr with one traceback per line."""


class _Lines(logging.Formatter):
    """One JSON object a line: time (UTC), level, thread, message, and where they apply job and error."""

    converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        message = record.getMessage()
        line = {
            "time": f"{self.formatTime(record, '%Y-%m-%dT%H:%M:%S')}.{int(record.msecs):03}Z",
            "level": record.levelname,
            "thread": record.threadName,
            "message": message,
        }
        if found := _JOB.search(message):
            line["job"] = found[1]
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)

    def formatException(self, ei: _ErrorInfo) -> str:
        kind, error, trace = ei
        if kind is None or error is None:
            return ""
        verbose = logging.getLogger().isEnabledFor(logging.DEBUG)
        if verbose:
            return "".join(traceback.format_exception(error))
        said = f": {error}" if isinstance(error, _HARMLESS) else ""
        return "".join(traceback.format_tb(trace)) + kind.__name__ + said


def start(path: Path, level: int = logging.INFO) -> None:
    """Sends everything of `level` and above to the file, in UTC."""
    handler = _PrivateFile(path, maxBytes=_LARGEST, backupCount=_KEPT, encoding="utf-8", delay=True)
    handler.setFormatter(_Lines())
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)
    # waitress tells of every queued task; that is no news with as many clients as we have waiting.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
