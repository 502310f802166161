"""What the tests of one module share: a server with the tiny model, an editor's controller, a shell."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from pentimento_shared.controller import Controller
from tests.conftest import StartServer
from tests.server.driving import controller_of
from tests.server.serving import ServerProcess
from tests.server.shell import Shell


@pytest.fixture(scope="module")
def home(start_server: StartServer, tiny_model: Path) -> ServerProcess:
    """A server for this module's quick jobs."""
    server = start_server(model=tiny_model)
    server.wait_ready()
    return server


@pytest.fixture(scope="module")
def controller(home: ServerProcess) -> Controller:
    return controller_of(home)


@pytest.fixture(scope="module")
def shell(tmp_path_factory: pytest.TempPathFactory, tiny_model: Path) -> Iterator[Shell]:
    """A home of its own with the tiny model, where the first command starts a backend."""
    home = tmp_path_factory.mktemp("home")
    shutil.copytree(tiny_model, home / "data" / "models" / tiny_model.name)
    shell = Shell(home)
    yield shell
    shell.run("stop")
    assert not (home / "config" / "server.json").exists()
    assert shell.run("stop")[0] == "no backend is running\n"
