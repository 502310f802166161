"""Played inside Krita, with a backend of its own that has not loaded its model yet, and that the test kills."""

import time

from krita_docker import RUN_S, message, open_docker
from krita_document import names, settled
from krita_jobs import cancelled
from krita_scene import LONG, altered, command, look, over, sampling, valley


def case_cancel_while_the_model_loads(stage):
    document, _ = yield from valley(stage)
    return (yield from cancelled(stage, document, lambda run: run.status.stage == "load", LONG))


def case_killed_in_mid_job(stage):
    document, _ = yield from valley(stage)
    yield from open_docker(stage)
    before = look(document)
    run = command(document, "img2img", steps=24, strength=1.0)
    yield stage.until(lambda: sampling(run), "the steps", RUN_S)
    job, killed = run.status.job, stage.folder / "killed"
    (stage.folder / "kill").touch()
    killed_at = yield stage.until(lambda: killed.exists() and float(killed.read_text() or 0), "the backend's death")
    yield stage.until(lambda: "has not answered" in message(), "what the docker says")
    facts = {"after": time.monotonic() - killed_at, "said": message(), "over": run.status.over}
    facts["altered"] = altered(before, look(document))
    stage.shot("krita-away")
    (stage.folder / "restart").touch()
    yield stage.until(lambda: not run.status.away, "the backend's return", 90)
    status = yield from over(stage, run)
    yield from settled(stage, document)
    facts |= {"phase": status.phase, "same job": status.job == job, "layers": len(names(document.rootNode()))}
    facts["altered by the result"] = altered(before, look(document), status.layers)
    return facts
