"""Played inside Krita, with a backend beside it: what is promised about jobs, on documents as artists have them."""

import os

import krita
from krita_docker import KRITA, RUN_S
from krita_document import SPACES, identity, names, off_by, opened, painted, settled, some_bytes
from krita_scene import (
    LONG,
    activated,
    altered,
    backend_jobs,
    canvas,
    changed_where,
    command,
    finished,
    inverted,
    look,
    node_of,
    over,
    pictures,
    pressed,
    record_of,
    rectangle,
    sampling,
    selected,
    selections,
    session,
    shown_in_window,
    stroke,
    valley,
)
from pentimento.qt import QtCore

from pentimento_shared.geometry import Rect

SIZE = (160, 120)
PLACES = {
    "offset": Rect(30, 20, 96, 64),
    "over the border": Rect(-40, -24, 120, 90),
    "larger than the canvas": Rect(-24, -16, 208, 152),
    "smaller than the model's least": Rect(70, 50, 11, 5),
}


# where layers lie


def case_img2img_where_layers_lie(stage):
    facts = {}
    for name, place in PLACES.items():
        document, source = yield from valley(stage, SIZE, place=place)
        facts[name] = yield from replaced(stage, document, source)
    return facts


def case_img2img_in_a_group_among_hidden_layers(stage):
    document, source = yield from valley(stage, SIZE)
    root, place = document.rootNode(), Rect(20, 10, 100, 80)
    group = document.createNode("group", "grouplayer")
    root.addChildNode(group, None)
    layers = {name: painted(document, name, os.urandom(4 * place.size.area), place, group) for name in "abcd"}
    for name in "ac":
        layers[name].setVisible(False)
    source.setVisible(False)
    layers["d"].setOpacity(90)
    document.refreshProjection()
    yield from settled(stage, document)
    yield from activated(stage, document, layers["b"])
    return (yield from replaced(stage, document, layers["b"]))


def replaced(stage, document, source):
    """What an img2img of a layer does to the document, and Undo and Redo to that."""
    before, tree, alpha = look(document), names(document.rootNode()), alphas(source)
    (new,) = yield from finished(stage, document, "img2img")
    after, changed_tree = look(document), names(document.rootNode())
    siblings = [identity(node) for node in source.parentNode().childNodes()]
    bounds, place = source.bounds(), record_of(document, identity(new)).place
    facts = {
        "above": siblings.index(identity(new)) - siblings.index(identity(source)),
        "place": place.contains(Rect(*bounds.getRect())) and new.bounds() == bounds,
        "alpha": alphas(new) == alpha,
        "active": document.activeNode() == new,
        "altered": altered(before, after, [identity(new)]),
        "new pixels": canvas(document) != before.canvas,
    }
    yield from pressed(stage, document, "edit_undo", lambda: names(document.rootNode()) == tree)
    facts["after undo"] = altered(before, look(document))
    yield from pressed(stage, document, "edit_redo", lambda: names(document.rootNode()) == changed_tree)
    facts["after redo"] = altered(after, look(document))
    return facts


def alphas(layer):
    bounds = layer.bounds()
    return bytes(layer.pixelData(*bounds.getRect()))[3::4]


# selections


def case_selections(stage):
    facts = {}
    for name, selection in selections(SIZE).items():
        document, _ = yield from valley(stage, SIZE)
        facts[name] = yield from inpainted(stage, document, selection)
    return facts


def case_selections_16_bit(stage):
    facts = {}
    for name in ("feathered", "every level"):
        document, _ = yield from valley(stage, SIZE, SPACES["16 bit linear"])
        facts[name] = yield from inpainted(stage, document, selections(SIZE)[name], 8)
    return facts


def case_a_selection_beyond_the_layer(stage):
    """The layer ends before the canvas does; the selection begins there, and goes on beyond the canvas."""
    document, _ = yield from valley(stage, SIZE, place=Rect(0, 0, 112, 120))
    selection = krita.Selection()
    selection.select(112, -20, 90, 160, 255)
    return (yield from inpainted(stage, document, selection))


def inpainted(stage, document, selection, pixel_bytes=4):
    """What an inpainting does to the document, inside the selection and outside."""
    document.setSelection(selection)
    yield from settled(stage, document)
    before, tree = look(document), names(document.rootNode())
    levels = selected(document)
    (new,) = yield from finished(stage, document, "inpaint", strength=1.0)
    after, changed_tree = look(document), names(document.rootNode())
    added = [identity(new), identity(new.childNodes()[0])]
    facts = {
        "changed outside": changed_where(before.canvas, after.canvas, inverted(levels), pixel_bytes),
        "changed inside": changed_where(before.canvas, after.canvas, levels, pixel_bytes),
        "mask": bytes(new.childNodes()[0].pixelData(0, 0, *SIZE)) == levels,
        "altered": altered(before, after, added),
        "active": document.activeNode() == new,
    }
    yield from pressed(stage, document, "edit_undo", lambda: names(document.rootNode()) == tree)
    facts["after undo"] = altered(before, look(document))
    yield from pressed(stage, document, "edit_redo", lambda: names(document.rootNode()) == changed_tree)
    facts["after redo"] = altered(after, look(document))
    return facts


def case_grow_and_feather_show_in_the_mask(stage):
    document, _ = yield from valley(stage, SIZE)
    document.setSelection(rectangle(60, 40, 30, 30))
    (new,) = yield from finished(stage, document, "inpaint", grow=6, feather=4)
    levels = bytes(new.childNodes()[0].pixelData(0, 0, *SIZE))
    row = levels[55 * SIZE[0] :]
    return {"far": row[30], "grown": row[56], "inside": row[75], "levels": len(set(levels))}


def case_img2img_with_a_selection(stage):
    document, _ = yield from valley(stage, SIZE)
    document.setSelection(selections(SIZE)["anti-aliased"])
    yield from settled(stage, document)
    before, levels = look(document), selected(document)
    (new,) = yield from finished(stage, document, "img2img")
    return {
        "outside": changed_where(before.canvas, canvas(document), inverted(levels)),
        "inside": changed_where(before.canvas, canvas(document), levels),
        "mask": bytes(new.childNodes()[0].pixelData(0, 0, *SIZE)) == levels,
        "whole": new.bounds().getRect() == (0, 0, *SIZE),
    }


# colours


def case_strength_0(stage):
    """Through the whole chain: document, PNG, backend, PNG, document."""
    facts, rect = {}, Rect(-16, -8, 128, 96)
    for name in ("8 bit", "16 bit", "16 bit linear", "float", "grey", "wide gamut", "wide gamut 8 bit"):
        space = SPACES[name]
        document = yield from opened(stage, *SIZE, *space)
        before = some_bytes(space, rect.size.area * (2 if space[0] == "GRAYA" else 4))
        source = painted(document, "source", before, rect)
        yield from settled(stage, document)
        yield from activated(stage, document, source)
        (new,) = yield from finished(stage, document, "img2img", strength=0.0)
        facts[name] = {
            "off": off_by(space, before, bytes(new.pixelData(*rect))),
            "space": [new.colorModel(), new.colorDepth(), new.colorProfile()]
            == [document.colorModel(), document.colorDepth(), document.colorProfile()],
        }
        yield stage.rest()
        document.setModified(False)
        document.close()
    return facts


# layer by layer


def case_a_chain_of_img2img(stage):
    document, _ = yield from valley(stage, SIZE, place=PLACES["offset"])
    return (yield from redone_after_reopening(stage, document, "img2img"))


def case_a_chain_of_inpaintings(stage):
    document, _ = yield from valley(stage, SIZE, SPACES["16 bit linear"])
    document.setSelection(selections(SIZE)["feathered"])
    return (yield from redone_after_reopening(stage, document, "inpaint"))


def redone_after_reopening(stage, document, name):
    """Refines three times, saves, opens the file again and makes each of the four results once more."""
    made = yield from finished(stage, document, name)
    for _ in range(3):
        made += yield from finished(stage, document, "refine")
    ids = [identity(node) for node in made]
    recipes = [record_of(document, id).recipe for id in ids]
    pixels = {id: pictures(node_of(document, id)) for id in ids}
    path = str(stage.folder / f"{name}.kra")
    document.setBatchmode(True)
    document.saveAs(path)
    yield stage.rest()
    document.close()
    document = KRITA.openDocument(path)
    KRITA.activeWindow().addView(document)
    yield stage.until(lambda: document.activeNode() is not None, "the reopened document's window")
    again = []
    for id in ids:
        yield from activated(stage, document, node_of(document, id))
        (new,) = yield from finished(stage, document, "redo")
        recipe = record_of(document, identity(new)).recipe
        again.append([pictures(new) == pixels[id], recipe.seed, recipe.parent])
    return {
        "parents": [recipe.parent for recipe in recipes],
        "ids": [recipe.id for recipe in recipes],
        "seeds": [recipe.seed for recipe in recipes],
        "different": len(set(pixels.values())),
        "tasks": [recipe.task for recipe in recipes],
        "again": again,
    }


def case_redo_of_what_has_changed_since(stage):
    document, source = yield from valley(stage, SIZE)
    yield from finished(stage, document, "img2img")
    source.setPixelData(QtCore.QByteArray(bytes(400)), 10, 10, 10, 10)
    tree = names(document.rootNode())
    status = yield from over(stage, command(document, "redo"))
    return {
        "phase": status.phase,
        "said": status.message,
        "same": names(document.rootNode()) == tree,
    }


# several pictures, several documents


def case_a_batch_of_4(stage):
    document, source = yield from valley(stage, SIZE, place=PLACES["offset"])
    before, tree = look(document), names(document.rootNode())
    made = yield from finished(stage, document, "img2img", seed=20, batch_count=2, batch_size=2)
    after, group = look(document), made[0].parentNode()
    pixels = [pictures(node) for node in made]
    facts = {
        "top first": [identity(node) for node in made] == [identity(node) for node in reversed(group.childNodes())],
        "visible": [node.visible() for node in made],
        "active": document.activeNode() == made[0],
        "seeds": [record_of(document, identity(node)).recipe.seed for node in made],
        "different": len(set(pixels)),
        "altered": altered(before, after, [identity(group), *map(identity, made)]),
        "above": [node.name() for node in document.rootNode().childNodes()][-2:] == [source.name(), group.name()],
    }
    yield from pressed(stage, document, "edit_undo", lambda: names(document.rootNode()) == tree)
    facts["after undo"] = altered(before, look(document))
    yield from activated(stage, document, source)
    (alone,) = yield from finished(stage, document, "img2img", seed=22)
    facts["alone"] = pictures(alone) == pixels[2]
    return facts


def case_two_documents_at_once(stage):
    first, _ = yield from valley(stage, SIZE, place=PLACES["offset"])
    one = command(first, "img2img", steps=60)
    second, _ = yield from valley(stage, (128, 128), SPACES["grey"])
    two = command(second, "img2img")
    waited = yield from passed_through(stage, two, "queued")
    facts = {"waited": waited}
    for name, document, run in (("first", first, one), ("second", second, two)):
        status = yield from over(stage, run)
        layers = document.rootNode().childNodes()
        record = record_of(document, status.layers[0])
        facts[name] = {
            "on top": identity(layers[-1]) == status.layers[0],
            "source": record.source == identity(layers[-2]),
            "place": list(record.place),
            "layers": len(layers),
        }
    return facts


def passed_through(stage, run, phase):
    """Whether a run was in that phase before it was over."""
    yield stage.until(lambda: run.status.phase == phase or run.status.over, f"the phase {phase}", RUN_S)
    return run.status.phase == phase


# cancel


def case_cancel_in_every_stage(stage):
    document, _ = yield from valley(stage, (320, 240))
    other, _ = yield from valley(stage, SIZE)
    facts = {"queued": (yield from cancelled_in_the_queue(stage, document, other))}
    moments = {
        "gathering": ({}, lambda run: run.status.phase == "gathering"),
        "sampling": (LONG, sampling),
        "decode": ({"steps": 1, "batch_count": 40}, lambda run: run.status.stage == "decode"),
        "fetching": ({"steps": 1, "batch_count": 8}, lambda run: run.status.phase == "fetching"),
    }
    for name, (settings, moment) in moments.items():
        facts[name] = yield from cancelled(stage, document, moment, settings)
    return facts


def cancelled_in_the_queue(stage, document, other):
    yield from shown_in_window(stage, other)
    running = command(other, "img2img", **LONG)
    yield stage.until(lambda: sampling(running), "the other job's steps", RUN_S)
    yield from shown_in_window(stage, document)
    facts = yield from cancelled(stage, document, lambda run: run.status.phase == "queued", LONG)
    facts["other goes on"] = not running.status.over
    session().cancel(running.document_id)
    yield from over(stage, running)
    return facts


def cancelled(stage, document, moment, settings):
    """What comes of a job that is cancelled at some moment."""
    before, active, jobs = look(document), document.activeNode(), len(backend_jobs())
    document.setModified(False)
    run = command(document, "img2img", **settings)
    yield stage.until(lambda: moment(run) or run.status.over, "the moment to cancel", RUN_S)
    facts = {"in time": not run.status.over}
    KRITA.action("pentimento_cancel").trigger()
    status = yield from over(stage, run)
    yield from settled(stage, document)
    job = status.job and next(job.state for job in backend_jobs() if job.id == status.job)
    return {
        **facts,
        "phase": status.phase,
        "job": job or len(backend_jobs()) - jobs,
        "altered": altered(before, look(document)),
        "same": [document.activeNode() == active, document.modified()],
    }


# while the job runs


def case_the_artist_goes_on_meanwhile(stage):
    """Selects something else, paints on the source, and goes on in another document."""
    document, source = yield from valley(stage, SIZE)
    document.setSelection(selections(SIZE)["feathered"])
    yield from settled(stage, document)
    levels, sent = selected(document), canvas(document)
    (undisturbed,) = yield from finished(stage, document, "inpaint", steps=30)
    expected = pictures(undisturbed)
    yield from pressed(stage, document, "edit_undo", lambda: canvas(document) == sent)
    yield from activated(stage, document, source)
    run = command(document, "inpaint", steps=30)
    yield stage.until(lambda: sampling(run), "the steps", RUN_S)
    document.setSelection(None)
    yield from stroke(stage, document)
    document.setSelection(rectangle(5, 5, 20, 20))
    yield from settled(stage, document)
    painted_on, tree = look(document), names(document.rootNode())
    other, _ = yield from valley(stage, (64, 64))
    untouched = look(other)
    in_time = not run.status.over
    status = yield from over(stage, run)
    new = node_of(document, status.layers[0])
    yield from settled(stage, document)
    facts = {
        "in time": in_time,
        "stroke": painted_on.canvas != sent,
        "as sent": pictures(new) == expected,
        "mask": bytes(new.childNodes()[0].pixelData(0, 0, *SIZE)) == levels,
        "other": altered(untouched, look(other)),
    }
    yield from shown_in_window(stage, document)
    added = [identity(new), identity(new.childNodes()[0])]
    facts["altered"] = altered(painted_on, look(document), added)
    yield from pressed(stage, document, "edit_undo", lambda: names(document.rootNode()) == tree)
    facts["after undo"] = altered(painted_on, look(document))
    return facts


def case_the_result_comes_in_the_middle_of_a_stroke(stage):
    document, source = yield from valley(stage, SIZE)
    before, tree = look(document), names(document.rootNode())
    # Steps enough that the pen is down before the last of them.
    run = command(document, "img2img", steps=60)
    # What is sent is read between two strokes, never in the middle of one.
    yield stage.until(lambda: run.status.phase in ("queued", "running"), "the job on the backend", RUN_S)
    facts = {}

    def answered():
        # Noted while the pen is down: once it is lifted, the result is in before the next look.
        facts["waited"] = "stroke" in run.status.message and not run.status.over
        return facts["waited"] or run.status.over

    yield from stroke(stage, document, answered)
    drawn = bytes(source.pixelData(0, 0, *SIZE))
    status = yield from over(stage, run)
    facts |= {"phase": status.phase, "drawn": drawn != before.layers[identity(source)][-1]}
    yield from settled(stage, document)
    yield from pressed(stage, document, "edit_undo", lambda: names(document.rootNode()) == tree)
    facts["stroke is kept"] = bytes(source.pixelData(0, 0, *SIZE)) == drawn
    yield from pressed(stage, document, "edit_undo", lambda: bytes(source.pixelData(0, 0, *SIZE)) != drawn)
    facts["after undo"] = altered(before, look(document))
    return facts


# a result without a place


def case_kept_when_it_has_no_place(stage):
    facts = {}
    for name, happen in {"resized": resized, "flattened": flattened, "deleted": deleted, "closed": closed}.items():
        facts[name] = yield from kept(stage, happen)
    return facts


def kept(stage, happen):
    """What comes of a result whose place is lost meanwhile, and of inserting it where the artist is then."""
    document, source = yield from valley(stage, SIZE, place=PLACES["offset"])
    run = command(document, "img2img", steps=60)
    yield stage.until(lambda: sampling(run), "the steps", RUN_S)
    document = yield from happen(stage, document, source)
    yield from settled(stage, document)
    before, tree = look(document), names(document.rootNode())
    in_time = not run.status.over
    status = yield from over(stage, run)
    facts = {"in time": in_time, "phase": status.phase, "said": status.message}
    facts["altered"] = altered(before, look(document))
    session().insert_kept()
    status = yield from over(stage, run)
    yield from settled(stage, document)
    new = node_of(document, status.layers[0])
    facts["inserted"] = [status.phase, list(new.bounds().getRect()), document.activeNode() == new]
    yield from pressed(stage, document, "edit_undo", lambda: names(document.rootNode()) == tree)
    facts["after undo"] = altered(before, look(document))
    yield stage.rest()
    document.setModified(False)
    document.close()
    return facts


def resized(stage, document, source):
    document.resizeImage(0, 0, 200, 150)
    yield from settled(stage, document)
    return document


def flattened(stage, document, source):
    document.flatten()
    yield stage.until(lambda: len(document.topLevelNodes()) == 1, "the flattened document")
    yield stage.until(lambda: document.activeNode() is not None, "its active layer")
    return document


def deleted(stage, document, source):
    source.remove()
    yield stage.until(lambda: document.activeNode() not in (None, source), "another active layer")
    return document


def closed(stage, document, source):
    other, _ = yield from valley(stage, (200, 200), SPACES["16 bit"])
    yield stage.rest()
    document.setModified(False)
    document.close()
    yield stage.until(lambda: KRITA.documents() == [other], "the closed document")
    return other
