"""Whose folders these are: another user of this machine can neither read ours nor put theirs in their place."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.conftest import StartServer
from tests.server.pictures import picture
from tests.server.serving import ServerProcess
from tests.server.test_start import refused

NOBODY = 65534
PROMPT = "a heron that nobody else shall read of"

needs_root = pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can act as another user"
)


@needs_root
@pytest.mark.parametrize("which", ["config", "data", "data/blobs", "data/logs"])
@pytest.mark.parametrize("linked", [False, True], ids=["folder", "link"])
def test_a_folder_of_another_user_is_not_used(tmp_path: Path, which: str, linked: bool) -> None:
    ours = tmp_path / which
    ours.parent.mkdir(parents=True, exist_ok=True)
    theirs = tmp_path / "theirs" if linked else ours
    theirs.mkdir(mode=0o777)
    os.chown(theirs, NOBODY, NOBODY)
    if linked:
        ours.symlink_to(theirs)
    code, message = refused(tmp_path, "--port", "0")
    assert code == 1
    assert str(ours) in message
    assert "belongs to another user" in message
    assert list(theirs.iterdir()) == []


@needs_root
def test_a_link_that_another_user_made_is_not_followed(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    mine.mkdir()
    (tmp_path / "data").symlink_to(mine)
    os.chown(tmp_path / "data", NOBODY, NOBODY, follow_symlinks=False)
    assert "belongs to another user" in refused(tmp_path, "--port", "0")[1]
    assert list(mine.iterdir()) == []


@needs_root
def test_a_token_of_another_user_is_not_taken(tmp_path: Path) -> None:
    (tmp_path / "config").mkdir()
    token = tmp_path / "config" / "token"
    token.write_text("t" * 40)
    os.chown(token, NOBODY, NOBODY)
    assert "belongs to another user" in refused(tmp_path, "--port", "0")[1]


def test_a_lock_that_is_a_link_is_told(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "server.lock").symlink_to(tmp_path / "elsewhere")
    assert "server.lock cannot be used" in refused(tmp_path, "--port", "0")[1]
    assert not (tmp_path / "elsewhere").exists()


def test_own_folders_may_lie_on_another_disk(start_server: StartServer, tmp_path: Path) -> None:
    (tmp_path / "large").mkdir()
    (tmp_path / "data").symlink_to(tmp_path / "large")
    server = start_server(home=tmp_path)
    assert server.get("/jobs").status_code == 200
    assert (tmp_path / "large" / "jobs.sqlite3").exists()


SPY = f"""
import os, sys
from pathlib import Path
os.setgroups([])
os.setgid({NOBODY})
os.setuid({NOBODY})
seen = []
for place in sys.argv[2:]:
    for folder, _, files in os.walk(place):
        seen += [os.path.join(folder, name) for name in files]
    for name in ("token", "server.json", "jobs.sqlite3", "logs/server.log", "logs/worker.log"):
        try:
            seen.append(Path(place, name).read_bytes()[:10])
        except PermissionError:
            pass
for pid in sys.argv[1].split(","):
    try:
        seen.append(Path("/proc", pid, "environ").read_bytes()[:10])
    except PermissionError:
        pass
print(os.getuid(), seen)
"""


@needs_root
@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
def test_another_user_sees_neither_token_nor_pictures_nor_prompts(server: ServerProcess, tmp_path: Path) -> None:
    server.submit({"task": "img2img", "settings": {"model": "tiny", "prompt": PROMPT, "steps": 1}}, picture())
    server.wait_ready()
    processes = [psutil.Process(server.pid), *server.workers()]
    pids = ",".join(str(process.pid) for process in processes)
    for folder in (server.home, *server.home.parents):
        folder.chmod(folder.stat().st_mode | 0o055)  # pytest closes its folders; here our own have to do
    done = subprocess.run(
        [sys.executable, "-c", SPY, pids, str(server.home / "config"), str(server.data), str(server.data / "blobs")],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.split() == [str(NOBODY), "[]"], done.stderr
    for process in processes:
        words = " ".join(process.cmdline())
        assert server.token not in words
        assert PROMPT not in words
