"""The plugin in a real GIMP 3, with the demo model: by scripts, and through its dialogs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import StartServer
from tests.editors.conftest import Play
from tests.editors.harness import PROJECT, EditorRun, cases_of
from tests.server.serving import ServerProcess, sampling, until

HERE = Path(__file__).parent
GIVEN = {"harbour": str(PROJECT / "docs/samples/harbour.png")}
PATIENCE_S = 1200.0
"""For all cases of a script together: they take a minute or two, on a busy machine many."""


def script(name: str) -> str:
    return str(HERE / name)


@pytest.fixture(scope="module")
def scripted(gimp: Play, demo_backend: ServerProcess) -> EditorRun:
    return gimp(script("pdb_cases.py"), backend=demo_backend, patience=PATIENCE_S)


@pytest.mark.parametrize("case", cases_of(HERE / "pdb_cases.py"))
def test_scripts(scripted: EditorRun, case: str) -> None:
    scripted.check(case)


def test_gimp_has_nothing_to_complain_about(scripted: EditorRun) -> None:
    """Its start and end have complaints of their own; what our processes say bears their name."""
    ours = [line for line in scripted.stderr.splitlines() if "(pentimento" in line and "gimp_flush" not in line]
    assert ours == []


@pytest.fixture(scope="module")
def seen(gimp_window: Play, demo_backend: ServerProcess) -> EditorRun:
    return gimp_window(script("window_cases.py"), backend=demo_backend, given=GIVEN, patience=PATIENCE_S)


@pytest.mark.parametrize("case", cases_of(HERE / "window_cases.py"))
def test_dialogs(seen: EditorRun, case: str) -> None:
    seen.check(case)


def test_without_a_backend_scripts_are_told(gimp: Play, tmp_path_factory: pytest.TempPathFactory) -> None:
    run = gimp(script("absent_cases.py"), environ={"PENTIMENTO_HOME": str(tmp_path_factory.mktemp("absent"))})
    assert run.check("a_script_is_told")
    assert run.check("the_procedures_are_known") == [
        "pentimento-backend",
        "pentimento-generate",
        "pentimento-grid",
        "pentimento-img2img",
        "pentimento-inpaint",
        "pentimento-redo",
        "pentimento-refine",
        "pentimento-save",
    ]


def test_without_a_backend_the_dialog_tells(gimp_window: Play, tmp_path_factory: pytest.TempPathFactory) -> None:
    home = tmp_path_factory.mktemp("absent")
    run = gimp_window(script("absent_window_cases.py"), environ={"PENTIMENTO_HOME": str(home)}, given=GIVEN)
    run.check("the_dialog_tells_and_does_not_run")


def test_a_killed_backend_costs_no_job(gimp: Play, start_server: StartServer) -> None:
    server = start_server()
    server.wait_ready()
    restarted: list[ServerProcess] = []

    def kill_and_start_again() -> None:
        until(lambda: any(sampling(job) for job in server.get("/jobs").json()["jobs"]))
        server.kill()
        restarted.append(start_server(home=server.home))

    helper = start(kill_and_start_again)
    run = gimp(script("killed_cases.py"), backend=server)
    helper.join(PATIENCE_S)
    assert restarted, "the backend was never seen at work"
    assert run.check("the_job_survives") == 5
    jobs = restarted[0].get("/jobs").json()["jobs"]
    assert [job["state"] for job in jobs] == ["done"]


def start(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread
