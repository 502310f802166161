"""Many pictures of one order: seeds that the server draws, and groups of layers in a document."""

from __future__ import annotations

import pytest

from pentimento_shared.controller import Controller
from pentimento_shared.settings import SEED_END
from tests.server import pictures
from tests.server.driving import (
    EXTENT,
    done,
    go,
    order,
    painted,
    picture,
    record,
    result,
    results,
    soft_selection,
    untouched,
)
from tests.server.serving import ServerProcess

SMALL = {"model": "tiny", "steps": 1, "width": 64, "height": 64}


# seeds


def test_a_variation_seed_is_drawn_once_and_counted_up(home: ServerProcess) -> None:
    how = {**SMALL, "seed": 7, "variation_strength": 0.5, "batch_count": 2}
    job = home.finish(home.submit({"task": "txt2img", "settings": how}))
    assert job["seeds"] == [7, 7]
    first = job["recipe"]["settings"]["variation_seed"]
    assert 0 <= first < SEED_END
    again = {**how, "variation_seed": (first + 1) % SEED_END, "batch_count": 1}
    alone = home.submit({"task": "txt2img", "settings": again})
    home.finish(alone)
    assert home.pixels(alone) == home.pixels(job["id"], 1) != home.pixels(job["id"], 0)


@pytest.mark.parametrize(
    ("settings", "field", "said"),
    [
        ({"loops": 3, "batch_count": 2}, "batch_size", "a loopback makes one picture from another"),
        ({"loops": 2, "last_loop": 3}, "last_loop", "0 for all of them, or up to 2"),
        ({"prompt": "|" * 9, "prompt_matrix": True}, "prompt_matrix", "at most 8 parts"),
        ({"loopback_curve": "Lazzy"}, "loopback_curve", "Did you mean Lazy?"),
        ({"loops": 33}, "loops", "a whole number from 1 to 32"),
        ({"variation_strength": 1.5}, "variation_strength", "a number from 0 to 1"),
    ],
)
def test_what_cannot_go_together_is_refused(
    home: ServerProcess, settings: dict[str, object], field: str, said: str
) -> None:
    answer = home.post({"task": "img2img", "settings": {"model": "tiny", **settings}}, pictures.picture())
    assert answer.status_code == 422
    assert answer.json()["field"] == field
    assert said in answer.json()["detail"]


# groups of layers


def test_a_loopback_is_a_group_with_the_last_loop_on_top(controller: Controller) -> None:
    canvas = painted()
    canvas.selected = soft_selection()
    before = canvas.flat()
    how = {"loops": 3, "strength": 0.8, "final_strength": 0.4}
    layers = results(canvas, controller.start(canvas, order("inpaint", **how)))
    assert [layer.name for layer in layers] == [
        "loop 3 of 3, strength 0.4 (13)",
        "loop 2 of 3, strength 0.6 (12)",
        "loop 1 of 3, strength 0.8 (11)",
    ]
    assert {layer.group for layer in layers} == {"a lake at dawn (3 loops)"}
    assert [layer.visible for layer in layers] == [True, False, False]
    assert canvas.active == layers[0].id
    assert not (canvas.flat() != before).any(axis=2)[canvas.selected == 0].any()
    run = controller.redo(canvas, layers[1].id)
    again = result(canvas, run)
    assert (again.levels == layers[1].levels).all()
    assert (again.name, run.status.seeds) == (layers[1].name, (12,))
    assert "(seed 12)" in run.status.message
    refined = record(result(canvas, controller.refine(canvas, layer=layers[1].id))).recipe
    assert (refined.settings["loops"], refined.loop) == (1, 0)
    canvas.undo()
    canvas.undo()
    canvas.undo()
    assert len(canvas.layers) == 1


def test_a_matrix_is_a_group_named_by_what_differs(controller: Controller) -> None:
    canvas = painted()
    how = {"prompt": "a lake at dawn | snow | fog", "prompt_matrix": True}
    layers = results(canvas, controller.start(canvas, order("img2img", **how)))
    assert [layer.name for layer in layers] == ["a lake at dawn (11)", "snow (11)", "fog (11)", "snow, fog (11)"]
    assert (result(canvas, controller.redo(canvas, layers[3].id)).levels == layers[3].levels).all()


# grids

AXES = (("strength", "0.4, 0.8"), ("Sampler", "Euler, Heun"))


def test_a_grid_is_one_group_of_named_layers_and_one_undo_step(controller: Controller) -> None:
    canvas = painted()
    canvas.selected = soft_selection()
    before, steps = canvas.flat(), len(canvas.history)
    run = controller.grid(canvas, order("inpaint", seed=-1), AXES)
    layers = results(canvas, run)
    names = ["strength 0.4, Euler", "strength 0.8, Euler", "strength 0.4, Heun", "strength 0.8, Heun"]
    assert [layer.name for layer in layers] == names
    assert {layer.group for layer in layers} == {"Grid: a lake at dawn (4 pictures)"}
    assert [layer.visible for layer in layers] == [True, False, False, False]
    assert canvas.layers[-1].id == layers[0].id == canvas.active
    recipes = [record(layer).recipe for layer in layers]
    assert [(made.settings["strength"], made.settings["sampler"]) for made in recipes] == [
        (0.4, "Euler"),
        (0.8, "Euler"),
        (0.4, "Heun"),
        (0.8, "Heun"),
    ]
    assert len({made.seed for made in recipes}) == 1
    assert run.status.message == f"4 results are in the layer list (seed {recipes[0].seed})."
    assert not (canvas.flat() != before).any(axis=2)[canvas.selected == 0].any()
    assert len(canvas.history) == steps + 1
    again = result(canvas, controller.redo(canvas, layers[2].id))
    assert (again.levels == layers[2].levels).all()
    refined = result(canvas, controller.refine(canvas, layer=layers[3].id))
    assert record(refined).recipe.parent == recipes[3].id
    canvas.undo()
    canvas.undo()
    canvas.undo()
    assert len(canvas.layers) == 1


def test_cells_that_read_other_parts_of_the_document_lie_in_their_own_places(controller: Controller) -> None:
    canvas = painted()
    canvas.selected = soft_selection()
    selected, whole = results(canvas, controller.grid(canvas, order("inpaint"), [("context", "selection, canvas")]))
    assert (whole.place.width, whole.place.height) == EXTENT
    assert selected.place != whole.place


def test_a_grid_of_generated_pictures_fills_the_canvas(controller: Controller) -> None:
    canvas = painted()
    layers = results(canvas, controller.grid(canvas, order("txt2img", seed=3), [("seed", "3-4")]))
    assert [record(layer).recipe.seed for layer in layers] == [3, 4]
    assert all((layer.place.width, layer.place.height) == EXTENT for layer in layers)


@pytest.mark.parametrize(
    ("axes", "said"),
    [
        ([("strength", "0.2, 1.4")], 'Denoising strength, character 6, at "1.4"'),
        ([("strength", "0.2"), ("strength", "0.3")], "strength is on two axes"),
        ([], "A grid has 1 to 3 axes, not 0."),
    ],
)
def test_a_grid_that_cannot_be_says_so_at_once(controller: Controller, axes: list[tuple[str, str]], said: str) -> None:
    canvas = painted()
    same = untouched(canvas)
    run = controller.grid(canvas, order("img2img"), axes)
    assert run.status.phase == "failed"
    assert said in run.status.message
    assert same()


def test_a_cancelled_grid_leaves_the_document_as_it_was(controller: Controller, home: ServerProcess) -> None:
    canvas = painted()
    same, jobs = untouched(canvas), len(home.get("/jobs").json()["jobs"])
    run = controller.grid(canvas, order("img2img", strength=1.0), [("steps", "1, 150, 149")])
    go(run, lambda status: status.message.startswith("2 of 3, steps 150: Painting"))
    run.cancel()
    assert go(run).phase == "cancelled"
    assert same()
    states = [job["state"] for job in home.get("/jobs").json()["jobs"]]
    assert len(states) == jobs + 2, "the third was never asked for"
    assert states[0] == "cancelled"


def test_a_job_that_fails_keeps_what_came_before(controller: Controller) -> None:
    canvas = painted()
    run = controller.grid(canvas, order("img2img"), [("model", "tiny, nobody")])
    status = done(run)
    (layer,) = (canvas.find(id) for id in status.layers)
    assert (layer.name, layer.group) == ("tiny", "")
    assert len(status.warnings) == 1
    assert "The grid ended early: 2 of 2, nobody:" in status.warnings[0]
    nothing = painted()
    same = untouched(nothing)
    failed = go(controller.grid(nothing, order("img2img"), [("model", "nobody, tiny")]))
    assert (failed.phase, failed.message[:16]) == ("failed", "1 of 2, nobody: ")
    assert same()


def test_a_grid_does_not_mind_what_the_artist_does_meanwhile(controller: Controller) -> None:
    canvas = painted()
    source = canvas.layers[0]
    run = controller.grid(canvas, order("img2img"), AXES)
    go(run, lambda status: status.message.startswith("2 of 4"))
    canvas.alter(source.id, levels=picture(*EXTENT, 4, seed=9))
    layers = results(canvas, run)
    assert len({record(layer).recipe.source for layer in layers}) == 1
