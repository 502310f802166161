"""What an editor knows of the backend, and how it starts it: real processes."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import psutil
import pytest

from pentimento_shared import VERSION, backend_start
from pentimento_shared.backend_link import BackendLink, LinkState
from pentimento_shared.places import backend_file, server_file, token_file
from pentimento_shared.settings import SETTINGS
from tests.conftest import StartServer
from tests.server.serving import PATIENCE_S, ServerProcess, environment, until
from tests.server.strangers import Stranger, listening

Link = Callable[..., BackendLink]


@pytest.fixture
def link() -> Iterator[Link]:
    """link(environ, version=...): links that are closed with the test."""
    links: list[BackendLink] = []

    def make(environ: Mapping[str, str], version: str = VERSION) -> BackendLink:
        links.append(BackendLink(version, environ))
        return links[-1]

    yield make
    for made in links:
        made.close()


@pytest.fixture(scope="module")
def running(start_server: StartServer, tiny_model: Path) -> ServerProcess:
    server = start_server(model=tiny_model)
    server.wait_ready()
    return server


def wait(link: BackendLink, wanted: Callable[[LinkState], object]) -> LinkState:
    deadline = time.monotonic() + PATIENCE_S
    while not wanted(link.snapshot()):
        assert time.monotonic() < deadline, link.snapshot()
        time.sleep(0.02)
    return link.snapshot()


def remember(environ: Mapping[str, str], *command: str) -> None:
    """Leaves behind what a backend that was started with that command would."""
    backend_file(environ).parent.mkdir(parents=True, exist_ok=True)
    backend_file(environ).write_text(json.dumps({"command": command}))


def test_nobody_is_there_and_nothing_was_ever_started(link: Link, tmp_path: Path) -> None:
    watched = link({"PENTIMENTO_HOME": str(tmp_path)})
    state = wait(watched, lambda state: state.state != "searching")
    assert (state.state, state.usable, state.can_start) == ("absent", False, False)
    assert state.command == "python3 launch.py"
    assert state.command in state.message
    watched.start_backend()
    assert watched.snapshot().state == "starting"
    assert "Type `python3 launch.py`" in wait(watched, lambda state: state.state == "absent").message


def test_a_backend_is_found_with_its_models_and_settings(link: Link, running: ServerProcess) -> None:
    watched = link({"PENTIMENTO_HOME": str(running.home)})
    state = wait(watched, lambda state: state.state == "ready")
    assert (state.usable, state.can_start, state.device) == (True, False, "cpu")
    assert "tiny" in [model["id"] for model in state.models]
    assert watched.settings("tiny") is None, "it is asked for in the background"
    until(lambda: watched.settings("tiny") and watched.settings("nonesuch"))
    rows = {row["name"]: row for row in watched.settings("tiny") or ()}
    assert list(rows) == [row.name for row in SETTINGS]
    assert (rows["model"]["default"], rows["clip_skip"]["maximum"]) == ("tiny", 2)
    assert [row["name"] for row in watched.settings("nonesuch") or ()] == list(rows)
    with watched.connect() as client:
        assert client.health().version == VERSION


def test_a_backend_that_hangs_is_not_called_ready(link: Link, running: ServerProcess) -> None:
    watched = link({"PENTIMENTO_HOME": str(running.home)})
    wait(watched, lambda state: state.usable)
    running.freeze()
    stopped_at = time.monotonic()
    try:
        state = wait(watched, lambda state: not state.usable)
        assert time.monotonic() - stopped_at < 6
        assert (state.state, "does not answer" in state.message) == ("absent", True)
    finally:
        running.thaw()
    wait(watched, lambda state: state.usable)


def test_the_backend_that_ran_last_is_started_again(link: Link, start_server: StartServer, tmp_path: Path) -> None:
    before = start_server(home=tmp_path)
    before.kill()
    # As in an editor: with a Python of its own, where our packages are not to be found.
    paths = environment(tmp_path, {})["PYTHONPATH"]
    environ = {**os.environ, "PENTIMENTO_HOME": str(tmp_path), "PYTHONHOME": "/nowhere", "PYTHONPATH": "/nowhere"}
    command = backend_start.remembered_command(environ)
    assert command == (sys.executable, "-P", "-m", "pentimento", "serve")
    remember(environ, "/usr/bin/env", f"PYTHONPATH={paths}", *command)
    watched = link(environ)
    state = wait(watched, lambda state: state.state == "absent")
    assert (state.can_start, state.command in state.message) == (True, True)
    watched.start_backend()
    watched.start_backend()
    assert watched.snapshot().state == "starting"
    wait(watched, lambda state: state.usable)
    backend = psutil.Process(json.loads(server_file(environ).read_text())["pid"])
    assert os.getsid(backend.pid) != os.getsid(0), "Ctrl+C in the editor's terminal does not reach it"
    backend.terminate()
    wait(watched, lambda state: state.state == "absent")
    until(lambda: not psutil.pid_exists(backend.pid))


def test_a_start_that_fails_tells_the_reason(link: Link, tmp_path: Path) -> None:
    environ = {"PENTIMENTO_HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    remember(environ, sys.executable, "-c", "import sys; sys.exit('The port 7350 is taken.')")
    watched = link(environ)
    wait(watched, lambda state: state.can_start)
    watched.start_backend()
    state = wait(watched, lambda state: state.state == "absent")
    assert state.message == "The backend did not start: The port 7350 is taken."
    assert state.can_start


def test_from_a_flatpak_it_is_started_outside(link: Link, tmp_path: Path) -> None:
    tools = tmp_path / "tools"
    tools.mkdir()
    spawn = tools / "flatpak-spawn"
    spawn.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {tmp_path}/words\n')
    spawn.chmod(0o755)
    path = f"{tools}{os.pathsep}{os.environ['PATH']}"
    environ = {"PENTIMENTO_HOME": str(tmp_path), "FLATPAK_ID": "org.kde.krita", "PATH": path}
    remember(environ, "/only/outside/python", "-m", "pentimento", "serve")
    watched = link(environ)
    wait(watched, lambda state: state.can_start)
    watched.start_backend()
    until((tmp_path / "words").exists)
    until((tmp_path / "words").read_text)
    words = (tmp_path / "words").read_text().splitlines()
    assert words[:-1] == [
        "--host",
        f"--env=PENTIMENTO_HOME={tmp_path}",
        "/only/outside/python",
        "-m",
        "pentimento",
        "serve",
        "--port",
    ]


def test_from_a_snap_it_is_started_by_hand(tmp_path: Path) -> None:
    environ = {"PENTIMENTO_HOME": str(tmp_path)}
    remember(environ, sys.executable)
    assert backend_start.can_start(environ)
    assert not backend_start.can_start({**environ, "SNAP_NAME": "gimp"})


@pytest.mark.parametrize("text", ["", "7", "{}", '{"command": "python"}', '{"command": []}', '{"command": ["/gone"]}'])
def test_a_memory_that_is_of_no_use_is_none(tmp_path: Path, text: str) -> None:
    environ = {"PENTIMENTO_HOME": str(tmp_path)}
    remember(environ)
    backend_file(environ).write_text(text)
    assert backend_start.remembered_command(environ) == ()
    with pytest.raises(backend_start.StartError, match=r"launch\.py"):
        backend_start.start(environ)


def test_an_editors_own_python_and_libraries_stay_inside() -> None:
    inside = {
        "PYTHONHOME": "/tmp/.mount_krita/usr",
        "PYTHONPATH": "/tmp/.mount_krita/usr/lib/python3.10",
        "APPDIR": "/tmp/.mount_krita",
        "PATH": "/tmp/.mount_krita/usr/bin:/usr/bin:/bin",
        "LD_LIBRARY_PATH": "/tmp/.mount_krita/usr/lib:/opt/cuda/lib64",
        "HOME": "/home/ada",
    }
    outside = backend_start.outside(inside)
    assert (outside["PATH"], outside["LD_LIBRARY_PATH"]) == ("/usr/bin:/bin", "/opt/cuda/lib64")
    assert outside["HOME"] == "/home/ada"
    assert not {"PYTHONHOME", "PYTHONPATH"} & set(outside)
    assert "LD_LIBRARY_PATH" not in backend_start.outside({**inside, "LD_LIBRARY_PATH": "/tmp/.mount_krita/usr/lib"})
    kept = {"PATH": "/usr/bin", "LD_LIBRARY_PATH": "/opt/cuda/lib64"}
    assert backend_start.outside(kept) == kept


def test_a_token_that_the_backend_does_not_take_is_told(link: Link, running: ServerProcess, tmp_path: Path) -> None:
    environ = {"PENTIMENTO_HOME": str(tmp_path)}
    token_file(environ).parent.mkdir(parents=True)
    token_file(environ).write_text("not the token of that backend")
    server_file(environ).write_text(json.dumps({"url": running.url}))
    state = wait(link(environ), lambda state: state.state != "searching")
    assert (state.state, "token" in state.message) == ("foreign", True)


@pytest.mark.parametrize("version", ["0.9.0", "7.0.0"])
def test_another_version_is_told_apart(link: Link, tmp_path: Path, version: str) -> None:
    environ = {"PENTIMENTO_HOME": str(tmp_path)}
    body = json.dumps({"name": "pentimento", "version": version, "ready": True, "worker": "ready"}).encode()
    with listening(Stranger(headers={"Content-Type": "application/json"}, body=body)) as stranger:
        token_file(environ).parent.mkdir(parents=True)
        token_file(environ).write_text("a token")
        server_file(environ).write_text(json.dumps({"url": stranger.url}))
        state = wait(link(environ), lambda state: state.state != "searching")
    assert (state.state, state.usable) == ("foreign", False)
    assert version in state.message


def test_the_styles_of_the_backend_are_offered(link: Link, running: ServerProcess) -> None:
    running.data.mkdir(exist_ok=True)
    file = running.data / "styles.csv"
    file.write_text("name,prompt,negative_prompt\nOil,oil painting,photo\n", "utf-8")
    try:
        state = wait(link({"PENTIMENTO_HOME": str(running.home)}), lambda state: state.styles)
    finally:
        file.unlink()
    assert state.styles == ({"name": "Oil", "prompt": "oil painting", "negative_prompt": "photo"},)
