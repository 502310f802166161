"""The promises, in a real Krita with the real backend: what comes back, where it lies, and that nothing else moves."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.editors.conftest import Play
from tests.editors.harness import EditorRun
from tests.editors.killer import AWAY, ON_THE_WAY, Killer, check_death, check_jobs
from tests.server.serving import ServerProcess

SELECTIONS = (
    "hard",
    "feathered",
    "anti-aliased",
    "one pixel",
    "faint",
    "whole canvas",
    "over the corner",
    "soft at the border",
    "every level",
)
CLEAN: dict[str, Any] = {"altered": [], "active": True, "after undo": [], "after redo": []}


@pytest.fixture(scope="module")
def played(krita: Play, demo_backend: ServerProcess) -> EditorRun:
    return krita("krita_jobs.py", backend=demo_backend, patience=900)


# where layers lie


@pytest.mark.parametrize(
    "place", ["offset", "over the border", "larger than the canvas", "smaller than the model's least"]
)
def test_img2img_puts_its_layer_right_above_its_source(played: EditorRun, place: str) -> None:
    facts = played.check("img2img_where_layers_lie")[place]
    assert facts == {**CLEAN, "above": 1, "place": True, "alpha": True, "new pixels": True}


def test_img2img_in_a_group_leaves_the_layers_around_it_alone(played: EditorRun) -> None:
    facts = played.check("img2img_in_a_group_among_hidden_layers")
    assert facts == {**CLEAN, "above": 1, "place": True, "alpha": True, "new pixels": True}


# selections


@pytest.mark.parametrize("selection", SELECTIONS)
def test_inpainting_changes_nothing_outside_the_selection(played: EditorRun, selection: str) -> None:
    facts = played.check("selections")[selection]
    assert facts == {**CLEAN, "changed outside": False, "changed inside": True, "mask": True}


@pytest.mark.parametrize("selection", ["feathered", "every level"])
def test_inpainting_16_bit_changes_nothing_outside_the_selection(played: EditorRun, selection: str) -> None:
    facts = played.check("selections_16_bit")[selection]
    assert facts == {**CLEAN, "changed outside": False, "changed inside": True, "mask": True}


def test_a_selection_beyond_the_layer_extends_the_picture(played: EditorRun) -> None:
    facts = played.check("a_selection_beyond_the_layer")
    assert facts == {**CLEAN, "changed outside": False, "changed inside": True, "mask": True}


def test_grow_and_feather_show_in_the_layers_mask(played: EditorRun) -> None:
    facts = played.check("grow_and_feather_show_in_the_mask")
    assert (facts["far"], facts["inside"]) == (0, 255)
    assert facts["grown"] > 0
    assert facts["levels"] > 8


def test_img2img_of_a_layer_shows_only_in_the_selection(played: EditorRun) -> None:
    facts = played.check("img2img_with_a_selection")
    assert facts == {"outside": False, "inside": True, "mask": True, "whole": True}


# colours


@pytest.mark.parametrize(
    ("space", "most"),
    [
        ("8 bit", 0),
        ("16 bit", 0),
        ("grey", 0),
        ("wide gamut 8 bit", 0),
        ("16 bit linear", 1),
        ("wide gamut", 1),
        # Half a level of the 16 bits that are sent, which near white are 2.3 as wide in linear light.
        ("float", 1.14),
    ],
)
def test_strength_0_gives_back_the_pixels_in_the_documents_own_colours(
    played: EditorRun, space: str, most: float
) -> None:
    facts = played.check("strength_0")[space]
    assert facts["off"] <= most
    assert facts["space"]


# layer by layer


@pytest.mark.parametrize(("case", "task"), [("a_chain_of_img2img", "img2img"), ("a_chain_of_inpaintings", "inpaint")])
def test_a_chain_is_made_again_from_the_saved_file(played: EditorRun, case: str, task: str) -> None:
    facts = played.check(case)
    assert facts["parents"] == [None, *facts["ids"][:3]]
    assert facts["tasks"] == [task] * 4
    assert facts["different"] == 4
    assert facts["again"] == [[True, *made] for made in zip(facts["seeds"], facts["parents"], strict=True)]


def test_what_cannot_come_again_is_not_sent(played: EditorRun) -> None:
    facts = played.check("redo_of_what_has_changed_since")
    assert (facts["phase"], facts["same"]) == ("failed", True)
    assert "has changed since" in facts["said"]


# several pictures, several documents


def test_a_batch_is_a_group_and_one_undo_step(played: EditorRun) -> None:
    assert played.check("a_batch_of_4") == {
        "top first": True,
        "visible": [True, False, False, False],
        "active": True,
        "seeds": [20, 21, 22, 23],
        "different": 4,
        "altered": [],
        "above": True,
        "after undo": [],
        "alone": True,
    }


def test_two_documents_at_once_each_get_their_own(played: EditorRun) -> None:
    facts = played.check("two_documents_at_once")
    assert facts["waited"]
    assert facts["first"] == {"on top": True, "source": True, "place": [30, 20, 96, 64], "layers": 3}
    assert facts["second"] == {"on top": True, "source": True, "place": [0, 0, 128, 128], "layers": 3}


# cancel


@pytest.mark.parametrize("moment", ["queued", "gathering", "sampling", "decode", "fetching"])
def test_cancel_leaves_document_and_backend_as_they_were(played: EditorRun, moment: str) -> None:
    facts = dict(played.check("cancel_in_every_stage")[moment])
    job = facts.pop("job")
    assert facts.pop("other goes on", True)
    assert facts == {"in time": True, "phase": "cancelled", "altered": [], "same": [True, False]}
    # Nothing was sent; or the job was over already, and its result is there for a day.
    assert job == {"gathering": 0, "fetching": "done"}.get(moment, "cancelled")


# while the job runs


def test_a_result_belongs_to_what_was_sent(played: EditorRun) -> None:
    assert played.check("the_artist_goes_on_meanwhile") == {
        "in time": True,
        "stroke": True,
        "as sent": True,
        "mask": True,
        "other": [],
        "altered": [],
        "after undo": [],
    }


def test_nothing_appears_in_the_middle_of_a_stroke(played: EditorRun) -> None:
    assert played.check("the_result_comes_in_the_middle_of_a_stroke") == {
        "waited": True,
        "phase": "done",
        "drawn": True,
        "stroke is kept": True,
        "after undo": [],
    }


@pytest.mark.parametrize(
    ("happens", "said"),
    [
        ("resized", "was resized from 160 x 120 to 200 x 150 px"),
        ("flattened", "is no longer in"),
        ("deleted", "is no longer in"),
        ("closed", "was closed before the result came"),
    ],
)
def test_a_result_without_a_place_is_kept(played: EditorRun, happens: str, said: str) -> None:
    facts = played.check("kept_when_it_has_no_place")[happens]
    assert (facts["in time"], facts["phase"]) == (True, "kept")
    assert said in facts["said"]
    assert facts["altered"] == facts["after undo"] == []
    assert facts["inserted"] == ["done", [30, 20, 96, 64], True]


# a backend that dies


@pytest.fixture(scope="module")
def killer(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Killer]:
    killer = Killer(
        start_server(), lambda home: start_server(home=home), tmp_path_factory.getbasetemp(), "krita-*killed*"
    )
    killer.start()
    yield killer
    killer.end()


@pytest.fixture(scope="module")
def bereft(krita: Play, killer: Killer) -> EditorRun:
    """A run of Krita whose backend is killed again and again, and comes back each time."""
    killer.server.wait_ready()
    return krita("krita_killed.py", backend=killer.server, patience=900)


def test_cancel_while_the_model_loads(bereft: EditorRun) -> None:
    facts = bereft.check("cancel_while_the_model_loads")
    assert facts == {"in time": True, "phase": "cancelled", "job": "cancelled", "altered": [], "same": [True, False]}


def arrived(facts: dict[str, Any]) -> str:
    """What identifies the picture of a job that has come as one layer, and has changed nothing else."""
    assert (facts["phase"], facts["same job"], facts["altered"], facts["after undo"]) == ("done", True, [], [])
    return facts["picture"]


def test_a_write_to_a_backend_that_is_gone_does_not_end_krita(bereft: EditorRun) -> None:
    assert bereft.check("a_write_to_who_is_gone") == "BrokenPipeError"


def test_a_backend_killed_before_the_command_is_told_of(bereft: EditorRun, killer: Killer) -> None:
    facts = bereft.check("killed_before_the_command")
    phase, said = facts["refused"]
    assert phase == "failed"
    assert said.startswith("No backend answers at http://127.0.0.1:")
    assert "python3 launch.py" in said
    assert (facts["shown"], facts["altered meanwhile"]) == (said, [])
    assert arrived(facts) == arrived(bereft.check("in_fair_weather"))
    check_death(killer, "idle", facts["job"])


@pytest.mark.parametrize(("moment", "case"), ON_THE_WAY.items())
def test_a_killed_backend_is_told_of_and_its_job_comes_back(
    bereft: EditorRun, killer: Killer, moment: str, case: str
) -> None:
    facts = bereft.check(case)
    assert AWAY.fullmatch(facts["said"])
    assert facts["bar"] == "Waiting for the backend"
    assert (facts["over"], facts["altered meanwhile"]) == (False, [])
    assert arrived(facts) == arrived(bereft.check("in_fair_weather"))
    check_death(killer, moment, facts["job"])


def test_a_killed_backend_is_told_of_soon(bereft: EditorRun) -> None:
    assert bereft.check("killed_in_a_step")["after"] < 3


def test_each_job_was_made_once(bereft: EditorRun, killer: Killer) -> None:
    made = [
        bereft.check(case)["job"] for case in ("in_fair_weather", "killed_before_the_command", *ON_THE_WAY.values())
    ]
    check_jobs(killer, made, cancelled=1)
