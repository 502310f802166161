"""Played inside GIMP with its window: the dialogs, driven by keyboard and mouse as an artist does."""

import subprocess

from gi.repository import Gimp, Gio
from pictures import names, raw


def opened(stage):
    """The sample picture in a window of GIMP that has the focus."""
    image = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(stage.given["harbour"]))
    Gimp.Display.new(image)
    main = yield stage.until(lambda: window(stage, "RGB.*GIMP$"), "GIMP's window with the picture")
    stage.xdotool("windowsize", "--sync", main, "1590", "960")
    stage.xdotool("windowmove", main, "0", "20")
    stage.xdotool("windowactivate", "--sync", main)
    return image


def window(stage, title):
    """The id of the visible window with that title, or None."""
    try:
        return stage.xdotool("search", "--onlyvisible", "--name", title).split()[-1]
    except subprocess.CalledProcessError:
        return None


def still(stage, name):
    """Waits until the screen no longer changes, and takes a picture of it."""
    before = None
    for _ in range(20):
        data = stage.shot(name).read_bytes()
        if data == before:
            return
        before = data
        yield stage.until(pause(0.3), "a moment")


def pause(seconds):
    import time

    end = time.monotonic() + seconds
    return lambda: time.monotonic() > end


def command(stage, label, title):
    """Runs a menu command by GIMP's search for commands; the id of the dialog that it opens."""
    stage.xdotool("key", "slash")
    yield stage.until(lambda: window(stage, "Search Actions"), "the search")
    stage.xdotool("type", "--delay", "20", label)
    yield stage.until(pause(1.0), "its answer")
    stage.xdotool("key", "Return")
    return (yield stage.until(lambda: window(stage, title), f"the dialog {title}", 30))


def case_img2img(stage):
    image = yield from opened(stage)
    source = image.get_layers()[0]
    before = raw(source)
    dialog = yield from command(stage, "Img2img Layer", "Pentimento: Img2img")
    stage.xdotool("windowactivate", "--sync", dialog)
    stage.xdotool("type", "--delay", "15", "a watercolor at sunset")
    yield from still(stage, "dialog")
    stage.xdotool("key", "alt+u")
    yield stage.until(lambda: window(stage, "^Pentimento$"), "the progress window", 30)
    yield stage.until(pause(4), "")
    stage.shot("running")
    yield stage.until(lambda: len(image.get_layers()) == 2, "the result", 120)
    yield from still(stage, "result")
    assert raw(source) == before
    return names(image.get_layers())
