"""Logs that tell what happened and not what was painted, and the zip that goes to whoever helps."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from pentimento.jobs.discretion import HIDDEN, hidden, told
from pentimento.jobs.process import bound_log
from pentimento.server import logs
from tests.conftest import StartServer
from tests.server.pictures import noise
from tests.server.serving import ServerProcess, environment

PROMPT = "quagga under a zanzibar moon\nsecond “line” of hers"
NEGATIVE = "blurred okapi"
WORDS = ("quagga", "zanzibar", "okapi", "“line”", "hers")
BREAKS = """
import sys
if "pentimento.jobs.worker" in sys.orig_argv:
    import pentimento.engine.engine as engine

    def run(self, request, cancelled):
        raise KeyError(f"no such thing: {request.settings['prompt']}", request.settings["negative_prompt"].upper())
        yield

    engine.Engine.run = run
"""


@pytest.fixture(scope="module")
def failed(start_server: StartServer, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    """A server whose engine has failed, with an error that quotes the prompts."""
    folder = tmp_path_factory.mktemp("breaks")
    (folder / "sitecustomize.py").write_text(BREAKS)
    server = start_server(model=tiny_model, environ={"PYTHONPATH": str(folder)})
    settings = {"model": "tiny", "prompt": PROMPT, "negative_prompt": NEGATIVE, "steps": 1}
    job = server.finish(server.submit({"task": "img2img", "settings": settings}, noise(64, 64)))
    assert (job["state"], job["problem"]["title"]) == ("failed", "Engine fault")
    server.post({"task": "img2img", "settings": {**settings, "strength": 7}}, noise(64, 64))
    server.get(f"/jobs?limit={PROMPT}")
    return server


def all_logs(server: ServerProcess) -> str:
    return "\n".join(path.read_text() for path in (server.data / "logs").iterdir())


def test_logs_hold_no_prompts_and_no_token(failed: ServerProcess) -> None:
    text = all_logs(failed).lower()
    assert [word for word in (*WORDS, failed.token.lower()) if word in text] == []
    assert "keyerror" in text, "what failed is there all the same"
    assert "no such thing" in text


def test_the_log_is_of_json_lines_with_job_ids(failed: ServerProcess) -> None:
    lines = [json.loads(line) for line in failed.log().splitlines()]
    assert all({"time", "level", "thread", "message"} <= set(line) for line in lines)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["time"]) for line in lines)
    (job,) = failed.get("/jobs").json()["jobs"]
    about = [line["message"] for line in lines if line.get("job") == job["id"]]
    assert "runs in worker" in about[0]
    assert "failed" in about[-1]
    assert f"job {job['id']} failed" in (failed.data / "logs" / "worker.log").read_text()


def doctor(home: Path, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pentimento", "doctor", *arguments],
        env=environment(home, environ),
        cwd=home,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_the_bundle_tells_nothing_private(failed: ServerProcess) -> None:
    picture = noise(64, 64)
    # As if some library had got around all care:
    with (failed.data / "logs" / "worker.log").open("a") as log:
        log.write(f"{PROMPT} {json.dumps(PROMPT)} {failed.token} PENTIMENTO_TOKEN=a-secret-of-the-environment\n")
    done = doctor(failed.home, "--bundle", "help.zip", PENTIMENTO_TOKEN="a-secret-of-the-environment")
    assert "help.zip" in done.stderr, done.stderr
    packed = failed.home / "help.zip"
    assert packed.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(packed) as archive:
        assert archive.testzip() is None
        parts = {name: archive.read(name) for name in archive.namelist()}
    private = [PROMPT, NEGATIVE, json.dumps(PROMPT)[1:-1], failed.token, "a-secret-of-the-environment"]
    for content in (packed.read_bytes(), *parts.values()):
        assert [secret for secret in private if secret.encode() in content] == []
        assert picture[60:90] not in content
        assert b"\x89PNG" not in content
    assert {"logs/server.log", "logs/worker.log", "findings.json", "versions.json"} <= set(parts)
    (job,) = json.loads(parts["jobs.json"])
    assert (job["state"], job["problem"], job["settings"]["steps"]) == ("failed", [500, "Engine fault"], 1)
    assert "prompt" not in job["settings"]
    assert json.loads(parts["versions.json"])["torch"]
    assert json.loads(parts["variables.json"])["PENTIMENTO_TOKEN"] == "set"
    assert HIDDEN.encode() in parts["logs/worker.log"]
    again = doctor(failed.home, "--bundle", "help.zip")
    assert (again.returncode, "exists" in again.stderr) == (1, True), "nothing is written over"


def test_doctor_says_where_the_logs_are(failed: ServerProcess, tmp_path: Path) -> None:
    found = {row["subject"]: row for row in json.loads(doctor(failed.home, "--json").stdout)}["logs"]
    assert str(failed.data / "logs") in found["text"]
    assert "server.log" in found["text"]
    done = doctor(tmp_path, "--bundle")
    assert str(tmp_path / "data" / "logs") in done.stdout, "where they will be"
    (packed,) = tmp_path.glob("pentimento-diagnosis-*.zip")
    assert "findings.json" in zipfile.ZipFile(packed).namelist()


def test_what_is_hidden_in_errors() -> None:
    def fails() -> None:
        try:
            raise ValueError("bad token 'quagga' near Zanzibar's moon")
        except ValueError as error:
            raise RuntimeError("while reading QUAGGA, at 12") from error

    with pytest.raises(RuntimeError) as caught:
        fails()
    text = told(caught.value, [PROMPT])
    assert f"bad token '{HIDDEN}' near {HIDDEN}'s {HIDDEN}" in text
    assert f"while reading {HIDDEN}, at 12" in text
    assert "in fails" in text
    assert hidden("a cat", ["a cat"]) == HIDDEN
    assert hidden("a step", ["a"]) == "a step"
    assert hidden("nothing", []) == "nothing"


def test_a_worker_log_stays_bounded_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "worker.log"
    bound_log(path)
    with path.open("ab", buffering=0) as log:
        for k in range(12):
            log.write(f"{k:<9}\n".encode() * 100_000)
            bound_log(path)
        log.write(b"the end\n")
    kept = path.with_suffix(".log.1")
    assert path.stat().st_size + kept.stat().st_size <= 10 << 20
    assert path.read_bytes().endswith(b"the end\n")
    assert kept.stat().st_mode & 0o777 == 0o600
    assert sorted(file.name for file in tmp_path.iterdir()) == ["worker.log", "worker.log.1"]


def test_the_servers_log_is_rotated(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", _WRITES_MUCH, str(tmp_path / "server.log")],
        env=environment(tmp_path, {}),
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert done.stderr == ""
    sizes = [path.stat().st_size for path in tmp_path.glob("server.log*")]
    assert len(sizes) == 4
    assert max(sizes) <= 4 << 20
    assert {path.stat().st_mode & 0o777 for path in tmp_path.glob("server.log*")} == {0o600}


_WRITES_MUCH = """
import logging, sys
from pathlib import Path
from pentimento.server import logs
logs.start(Path(sys.argv[1]))
for k in range(25):
    logging.info("x" * 1_000_000)
"""


def test_an_error_of_ours_is_logged_without_what_it_quotes() -> None:
    formatter = logs._Lines()

    def logged(error: BaseException) -> str:
        try:
            raise error
        except type(error):
            record = logging.getLogger("x").makeRecord("x", logging.ERROR, "", 0, "fault", (), sys.exc_info())
        return json.loads(formatter.format(record))["error"]

    assert "quagga" not in logged(ValueError("quagga"))
    assert "test_diagnosis.py" in logged(ValueError("quagga"))
    assert logged(ValueError("quagga")).endswith("ValueError")
    assert logged(OSError(28, "No space left")).endswith("OSError: [Errno 28] No space left")
