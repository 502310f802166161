"""Fixtures that play a script in a real Krita or GIMP, with the plugin installed and a real backend beside it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import pytest

from tests.editors.harness import Chamber, EditorRun, install_plugin, play_gimp, play_krita
from tests.editors.root import NoEditors, provide
from tests.server.serving import ServerProcess

SCRIPTS = Path(__file__).parent / "scripts"
TIMEOUT_S = 1500
"""For the first test of a run, which may have to make the editors' root over a slow network."""

_MISSING = pytest.StashKey[str]()


class Play(Protocol):
    """Plays a script in one run of an editor; a relative path begins at tests/editors/scripts.

    `plugin`: this checkout's plugin is installed first. `backend`: the server that the plugin finds; it must have its
    home in a folder of the test session. Everything else is harness.play_krita's.
    """

    def __call__(
        self, script: str | Path, *, plugin: bool = True, backend: ServerProcess | None = None, **options: Any
    ) -> EditorRun: ...


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.timeout(TIMEOUT_S))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if reason := config.stash.get(_MISSING, None):
        terminalreporter.section("THE EDITOR TESTS DID NOT RUN", sep="!", red=True)
        terminalreporter.line(reason, red=True)
        if report := os.environ.get("PENTIMENTO_EDITORS_REPORT"):
            Path(report).write_text(reason, "utf-8")


@pytest.fixture(scope="session")
def chamber(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Chamber:
    """The editors. Without them PENTIMENTO_EDITORS=required fails the test, and else the end of the run says so."""
    capture: Any = pytestconfig.pluginmanager.getplugin("capturemanager")
    try:
        # Minutes, when the root has to be made: that is said at once and not with a failure's captured output.
        with capture.global_and_fixture_disabled():
            return Chamber(provide(), [tmp_path_factory.getbasetemp()])
    except NoEditors as reason:
        if os.environ.get("PENTIMENTO_EDITORS") == "required":
            pytest.fail(f"PENTIMENTO_EDITORS=required, and there are none: {reason}", pytrace=False)
        pytestconfig.stash[_MISSING] = str(reason)
        pytest.skip(f"no editors here: {reason}")


def _play(editor: str, chamber: Chamber, folders: pytest.TempPathFactory) -> Play:
    program = {"krita": play_krita, "gimp": play_gimp, "gimp-window": partial(play_gimp, window=True)}[editor]

    def play(
        script: str | Path, *, plugin: bool = True, backend: ServerProcess | None = None, **options: Any
    ) -> EditorRun:
        if plugin:
            options.setdefault(
                "prepare", partial(install_plugin, editor="krita" if editor == "krita" else "gimp", root=chamber.root)
            )
        if backend:
            options["environ"] = {"PENTIMENTO_HOME": str(backend.home), **options.get("environ", {})}
        folder = folders.mktemp(f"{editor}-{Path(script).stem}")
        return program(chamber, SCRIPTS / script, folder, **options)

    return play


@pytest.fixture(scope="session")
def krita(chamber: Chamber, tmp_path_factory: pytest.TempPathFactory) -> Play:
    """Plays a script in Krita's window."""
    return _play("krita", chamber, tmp_path_factory)


@pytest.fixture(scope="session")
def gimp(chamber: Chamber, tmp_path_factory: pytest.TempPathFactory) -> Play:
    """Plays a script in GIMP without a window."""
    return _play("gimp", chamber, tmp_path_factory)


@pytest.fixture(scope="session")
def gimp_window(chamber: Chamber, tmp_path_factory: pytest.TempPathFactory) -> Play:
    """Plays a script in GIMP with its window, and openbox around it."""
    return _play("gimp-window", chamber, tmp_path_factory)


@pytest.fixture(scope="session")
def demo_backend(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server with the demo model, ready, for all tests that do not kill it. For one's own: `start_server()`."""
    process = ServerProcess(tmp_path_factory.mktemp("demo-backend"))
    try:
        process.wait_answering()
        process.wait_ready()
        yield process
    finally:
        process.kill()
