"""Fixtures for everybody: homes of their own, real server processes, a tiny model. All is ended with the tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.server.serving import ServerProcess

# As in the worker: threads that spin while they wait hold each other up. Read when torch is first imported.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

StartServer = Callable[..., ServerProcess]


def pytest_configure() -> None:
    """No example has to be done in time: a busy machine would fail it."""
    settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.load_profile("patient")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a random-weight model with the id "tiny": real diffusion, in milliseconds."""
    from tests.models import build_tiny_model  # torch, which many tests do without

    return build_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture(scope="module")
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StartServer]:
    """Starts servers: `start_server(model=folder, home=..., environ={...}, arguments=[...])`, all killed at the end.

    Without `home` each has a fresh one. `model` is copied into it. The server answers when this returns; whether its
    worker is ready is another question (`wait_ready`). `token` is that of `environ`, where it has one.
    """
    started: list[ServerProcess] = []

    def start(
        *,
        home: Path | None = None,
        model: Path | None = None,
        environ: dict[str, str] | None = None,
        arguments: tuple[str, ...] = ("--port", "0"),
        token: str | None = None,
    ) -> ServerProcess:
        home = tmp_path_factory.mktemp("home") if home is None else home
        if model is not None:
            shutil.copytree(model, home / "data" / "models" / model.name, dirs_exist_ok=True)
        server = ServerProcess(home, environ or {}, arguments, token)
        started.append(server)
        server.wait_answering()
        return server

    try:
        yield start
    finally:
        for server in started:
            server.kill()


@pytest.fixture(scope="session")
def server(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """One server with the tiny model for all tests that neither kill it nor leave it busy."""
    home = tmp_path_factory.mktemp("shared-home")
    shutil.copytree(tiny_model, home / "data" / "models" / tiny_model.name)
    process = ServerProcess(home)
    try:
        process.wait_answering()
        yield process
    finally:
        process.kill()
