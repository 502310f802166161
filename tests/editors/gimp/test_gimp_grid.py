"""Grids in a real GIMP 3: by a script, and from the dialog to the one undo that takes them away."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.editors.conftest import Play
from tests.editors.harness import PROJECT, EditorRun, cases_of
from tests.server.serving import ServerProcess

HERE = Path(__file__).parent
GIVEN = {"harbour": str(PROJECT / "docs/samples/harbour.png")}


@pytest.fixture(scope="module")
def scripted(gimp: Play, demo_backend: ServerProcess) -> EditorRun:
    return gimp(str(HERE / "grid_cases.py"), backend=demo_backend, patience=600)


@pytest.mark.parametrize("case", cases_of(HERE / "grid_cases.py"))
def test_scripts(scripted: EditorRun, case: str) -> None:
    scripted.check(case)


@pytest.fixture(scope="module")
def seen(gimp_window: Play, demo_backend: ServerProcess) -> EditorRun:
    return gimp_window(str(HERE / "grid_window_cases.py"), backend=demo_backend, given=GIVEN, patience=600)


def test_a_grid_from_the_dialog_is_taken_away_by_one_undo(seen: EditorRun) -> None:
    group, layers = seen.check("a_grid_from_dialog_to_undo")
    assert group == "Grid: a watercolor at sunset (4 pictures)"
    assert layers == [
        "strength 0.4, steps 2",
        "strength 0.6, steps 2",
        "strength 0.4, steps 4",
        "strength 0.6, steps 4",
    ]
