"""Played inside GIMP with its window: what helps with prompts and settings in the dialogs."""

import re
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from gi.repository import Gimp, GLib
from pictures import record
from screen import dialog, gone, opened, pause, still, window

CHOOSER = "Reuse Settings from File"
PLUGIN = Path(Gimp.directory()) / "plug-ins" / "pentimento"


def case_styles_are_ticked(stage):
    """By keyboard alone; the choice of a file is opened on the way and left."""
    image = yield from opened(stage)
    yield from dialog(stage, "Img2img Layer", "Pentimento: Img2img")
    yield stage.until(pause(1), "the backend's answer")
    stage.xdotool("key", "ctrl+a")
    stage.xdotool("type", "--delay", "15", "a cat")
    yield from choosing_a_file(stage)
    stage.xdotool("key", "Escape")
    yield gone(stage, CHOOSER)
    stage.xdotool("windowactivate", "--sync", window(stage, "Pentimento: Img2img"), "key", "alt+o")
    yield from still(stage, "styles")
    stage.xdotool("key", "Down", "Return")
    yield stage.until(pause(2), "the count of the tokens")
    yield from still(stage, "counted")
    stage.xdotool("key", "alt+u")
    yield stage.until(lambda: len(image.get_layers()) == 2, "the result", 120)
    yield gone(stage, "^Pentimento$")
    made = record(image.get_layers()[0])
    return {"prompt": made["settings"]["prompt"], "written": made["written"]}


def choosing_a_file(stage):
    """From our dialog, by keyboard, to GTK's own for the file that settings are taken from."""
    stage.xdotool("key", "alt+e")
    yield from still(stage, "reuse")
    stage.xdotool("key", "f")
    chooser = yield stage.until(lambda: window(stage, CHOOSER), "the choice of a file")
    stage.xdotool("windowactivate", "--sync", chooser)
    yield from still(stage, "chooser")


def case_a_file_named_by_its_path_fills_the_dialog(stage):
    """And what it filled in is what is painted."""
    image = yield from opened(stage)
    yield from dialog(stage, "Img2img Layer", "Pentimento: Img2img")
    yield stage.until(pause(1), "the backend's answer")
    yield from choosing_a_file(stage)
    stage.xdotool("key", "ctrl+l")
    yield from still(stage, "place")
    stage.xdotool("key", "ctrl+a")
    stage.xdotool("type", "--delay", "15", stage.given["infotext"])
    yield from still(stage, "named")
    stage.xdotool("key", "Return")
    yield gone(stage, CHOOSER)
    stage.xdotool("windowactivate", "--sync", window(stage, "Pentimento: Img2img"))
    yield from still(stage, "reused")
    stage.xdotool("key", "alt+u")
    yield stage.until(lambda: len(image.get_layers()) == 2, "the result", 120)
    yield gone(stage, "^Pentimento$")
    return record(image.get_layers()[0])["settings"]


def case_refining_begins_with_what_was_written(stage):
    """Wildcards are drawn anew, and styles stay styles."""
    image = yield from opened(stage)
    yield from dialog(stage, "Img2img Layer", "Pentimento: Img2img")
    stage.xdotool("type", "--delay", "15", "a {red|red} lake")
    stage.xdotool("key", "alt+u")
    yield stage.until(lambda: len(image.get_layers()) == 2, "the result", 120)
    yield gone(stage, "^Pentimento$")
    yield from dialog(stage, "Refine Layer Again", "Pentimento: Refine")
    yield from still(stage, "refine-written")
    stage.xdotool("key", "alt+u")
    yield stage.until(lambda: len(image.get_layers()) == 3, "the refined layer", 120)
    yield gone(stage, "^Pentimento$")
    made = record(image.get_layers()[0])
    return [made["settings"]["prompt"], made["written"]["prompt"]]


def hints(field, rows):
    """What a field says beside its number when an inpainting and when an img2img are chosen."""
    found = []
    for task in ("inpaint", "img2img"):
        field.suit(task, {row["name"]: row for row in rows}, "the demo model")
        found.append(field.hint.get_text())
    return found


def case_inside_the_dialog(stage):
    """The dialog in this process, where its widgets can be asked and its work be timed."""
    image = yield from opened(stage)
    sys.path[:0] = [str(PLUGIN), str(PLUGIN / "vendor")]
    from pentimento_gimp.call import Call
    from pentimento_gimp.dialog import Dialog
    from pentimento_gimp.document import GimpDocument
    from pentimento_gimp.procedures import PROCEDURES
    from pentimento_gimp.window import prepare

    from pentimento_shared import VERSION
    from pentimento_shared.backend_link import BackendLink
    from pentimento_shared.prompt_check import PromptCheck

    prepare()
    procedure = Gimp.get_pdb().lookup_procedure("pentimento-img2img")
    config, about = procedure.create_config(), PROCEDURES["pentimento-img2img"]
    call = Call(procedure, about, Gimp.RunMode.INTERACTIVE, image, image.get_layers(), config)
    with closing(BackendLink(VERSION)) as link, closing(PromptCheck(link.connect)) as check:
        document = GimpDocument(image, image.get_layers()[0])
        began = time.thread_time()
        shown = Dialog(call, document, link, check, about.arguments())
        built = 1000 * (time.thread_time() - began)
        shown._show_source()
        shown._window.show_all()
        area, looks = shown._prompts["prompt"], []

        def look():
            began = time.thread_time()
            shown._look()
            looks.append(1000 * (time.thread_time() - began))
            return True

        timer = GLib.timeout_add(100, look)
        config.set_property("prompt", "mountains at sunset, watercolor")
        yield stage.until(area.count.get_text, "the count")
        count = area.count.get_text()
        config.set_property("prompt", "a (mountain")
        yield stage.until(area.fault.get_text, "the fault")
        facts = {"count": count, "fault": area.fault.get_text(), "built": built}
        files = {row: shown._fields[row].box.get_model() for row in ("vae", "upscale_first")}
        yield stage.until(lambda: len(files["upscale_first"]) > 2, "the backend's upscalers")
        facts |= {
            "files": {row: [line[0] for line in names] for row, names in files.items()},
            "cfg_scale": hints(shown._fields["cfg_scale"], shown._suited[2]),
        }
        shown._reuse(stage.given["infotext"])
        look()
        facts["told"] = shown._told.get_text()
        names = ("prompt", "negative-prompt", "steps", "cfg-scale", "seed", "sampler")
        facts["reused"] = [config.get_property(name) for name in names]
        for entry in (0, -1):
            menu = shown._styles.menu()
            menu.get_children()[entry].activate()
            facts.setdefault("styles", config.get_property("styles"))
        facts["written"] = [config.get_property(name) for name in ("prompt", "negative-prompt", "styles")]
        for _ in range(20):
            look()
        facts["look"] = max(looks)
        GLib.source_remove(timer)
        shown._window.destroy()
    return facts


def case_the_wheel_scrolls_the_fold(stage):
    """And changes no setting on its way: the picture is as large as its source."""
    image = yield from opened(stage)
    found = yield from dialog(stage, "Img2img Layer", "Pentimento: Img2img")
    yield stage.until(pause(1), "the backend's answer")
    stage.xdotool("key", "alt+a")
    yield from still(stage, "unfolded")
    place = geometry(stage, found)
    stage.xdotool("mousemove", str(place["X"] + 300), str(place["Y"] + place["Height"] - 220))
    for _ in range(60):
        stage.xdotool("click", "5")
    yield from still(stage, "scrolled")
    stage.xdotool("key", "alt+u")
    yield stage.until(lambda: len(image.get_layers()) == 2, "the result", 120)
    yield gone(stage, "^Pentimento$")
    return record(image.get_layers()[0])["settings"]


def geometry(stage, found):
    said = subprocess.run(["xwininfo", "-id", found], check=True, capture_output=True, text=True).stdout
    place = re.findall(r"(Absolute upper-left [XY]|Width|Height): +(-?[0-9]+)", said)
    return {name.rpartition(" ")[2]: int(number) for name, number in place}


def case_the_fold_on_a_small_screen(stage):
    """Played with large letters: Run is within reach, folded and unfolded."""
    yield from opened(stage)
    found = yield from dialog(stage, "Inpaint Selection", "Pentimento: Inpaint")
    yield stage.until(pause(1), "the backend's answer")
    yield from still(stage, "small")
    stage.xdotool("key", "alt+a")
    yield from still(stage, "small-unfolded")
    place = geometry(stage, found)
    stage.xdotool("key", "Escape")
    yield gone(stage, "Pentimento: Inpaint")
    return place
