"""Played inside Krita, with a backend of its own that has not loaded its model yet, and that the test kills."""

import hashlib
import socket
import time

from blow import PREPARED, RESTART, RESTARTED, STRUCK, WANTED, Blow
from krita_docker import RUN_S, message, open_docker, part
from krita_document import identity, names, settled
from krita_jobs import cancelled
from krita_scene import (
    LONG,
    altered,
    command,
    feathered,
    look,
    node_of,
    over,
    pictures,
    pressed,
    record_of,
    rectangle,
    valley,
)

SIZE = (320, 240)
JOB = {"steps": 8, "strength": 0.8}
"""Of every job here, so that they all make the same picture."""


def case_cancel_while_the_model_loads(stage):
    document, _ = yield from valley(stage)
    return (yield from cancelled(stage, document, lambda run: run.status.stage == "load", LONG))


def case_a_write_to_who_is_gone(stage):
    """What a worker thread of the plugin meets when the backend dies while a picture is on its way to it."""
    here, there = socket.socketpair()
    there.close()
    try:
        here.sendall(b"a picture")
    except BrokenPipeError as error:
        return type(error).__name__
    finally:
        here.close()


def case_in_fair_weather(stage):
    document, before, tree = yield from selected_valley(stage)
    return (yield from arrived(stage, document, before, tree, command(document, "inpaint", **JOB)))


def case_killed_before_the_command(stage):
    """A run without a backend fails and says so; the next one, with a new backend, is as if nothing had been."""
    document, before, tree = yield from selected_valley(stage)
    blow = yield from prepared(stage, "idle")
    yield stage.until(lambda: blow.told(STRUCK), "the backend's death", RUN_S)
    run = command(document, "inpaint", **JOB)
    refused = yield from over(stage, run)
    facts = {"refused": [refused.phase, refused.message], "shown": message()}
    facts["altered meanwhile"] = altered(before, look(document))
    stage.shot("krita-idle")
    blow.tell(RESTART)
    yield stage.until(lambda: blow.told(RESTARTED), "the new backend", RUN_S)
    return facts | (yield from arrived(stage, document, before, tree, command(document, "inpaint", **JOB)))


def case_killed_in_the_upload(stage):
    return (yield from survived(stage, "upload"))


def case_killed_before_the_answer(stage):
    return (yield from survived(stage, "answer"))


def case_killed_in_the_queue(stage):
    return (yield from survived(stage, "queue"))


def case_killed_in_a_step(stage):
    return (yield from survived(stage, "step"))


def case_killed_in_the_download(stage):
    return (yield from survived(stage, "download"))


def survived(stage, moment):
    """What the artist reads while the backend is away, and what comes of the job once there is another."""
    document, before, tree = yield from selected_valley(stage)
    blow = yield from prepared(stage, moment)
    run = command(document, "inpaint", **JOB)
    killed_at = yield stage.until(lambda: blow.told(STRUCK), "the backend's death", RUN_S)
    yield stage.until(lambda: "has not answered" in message(), "what the docker says")
    facts = {"after": time.monotonic() - float(killed_at), "said": message(), "over": run.status.over}
    facts["bar"] = part("progress").text()
    facts["altered meanwhile"] = altered(before, look(document))
    stage.shot(f"krita-{moment}")
    blow.tell(RESTART)
    return facts | (yield from arrived(stage, document, before, tree, run))


def prepared(stage, moment):
    """Asks for a death, and waits until it only waits for its moment."""
    blow = Blow(stage.folder, moment)
    blow.tell(WANTED)
    yield stage.until(lambda: blow.told(PREPARED), "the test outside", RUN_S)
    return blow


def selected_valley(stage):
    """A document with a soft selection, everything in it, and its tree."""
    document, _ = yield from valley(stage, SIZE)
    document.setSelection(feathered(rectangle(20, 20, SIZE[0] - 40, SIZE[1] - 40), 12))
    yield from settled(stage, document)
    yield from open_docker(stage)
    return document, look(document), names(document.rootNode())


def arrived(stage, document, before, tree, run):
    """What a run has brought in the end, and what one Undo leaves of it."""
    status = yield from over(stage, run)
    yield from settled(stage, document)
    (new,) = [node_of(document, id) for id in status.layers]
    added = [identity(new), *map(identity, new.childNodes())]
    facts = {
        "phase": status.phase,
        "job": record_of(document, identity(new)).job,
        "same job": status.job == record_of(document, identity(new)).job,
        "picture": hashlib.sha256(repr(pictures(new)).encode()).hexdigest(),
        "altered": altered(before, look(document), added),
    }
    yield from pressed(stage, document, "edit_undo", lambda: names(document.rootNode()) == tree)
    return facts | {"after undo": altered(before, look(document))}
