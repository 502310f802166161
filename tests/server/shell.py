"""`pentimento` as a user types it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pentimento_shared.client import Client

ROOT: Final = Path(__file__).parents[2]


class Shell:
    """Runs `pentimento ARGS` as a user would, in a home of its own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        path = os.pathsep.join(str(ROOT / name) for name in ("backend", "shared"))
        self.environment = {**os.environ, "PENTIMENTO_HOME": str(home), "PYTHONPATH": path}

    def start(self, arguments: Sequence[object]) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "pentimento", *map(str, arguments)]
        pipe = subprocess.PIPE
        return subprocess.Popen(command, env=self.environment, stdout=pipe, stderr=pipe, text=True)

    def run(self, *arguments: object, code: int = 0) -> tuple[str, str]:
        """(stdout, stderr) of a command that ends with `code`."""
        with self.start(arguments) as process:
            out, err = process.communicate(timeout=120)
        assert process.returncode == code, err
        assert "Traceback" not in err
        return out, err

    def make(self, *arguments: object) -> list[Path]:
        """The files that a job wrote."""
        out, _ = self.run(*arguments, "--model", "tiny", "--json")
        return [Path(image["file"]) for image in json.loads(out)["images"]]

    def make_again(self, id: str, goal: Path) -> list[Path]:
        """The files of a job that was fetched once more."""
        out, _ = self.run("fetch", id, "-o", goal, "--json")
        return [Path(image["file"]) for image in json.loads(out)["images"]]

    def client(self) -> Client:
        return Client.discover(self.environment)
