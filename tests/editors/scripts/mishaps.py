"""Played inside an editor: cases that go wrong, each in its own way. The tests look whether that is noticed."""

import json
import os
import sys
import threading
import urllib.request
from pathlib import Path


def case_raises(stage):
    raise ValueError("on purpose")


def case_raises_after_a_wait(stage):
    yield stage.until(lambda: True, "nothing")
    raise ValueError("later")


def case_waits_in_vain(stage):
    yield stage.until(lambda: False, "what never comes", patience=0.2)


def case_fails_in_a_thread(stage):
    def fail():
        raise ValueError("in a thread")

    thread = threading.Thread(target=fail)
    thread.start()
    thread.join()


def case_says_a_traceback(stage):
    print("Traceback (most recent call last):", file=sys.stderr)


def case_finds_the_backend(stage):
    server = json.loads((Path(os.environ["PENTIMENTO_HOME"]) / "config/server.json").read_text())
    with urllib.request.urlopen(f"{server['url']}/api/v1/health", timeout=30) as answer:
        return {"url": server["url"], "health": json.load(answer)}


def case_ends_the_editor(stage):
    os._exit(7)


def case_is_never_played(stage):
    return None
