"""Found by every Python that GIMP starts for a test: writes down, line by line, what its progress bar is to say.

GIMP has a call for that (gimp_progress_install), which refuses everybody in 3.0.
"""

import os
from functools import wraps
from pathlib import Path

import gi

_require = gi.require_version


@wraps(_require)
def _required(namespace: str, version: str) -> None:
    _require(namespace, version)
    if namespace == "Gimp":
        from gi.repository import Gimp

        gi.require_version = _require
        Gimp.progress_set_text = _written(Gimp.progress_set_text)


def _written(say):
    @wraps(say)
    def said(text: str) -> bool:
        with (Path(os.environ["PENTIMENTO_STAGE"]) / "said").open("a", encoding="utf-8") as file:
            file.write(f"{text}\n")
        return say(text)

    return said


gi.require_version = _required
