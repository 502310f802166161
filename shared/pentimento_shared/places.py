"""Where the backend keeps its settings and data, and where the plugins find its token and address.

All functions are pure: environment, platform and home folder are arguments whose defaults are this machine's.
Nothing is created here.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

HOME_VARIABLE: Final = "PENTIMENTO_HOME"
"""Environment variable: a folder that holds both `config` and `data`, on every system."""


def config_folder(
    environ: Mapping[str, str] | None = None, platform: str = sys.platform, home: Path | None = None
) -> Path:
    """The folder of the token and the running server's address.

    PENTIMENTO_HOME/config, else by `platform` (as sys.platform): `$XDG_CONFIG_HOME/pentimento` or
    `~/.config/pentimento` on Linux and other Unix, `~/Library/Application Support/Pentimento/config` on
    macOS, `.pentimento\\config` in the user's profile on Windows. `home` stands in for the user's home
    folder.
    """
    return _folder("config", environ, platform, home)


def data_folder(
    environ: Mapping[str, str] | None = None, platform: str = sys.platform, home: Path | None = None
) -> Path:
    """The folder of jobs, pictures, models and logs.

    PENTIMENTO_HOME/data, else `$XDG_DATA_HOME/pentimento` or `~/.local/share/pentimento` on Linux and other
    Unix; on macOS and Windows `data` beside `config` (see config_folder, which also says what the arguments
    are).
    """
    return _folder("data", environ, platform, home)


def token_file(
    environ: Mapping[str, str] | None = None, platform: str = sys.platform, home: Path | None = None
) -> Path:
    """The file of the token that every request but health needs; made by the first start of the backend."""
    return config_folder(environ, platform, home) / "token"


def server_file(
    environ: Mapping[str, str] | None = None, platform: str = sys.platform, home: Path | None = None
) -> Path:
    """JSON `{"url", "pid", "version", "port"}` of the running server, and its `certificate` (a PEM file) when it has
    one. The server removes it when it ends."""
    return config_folder(environ, platform, home) / "server.json"


def backend_file(
    environ: Mapping[str, str] | None = None, platform: str = sys.platform, home: Path | None = None
) -> Path:
    """JSON `{"command": [...]}`: how the backend was started last, for editors to start it again; it stays."""
    return config_folder(environ, platform, home) / "backend.json"


def _folder(kind: str, environ: Mapping[str, str] | None, platform: str, home: Path | None) -> Path:
    environ = os.environ if environ is None else environ
    if own := environ.get(HOME_VARIABLE):
        return Path(own).expanduser() / kind
    home = Path.home() if home is None else home
    if platform == "win32":
        # Not AppData: Python from the Microsoft Store sees a private copy of it that an editor cannot see.
        return home / ".pentimento" / kind
    if platform == "darwin":
        return home / "Library" / "Application Support" / "Pentimento" / kind
    return _xdg_base(kind, environ, home) / "pentimento"


def _xdg_base(kind: str, environ: Mapping[str, str], home: Path) -> Path:
    """The user's base folder by the XDG Base Directory Specification, also when asked from inside a sandbox.

    An editor from Flatpak or Snap has its own XDG variables (and its own HOME in a Snap). The backend runs
    outside, so the places outside count: HOST_XDG_... that Flatpak passes on, SNAP_REAL_HOME.
    """
    usual = {"config": ".config", "data": ".local/share"}[kind]
    variable = f"XDG_{kind.upper()}_HOME"
    if "SNAP_REAL_HOME" in environ:
        return Path(environ["SNAP_REAL_HOME"]) / usual
    if "FLATPAK_ID" in environ:
        variable = f"HOST_{variable}"
    base = environ.get(variable, "")
    # The specification: a relative path is invalid and to be ignored.
    return Path(base) if base.startswith("/") else home / usual
