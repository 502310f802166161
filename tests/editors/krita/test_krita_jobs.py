"""The promises, in a real Krita with the real backend: what comes back, where it lies, and that nothing else moves."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.editors.conftest import Play
from tests.editors.harness import EditorRun
from tests.server.serving import PATIENCE_S, ServerProcess

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


class Executioner(threading.Thread):
    """Kills and starts a backend when the script in Krita asks for it, through files in the run's folder."""

    def __init__(self, home: Path, folders: Path) -> None:
        super().__init__(daemon=True)
        self._home, self._folders = home, folders
        self.server = _server(home)
        self.over = threading.Event()

    def run(self) -> None:
        kill = self._asked("kill")
        if kill is None:
            return
        (kill.parent / "killed").write_text(str(time.monotonic()), "utf-8")
        self.server.kill()
        if self._asked("restart"):
            self.server = _server(self._home)

    def _asked(self, name: str) -> Path | None:
        while not self.over.wait(0.02):
            if found := next(self._folders.glob(f"krita-krita_killed*/{name}"), None):
                return found
        return None

    def end(self) -> None:
        self.over.set()
        self.join(PATIENCE_S)
        self.server.kill()


def _server(home: Path) -> ServerProcess:
    server = ServerProcess(home)
    server.wait_answering()
    server.wait_ready()
    return server


@pytest.fixture(scope="module")
def bereft(krita: Play, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[EditorRun, list[str]]]:
    """A run of Krita whose backend was killed and came back, and what then became of that backend's jobs."""
    executioner = Executioner(tmp_path_factory.mktemp("killed-backend"), tmp_path_factory.getbasetemp())
    executioner.start()
    try:
        run = krita("krita_killed.py", backend=executioner.server, patience=300)
        jobs = executioner.server.get("/jobs").json()["jobs"]
        yield run, sorted(job["state"] for job in jobs)
    finally:
        executioner.end()


def test_cancel_while_the_model_loads(bereft: tuple[EditorRun, list[str]]) -> None:
    facts = bereft[0].check("cancel_while_the_model_loads")
    assert facts == {"in time": True, "phase": "cancelled", "job": "cancelled", "altered": [], "same": [True, False]}


def test_a_killed_backend_is_told_of_and_its_job_comes_back(bereft: tuple[EditorRun, list[str]]) -> None:
    run, jobs = bereft
    facts = run.check("killed_in_mid_job")
    assert facts["after"] < 3
    assert "start the backend again" in facts["said"]
    assert (facts["over"], facts["altered"]) == (False, [])
    assert (facts["phase"], facts["same job"], facts["layers"], facts["altered by the result"]) == ("done", True, 3, [])
    assert jobs == ["cancelled", "done"]
