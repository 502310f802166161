"""How a server starts, and why it does not. The worker is none of this: torch is broken here on purpose."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.conftest import StartServer
from tests.server.pictures import picture
from tests.server.serving import ServerProcess, environment, until


@pytest.fixture(scope="module")
def no_torch(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment whose torch cannot be imported."""
    folder = tmp_path_factory.mktemp("broken")
    (folder / "torch.py").write_text("raise ImportError('libcudart.so.12: cannot open shared object file')\n")
    return {"PYTHONPATH": str(folder)}


@pytest.fixture(scope="module")
def first(start_server: StartServer, no_torch: dict[str, str], tiny_model: Path) -> ServerProcess:
    return start_server(environ=no_torch, model=tiny_model)


def refused(home: Path, *arguments: str, **environ: str) -> tuple[int, str]:
    """Exit code and message of a server that must not start."""
    done = subprocess.run(
        [sys.executable, "-m", "pentimento.server", *arguments],
        env=environment(home, environ),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert "Traceback" not in done.stderr
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_the_server_announces_itself(first: ServerProcess) -> None:
    facts = json.loads((first.home / "config" / "server.json").read_text())
    assert facts == {"url": first.url, "pid": first.pid, "port": first.port, "version": "0.1.0"}
    health = first.get("/health").json()
    assert (health["name"], health["version"]) == ("pentimento", "0.1.0")


def test_one_server_per_folder(first: ServerProcess) -> None:
    code, message = refused(first.home, "--port", "0")
    assert (code, message) == (3, f"Pentimento already runs at {first.url}.\n")
    assert first.get("/jobs").status_code == 200
    assert (first.home / "config" / "server.json").exists(), "the loser takes nothing with it"


def test_a_port_that_pentimento_uses(first: ServerProcess, tmp_path: Path) -> None:
    code, message = refused(tmp_path, "--port", str(first.port))
    assert code == 3
    assert first.url in message


def test_a_port_that_another_program_uses(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        code, message = refused(tmp_path, "--port", str(port))
    assert code == 1
    assert f"127.0.0.1:{port}" in message
    assert "--port" in message
    assert not (tmp_path / "config" / "server.json").exists()


def test_other_machines_are_let_in_only_with_a_token_set_for_them(tmp_path: Path, start_server: StartServer) -> None:
    code, message = refused(tmp_path, "--listen", "0.0.0.0", "--port", "0")
    assert code == 1
    assert "PENTIMENTO_TOKEN" in message
    assert refused(tmp_path, "--listen", "0.0.0.0", "--port", "0", PENTIMENTO_TOKEN="short")[0] == 1
    assert refused(tmp_path, "--listen", "no.such.host.invalid", "--port", "0", PENTIMENTO_TOKEN="t" * 20)[0] == 1


def test_a_token_file_is_kept_and_closed_to_others(
    tmp_path: Path, start_server: StartServer, no_torch: dict[str, str]
) -> None:
    config = tmp_path / "config"
    config.mkdir(mode=0o755)
    (config / "token").write_text("my-own-token-of-some-length\n")
    (config / "token").chmod(0o644)
    server = start_server(home=tmp_path, environ=no_torch)
    assert server.token == "my-own-token-of-some-length"
    assert server.get("/jobs").status_code == 200
    assert ((config / "token").stat().st_mode & 0o777, config.stat().st_mode & 0o777) == (0o600, 0o700)


def test_a_token_file_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "elsewhere").write_text("x" * 40)
    (tmp_path / "config" / "token").symlink_to(tmp_path / "elsewhere")
    assert "is a link" in refused(tmp_path, "--port", "0")[1]


def test_a_store_from_the_future_or_of_rubbish_is_left_alone(tmp_path: Path) -> None:
    import sqlite3

    (tmp_path / "data").mkdir()
    store = tmp_path / "data" / "jobs.sqlite3"
    with sqlite3.connect(store) as connection:
        connection.execute("PRAGMA user_version = 99")
    assert "newer Pentimento" in refused(tmp_path, "--port", "0")[1]
    store.write_bytes(b"this is no database" * 1000)
    assert "cannot be read" in refused(tmp_path, "--port", "0")[1]
    assert store.read_bytes().startswith(b"this is no database")


def test_an_engine_that_cannot_start_fails_jobs_with_the_reason(first: ServerProcess) -> None:
    job = first.finish(first.submit({"task": "img2img", "settings": {"model": "tiny"}}, picture()))
    assert job["state"] == "failed"
    assert "libcudart.so.12" in job["problem"]["detail"]
    health = first.get("/health").json()
    assert (health["ready"], health["worker"]) == (False, "dead")
    assert "libcudart" in first.get("/models").json()["engine"]["problem"]
    assert first.workers() == [], "it is not tried again for ever"


def test_the_server_does_without_numpy_and_pillow_until_a_picture_is_fetched(first: ServerProcess) -> None:
    first.get("/models")
    first.get("/openapi.json")
    mapped = " ".join(entry.path for entry in psutil.Process(first.pid).memory_maps())
    assert [name for name in ("torch", "numpy", "PIL") if f"/{name}/" in mapped] == []


def test_what_starting_imports() -> None:
    code = "import sys, pentimento.server.run; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    environ = environment(Path(), {})
    done = subprocess.run([sys.executable, "-c", code], env=environ, capture_output=True, text=True, check=True)
    loaded = done.stdout.split()
    assert "flask" in loaded
    assert not {"torch", "diffusers", "transformers", "numpy", "PIL", "requests", "rich"} & set(loaded)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_with_nothing_left_behind(
    start_server: StartServer, no_torch: dict[str, str], number: signal.Signals
) -> None:
    server = start_server(environ=no_torch)
    os.kill(server.pid, number)
    assert server.process.wait(30) == 0
    assert not (server.home / "config" / "server.json").exists()
    again = start_server(home=server.home, environ=no_torch)
    assert again.token == server.token


def test_a_client_that_waits_does_not_hold_up_the_end(start_server: StartServer, no_torch: dict[str, str]) -> None:
    from concurrent.futures import ThreadPoolExecutor

    server = start_server(environ=no_torch)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(lambda: server.get("/jobs", params={"wait": 25, "since": 10**6}))
        until(lambda: len(psutil.Process(server.pid).net_connections()) > 1)
        assert server.stop() == 0
        assert waiting.result().status_code == 200, "it was answered, not cut off"
