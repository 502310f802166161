"""The backend that is installed here: the command that starts it, as it left it behind, and starting it from an editor.

The process outlives the editor; what it says before it has a log of its own goes to `start_log`.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from .places import HOME_VARIABLE, backend_file, data_folder

PORT: Final = 7350
"""Where the backend listens when nobody says otherwise."""
BY_HAND: Final = "python3 launch.py"
"""The command, to be typed in Pentimento's folder, where no other is known."""
_FOLDERS: Final = ("PATH", "LD_LIBRARY_PATH", "XDG_DATA_DIRS")
"""Variables in which an editor from an AppImage puts its own folders first."""


class StartError(Exception):
    """The backend cannot be started from here; the sentence says why and what to do."""


def start_log(environ: Mapping[str, str]) -> Path:
    """The file of what a backend that was started here says first."""
    return data_folder(environ) / "logs" / "background.log"


def remembered_command(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The command with which the backend was started last, empty when it never was or is no longer there."""
    try:
        words = json.loads(backend_file(environ).read_text("utf-8"))["command"]
    except (OSError, ValueError, KeyError, TypeError):
        return ()
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        return ()
    # From inside a Flatpak the programs of the system are not to be seen.
    return tuple(words) if "FLATPAK_ID" in environ or Path(words[0]).exists() else ()


def typed(command: tuple[str, ...]) -> str:
    """The command as it is typed in a terminal; the one for Pentimento's folder when none is known."""
    if not command:
        return BY_HAND
    return subprocess.list2cmdline(command) if sys.platform == "win32" else shlex.join(command)


def can_start(environ: Mapping[str, str]) -> bool:
    """Whether start() has a command, and this editor may start programs of the system (one from a Snap may not)."""
    return "SNAP_NAME" not in environ and bool(remembered_command(environ))


def start(environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """Starts the backend, detached from this program. Raises StartError."""
    command = remembered_command(environ)
    if not command:
        raise StartError(f"The backend has not been started on this computer yet. Type `{BY_HAND}` in its folder once.")
    words = [*command, *port_option()]
    own_home = environ.get(HOME_VARIABLE)
    if "FLATPAK_ID" in environ:
        words = ["flatpak-spawn", "--host", *([f"--env={HOME_VARIABLE}={own_home}"] if own_home else []), *words]
    try:
        return spawn(words, outside(environ))
    except OSError as error:
        raise StartError(
            f"The backend cannot be started from here ({error}). Type in a terminal: {typed(command)}"
        ) from error


def reason(environ: Mapping[str, str]) -> str:
    """The last that a backend said which did not start."""
    try:
        lines = start_log(environ).read_text("utf-8", errors="replace").strip().splitlines()
    except OSError as error:
        return str(error)
    return lines[-1] if lines else f"it said nothing; try `{BY_HAND}` ({start_log(environ)} is empty)"


def outside(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without what an editor has set for its own Python and libraries."""
    own = {name: value for name, value in environ.items() if name not in ("PYTHONHOME", "PYTHONPATH")}
    if bundle := environ.get("APPDIR"):
        for name in set(_FOLDERS) & set(own):
            folders = own.pop(name).split(os.pathsep)
            if kept := os.pathsep.join(folder for folder in folders if not folder.startswith(bundle)):
                own[name] = kept
    return own


def spawn(words: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    """A process that outlives this one; what it says goes to start_log. Raises OSError."""
    log, home, none = start_log(environ), Path.home(), subprocess.DEVNULL
    log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with log.open("wb") as output:
        # A session of its own: what ends the editor, or Ctrl+C in its terminal, must not reach the backend.
        if sys.platform == "win32":
            apart = subprocess.DETACHED_PROCESS | subprocess.CREATE_NEW_PROCESS_GROUP
            return subprocess.Popen(
                words, stdin=none, stdout=output, stderr=output, env=dict(environ), cwd=home, creationflags=apart
            )
        return subprocess.Popen(
            words, stdin=none, stdout=output, stderr=output, env=dict(environ), cwd=home, start_new_session=True
        )


def port_option() -> list[str]:
    """The usual port for a backend that starts now, or any: clients find it by its file, so another program may have
    the usual one."""
    return ["--port", str(0 if port_in_use(PORT) else PORT)]


def port_in_use(port: int) -> bool:
    """Whether something answers at that port of this machine."""
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
