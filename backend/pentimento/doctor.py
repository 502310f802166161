"""Looks whether everything is in place: one finding per subject, with what to do where something is not.

Quick, because torch is looked at from outside unless it is asked for: importing it takes seconds.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final, NamedTuple

from pentimento_shared.backend_start import PORT, port_in_use
from pentimento_shared.places import data_folder, token_file

from . import __version__
from .background import Running, running

OK: Final = "ok"
WARN: Final = "warn"
FAIL: Final = "FAIL"
NOTE: Final = "-"
"""Neither good nor bad."""

LIBRARIES: Final = (
    "torch",
    "diffusers",
    "transformers",
    "safetensors",
    "spandrel",
    "numpy",
    "pillow",
    "flask",
    "waitress",
)
LITTLE_MEMORY: Final = 3.0
"""GB that should be free: the demo model needs half of it, real models more."""
LITTLE_DISK: Final = 2.0
NO_DISK: Final = 0.2
"""GB free in the data folder below which pictures get lost for want of space."""
_ASK_TORCH: Final = """
import torch
cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
cpu = f"CPU, {torch.get_num_threads()} threads"
print(torch.cuda.get_device_name() if cuda else "Apple GPU" if mps else cpu)
"""


class Finding(NamedTuple):
    """What was found about one subject. `mark` is OK, WARN (works, but), FAIL (does not work) or NOTE."""

    mark: str
    subject: str
    text: str


def examine(full: bool = False) -> Iterator[Finding]:
    """All findings, one after another. `full` loads torch in a process of its own and asks it."""
    backend = running()
    yield Finding(OK, "Pentimento", f"{__version__} with Python {sys.version.split()[0]} in {sys.prefix}")
    yield libraries()
    yield device(backend, full)
    yield memory()
    yield disk(_nearest(data_folder()))
    yield from models()
    yield token(token_file())
    yield server(backend)
    yield logs(data_folder() / "logs")
    yield from plugins()


def libraries(names: Sequence[str] = LIBRARIES, ask: Callable[[str], str] = version) -> Finding:
    """Whether all that the backend imports is installed."""
    found: list[str] = []
    missing: list[str] = []
    for name in names:
        try:
            found.append(f"{name} {ask(name)}")
        except PackageNotFoundError:
            missing.append(name)
    if missing:
        return Finding(
            FAIL, "libraries", f"{', '.join(missing)} missing; delete .venv and run `python3 launch.py` again"
        )
    return Finding(OK, "libraries", ", ".join(found))


def device(backend: Running | None, full: bool) -> Finding:
    """On what the models run: as the running backend or torch says, or by what the machine looks like."""
    if full:
        answer = subprocess.run([sys.executable, "-P", "-c", _ASK_TORCH], check=False, capture_output=True, text=True)
        if answer.returncode:
            said = (answer.stderr.strip() or "it said nothing").splitlines()[-1]
            return Finding(FAIL, "device", f"torch cannot be loaded: {said}")
        return Finding(OK, "device", answer.stdout.strip())
    if backend and backend.health.device:
        return Finding(OK, "device", f"{backend.health.device} (the running backend's)")
    return _guess_device(_nvidia(), _torch_version())


def _guess_device(gpu: str, torch: str) -> Finding:
    if gpu and "+cpu" in torch:
        return Finding(WARN, "device", f"CPU: {gpu} is here, but this torch ({torch}) is the build without CUDA")
    if gpu:
        return Finding(OK, "device", f"{gpu} (not tried; --full asks torch)")
    if sys.platform == "darwin":
        return Finding(OK, "device", "Apple GPU (not tried; --full asks torch)")
    return Finding(OK, "device", f"CPU, {os.cpu_count()} cores (no NVIDIA GPU seen; --full asks torch)")


def _nvidia() -> str:
    """The first NVIDIA GPU that the driver's own tool names, or nothing."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ""
    question = [tool, "--query-gpu=name", "--format=csv,noheader"]
    try:
        answer = subprocess.run(question, check=False, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return answer.stdout.strip().splitlines()[0] if answer.returncode == 0 and answer.stdout.strip() else ""


def _torch_version() -> str:
    try:
        return version("torch")
    except PackageNotFoundError:
        return ""


def memory() -> Finding:
    """The machine's memory, and how much of it is free."""
    import psutil

    state = psutil.virtual_memory()
    total, free = state.total / 1e9, state.available / 1e9
    text = f"{free:.1f} of {total:.1f} GB free"
    if free < LITTLE_MEMORY:
        return Finding(WARN, "memory", f"{text}; close other programs when the backend dies while it works")
    return Finding(OK, "memory", text)


def disk(folder: Path) -> Finding:
    """Free space where jobs and pictures are kept."""
    free = shutil.disk_usage(folder).free / 1e9
    text = f"{free:.1f} GB free in {data_folder()}"
    if free < NO_DISK:
        return Finding(FAIL, "disk", f"{text}; make room, or no job can be taken")
    return Finding(WARN if free < LITTLE_DISK else OK, "disk", text)


def _nearest(folder: Path) -> Path:
    return next(path for path in (folder, *folder.parents) if path.exists())


def models() -> Iterator[Finding]:
    """Each model that is installed, and whether its files are whole."""
    from .engine.models import ModelLibrary

    found = ModelLibrary.standard().list()
    if not found:
        yield Finding(FAIL, "model", "none is installed, not even the demo model; get the project's files again")
    for info in found:
        files = [info.file] if info.file else sorted(info.folder.rglob("*.safetensors"))
        broken = [problem for file in files for problem in damage(file)]
        size = sum(file.stat().st_size for file in files) / 1e6
        if broken:
            yield Finding(FAIL, "model", f"{info.id}: {'; '.join(broken)}; get its files again")
        elif not size:
            yield Finding(FAIL, "model", f"{info.id}: no weights in {info.folder}; get its files again")
        else:
            yield Finding(OK, "model", f"{info.id}: {info.name}, {size:.0f} MB of weights, whole")


def damage(file: Path) -> list[str]:
    """What is wrong with a safetensors file, by its header and its length; empty when nothing is."""
    from .engine.checkpoints.header import HeaderError, read_header

    try:
        read_header(file)
        return []
    except (HeaderError, OSError) as error:
        return [f"{file.parent.name}/{file.name} is damaged ({error})"]


def token(file: Path) -> Finding:
    """Whether the token is there, and for the user alone."""
    try:
        mode = stat.S_IMODE(file.stat().st_mode)
        empty = not file.read_text("utf-8").strip()
    except FileNotFoundError:
        return Finding(NOTE, "token", f"none yet; the first start of the backend makes it in {file}")
    except (OSError, ValueError) as error:
        return Finding(FAIL, "token", f"{file} cannot be read: {error}")
    if empty:
        return Finding(FAIL, "token", f"{file} is empty; make a new one: `python3 launch.py token --new`")
    if os.name != "nt" and mode & 0o077:
        return Finding(WARN, "token", f"{file} can be read by others (mode {mode:o}): chmod 600 {file}")
    return Finding(OK, "token", str(file))


def server(backend: Running | None) -> Finding:
    """Whether a backend runs, and of which version; else whether its port is free."""
    if backend:
        text = f"Pentimento {backend.health.version} answers at {backend.url}, worker {backend.health.worker}"
        if backend.health.version != __version__:
            return Finding(WARN, "backend", f"{text}; this is {__version__}: stop it (`python3 launch.py stop`)")
        if backend.health.worker == "dead":
            return Finding(FAIL, "backend", f"{text}; {data_folder() / 'logs' / 'worker.log'} says why")
        return Finding(OK, "backend", text)
    if port_in_use(PORT):
        text = f"port {PORT} is taken by another program; start with `serve --port N`"
        return Finding(WARN, "backend", text)
    return Finding(NOTE, "backend", f"not running; port {PORT} is free")


def logs(folder: Path) -> Finding:
    """Where the logs are, and how large."""
    found = sorted(folder.glob("*.log*"))
    if not found:
        return Finding(NOTE, "logs", f"none yet; they will be in {folder}")
    size = sum(file.stat().st_size for file in found) / 1e6
    return Finding(OK, "logs", f"{folder} ({size:.1f} MB: {', '.join(file.name for file in found)})")


def plugins() -> Iterator[Finding]:
    """Each editor that is here, and whether its plugin is in place and of this version."""
    from .plugins import EDITORS, NAMES, PluginError
    from .plugins.bundle import bundle_of
    from .plugins.installing import describe, examine
    from .plugins.places import System, places

    for editor in EDITORS:
        found = places(editor, System())
        if not found:
            yield Finding(NOTE, NAMES[editor], "not found here")
        try:
            for place in found:
                state = examine(place, bundle_of(editor))
                absent, good = state.state == "absent", state.state == "current" and state.enabled
                yield Finding(NOTE if absent else OK if good else WARN, place.label, describe(state))
        except (PluginError, OSError) as error:
            yield Finding(FAIL, NAMES[editor], str(error))
