"""In a real Krita: a grid is asked for in its dialog and comes as one group of layers."""

from __future__ import annotations

import pytest

from tests.editors.conftest import Play
from tests.editors.harness import EditorRun
from tests.server.serving import ServerProcess


@pytest.fixture(scope="module")
def played(krita: Play, demo_backend: ServerProcess) -> EditorRun:
    return krita("krita_grid.py", backend=demo_backend, patience=900)


def test_a_grid_is_checked_as_it_is_written_and_comes_as_one_group(played: EditorRun) -> None:
    facts = played.check("grid")
    assert facts["empty"] == "Choose what shall change, and write its values."
    assert 'character 6, at "1.4": strength is 1.4; allowed: a number from 0 to 1' in facts["wrong"][0]
    assert facts["wrong"][1] is False
    right = "4 pictures, from strength 0.5, Euler to strength 0.9, Heun."
    assert facts["right"] == [right, True, "Make 4 pictures"]
    names = ["strength 0.5, Euler", "strength 0.9, Euler", "strength 0.5, Heun", "strength 0.9, Heun"]
    assert facts["group"] == ["Grid: a lake at dawn (4 pictures)", names]
    assert facts["visible"] == [True, False, False, False]
    assert facts["settings"] == [[0.5, "Euler"], [0.9, "Euler"], [0.5, "Heun"], [0.9, "Heun"]]
    assert facts["active"]
    assert facts["altered"] == []
    assert not facts["outside"]
    assert facts["inside"]
    assert facts["redone"]
    assert facts["after undo"] == []


def test_a_cancelled_grid_leaves_the_document_as_it_was(played: EditorRun) -> None:
    assert played.check("cancelled_grid") == {"remembered": "0.5, 0.9", "phase": "cancelled", "altered": []}
