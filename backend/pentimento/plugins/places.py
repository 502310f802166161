"""Where Krita and GIMP 3 look for plugins: on Linux (also Flatpak, Snap, AppImage), Windows and macOS.

All functions take the System that they look at; nothing is created here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from . import Editor, kritarc

_ASK_S: Final = 20


@dataclass(frozen=True)
class System:
    """A machine as its user sees it. `platform` as sys.platform; `root`: where absolute places begin."""

    platform: str = sys.platform
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    home: Path = field(default_factory=Path.home)
    root: Path = field(default_factory=lambda: Path(Path.home().anchor))

    def folder(self, variable: str, usual: str) -> Path:
        """The folder that an environment variable names with an absolute path, else `usual` in the home folder."""
        named = self.environ.get(variable, "")
        return Path(named) if named and Path(named).is_absolute() else self.home / usual

    def program(self, name: str) -> Path | None:
        """A program on PATH."""
        found = shutil.which(name, path=self.environ.get("PATH", ""))
        return Path(found) if found else None


@dataclass(frozen=True)
class Place:
    """A folder where an installed editor looks for plugins.

    `label` says which editor: "Krita", "GIMP 3.0 (Flatpak)". `folder` is Krita's resource folder, or GIMP's plug-ins
    folder of one version, and may not be there yet. `settings`: Krita's file in which plugins are switched on.
    """

    editor: Editor
    label: str
    folder: Path
    settings: Path | None = None


@dataclass(frozen=True)
class _Home:
    """Where one packaging of an editor keeps a user's files, and by what one sees that it is installed."""

    packaging: str
    folder: Path
    settings: Path | None = None
    signs: Sequence[Path] = ()


def places(editor: Editor, system: System) -> list[Place]:
    """Every place of an editor that is installed here, or was used; the usual packaging first."""
    return krita_places(system) if editor == "krita" else gimp_places(system)


# --- Krita -------------------------------------------------------------------------------------------------


def krita_places(system: System) -> list[Place]:
    """Krita's resource folders. One that the user moved elsewhere is followed."""
    found = []
    for home in _krita_homes(system):
        signs = [home.folder, *([home.settings] if home.settings else []), *home.signs]
        if any(sign.exists() for sign in signs):
            found.append(_krita_place(home))
    return found


def usual_krita_place(system: System) -> Place:
    """Where Krita will look on this system when it is installed in the usual way (or is an AppImage)."""
    return _krita_place(next(_krita_homes(system)))


def _krita_place(home: _Home) -> Place:
    settings = home.settings
    moved = kritarc.resource_folder(settings.read_bytes()) if settings and settings.is_file() else None
    folder = moved if moved and moved.is_absolute() else home.folder
    return Place("krita", _label("Krita", home.packaging), folder, settings)


def _krita_homes(system: System) -> Iterator[_Home]:
    home, root = system.home, system.root
    if system.platform == "win32":
        roaming = system.folder("APPDATA", "AppData/Roaming")
        local = system.folder("LOCALAPPDATA", "AppData/Local")
        programs = [system.folder(name, "none") / "Krita (x64)" for name in ("PROGRAMFILES", "PROGRAMW6432")]
        yield _Home("", roaming / "krita", local / "kritarc", programs)
        for cache in sorted(local.glob("Packages/*Krita*/LocalCache")):
            yield _Home("Microsoft Store", cache / "Roaming/krita", cache / "Local/kritarc", [cache])
    elif system.platform == "darwin":
        library = home / "Library"
        apps = [base / "Applications/krita.app" for base in (root, home)]
        yield _Home("", library / "Application Support/krita", library / "Preferences/kritarc", apps)
    else:
        data, config = system.folder("XDG_DATA_HOME", ".local/share"), system.folder("XDG_CONFIG_HOME", ".config")
        program = system.program("krita")
        yield _Home("", data / "krita", config / "kritarc", [program] if program else [])
        app = home / ".var/app/org.kde.krita"
        yield _Home("Flatpak", app / "data/krita", app / "config/kritarc", [app, *_flatpak(system, "org.kde.krita")])
        snap = home / "snap/krita/current"
        yield _Home("Snap", snap / ".local/share/krita", snap / ".config/kritarc", [snap, root / "snap/krita"])


# --- GIMP --------------------------------------------------------------------------------------------------


def gimp_places(system: System) -> list[Place]:
    """The plug-ins folder of every GIMP 3 that was used; of the installed one too, before any GIMP's first start."""
    found = {}
    for home in _gimp_homes(system):
        for version in _used_versions(home.folder):
            if version.startswith("3."):
                folder = home.folder / version / "plug-ins"
                found[folder] = Place("gimp", _label(f"GIMP {version}", home.packaging), folder)
    usual = next(_gimp_homes(system)).folder
    if not _used_versions(usual):
        for version in sorted(_installed_gimps(system), key=_number):
            folder = usual / version / "plug-ins"
            found[folder] = Place("gimp", f"GIMP {version}", folder)
    if own := system.environ.get("GIMP3_DIRECTORY"):
        folder = system.home / own / "plug-ins"
        found[folder] = Place("gimp", "GIMP (GIMP3_DIRECTORY)", folder)
    return list(found.values())


def gimps_to_start(system: System) -> list[str]:
    """The installed GIMPs that have to be started once before a plugin can be put into them, as labels.

    A GIMP that finds its folder made does not take over the settings of an older one, so we must not be first. The
    version of one from Flatpak or Snap shows only in its folder.
    """
    used = _used_versions(next(_gimp_homes(system)).folder)
    waiting = sorted(_installed_gimps(system) - set(used), key=_number) if used else []
    packaged = [
        ("Flatpak", _flatpak(system, "org.gimp.GIMP")),
        ("Snap", [system.root / "snap/gimp"]),
    ]
    labels = [f"GIMP {version}" for version in waiting]
    if system.platform not in {"win32", "darwin"} and not gimp_places(system):
        labels += [_label("GIMP", name) for name, signs in packaged if any(sign.exists() for sign in signs)]
    return labels


def _used_versions(folder: Path) -> list[str]:
    """The versions of GIMP, 2 too, that have a folder in their common one: the oldest first."""
    names = [path.name for path in _listing(folder) if re.fullmatch(r"\d+\.\d+", path.name)]
    return sorted(names, key=_number)


def _gimp_homes(system: System) -> Iterator[_Home]:
    home = system.home
    if system.platform == "win32":
        yield _Home("", system.folder("APPDATA", "AppData/Roaming") / "GIMP")
        local = system.folder("LOCALAPPDATA", "AppData/Local")
        for cache in sorted(local.glob("Packages/*GIMP*/LocalCache")):
            yield _Home("Microsoft Store", cache / "Roaming/GIMP")
    elif system.platform == "darwin":
        yield _Home("", home / "Library/Application Support/GIMP")
    else:
        yield _Home("", system.folder("XDG_CONFIG_HOME", ".config") / "GIMP")
        yield _Home("Flatpak", home / ".var/app/org.gimp.GIMP/config/GIMP")
        yield _Home("Snap", home / "snap/gimp/current/.config/GIMP")


def _installed_gimps(system: System) -> set[str]:
    """The versions ("3.0") of the GIMPs that are installed in the usual way."""
    programs = [path for folder in _program_folders(system) for path in _listing(folder)]
    names = [re.fullmatch(r"gimp-(3\.\d+)(\.exe)?", path.name) for path in programs]
    versions = {match[1] for match in names if match}
    if not versions and (program := system.program("gimp")):
        versions |= _version_of(program)
    return versions


def _program_folders(system: System) -> list[Path]:
    if system.platform == "win32":
        bases = [system.folder("PROGRAMFILES", "none"), system.folder("LOCALAPPDATA", "AppData/Local") / "Programs"]
        return [base / "GIMP 3" / "bin" for base in bases]
    if system.platform == "darwin":
        bases = [base / "Applications" for base in (system.root, system.home)]
        return [app / "Contents/MacOS" for base in bases for app in sorted(base.glob("GIMP*.app"))]
    return [Path(name) for name in system.environ.get("PATH", "").split(os.pathsep) if name]


def _version_of(program: Path) -> set[str]:
    """What a GIMP says of its version: "3.0"; nothing for GIMP 2, or when it does not answer."""
    try:
        answer = subprocess.run([program, "--version"], check=False, capture_output=True, text=True, timeout=_ASK_S)
    except (OSError, subprocess.TimeoutExpired):
        return set()
    return set(re.findall(r"\b(3\.\d+)(?:\.\d+)", answer.stdout)[:1])


# --- both --------------------------------------------------------------------------------------------------


def _flatpak(system: System, app: str) -> list[Path]:
    return [base / "flatpak/app" / app for base in (system.root / "var/lib", system.home / ".local/share")]


def _label(name: str, packaging: str) -> str:
    return f"{name} ({packaging})" if packaging else name


def _number(version: str) -> list[int]:
    return [int(part) for part in version.split(".")]


def _listing(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir())
    except OSError:
        return []
