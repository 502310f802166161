"""One zip for whoever is asked for help: logs, versions, findings, what became of the last jobs. No picture, no prompt,
no token goes in, whatever a log may hold."""

from __future__ import annotations

import io
import json
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from contextlib import closing
from datetime import UTC, datetime
from importlib.metadata import distributions
from pathlib import Path
from typing import Any, Final

from pentimento_shared.places import data_folder, server_file, token_file
from pentimento_shared.settings import SETTINGS

from . import __version__
from .disk import open_private, room_in
from .doctor import Finding
from .jobs.discretion import HIDDEN, private_texts
from .server.token import VARIABLE

_LONGEST_LOG: Final = 4 << 20
"""Bytes of each log that go in: its end."""
_MOST_JOBS: Final = 200
_SHOWN_VARIABLES: Final = (
    "PENTIMENTO_HOME",
    "PENTIMENTO_DEVICE",
    "CUDA_VISIBLE_DEVICES",
    "PYTORCH_CUDA_ALLOC_CONF",
    "PYTORCH_ALLOC_CONF",
    "OMP_NUM_THREADS",
    "FLATPAK_ID",
    "SNAP_NAME",
    "XDG_SESSION_TYPE",
)
_SHORTEST: Final = 4
_GPU: Final = ("nvidia-smi", "rocm-smi", "xpu-smi")


def pack(findings: Iterable[Finding], target: Path | None = None) -> Path:
    """Writes the zip and returns where it is: `target`, else a name with the time in the present folder.

    Raises FileExistsError for a target that is there already, DiskFull.
    """
    now = datetime.now(UTC)
    path = target or Path(f"pentimento-diagnosis-{now:%Y%m%d-%H%M%S}.zip")
    settings = _job_settings(data_folder() / "jobs.sqlite3")
    discreet = _Discretion.of(settings)
    parts = {
        "about.json": _json({"time": f"{now:%Y-%m-%dT%H:%M:%SZ}", **_machine()}),
        "findings.json": _json([finding._asdict() for finding in findings]),
        "versions.json": _json(_versions()),
        "variables.json": _json(_variables()),
        "jobs.json": _json(_jobs(data_folder() / "jobs.sqlite3")),
        **{f"{tool}.txt": said for tool in _GPU if (said := _ask(tool))},
        **dict(_logs(data_folder() / "logs")),
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, discreet.applied(text))
    with room_in(path.absolute().parent), os.fdopen(open_private(path), "wb") as file:
        file.write(buffer.getvalue())
    return path


class _Discretion:
    """Takes out of texts what must not leave the machine."""

    def __init__(self, secrets: Iterable[str], home: str) -> None:
        self._secrets = sorted({secret for secret in secrets if len(secret) >= _SHORTEST}, key=len, reverse=True)
        self._home = home

    @classmethod
    def of(cls, settings: Iterable[Mapping[str, Any]]) -> _Discretion:
        """Hides the prompts of those jobs, as they are and as JSON has them, and the tokens; the home folder, which
        bears a name, becomes ~."""
        prompts = {text for job in settings for text in private_texts(job)}
        prompts |= {line for text in prompts for line in text.splitlines()}
        escaped = {json.dumps(text, ensure_ascii=ascii)[1:-1] for text in prompts for ascii in (True, False)}
        tokens = {os.environ.get(VARIABLE, "").strip(), _read(token_file()).strip()}
        return cls(prompts | escaped | tokens, str(Path.home()))

    def applied(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, HIDDEN)
        return text.replace(self._home, "~") if len(self._home) > 1 else text


def _machine() -> dict[str, Any]:
    return {
        "pentimento": __version__,
        "python": sys.version,
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "server": json.loads(_read(server_file()) or "null"),
    }


def _versions() -> dict[str, str]:
    return dict(sorted((found.metadata["Name"] or "", found.version) for found in distributions()))


def _variables() -> dict[str, str]:
    shown = {name: os.environ[name] for name in _SHOWN_VARIABLES if name in os.environ}
    return {**shown, VARIABLE: "set" if os.environ.get(VARIABLE) else "not set"}


def _job_settings(store: Path) -> list[dict[str, Any]]:
    return [json.loads(row["settings"]) for row in _rows(store, "SELECT settings FROM jobs")]


def _jobs(store: Path) -> list[dict[str, Any]]:
    """The last jobs: what was asked in numbers and names, and how it ended. Nothing that the artist wrote."""
    own_words = {row.name for row in SETTINGS if row.kind == "text"}
    jobs: list[dict[str, Any]] = []
    for row in _rows(store, f"SELECT * FROM jobs ORDER BY number DESC LIMIT {_MOST_JOBS}"):
        settings = json.loads(row["settings"])
        problem = json.loads(row["problem"]) if row["problem"] else {}
        jobs.append(
            {
                **{name: row[name] for name in ("id", "created", "task", "state", "deaths", "application", "region")},
                "problem": [problem.get("status"), problem.get("title")] if problem else None,
                "settings": {name: value for name, value in settings.items() if name not in own_words},
            }
        )
    return jobs


def _rows(store: Path, query: str) -> list[sqlite3.Row]:
    """What the store says, [] when there is none or it is damaged: then its place in the findings says so."""
    if not store.exists():
        return []
    try:
        with closing(sqlite3.connect(f"{store.as_uri()}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return connection.execute(query).fetchall()
    except sqlite3.Error:
        return []


def _logs(folder: Path) -> Iterable[tuple[str, str]]:
    for path in sorted(folder.glob("*.log*")):
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - _LONGEST_LOG))
            yield f"logs/{path.name}", file.read().decode("utf-8", "replace")


def _ask(tool: str) -> str:
    """What a GPU's tool says of the GPU and its driver, "" where there is none."""
    found = shutil.which(tool)
    if found is None:
        return ""
    try:
        answer = subprocess.run([found], check=False, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{tool}: {error}\n"
    return answer.stdout + answer.stderr


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, ValueError):
        return ""


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1) + "\n"
