"""A real server process with a home of its own, and what tests ask of it over real HTTP."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import psutil
import requests

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_S = 90.0
"""How long anything may take before the test fails: far longer than it does, on a busy machine too."""


class ServerProcess:
    """`python -m pentimento.server` in a folder of its own (PENTIMENTO_HOME)."""

    def __init__(
        self,
        home: Path,
        environ: Mapping[str, str] | None = None,
        arguments: tuple[str, ...] = ("--port", "0"),
        token: str | None = None,
    ) -> None:
        self.home = home
        self._token = token
        self.process = subprocess.Popen(
            [sys.executable, "-m", "pentimento.server", *arguments],
            env=environment(home, environ or {}),
            cwd=home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.url = ""
        self.session = requests.Session()
        self.session.trust_env = False

    # its life

    def wait_answering(self) -> None:
        """Returns once requests are answered; the token is known then."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.url = self.process.stdout.readline().strip()
        assert self.url, f"the server did not start: {self.process.stderr.read()}"
        self.session.headers["Authorization"] = f"Bearer {self.token}"

    def wait_ready(self) -> None:
        """Returns once the worker takes jobs."""
        until(lambda: self.get("/health").json()["ready"])

    def kill(self) -> None:
        """`kill -9`, and its worker too should it not have gone by itself."""
        workers = self.workers() if self.process.poll() is None else []
        self.process.kill()
        self.process.wait()
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()
        _, left = psutil.wait_procs(workers, timeout=5)
        for worker in left:
            worker.kill()
        self.session.close()

    def stop(self) -> int:
        """Asks the server to end (SIGTERM) and returns its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(PATIENCE_S)

    def freeze(self) -> None:
        """Hangs the server (SIGSTOP); returns once none of its threads runs, which takes a busy machine a while."""
        self.process.send_signal(signal.SIGSTOP)
        threads = Path(f"/proc/{self.pid}/task")
        until(lambda: all(stopped(each) for each in threads.iterdir()))

    def thaw(self) -> None:
        """Lets a frozen server go on (SIGCONT)."""
        self.process.send_signal(signal.SIGCONT)

    def workers(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children()

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])

    @property
    def data(self) -> Path:
        return self.home / "data"

    @property
    def token(self) -> str:
        return self._token or (self.home / "config" / "token").read_text().strip()

    def log(self) -> str:
        return (self.data / "logs" / "server.log").read_text()

    # requests

    def get(self, path: str, **options: Any) -> requests.Response:
        return self.session.get(self.url + "/api/v1" + path, timeout=PATIENCE_S, **options)

    def delete(self, path: str) -> requests.Response:
        return self.session.delete(self.url + "/api/v1" + path, timeout=PATIENCE_S)

    def post(
        self,
        request: object,
        image: bytes | None = None,
        mask: bytes | None = None,
        headers: dict[str, str] | None = None,
    ) -> requests.Response:
        """Submits a job; `request` is JSON, or text as it is."""
        text = request if isinstance(request, str) else json.dumps(request)
        files: dict[str, tuple[str, Any, str]] = {"request": ("request.json", text, "application/json")}
        if image is not None:
            files["image"] = ("image.png", image, "image/png")
        if mask is not None:
            files["mask"] = ("mask.png", mask, "image/png")
        return self.session.post(f"{self.url}/api/v1/jobs", files=files, headers=headers, timeout=PATIENCE_S)

    def submit(self, request: object, image: bytes | None = None, mask: bytes | None = None) -> str:
        """Submits a job that must be accepted; its id."""
        answer = self.post(request, image, mask)
        assert answer.status_code == 201, answer.text
        return answer.json()["id"]

    def job(self, job_id: str, **query: object) -> dict[str, Any]:
        answer = self.get(f"/jobs/{job_id}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def follow(self, job_id: str, enough: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """What a client that long-polls sees of a job, up to where it is `enough`."""
        seen = [self.job(job_id)]
        deadline = time.monotonic() + PATIENCE_S
        while not enough(seen[-1]):
            assert time.monotonic() < deadline, f"nothing came of it: {seen[-1]}\n{self.log()}"
            seen.append(self.job(job_id, wait=5, since=seen[-1]["rev"]))
        return seen

    def finish(self, job_id: str) -> dict[str, Any]:
        """The job when it is over."""
        return self.follow(job_id, over)[-1]

    def pixels(self, job_id: str, k: int = 0, composite: str = "raw") -> bytes:
        """The decoded levels of a result."""
        from pentimento_shared.pixels import decode_png

        answer = self.get(f"/jobs/{job_id}/images/{k}", params={"composite": composite})
        assert answer.status_code == 200, answer.text
        return decode_png(answer.content).data


def environment(home: Path, more: Mapping[str, str]) -> dict[str, str]:
    """The environment of a process that finds our packages and only that home."""
    paths = [str(ROOT / "backend"), str(ROOT / "shared")]
    own = more.get("PYTHONPATH")
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PENTIMENTO")}
    return {
        **kept,
        # A tiny model gains nothing from a second thread, and loses a lot where the cores are shared.
        "OMP_NUM_THREADS": "1",
        **more,
        "PENTIMENTO_HOME": str(home),
        "PYTHONPATH": os.pathsep.join([own, *paths] if own else paths),
    }


def over(job: dict[str, Any]) -> bool:
    return job["state"] in ("done", "failed", "cancelled")


def sampling(job: dict[str, Any]) -> bool:
    """In the middle of the model's work."""
    assert not over(job), f"the job is over already: {job}"
    return job["state"] == "running" and job["stage"] == "sample" and job["step"] >= 1


def stopped(thread: Path) -> bool:
    """Whether a thread, by its folder below /proc, was stopped by a signal, or has ended since it was listed."""
    try:
        return (thread / "stat").read_text().rpartition(")")[2].split()[0] == "T"
    except (FileNotFoundError, ProcessLookupError):
        return True


def until(condition: Callable[[], object]) -> None:
    """Returns once the condition holds."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "this has not come true"
        time.sleep(0.05)
