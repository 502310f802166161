"""Playing the cases of a script in a real Krita or GIMP, and reading how each went."""

from __future__ import annotations

import ast
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pentimento.plugins import Editor
from pentimento.plugins.bundle import bundle_of
from pentimento.plugins.installing import install
from pentimento.plugins.places import System, places
from tests.editors.chamber import enter

PROJECT: Final = Path(__file__).resolve().parents[2]
INSIDE: Final = Path(__file__).resolve().parent / "inside"
PATIENCE_S: Final = 240.0
"""How long one run of an editor may take before it is killed: far longer than it does, on a busy machine too."""

GIMPRC: Final = '(config-version "3.99.0")\n(show-welcome-dialog no)\n'
"""A GIMP that believes itself updated or new greets its user with a window in front of everything."""

_MARK: Final = "=== case "
_TRACEBACK: Final = "Traceback (most recent call last)"


def cases_of(script: Path) -> list[str]:
    """The names of a script's cases (functions `case_NAME`) in their order, without running it."""
    tree = ast.parse(script.read_text("utf-8"))
    functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return [name.removeprefix("case_") for name in functions if name.startswith("case_")]


@dataclass(frozen=True)
class Played:
    """How one case went: `error` is the text of what was raised, or None; `facts` what the case returned."""

    name: str
    error: str | None
    seconds: float
    facts: Any


@dataclass(frozen=True)
class EditorRun:
    """A finished run of an editor: its cases, its output, and the folder of its files and screenshots."""

    folder: Path
    home: Path
    code: int
    seconds: float
    stderr: str
    cases: Mapping[str, Played]

    def check(self, name: str) -> Any:
        """The facts of a case that went well. Otherwise the test fails, with what the editor said meanwhile."""
        said = self.said(name)
        played = self.cases.get(name)
        assert played is not None, f"the editor ended (code {self.code}) before this case did. It said:\n{self.stderr}"
        assert played.error is None, f"{played.error}\nThe editor said:\n{said}\nIts files: {self.folder}"
        before, _, _ = self.stderr.partition(_MARK)
        for text in (before, said):
            assert _TRACEBACK not in text, f"a plugin failed in the editor:\n{text}"
        return played.facts

    def said(self, name: str) -> str:
        """What the editor and its plugins wrote to stderr while a case was played."""
        _, found, after = self.stderr.partition(f"{_MARK}{name}\n")
        return after.partition(_MARK)[0] if found else ""


@dataclass(frozen=True)
class Chamber:
    """Where the editors run: their root, and the folders that they see besides it."""

    root: Path
    writable: Sequence[Path]

    def command(self, arguments: Sequence[str], *, manager: bool = False) -> list[str]:
        """The command line of a program inside, on a screen of its own; `manager`: with openbox on it."""
        screen = ["python3", str(INSIDE / "screen.py"), *(["--manager"] if manager else [])]
        return enter(self.root, [*screen, *arguments], read_only=[PROJECT], writable=self.writable)


def play_krita(
    chamber: Chamber,
    script: Path,
    folder: Path,
    *,
    prepare: Callable[[Path], None] = lambda home: None,
    cases: Sequence[str] | None = None,
    given: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    patience: float = PATIENCE_S,
) -> EditorRun:
    """Starts Krita in its window and plays a script's cases in it.

    `prepare` is called with the user's home folder before Krita starts, to install a plugin there. `given` is JSON for
    the cases. `folder` must be seen inside the chamber; the run's home and files are in it.
    """
    home = _home(folder)
    shutil.copytree(INSIDE / "krita" / "pykrita", home / ".local/share/krita/pykrita")
    (home / ".config/kritarc").write_text("[python]\nenable_pentimento_stage=true\n", "utf-8")
    prepare(home)
    command = chamber.command(["krita", "--nosplash"], manager=True)
    return _play(command, script, folder, cases, given, environ, patience)


def play_gimp(
    chamber: Chamber,
    script: Path,
    folder: Path,
    *,
    window: bool = False,
    prepare: Callable[[Path], None] = lambda home: None,
    cases: Sequence[str] | None = None,
    given: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    patience: float = PATIENCE_S,
) -> EditorRun:
    """Starts GIMP, without a window unless `window`, and plays a script's cases in its Python batch interpreter.

    The arguments are play_krita's.
    """
    home = _home(folder)
    prepare(home)
    config = home / ".config/GIMP/3.0"
    config.mkdir(parents=True, exist_ok=True)
    (config / "gimprc").write_text(GIMPRC, "utf-8")
    # The small window of the first start hides what a picture is to show.
    session = (chamber.root / "etc/gimp/3.0/sessionrc").read_text("utf-8")
    (config / "sessionrc").write_text(session.replace("(size 800 600)", "(size 1590 960)"), "utf-8")
    program = (
        ["gimp", "--new-instance", "--no-splash"] if window else ["gimp-console-3.0", "--no-interface", "--no-data"]
    )
    batch = f"exec(compile(open({str(INSIDE / 'gimp_stage.py')!r}).read(), 'gimp_stage.py', 'exec'))"
    batch_arguments = ["--batch-interpreter=python-fu-eval", "-b", batch, "--quit"]
    command = chamber.command([*program, *batch_arguments], manager=window)
    return _play(command, script, folder, cases, given, environ, patience)


def install_plugin(home: Path, editor: Editor, root: Path) -> None:
    """Installs this checkout's plugin for a user who never started the editor, as `pentimento plugins install` does."""
    for place in places(editor, System("linux", {"PATH": str(root / "usr/bin")}, home, root)):
        install(place, bundle_of(editor))


def _home(folder: Path) -> Path:
    home = folder / "home"
    for name in (".config", ".local/share", ".cache"):
        (home / name).mkdir(parents=True)
    (folder / "runtime").mkdir(mode=0o700)
    return home


def _environment(folder: Path, patience: float, more: Mapping[str, str]) -> dict[str, str]:
    """Nothing of the tester's own desktop, language or Python comes along."""
    home = folder / "home"
    return {
        "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "XDG_CACHE_HOME": str(home / ".cache"),
        "XDG_RUNTIME_DIR": str(folder / "runtime"),
        "LANG": "C.UTF-8",
        "QT_QPA_PLATFORM": "xcb",
        "LIBGL_ALWAYS_SOFTWARE": "1",
        # Nobody is at the other end; without an address GTK would start a bus of its own for each program.
        "DBUS_SESSION_BUS_ADDRESS": "disabled:",
        "NO_AT_BRIDGE": "1",
        "PENTIMENTO_STAGE": str(folder),
        "PENTIMENTO_INSIDE": str(INSIDE),
        # Before the run is killed: so that one can see where it hangs.
        "PENTIMENTO_PATIENCE": str(max(patience - 10, patience / 2)),
        **more,
    }


def _play(
    command: Sequence[str],
    script: Path,
    folder: Path,
    cases: Sequence[str] | None,
    given: Mapping[str, Any] | None,
    environ: Mapping[str, str] | None,
    patience: float,
) -> EditorRun:
    wanted = list(cases_of(script) if cases is None else cases)
    order = {"script": str(script.resolve()), "cases": wanted, "given": dict(given or {})}
    (folder / "order.json").write_text(json.dumps(order), "utf-8")
    started = time.monotonic()
    with (folder / "stdout").open("wb") as out, (folder / "stderr").open("wb") as err:
        process = subprocess.Popen(
            command,
            cwd="/",
            env=_environment(folder, patience, environ or {}),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=err,
            start_new_session=True,
        )
        try:
            code = process.wait(patience)
        except subprocess.TimeoutExpired:
            code = -signal.SIGKILL
        finally:
            # The namespace's first process dies with it, and everything inside with that one.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    stderr = (folder / "stderr").read_text("utf-8", "replace")
    results = folder / "results.jsonl"
    lines = results.read_text("utf-8").splitlines() if results.exists() else []
    played = {played.name: played for played in (Played(**json.loads(line)) for line in lines)}
    return EditorRun(folder, folder / "home", code, time.monotonic() - started, stderr, played)
