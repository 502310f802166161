"""Krita's documents as the controller sees them, in a real Krita."""

from __future__ import annotations

import pytest

from tests.editors.conftest import Play
from tests.editors.harness import EditorRun

LONGEST_PIECE_MS = 50

pytestmark = pytest.mark.timeout(400)  # the first test waits for all cases


@pytest.fixture(scope="module")
def played(krita: Play) -> EditorRun:
    return krita("krita_document.py", plugin=True, patience=700)


def test_what_is_read_and_inserted_comes_back(played: EditorRun) -> None:
    facts = played.check("round_trips")
    for name in ("8 bit", "16 bit", "wide gamut 8 bit", "grey"):
        assert facts[name]["off"] == 0, name
    for name in ("16 bit linear", "wide gamut", "linear without saying so", "grey 16 bit linear"):
        assert facts[name]["off"] <= 1, name
    # A 16-bit level of signal is up to 2.28 levels of light wide: rounding to it alone is off by 1.14.
    for name in ("half float", "float", "float perceptual", "grey float"):
        assert facts[name]["off"] < 1.15, name
    assert {name: fact["depth"] for name, fact in facts.items() if fact["depth"] == 8}.keys() == {
        "8 bit",
        "wide gamut 8 bit",
        "grey",
    }
    assert all(fact["channels"] == (2 if name.startswith("grey") else 4) for name, fact in facts.items())


def test_a_masked_layer_is_one_undo_step(played: EditorRun) -> None:
    facts = played.check("one_undo_step")
    before, after = facts["tree"]
    assert before == ["Background", ["group", "source", "over it"]]
    assert after == ["Background", ["group", "source", ["dawn (7)", "selection"], "over it"]]
    for fact in ("active", "mask", "outside", "inside", "records", "read mask", "undone", "redone", "mask after redo"):
        assert facts[fact] is True, fact
    assert facts["mask beyond"] is True
    assert facts["bounds"] == [40, 30, 64, 48]
    assert facts["records after undo"] == {}
    assert facts["the step before"] == ["Background", ["group", "source"]]


def test_a_batch_is_a_group_and_one_undo_step(played: EditorRun) -> None:
    facts = played.check("a_batch")
    assert facts["tree"] == ["Background", ["dawn", "dawn (2)", "dawn (1)", "dawn (0)"]]
    assert facts["visible"] == [True, False, False]
    assert facts["active"] == "dawn (0)"
    assert facts["records"] == ["0", "1", "2"]
    paint, paper = [160, 80, 40, 255], [255, 255, 255, 255]
    assert facts["seen"] == [paint, paint, paper], "the canvas shows the picture on top, and nothing beside it"
    assert facts["undone"] is facts["as before"] is True
    assert facts["seen again"] == paint, "redo shows it as well"


def test_a_document_in_the_background_takes_its_result(played: EditorRun) -> None:
    facts = played.check("while_another_document_is_open")
    assert facts["there"] == ["Background", "dawn"]
    assert facts["other"] == ["Background"]
    assert facts["layer"] == "dawn"
    assert facts["still working in"] is facts["active"] is facts["ids"] is True


def test_reading_leaves_no_trace(played: EditorRun) -> None:
    facts = played.check("reading_leaves_no_trace")
    assert facts["bare"] is True
    assert facts["masked"] is True
    assert facts["beyond"] == [0, 0, 0, 0]
    assert facts["selection"] == [50 * 40, 120 * 120, 255]
    assert facts["mask"] == [30 * 30, 120 * 120 - 30 * 30]
    assert facts["modified"] is False
    assert facts["undo"] is True
    assert facts["tree"] is True
    assert facts["active"] is True


def test_selections(played: EditorRun) -> None:
    facts = played.check("selections")
    assert facts["none"] is facts["empty"] is facts["deselected"] is None
    assert facts["inside"] == [50, 40, 60, 30]
    assert facts["over the border"] == [150, 110, 10, 10]
    assert facts["one"] == [3, 4, 1, 1]
    assert facts["inverted"] == [70, 0, 90, 120]
    # 8 of the 10 rows that are read lie on the canvas, and 90 of the 120 columns are selected there.
    assert facts["read inverted"] == [8 * 90, 120 * 10 - 8 * 90]


def test_what_cannot_be_a_source_says_why(played: EditorRun) -> None:
    facts = played.check("what_cannot_be_a_source")
    advice = "Select a paint layer, or choose the visible canvas as the source."
    kinds = {
        "grouplayer": "a group",
        "filterlayer": "a filter layer",
        "vectorlayer": "a vector layer",
        "clonelayer": "a clone layer",
        "filelayer": "a file layer",
    }
    for kind, words in kinds.items():
        assert facts[kind] == f"“it” is {words}. {advice}"
    assert facts["locked"].startswith("“it” is locked. Unlock it")
    assert facts["empty"] == ["", [0, 0, 0, 0]]
    assert facts["background"] == facts["document"] == ""
    assert "CMYK" in facts["cmyk"]
    assert "Convert Image Color Space" in facts["cmyk"]
    assert facts["unknown"] is None
    assert played.check("an_animated_layer") == f"“it” is animated. {advice}"


def test_a_changed_document_gets_nothing(played: EditorRun) -> None:
    facts = played.check("changed_since")
    assert facts["ids"] == [True, True]
    assert facts["converted"] == ["The document was converted to another colour space since the job began.", True, 0]
    resized = "The document was 160 x 120 px when the job began; it is 200 x 120 px now."
    assert facts["resized"] == [resized, True, 0]
    assert facts["deleted"] == ["The layer is gone from the document.", True, 0]
    assert facts["flattened"] == [True, True]
    assert facts["closed"] == [False, True, False]
    assert facts["closed size"] == "The document was closed."


def test_records_are_saved_with_the_document(played: EditorRun) -> None:
    facts = played.check("records_are_saved")
    assert facts == {"name": "harbour.kra", "records": True, "layer": "dawn", "another": True}


def test_a_layer_of_another_colour_space_comes_in_the_documents(played: EditorRun) -> None:
    assert played.check("a_layer_of_another_colour_space") == {"depth": 8, "pixel": [188, 137, 0, 255]}


def test_a_stroke_is_not_interrupted(played: EditorRun) -> None:
    facts = played.check("strokes_come_first")
    assert facts == {"idle": True, "waits": [True, 1, {}], "then": "dawn"}


def test_a_document_may_be_closed_while_it_takes_a_layer(played: EditorRun) -> None:
    assert played.check("closed_while_it_is_inserted") is True


@pytest.mark.parametrize("case", ["large_16_bit", "large_float"])
def test_no_piece_of_work_takes_long(played: EditorRun, case: str) -> None:
    """By the CPU's time: a machine that does other things beside would fail by the clock."""
    facts = played.check(case)
    assert facts["same"] is True
    assert max(facts["pieces"]) < 10_000, "what only waits must say so, else it keeps the window busy"
    for work in ("read", "selection", "insert"):
        _, cpu = facts[work]
        assert cpu[2] < LONGEST_PIECE_MS, f"{work}: {facts[work]}"
