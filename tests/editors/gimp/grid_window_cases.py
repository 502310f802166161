"""Played inside GIMP with its window: the dialog of a grid, and one undo that takes all of it away."""

from pictures import names, raw
from screen import focus, gone, opened, pause, running, still, window


def chosen(stage):
    """Chooses Filters > Pentimento > Grid of Variants: GIMP's search for commands does not find it by its name."""
    stage.xdotool("key", "alt+r")
    yield stage.until(pause(2), "the menu")
    stage.xdotool("key", "Up")
    yield stage.until(pause(2), "its last entry")
    stage.xdotool("key", "--delay", "300", "Right", "Down", "Down", "Return")
    found = yield stage.until(lambda: window(stage, "Pentimento: Grid"), "the dialog", 30)
    stage.xdotool("windowactivate", "--sync", found)


def case_a_grid_from_dialog_to_undo(stage):
    image = yield from opened(stage)
    source = image.get_layers()[0]
    before = raw(source)
    yield from chosen(stage)
    stage.xdotool("type", "--delay", "15", "a watercolor at sunset")
    stage.xdotool("key", "alt+x")
    stage.xdotool("type", "--delay", "15", "strength\t\t0.4, 1.4")
    yield stage.until(pause(2), "the backend's answer")
    yield from still(stage, "grid-wrong")
    stage.xdotool("key", "BackSpace", "BackSpace", "BackSpace")
    stage.xdotool("type", "--delay", "15", "0.6")
    stage.xdotool("key", "alt+y")
    stage.xdotool("type", "--delay", "15", "Sampling steps\t\t2-4 (+2)")
    yield from still(stage, "grid-dialog")
    stage.xdotool("key", "alt+u")
    yield running(stage)
    yield stage.until(lambda: len(image.get_layers()) == 2, "the group", 240)
    yield gone(stage, "^Pentimento$")
    focus(stage)
    yield from still(stage, "grid-result")
    (group, _) = image.get_layers()
    made = [group.get_name(), names(group.get_children())]
    assert raw(source) == before
    stage.xdotool("key", "ctrl+z")
    yield stage.until(lambda: image.get_layers() == [source], "undo")
    return made
