"""The editors start, do what a script says, and nothing that goes wrong in them passes for a success."""

from __future__ import annotations

import pytest

from tests.editors.conftest import SCRIPTS, Play
from tests.editors.harness import EditorRun, cases_of
from tests.editors.root import NoEditors, choose_mirror, provide
from tests.server.serving import ServerProcess


@pytest.fixture(scope="module", params=["krita", "gimp", "gimp_window"])
def smoke(request: pytest.FixtureRequest) -> EditorRun:
    play: Play = request.getfixturevalue(request.param)
    return play(f"{request.param.partition('_')[0]}_smoke.py", plugin=False)


def test_pixels_come_back_as_they_were_written(smoke: EditorRun) -> None:
    facts = smoke.check("pixels_come_back_as_they_were_written")
    assert facts["same"] is True
    assert facts["size"] == [64, 48]
    assert facts["version"].startswith(("5.", "3."))


def test_a_case_begins_with_nothing_open(smoke: EditorRun) -> None:
    assert smoke.check("each_case_begins_with_nothing_open") == 0
    assert smoke.code == 0


@pytest.fixture(scope="module", params=["krita", "gimp"])
def mishaps(request: pytest.FixtureRequest, demo_backend: ServerProcess) -> EditorRun:
    play: Play = request.getfixturevalue(request.param)
    return play("mishaps.py", plugin=False, backend=demo_backend, patience=60)


@pytest.mark.parametrize(
    ("case", "words"),
    [
        ("raises", "ValueError: on purpose"),
        ("raises_after_a_wait", "ValueError: later"),
        ("waits_in_vain", "after 0.2 s still waiting for what never comes"),
        ("fails_in_a_thread", "ValueError: in a thread"),
        ("says_a_traceback", "a plugin failed in the editor"),
    ],
)
def test_what_goes_wrong_in_an_editor_fails_the_test(mishaps: EditorRun, case: str, words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        mishaps.check(case)


def test_a_script_reaches_the_backend_outside(mishaps: EditorRun, demo_backend: ServerProcess) -> None:
    facts = mishaps.check("finds_the_backend")
    assert facts["url"] == demo_backend.url
    assert facts["health"]["ready"] is True


def test_an_editor_that_ends_early_fails_what_was_left(mishaps: EditorRun) -> None:
    assert cases_of(SCRIPTS / "mishaps.py")[-2:] == ["ends_the_editor", "is_never_played"]
    for case in ("ends_the_editor", "is_never_played"):
        with pytest.raises(AssertionError, match="the editor ended"):
            mishaps.check(case)


def test_the_mirror_is_debians_own() -> None:
    targets = """\
https://mirror.example/debian-security/ bookworm-security main
https://third.example/repo/ bookworm main
https://third.example/other/ stable extra
https://mirror.example/debian/ bookworm-updates main
https://mirror.example/debian/ bookworm contrib
https://mirror.example/debian/ bookworm main
file:/cdrom bookworm main
"""
    assert choose_mirror(targets) == "https://mirror.example/debian"


def test_a_machine_without_a_mirror_is_told_so() -> None:
    with pytest.raises(NoEditors, match="no mirror of Debian"):
        choose_mirror("file:/cdrom bookworm main\n")


def test_a_user_who_is_not_root_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    with pytest.raises(NoEditors, match="takes root"):
        provide()
