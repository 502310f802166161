"""Played inside GIMP with its window: the dialogs, driven by keyboard and mouse as an artist does."""

from gi.repository import Gimp
from pictures import names, projection, raw, record
from screen import command, dialog, focus, gone, opened, pause, running, states, still, stroke, window


def case_img2img_from_dialog_to_undo(stage):
    image = yield from opened(stage)
    source = image.get_layers()[0]
    before = raw(source)
    yield from dialog(stage, "Img2img Layer", "Pentimento: Img2img")
    stage.xdotool("type", "--delay", "15", "a watercolor at sunset")
    yield stage.until(pause(1), "the backend's answer")
    yield from still(stage, "dialog")
    stage.xdotool("key", "alt+a")
    yield from still(stage, "advanced")
    stage.xdotool("key", "alt+u")
    yield running(stage)
    yield stage.until(pause(4), "a preview")
    stage.shot("running")
    yield stage.until(lambda: len(image.get_layers()) == 2, "the result", 120)
    yield gone(stage, "^Pentimento$")
    focus(stage)
    yield from still(stage, "result")
    assert raw(source) == before
    stage.xdotool("key", "ctrl+z")
    yield stage.until(lambda: image.get_layers() == [source], "undo")
    stage.xdotool("key", "ctrl+y")
    yield stage.until(lambda: len(image.get_layers()) == 2, "redo")
    return names(image.get_layers())


def case_cancel_in_our_window(stage):
    image = yield from opened(stage)
    image.select_ellipse(Gimp.ChannelOps.REPLACE, 120, 40, 140, 120)
    Gimp.Selection.feather(image, 12)
    Gimp.displays_flush()
    before, shown = names(image.get_layers()), projection(image)
    old = set(states())
    yield from dialog(stage, "Inpaint Selection", "Pentimento: Inpaint")
    stage.xdotool("type", "--delay", "15", "white clouds")
    yield from still(stage, "inpaint")
    stage.xdotool("key", "alt+u")
    found = yield running(stage)
    yield stage.until(lambda: "running" in states().values(), "the job's start")
    stage.xdotool("windowactivate", "--sync", found, "key", "Escape")
    yield gone(stage, "^Pentimento$")
    yield stage.until(lambda: [s for id, s in states().items() if id not in old] == ["cancelled"], "the cancel")
    assert names(image.get_layers()) == before
    assert projection(image) == shown


def case_cancel_in_gimps_progress_bar(stage):
    image = yield from opened(stage)
    old = set(states())
    yield from dialog(stage, "Img2img Layer", "Pentimento: Img2img")
    stage.xdotool("key", "alt+u")
    yield running(stage)
    yield stage.until(lambda: "running" in states().values(), "the job's start")
    stage.shot("cancelling")
    stage.xdotool("mousemove", "1310", "983", "click", "1")
    yield gone(stage, "^Pentimento$")
    yield stage.until(lambda: [s for id, s in states().items() if id not in old] == ["cancelled"], "the cancel")
    yield from still(stage, "cancelled")
    assert len(image.get_layers()) == 1


def case_strokes_painted_meanwhile_are_their_own(stage):
    image = yield from opened(stage)
    source = image.get_layers()[0]
    before = raw(source)
    yield from dialog(stage, "Img2img Layer", "Pentimento: Img2img")
    stage.xdotool("key", "alt+u")
    yield running(stage)
    yield stage.until(lambda: "running" in states().values(), "the job's start")
    focus(stage)
    stage.xdotool("key", "p")
    stroke(stage)
    yield stage.until(lambda: raw(source) != before, "the stroke")
    painted = raw(source)
    stage.shot("painted")
    yield stage.until(lambda: len(image.get_layers()) == 2, "the result", 120)
    yield gone(stage, "^Pentimento$")
    assert raw(source) == painted
    focus(stage)
    stage.xdotool("key", "ctrl+z")
    yield stage.until(lambda: image.get_layers() == [source], "undo of the result")
    assert raw(source) == painted
    stage.xdotool("key", "ctrl+z")
    yield stage.until(lambda: raw(source) == before, "undo of the stroke")


def case_refine_last_values_and_redo_from_the_menu(stage):
    image = yield from opened(stage)
    yield from dialog(stage, "Img2img Layer", "Pentimento: Img2img")
    stage.xdotool("key", "alt+u")
    yield stage.until(lambda: len(image.get_layers()) == 2, "the result", 120)
    yield gone(stage, "^Pentimento$")
    first = image.get_layers()[0]
    yield from dialog(stage, "Refine Layer Again", "Pentimento: Refine")
    yield from still(stage, "refine")
    stage.xdotool("key", "alt+u")
    yield stage.until(lambda: len(image.get_layers()) == 3, "the refined layer", 120)
    yield gone(stage, "^Pentimento$")
    second = image.get_layers()[0]
    assert record(second)["parent"] == record(first)["id"]
    assert record(second)["settings"]["prompt"] == record(first)["settings"]["prompt"]
    focus(stage)
    stage.xdotool("key", "ctrl+f")
    yield stage.until(lambda: len(image.get_layers()) == 4, "the layer of the last values", 120)
    yield gone(stage, "^Pentimento$")
    third = image.get_layers()[0]
    assert record(third)["parent"] == record(second)["id"]
    yield from command(stage, "Redo Exactly")
    yield stage.until(lambda: len(image.get_layers()) == 5, "the same layer again", 120)
    yield gone(stage, "^Pentimento$")
    assert raw(image.get_layers()[0]) == raw(third)


def case_the_result_of_a_closed_image_goes_elsewhere(stage):
    image = yield from opened(stage)
    yield from dialog(stage, "Img2img Layer", "Pentimento: Img2img")
    stage.xdotool("key", "alt+u")
    yield running(stage)
    yield stage.until(lambda: "running" in states().values(), "the job's start")
    other = Gimp.Image.new(384, 256, Gimp.ImageBaseType.RGB)
    Gimp.Display.new(other)
    closing = image.get_id()
    for number in range(1, 100):
        if Gimp.Display.id_is_valid(number):
            Gimp.Display.get_by_id(number).delete()
            break
    yield stage.until(lambda: closing not in [one.get_id() for one in Gimp.get_images()], "the image's end")
    yield stage.until(lambda: all(state not in ("queued", "running") for state in states().values()), "the job", 90)
    yield from still(stage, "kept")
    stage.xdotool("windowactivate", "--sync", window(stage, "^Pentimento$"), "key", "alt+i")
    yield stage.until(lambda: len(other.get_layers()) == 1, "the layer in the other image")
    yield gone(stage, "^Pentimento$")


def case_the_backends_dialog(stage):
    yield from opened(stage)
    yield from dialog(stage, "Backend", "Pentimento: Backend")
    yield stage.until(pause(1), "the backend's answer")
    yield from still(stage, "backend")
    stage.xdotool("key", "Escape")
    yield gone(stage, "Pentimento: Backend")
