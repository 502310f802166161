"""What an installed plugin consists of: its own files, the shared package and requests, as pure Python.

The editors' Pythons have no packages, so what a plugin imports travels in its `vendor` folder. No compiled module does:
the editor's Python is of another version than ours.
"""

from __future__ import annotations

import hashlib
import io
import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path, PurePosixPath
from typing import Final

import pentimento
import pentimento_shared

from . import NAMES, Editor, PluginError

VENDORED: Final = ("requests", "urllib3", "idna", "certifi", "charset_normalizer")
"""The packages that a plugin needs besides ours: requests, and what it imports."""

MANIFEST: Final = "manifest.json"
_LEFT_OUT: Final = frozenset({"__pycache__", "tests", "test", "vendor"})
_COMPILED: Final = frozenset({".so", ".pyd", ".pyc", ".pyo", ".dylib"})
_WHEN: Final = (2026, 1, 1, 0, 0, 0)
"""The time of every file in a zip: the same plugin makes the same zip."""


@dataclass(frozen=True)
class Bundle:
    """A plugin ready to be put somewhere.

    `files`: contents by path relative to the folder where the editor looks (Krita: its resources, GIMP: its plug-ins).
    `roots`: the files and folders, relative to the same, that are replaced as a whole, in the order in which that is to
    be done: what makes the editor look at the rest comes last. The manifest, with the SHA-256 of every other file, lies
    in the first. `programs`: the files that are executable.
    """

    editor: Editor
    version: str
    files: Mapping[str, bytes]
    roots: tuple[str, ...]
    programs: frozenset[str] = frozenset()

    @property
    def manifest(self) -> str:
        """The manifest's key in `files`."""
        return f"{self.roots[0]}/{MANIFEST}"


def krita_bundle(source: Path | None = None) -> Bundle:
    """Krita's plugin from its source folder. Raises PluginError when that is not there."""
    source = source or _source("krita")
    package = _tree(source / "pentimento")
    files = {
        **_under("pykrita/pentimento", {**package, **_vendored()}),
        "pykrita/pentimento.desktop": _read(source / "pentimento.desktop"),
        **_under("actions", _tree(source / "actions")),
    }
    # The .desktop file, by which Krita finds the rest, is the last of these.
    beside = sorted(path for path in files if not path.startswith("pykrita/pentimento/"))
    return _with_manifest("krita", files, ("pykrita/pentimento", *beside))


def gimp_bundle(source: Path | None = None) -> Bundle:
    """GIMP's plug-in from its source folder. Raises PluginError when that is not there."""
    source = source or _source("gimp")
    files = _under("pentimento", {**_tree(source / "pentimento"), **_vendored()})
    return _with_manifest("gimp", files, ("pentimento",), frozenset({"pentimento/pentimento.py"}))


def bundle_of(editor: Editor) -> Bundle:
    """The plugin that this Pentimento brings. Raises PluginError."""
    return krita_bundle() if editor == "krita" else gimp_bundle()


def krita_zip(bundle: Bundle) -> bytes:
    """The zip that Krita takes under Tools > Scripts > Import Python Plugin from File; the same bytes each time."""
    buffer = io.BytesIO()
    paths = sorted(path.removeprefix("pykrita/") for path in bundle.files)
    contents = {path.removeprefix("pykrita/"): data for path, data in bundle.files.items()}
    folders = sorted({str(parent) for path in paths for parent in PurePosixPath(path).parents} - {"."})
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        # Krita finds a plugin's folder by its own entry, which most programs leave out.
        for folder in folders:
            archive.writestr(zipfile.ZipInfo(f"{folder}/", _WHEN), b"")
        for path in paths:
            info = zipfile.ZipInfo(path, _WHEN)
            info.external_attr = 0o644 << 16
            archive.writestr(info, contents[path], zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def digest(data: bytes) -> str:
    """SHA-256 in hex, as in a manifest."""
    return hashlib.sha256(data).hexdigest()


def _with_manifest(
    editor: Editor, files: Mapping[str, bytes], roots: tuple[str, ...], programs: frozenset[str] = frozenset()
) -> Bundle:
    listed = {path: digest(data) for path, data in sorted(files.items())}
    manifest = json.dumps({"version": pentimento.__version__, "files": listed}, indent=1).encode()
    whole = {**files, f"{roots[0]}/{MANIFEST}": manifest}
    return Bundle(editor, pentimento.__version__, whole, roots, programs)


# --- where it comes from -----------------------------------------------------------------------------------


def _source(editor: Editor) -> Path:
    """The plugin's folder: inside the installed package, or beside it in a checkout."""
    name = f"{editor}_plugin"
    package = Path(__file__).resolve().parent
    for folder in (package / "sources" / name, package.parents[2] / name):
        if folder.is_dir():
            return folder
    raise PluginError(
        f"This installation of Pentimento lacks the files of the plugin for {NAMES[editor]} ({name}): install it again."
    )


def _vendored() -> dict[str, bytes]:
    """The vendor folder: the shared package and requests with all that it imports, with their licences."""
    files = _under("vendor/pentimento_shared", _tree(Path(str(pentimento_shared.__file__)).parent))
    for name in VENDORED:
        try:
            found = distribution(name)
        except PackageNotFoundError as error:
            raise PluginError(f"The package {name}, which the plugins carry, is not installed here.") from error
        files |= _under(f"vendor/{name}", {**_tree(Path(str(found.locate_file(name)))), **_licences(found)})
    try:
        files |= _licences(distribution("pentimento"))
    except PackageNotFoundError:
        # Run from its sources, without being installed: there is no record of its files.
        licence = Path(__file__).resolve().parents[3] / "LICENSE"
        files |= {"LICENSE": licence.read_bytes()} if licence.is_file() else {}
    return files


def _licences(found: Distribution) -> dict[str, bytes]:
    words = ("LICENSE", "LICENCE", "NOTICE", "COPYING")
    paths = [path for path in found.files or () if ".dist-info" in str(path) and path.name.upper().startswith(words)]
    return {path.name: Path(str(found.locate_file(path))).read_bytes() for path in paths}


def _tree(folder: Path) -> dict[str, bytes]:
    """Every file below a folder by its relative path, but for what belongs to one machine only."""
    if not folder.is_dir():
        raise PluginError(f"{folder} is missing, which the plugins are made of: install Pentimento again.")
    found = {path.relative_to(folder): path for path in sorted(folder.rglob("*")) if path.is_file()}
    return {
        relative.as_posix(): _read(path)
        for relative, path in found.items()
        if not _LEFT_OUT.intersection(relative.parts) and path.suffix not in _COMPILED
    }


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise PluginError(f"{path}, a part of the plugins, cannot be read: {error.strerror}.") from error


def _under(folder: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    return {f"{folder}/{path}": data for path, data in files.items()}
