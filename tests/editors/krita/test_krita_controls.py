"""In a real Krita: the count below the prompts, styles, settings out of files, and the fold with its headings."""

from __future__ import annotations

from pathlib import Path

import pytest

from pentimento_shared.geometry import Size
from pentimento_shared.pixels import Pixels, encode_png
from pentimento_shared.recipe import INFOTEXT_KEY, PNG_KEY
from pentimento_shared.settings import GROUPS
from tests.editors.conftest import Play
from tests.editors.extra_files import put_files
from tests.editors.harness import EditorRun
from tests.server.serving import ServerProcess
from tests.unit.test_recipe import recipe

INFOTEXT = "a cat\nNegative prompt: dog\nSteps: 28, Sampler: Euler a, CFG scale: 5, Seed: 42, ENSD: 31337, Model: v1-5"
STYLES = 'name,prompt,negative_prompt\nOil,oil painting,photo\n"Noir, dark",a noir film of {prompt},color\n'
SMALL_SCREEN = {"PENTIMENTO_SCREEN": "1366x768"}


def pictures(folder: Path) -> dict[str, str]:
    """Files with settings inside: path by what is in them."""
    folder.mkdir()
    texts = {"infotext": {INFOTEXT_KEY: INFOTEXT}, "recipe": {PNG_KEY: recipe("a red house").to_json()}, "none": {}}
    paths = {name: folder / f"{name} \u00e4.png" for name in texts}
    for name, path in paths.items():
        path.write_bytes(encode_png(Pixels(Size(16, 16), 3, 8, bytes(768)), texts[name]))
    return {name: str(path) for name, path in paths.items()}


@pytest.fixture(scope="module")
def played(krita: Play, demo_backend: ServerProcess, tmp_path_factory: pytest.TempPathFactory) -> EditorRun:
    (demo_backend.data / "styles.csv").write_text(STYLES, "utf-8")
    put_files(demo_backend.data / "models")
    cases = ["groups", "files", "tokens", "styles", "reuse_from_file"]
    given = pictures(tmp_path_factory.mktemp("given") / "pictures")
    return krita("krita_controls.py", backend=demo_backend, cases=cases, given=given, patience=600)


def test_the_fold_has_the_groups_and_costs_the_window_little(played: EditorRun) -> None:
    facts = played.check("groups")
    assert facts["folded"]
    assert facts["headings"] == facts["groups"]
    assert set(facts["groups"]) >= {GROUPS["sampling"], GROUPS["inpaint"]}
    assert facts["refresh"] < 50
    assert facts["unfold"] < 50


def test_upscalers_and_vaes_are_offered_by_name(played: EditorRun) -> None:
    facts = played.check("files")
    assert facts == {
        "names": ["Lanczos", "off", "Mill_x4"],
        "chosen": "Mill_x4",
        "shown": "Mill_x4",
        "vaes": ["automatic", "Own"],
        "reset": "Lanczos",
    }


def test_tokens_are_counted_and_a_fault_is_shown_in_its_place(played: EditorRun) -> None:
    facts = played.check("tokens")
    tokens, _, limit = facts["count"].partition("/")
    assert 4 <= int(tokens) <= 8
    assert limit == "75"
    assert "character 5" in facts["fault"]
    assert facts["marked"] == ["("]
    assert facts["with fault"] == ""
    assert facts["empty"] == ["", ""]


def test_styles_are_chosen_by_name_and_written_into_the_prompts(played: EditorRun) -> None:
    facts = played.check("styles")
    assert facts["names"] == ["Oil", "Noir, dark", "Write them into the prompts"]
    assert facts["chosen"] == ['Oil, "Noir, dark"', ["Oil", "Noir, dark"]]
    assert facts["fewer"] == '"Noir, dark"'
    assert facts["written"] == ["a noir film of a lake", "color", ""]
    assert facts["said"].startswith("There is no style 'nonesuch'")


def test_settings_come_out_of_a_file_and_what_is_unknown_is_said(played: EditorRun) -> None:
    facts = played.check("reuse_from_file")
    assert facts["taken"] == ["a cat", 28, "Euler a"]
    assert "(AUTOMATIC1111). Not known here, so left out: ENSD: 31337. Its model, v1-5, is not" in facts["said"]
    assert facts["dropped"] == ["a red house", 7, 0.6]
    assert not facts["took text"]
    assert facts["kept"] == "a red house"


def test_large_letters_on_a_small_screen_clip_nothing(krita: Play, demo_backend: ServerProcess) -> None:
    run = krita("krita_controls.py", backend=demo_backend, cases=["large_letters"], environ=SMALL_SCREEN)
    facts = run.check("large_letters")
    assert facts["screen"] == [1366, 768]
    assert facts["clipped"] == []
    assert facts["run is seen"]
    assert facts["width"] < 700
