"""In a real GIMP: the count above the prompts, styles, settings out of files, and the fold on a small screen."""

from __future__ import annotations

from pathlib import Path

import pytest

from pentimento_shared.geometry import Size
from pentimento_shared.pixels import Pixels, encode_png
from pentimento_shared.recipe import INFOTEXT_KEY
from pentimento_shared.settings import SETTINGS
from tests.editors.conftest import Play
from tests.editors.extra_files import put_files
from tests.editors.gimp.test_gimp import GIVEN, PATIENCE_S, script
from tests.editors.harness import EditorRun
from tests.server.serving import ServerProcess

CASES = [
    "the_wheel_scrolls_the_fold",
    "refining_begins_with_what_was_written",
    "styles_are_ticked",
    "inside_the_dialog",
    "a_file_named_by_its_path_fills_the_dialog",
]
"""In this order: a dialog begins with what the one before was given."""
INFOTEXT = "a cat\nNegative prompt: dog\nSteps: 4, Sampler: Euler a, CFG scale: 3, Seed: 42, ENSD: 31337, Model: v1-5"
STYLES = "name,prompt,negative_prompt\nOil,oil painting,photo\n"
SCREEN = (1366, 768)


@pytest.fixture(scope="module")
def seen(gimp_window: Play, demo_backend: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> EditorRun:
    (demo_backend.data / "styles.csv").write_text(STYLES, "utf-8")
    put_files(demo_backend.data / "models")
    path: Path = tmp_path_factory.mktemp("given") / "cat.png"
    path.write_bytes(encode_png(Pixels(Size(16, 16), 3, 8, bytes(768)), {INFOTEXT_KEY: INFOTEXT}))
    given = {**GIVEN, "infotext": str(path)}
    return gimp_window(script("control_cases.py"), backend=demo_backend, cases=CASES, given=given, patience=PATIENCE_S)


def test_the_wheel_scrolls_the_fold_and_changes_nothing(seen: EditorRun) -> None:
    made = seen.check("the_wheel_scrolls_the_fold")
    usual = {row.name: row.default for row in SETTINGS if row.group in ("size", "inpaint", "loopback")}
    assert {name: value for name, value in made.items() if name in usual and value != usual[name]} == {}


def test_a_style_is_ticked_by_keyboard_and_painted(seen: EditorRun) -> None:
    made = seen.check("styles_are_ticked")
    assert made["prompt"] == "a cat, oil painting"
    assert (made["written"]["prompt"], made["written"]["styles"]) == ("a cat", "Oil")


def test_a_file_fills_the_dialog_and_what_is_unknown_is_said(seen: EditorRun) -> None:
    facts = seen.check("inside_the_dialog")
    assert facts["reused"] == ["a cat", "dog", 4, 3, 42, "Euler a"]
    assert "Settings taken from cat.png (AUTOMATIC1111). Not known here, so left out: ENSD: 31337." in facts["told"]


def test_a_file_chosen_by_keyboard_is_what_is_painted(seen: EditorRun) -> None:
    made = seen.check("a_file_named_by_its_path_fills_the_dialog")
    filled = {"prompt": "a cat", "negative_prompt": "dog", "steps": 4, "cfg_scale": 3, "seed": 42, "sampler": "Euler a"}
    assert {name: made[name] for name in filled} == filled


def test_upscalers_and_vaes_are_offered_by_name(seen: EditorRun) -> None:
    files = seen.check("inside_the_dialog")["files"]
    assert files == {"vae": ["automatic", "Own"], "upscale_first": ["Lanczos", "off", "Mill_x4"]}


def test_a_number_left_open_says_what_the_task_takes(seen: EditorRun) -> None:
    within, whole = seen.check("inside_the_dialog")["cfg_scale"]
    assert within.endswith("(2.0)")
    assert whole.endswith("(3.0)")


def test_refining_begins_with_what_was_written(seen: EditorRun) -> None:
    assert seen.check("refining_begins_with_what_was_written") == ["a red lake", "a {red|red} lake"]


def test_the_dialog_counts_tokens_shows_faults_and_costs_little(seen: EditorRun) -> None:
    facts = seen.check("inside_the_dialog")
    tokens, _, limit = facts["count"].partition("/")
    assert 4 <= int(tokens) <= 8
    assert limit == "75"
    assert "character 3" in facts["fault"]
    assert facts["styles"] == "Oil"
    assert facts["written"] == ["a cat, oil painting", "dog, photo", ""]
    assert facts["look"] < 50


def test_the_dialog_with_large_letters_stays_on_a_small_screen(gimp_window: Play, demo_backend: ServerProcess) -> None:
    run = gimp_window(
        script("control_cases.py"),
        backend=demo_backend,
        cases=["the_fold_on_a_small_screen"],
        given=GIVEN,
        environ={"PENTIMENTO_SCREEN": "{}x{}".format(*SCREEN), "GDK_DPI_SCALE": "2"},
    )
    place = run.check("the_fold_on_a_small_screen")
    assert place["X"] >= 0
    assert place["Y"] >= 0
    assert place["X"] + place["Width"] <= SCREEN[0]
    assert place["Y"] + place["Height"] <= SCREEN[1]
