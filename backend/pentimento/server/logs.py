"""The server's log: one rotating file. Job ids go in; prompts, pictures and the token never do."""

from __future__ import annotations

import logging
import logging.handlers
import os
import time
from pathlib import Path
from typing import Final

from pentimento.jobs.disk import open_private

_LARGEST: Final = 4 << 20
_KEPT: Final = 3


class _PrivateFile(logging.handlers.RotatingFileHandler):
    """A rotating file that only this user can read."""

    def _open(self):
        path = Path(self.baseFilename)
        if not path.exists():
            os.close(open_private(path))
        return super()._open()

    def handleError(self, record: logging.LogRecord) -> None:
        """A full disk must not stop the server, nor fill stderr with one traceback per line."""


def start(path: Path, level: int = logging.INFO) -> None:
    """Sends everything of `level` and above to the file, in UTC."""
    handler = _PrivateFile(path, maxBytes=_LARGEST, backupCount=_KEPT, encoding="utf-8", delay=True)
    formatter = logging.Formatter("%(asctime)sZ %(levelname)s %(threadName)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)
    # waitress tells of every queued task; that is no news with as many clients as we have waiting.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
