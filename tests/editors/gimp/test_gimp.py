"""The plugin in a real GIMP 3, with the demo model: by scripts, and through its dialogs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.editors.conftest import Play
from tests.editors.harness import PROJECT, EditorRun, cases_of
from tests.editors.killer import AWAY, ON_THE_WAY, Killer, check_death, check_jobs
from tests.server.serving import ServerProcess

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


@pytest.fixture(scope="module")
def killer(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killer]:
    killer = Killer(
        start_server(), lambda home: start_server(home=home), tmp_path_factory.getbasetemp(), "gimp-*killed*"
    )
    killer.start()
    yield killer
    killer.end()


@pytest.fixture(scope="module")
def bereft(gimp_window: Play, killer: Killer) -> EditorRun:
    """A run of GIMP whose backend is killed again and again, and comes back each time."""
    environ = {"PYTHONPATH": script("listening")}
    return gimp_window(script("killed_cases.py"), backend=killer.server, environ=environ, patience=PATIENCE_S)


def arrived(facts: dict[str, Any]) -> str:
    """What identifies the picture of a job that has come as one layer, and has changed nothing else."""
    assert [facts[name] for name in ("layers", "active", "same", "mask", "same after undo")] == [True] * 5
    return facts["picture"]


def test_a_backend_killed_before_the_command_is_told_of(bereft: EditorRun, killer: Killer) -> None:
    facts = bereft.check("killed_before_the_command")
    failed, layers, said = facts["refused"]
    assert (failed, layers, facts["same meanwhile"]) == (True, [], True)
    assert "No backend answers at http://127.0.0.1:" in said
    assert "python3 launch.py" in said
    assert arrived(facts) == arrived(bereft.check("in_fair_weather"))
    check_death(killer, "idle", facts["job"])


def test_a_backend_killed_behind_the_dialog_is_waited_for(bereft: EditorRun, killer: Killer) -> None:
    facts = bereft.check("killed_behind_the_dialog")
    assert (facts["open"], facts["begun"], facts["same meanwhile"]) == (True, False, True)
    assert arrived(facts)
    check_death(killer, "dialog", facts["job"])


@pytest.mark.parametrize(("moment", "case"), ON_THE_WAY.items())
def test_a_killed_backend_is_told_of_and_its_job_comes_back(
    bereft: EditorRun, killer: Killer, moment: str, case: str
) -> None:
    facts = bereft.check(case)
    assert AWAY.fullmatch(facts["said"].removeprefix("Pentimento: "))
    assert arrived(facts) == arrived(bereft.check("in_fair_weather"))
    check_death(killer, moment, facts["job"])


def test_each_job_was_made_once(bereft: EditorRun, killer: Killer) -> None:
    others = "in_fair_weather", "killed_before_the_command", "killed_behind_the_dialog"
    check_jobs(killer, [bereft.check(case)["job"] for case in (*ON_THE_WAY.values(), *others)], cancelled=0)
