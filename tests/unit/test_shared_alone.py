"""The shared package in a bare interpreter, as in Krita and GIMP: Python 3.10 where found, and requests."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"
MODULES = sorted(file.stem for file in (SHARED / "pentimento_shared").glob("*.py") if file.stem != "__init__")
REQUESTS = ("requests", "urllib3", "idna", "certifi", "charset_normalizer")
"""requests and what it needs; all of them run as pure Python too."""
ABSENT = ("numpy", "torch", "PIL", "flask", "pentimento", "pytest")

SCRIPT = """
import importlib, importlib.util, json, sys
folders, modules, absent = json.loads(sys.argv[1])
sys.path[:0] = folders
for module in modules:
    importlib.import_module(f"pentimento_shared.{module}")
from pentimento_shared.geometry import Size
from pentimento_shared.pixels import Pixels, decode_png, encode_png, read_png_text
kept = []
for channels, depth in ((1, 8), (3, 16), (4, 8), (4, 16)):
    data = bytes(i * i // 3 % 256 for i in range(61 * 47 * channels * depth // 8))
    pixels = Pixels(Size(61, 47), channels, depth, data)
    png = encode_png(pixels, {"pentimento": "déjà vu"})
    kept.append(decode_png(png) == pixels and read_png_text(png) == {"pentimento": "déjà vu"})
from pentimento_shared.client import BackendUnreachable, Client
try:
    Client("http://127.0.0.1:1", "token").health()
except BackendUnreachable as error:
    sentence = str(error)
print(json.dumps({
    "version": sys.version_info[:2],
    "kept": kept,
    "sentence": sentence,
    "importable": [name for name in absent if importlib.util.find_spec(name)],
    "imported": [name for name in absent if name in sys.modules],
}))
"""


def interpreters() -> Iterator[str]:
    """Where Python 3.10 may be, the oldest that editors bring; at last the running interpreter."""
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    places = [None, *(str(folder) for folder in sorted(pyenv.glob("versions/3.10*/bin")))]
    for place in places:
        if found := shutil.which("python3.10", path=place):
            yield found
    yield sys.executable


def runs(python: str) -> bool:
    """A pyenv shim may be there for a version that is not switched on."""
    return subprocess.run([python, "-c", "import zlib, ssl"], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def requests_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with requests and its dependencies, without what was compiled for the running Python."""
    folder = tmp_path_factory.mktemp("requests")
    for name in REQUESTS:
        spec = find_spec(name)
        assert spec is not None
        assert spec.origin is not None
        source = Path(spec.origin).parent
        shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__", "*.so", "*.pyd"))
    return folder


@pytest.fixture(scope="module")
def report(requests_alone: Path) -> dict[str, Any]:
    """What the bare interpreter found."""
    python = next(filter(runs, interpreters()))
    argument = json.dumps([[str(SHARED), str(requests_alone)], MODULES, ABSENT])
    # -I: no PYTHON... variables, no user packages; -S: no site-packages; so the two folders are all there is.
    command = [python, "-I", "-S", "-B", "-c", SCRIPT, argument]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_nothing_else_was_there_or_was_imported(report: dict[str, Any]) -> None:
    assert report["version"] >= [3, 10]
    assert report["importable"] == []
    assert report["imported"] == []


def test_png_round_trips_there(report: dict[str, Any]) -> None:
    assert report["kept"] == [True] * 4


def test_the_client_speaks_plainly_there(report: dict[str, Any]) -> None:
    assert report["sentence"].startswith("No backend answers at http://127.0.0.1:1 (connection refused).")
