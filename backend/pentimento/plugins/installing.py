"""Putting a plugin into its place and taking it away again: whole or not at all, and nothing besides it."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final, Literal

from . import NAMES, PluginError, kritarc
from .bundle import MANIFEST, Bundle, digest
from .places import Place

State = Literal["absent", "current", "outdated", "changed"]
_STAGING: Final = ".pentimento-"
_ROOTS: Final = {"krita": "pykrita/pentimento", "gimp": "pentimento"}


@dataclass(frozen=True)
class Installed:
    """What lies in a place.

    `current`: exactly what this Pentimento brings. `outdated`: whole, but of another make. `changed`: files were edited
    or are missing, or it was not installed from a bundle. `version` is "" where nothing says it. `enabled`: the editor
    loads it (GIMP loads everything).
    """

    place: Place
    state: State
    version: str = ""
    enabled: bool = True


def examine(place: Place, bundle: Bundle) -> Installed:
    """What lies in a place, compared with a bundle."""
    root = place.folder / bundle.roots[0]
    if not os.path.lexists(root):
        return Installed(place, "absent", enabled=False)
    enabled = place.settings is None or kritarc.is_enabled(_settings(place.settings))
    try:
        text = (root / MANIFEST).read_bytes()
        version, files = _parse(text)
    except (OSError, ValueError):
        return Installed(place, "changed", enabled=enabled)
    if not all(_has(place.folder / path, sha) for path, sha in files.items()):
        return Installed(place, "changed", version, enabled)
    same = text == bundle.files[bundle.manifest]
    return Installed(place, "current" if same else "outdated", version, enabled)


def describe(found: Installed) -> str:
    """What lies in a place, as half a sentence, with what to do about it."""
    again = f"`python3 launch.py plugins install {found.place.editor}`"
    version = found.version or "of an unknown version"
    if found.state == "absent":
        return f"no plugin installed; {again} does that"
    if found.state == "changed":
        return f"plugin {version} in {found.place.folder}, but not as it was made; {again} puts that right"
    if found.state == "outdated":
        return (
            f"plugin {version} in {found.place.folder} is not the one of this Pentimento; {again} brings it up to date"
        )
    if not found.enabled:
        return f"plugin {version} in {found.place.folder}, but switched off in {NAMES['krita']}; {again} switches it on"
    return f"plugin {version}, up to date, in {found.place.folder}"


def install(place: Place, bundle: Bundle) -> Installed:
    """Puts a plugin into its place and switches it on. Returns what was there before.

    What lay there under the plugin's own names is replaced as a whole; whatever goes wrong, it stays or the new one is
    complete. Doing it twice changes nothing. Raises PluginError.
    """
    before = examine(place, bundle)
    with _explained(place, "installed"):
        if before.state != "current":
            place.folder.mkdir(parents=True, exist_ok=True)
            _replace(place.folder, bundle)
        if place.settings is not None:
            _edit(place.settings, kritarc.enable(_settings(place.settings)))
    return before


def uninstall(place: Place) -> bool:
    """Removes what was installed in a place, and the entry that switched it on. False: nothing was there.

    Only files that the manifest names go, and what Python compiled of them; other files in the plugin's folder stay.
    Raises PluginError when the folder is no installed plugin.
    """
    root = place.folder / _ROOTS[place.editor]
    if not os.path.lexists(root):
        return False
    with _explained(place, "removed"):
        if root.is_symlink():
            root.unlink()
        else:
            _remove(place.folder, root)
        if place.settings is not None:
            _edit(place.settings, kritarc.disable(_settings(place.settings)))
    return True


# --- files -------------------------------------------------------------------------------------------------


def _replace(folder: Path, bundle: Bundle) -> None:
    for left_over in folder.glob(f"{_STAGING}*"):
        shutil.rmtree(left_over)
    staging = Path(tempfile.mkdtemp(prefix=_STAGING, dir=folder))
    try:
        for path, data in bundle.files.items():
            file = staging / "new" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
            file.chmod(0o755 if path in bundle.programs else 0o644)
        _exchange(bundle.roots, folder, staging)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


def _exchange(roots: Sequence[str], folder: Path, staging: Path) -> None:
    """Moves each of `staging`/new into `folder`, and what was there to `staging`/old; all of them, or none."""
    moved: list[tuple[Path, Path]] = []
    try:
        for root in roots:
            old = [(folder / root, staging / "old" / root)] if os.path.lexists(folder / root) else []
            for source, goal in [*old, (staging / "new" / root, folder / root)]:
                goal.parent.mkdir(parents=True, exist_ok=True)
                source.rename(goal)
                moved.append((source, goal))
    except OSError:
        for source, goal in reversed(moved):
            goal.rename(source)
        raise


def _remove(folder: Path, root: Path) -> None:
    try:
        _, files = _parse((root / MANIFEST).read_bytes())
    except (FileNotFoundError, ValueError):
        raise PluginError(
            f"{root} has no list of what was installed ({MANIFEST}); remove the folder by hand."
        ) from None
    manifest = (root / MANIFEST).relative_to(folder).as_posix()
    parents = set()
    # The list last: cut off before, the command can be given again.
    for path in [*files, manifest]:
        (folder / path).unlink(missing_ok=True)
        parents.update(parent for parent in PurePosixPath(path).parents if (folder / parent).is_relative_to(root))
    for parent in sorted(parents, key=lambda path: len(path.parts), reverse=True):
        shutil.rmtree(folder / parent / "__pycache__", ignore_errors=True)
        with suppress(OSError):
            # Not empty: somebody else's file is in there.
            (folder / parent).rmdir()


def _parse(text: bytes) -> tuple[str, dict[str, str]]:
    """Version and hashes of a manifest. Raises ValueError for what is none, a path that leads elsewhere included."""
    manifest = json.loads(text)
    if not isinstance(manifest, dict) or not isinstance(manifest.get("files"), Mapping):
        raise ValueError("no manifest")
    files = {str(path): str(sha) for path, sha in manifest["files"].items()}
    if any(path.startswith("/") or ".." in PurePosixPath(path).parts or "\\" in path or ":" in path for path in files):
        raise ValueError("a manifest that names files elsewhere")
    return str(manifest.get("version", "")), files


def _has(file: Path, sha: str) -> bool:
    try:
        return digest(file.read_bytes()) == sha
    except OSError:
        return False


def _settings(file: Path) -> bytes:
    """Krita's settings; empty before its first start."""
    return file.read_bytes() if file.exists() else b""


def _edit(file: Path, text: bytes) -> None:
    """Writes Krita's settings if they change: whole, with their permissions, through a link to where they are."""
    goal = file.resolve()
    if text == _settings(goal):
        return
    if not text:
        goal.unlink(missing_ok=True)
        return
    goal.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f"{goal.name}.", dir=goal.parent)
    part = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as output:
            output.write(text)
        if goal.exists():
            shutil.copymode(goal, part)
        part.replace(goal)
    except OSError:
        part.unlink(missing_ok=True)
        raise


@contextmanager
def _explained(place: Place, done: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        name = NAMES[place.editor]
        raise PluginError(
            f"The plugin for {place.label} could not be {done} in {place.folder}: {error.strerror} "
            f"({error.filename}). Close {name} if it runs, see that the folder may be written to, and try again."
        ) from error
