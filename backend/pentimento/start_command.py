"""How the editors start this backend: a file in the user's config folder that says so."""

from __future__ import annotations

import json
import sys

from pentimento_shared.places import backend_file

from .disk import private_folder, write_whole


def remember() -> None:
    """Writes the command that starts this installation's backend where the plugins look for it."""
    # -P: a file in the folder where an editor was started must not pass for a module of ours.
    command = [sys.executable, "-P", "-m", "pentimento", "serve"]
    path = backend_file()
    private_folder(path.parent)
    write_whole(path, json.dumps({"command": command}).encode("utf-8"))
