"""GIMP's windows as an artist handles them, by keyboard and mouse; and the backend's own list of jobs."""

import json
import os
import subprocess
import time
import urllib.request
from pathlib import Path

from gi.repository import Gimp, Gio

CANVAS = (780, 530)
"""A place on the screen that lies on the picture."""


def opened(stage):
    """The sample picture in a window of GIMP that has the focus."""
    image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(stage.given["harbour"]))
    Gimp.Display.new(image)
    main = yield stage.until(lambda: window(stage, "RGB.*GIMP$"), "GIMP's window with the picture")
    stage.xdotool("windowsize", "--sync", main, "1590", "960")
    stage.xdotool("windowmove", main, "0", "20")
    stage.xdotool("windowactivate", "--sync", main)
    yield from still(stage)
    return image


def window(stage, title):
    """The id of the visible window with that title, or None."""
    try:
        return stage.xdotool("search", "--onlyvisible", "--name", title).split()[-1]
    except subprocess.CalledProcessError:
        return None


def gone(stage, title):
    return stage.until(lambda: window(stage, title) is None, f"the end of the window {title}", 90)


def still(stage, name="screen"):
    """Waits until the screen no longer changes, and takes a picture of it."""
    before = None
    for _ in range(20):
        data = stage.shot(name).read_bytes()
        if data == before:
            return
        before = data
        yield stage.until(pause(0.4), "a moment")


def pause(seconds):
    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def focus(stage):
    stage.xdotool("windowactivate", "--sync", window(stage, "GIMP$"))


def command(stage, label):
    """Runs a menu command by GIMP's search for commands."""
    focus(stage)
    stage.xdotool("key", "slash")
    yield stage.until(lambda: window(stage, "Search Actions"), "the search")
    stage.xdotool("type", "--delay", "20", label)
    yield from still(stage)
    stage.xdotool("key", "Return")


def dialog(stage, label, title):
    """Runs a command and gives the dialog that it opens the focus."""
    yield from command(stage, label)
    found = yield stage.until(lambda: window(stage, title), f"the dialog {title}", 30)
    stage.xdotool("windowactivate", "--sync", found)
    return found


def running(stage):
    return stage.until(lambda: window(stage, "^Pentimento$"), "the progress window", 30)


def jobs():
    """The backend's jobs, newest first, as it tells them."""
    home = Path(os.environ["PENTIMENTO_HOME"]) / "config"
    url = json.loads((home / "server.json").read_text())["url"]
    request = urllib.request.Request(f"{url}/api/v1/jobs")
    request.add_header("Authorization", f"Bearer {(home / 'token').read_text().strip()}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return json.load(answer)["jobs"]


def states():
    return {job["id"]: job["state"] for job in jobs()}


def stroke(stage):
    """Paints a stroke on the picture with the mouse."""
    stage.xdotool("mousemove", str(CANVAS[0]), str(CANVAS[1]), "mousedown", "1")
    for _ in range(8):
        stage.xdotool("mousemove_relative", "--sync", "8", "4")
    stage.xdotool("mouseup", "1")
