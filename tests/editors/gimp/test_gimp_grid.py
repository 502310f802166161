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
