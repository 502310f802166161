"""The docker and the commands in a real Krita: what an artist does, and what comes of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pentimento_shared.presets import PRESETS
from pentimento_shared.settings import SETTINGS
from tests.editors.conftest import Play
from tests.editors.harness import Chamber, EditorRun, install_plugin
from tests.server.serving import ServerProcess

KEPT = 'a "quoted"\nprompt, with an ä'
COMMANDS = {
    "img2img": "Img2img active layer",
    "inpaint": "Inpaint selection",
    "generate": "Generate",
    "grid": "Grid...",
    "refine": "Refine this layer again",
    "redo": "Redo exactly",
    "cancel": "Cancel",
    "reuse": "Reuse settings from file...",
    "settings": "Settings...",
}


@pytest.fixture(scope="module")
def played(krita: Play, demo_backend: ServerProcess) -> EditorRun:
    return krita(
        "krita_docker.py", backend=demo_backend, given={"commands": list(COMMANDS), "kept": KEPT}, patience=900
    )


@pytest.fixture(scope="module")
def alone(krita: Play, chamber: Chamber, played: EditorRun) -> EditorRun:
    """With the settings that the other run left behind, and no backend."""

    def prepare(home: Path) -> None:
        install_plugin(home, editor="krita", root=chamber.root)
        _, group, kept = (played.home / ".config/kritarc").read_text("utf-8").partition("[pentimento]\n")
        with (home / ".config/kritarc").open("a", encoding="utf-8") as file:
            file.write(f"\n{group}{kept.partition(chr(10))[0]}\n")

    return krita("krita_docker_alone.py", prepare=prepare)


def test_every_row_of_the_table_has_its_widget_with_the_models_values(played: EditorRun) -> None:
    facts = played.check("idle")
    hidden = [row.name for row in SETTINGS if row.hidden]
    assert facts["shown"] == [row.name for row in SETTINGS if row.name not in hidden]
    assert facts["cfg_scale"] == 3.0
    assert facts["clip_skip_most"] == 2
    assert facts["grow"] == [False, "Only for inpainting."]
    assert facts["clipped"] == []
    assert facts["folded"]


def test_commands_are_in_the_menu_under_their_names(played: EditorRun) -> None:
    facts = played.check("commands")
    assert facts["texts"] == list(COMMANDS.values())
    assert facts["in menu"] == [f"pentimento_{name}" for name in COMMANDS]


def test_a_typed_prompt_and_ctrl_enter_make_a_new_layer(played: EditorRun) -> None:
    facts = played.check("ctrl_enter_runs")
    assert facts["typed"] == "sunset over the mountains, watercolor"
    assert facts["steps"].startswith("Painting ")
    assert facts["steps"].endswith("/12")  # 20 steps at strength 0.6
    assert facts["layers"][:2] == ["Background", "Sketch"]
    assert facts["layers"][2:] == [facts["active"]]
    assert facts["active"].startswith("sunset over the mountains, watercolor (")
    assert facts["left"] == [False, False]


def test_refining_makes_a_chain_and_redo_the_same_pixels(played: EditorRun) -> None:
    facts = played.check("results")
    newest, middle, oldest = facts["chains"]
    assert (len(newest), middle, oldest) == (3, newest[1:], newest[2:])
    assert [name.partition(" (")[2] for name in facts["names"]] == [f"{newest[0]})", f"{newest[2]})"]
    assert facts["new"]
    assert facts["same"]
    assert facts["layers"] == 6


def test_a_selection_makes_it_inpaint_under_a_mask(played: EditorRun) -> None:
    facts = played.check("inpaint")
    assert facts == {"enabled": [True, True], "masks": ["transparencymask"], "selected": True}


def test_generate_fills_the_canvas(played: EditorRun) -> None:
    assert played.check("generate") == {"shown": ["Generate", False, False], "size": [256, 192]}


def test_the_strip_shows_walks_reuses_saves_and_deletes(played: EditorRun) -> None:
    facts = played.check("strip")
    parent_shown, child_shown, row, back = facts["walked"]
    assert (parent_shown, child_shown, row, back) == (True, False, 1, False)
    assert facts["clicked"]
    assert facts["copied"]
    assert facts["reused"] == [77, 0.35, 8]
    assert facts["png"] == [[256, 192], True, True]
    assert facts["deleted"] == 1
    assert facts["undone"]


def test_of_a_batch_only_the_clicked_picture_shows(played: EditorRun) -> None:
    assert played.check("batch") == {"group": "grouplayer", "before": [True, False], "after": [False, True]}


def test_cancel_leaves_everything_as_it_was(played: EditorRun) -> None:
    facts = played.check("cancel")
    assert facts["said"].startswith("Cancelled.")
    assert facts["same"]
    assert facts["results"] == 0


def test_two_documents_each_get_their_own_result(played: EditorRun) -> None:
    assert played.check("two_documents") == {"elsewhere": [False, 0], "layers": [3, 3]}


def test_the_result_of_a_closed_document_can_go_into_another(played: EditorRun) -> None:
    facts = played.check("closed_document")
    assert "was closed before the result came" in facts["said"]
    assert not facts["offered still"]
    assert facts["layers"] == 3


def test_commands_run_with_the_docker_hidden_and_speak_over_the_canvas(played: EditorRun) -> None:
    assert played.check("hidden_docker") == {"before": False, "folded again": True}


def test_what_the_model_does_not_have_is_greyed_and_not_sent(played: EditorRun) -> None:
    facts = played.check("limits")
    assert facts["samplers"] == ["Euler", "Euler", "Heun"]
    assert facts["of"] > 10
    assert facts["upscalers"] == ["Lanczos", "off", "Mill_x4"]
    assert facts["gone"] == ["Gone_x2", 4, "Mill_x4"], "what is not there any more is shown as it is"
    assert facts["why"] == "Small model does not have this setting."
    assert facts["inpaint"] == {"clip_skip": 2, "steps": 7, "strength": 0.5}
    assert facts["txt2img"] == {"clip_skip": 2, "steps": 7}
    assert facts["cfg_scale"] == [2.5, 4.5], "each task has its own default, and none is sent"


def test_presets_set_the_strength(played: EditorRun) -> None:
    facts = played.check("presets")
    assert facts["entries"] == [f"{preset.name}\t{preset.settings['strength']}" for preset in PRESETS]
    assert facts["strength"] == 0.3


def test_settings_are_there_again_when_krita_starts_again(played: EditorRun, alone: EditorRun) -> None:
    played.check("settings_are_kept")
    assert alone.check("settings_come_back") == {"prompt": KEPT, "strength": 0.42}


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("without_a_document", ["no document", "Create or open one"]),
        ("a_vector_layer", ["is a vector layer", "Select a paint layer"]),
        ("a_group", ["is a group", "Select a paint layer"]),
        ("a_locked_layer", ["is locked", "Unlock it"]),
        ("an_empty_layer", ["is empty", "Paint something"]),
        ("without_a_selection", ["Nothing is selected", "Select what"]),
        ("an_empty_selection", ["Nothing is selected", "Select what"]),
        ("cmyk", ["CMYK", "Convert Image Color Space"]),
        ("to_refine_what_it_did_not_make", ["was not made by Pentimento", "Use img2img"]),
        ("to_cancel_nothing", ["Nothing is running"]),
    ],
)
def test_refuses_in_a_sentence(played: EditorRun, case: str, words: list[str]) -> None:
    said = played.check(f"refuses_{case}")
    for part in words:
        assert part in said


def test_says_that_there_is_no_backend_and_what_to_type(alone: EditorRun) -> None:
    facts = alone.check("no_backend")
    assert "python3 launch.py" in facts["said"]
    assert not facts["button"]
    assert "python3 launch.py" in facts["message"]
    assert facts["same"]


def test_starts_the_backend_and_says_what_came_of_it(alone: EditorRun) -> None:
    assert "did not start" in alone.check("backend_that_does_not_start")
