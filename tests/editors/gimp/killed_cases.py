"""Played inside GIMP with its window, with a backend of its own that the test kills and starts again."""

import hashlib
import threading
import time
from typing import NamedTuple

from blow import PREPARED, RESTART, RESTARTED, STRUCK, WANTED, Blow
from gi.repository import Gimp
from pictures import call, made, new_image, raw, record
from screen import dialog, gone, pause, window

SIZE = (320, 240)
JOB = {"prompt": "a lake at dawn", "steps": 8, "strength": 0.8, "seed": 11.0}
"""Of every job here, so that they all make the same picture."""
SEEN = Gimp.RunMode.WITH_LAST_VALS
"""With our window before the artist, and without the dialog before it."""
RUN_S = 240


def case_in_fair_weather(stage):
    image, source, before = yield from selected_picture(stage)
    (new,) = made("inpaint", SEEN, image=image, drawables=[source], **JOB)
    return (yield from arrived(stage, image, source, new, before))


def case_killed_before_the_command(stage):
    """A run without a backend fails and says so; the next one, with a new backend, is as if nothing had been."""
    image, source, before = yield from selected_picture(stage)
    blow = yield from prepared(stage, "idle")
    yield stage.until(lambda: blow.told(STRUCK), "the backend's death", RUN_S)
    status, layers, said = call("inpaint", SEEN, image=image, drawables=[source], **JOB)
    facts = {"refused": [status == Gimp.PDBStatusType.EXECUTION_ERROR, layers, said]}
    shown = yield stage.until(lambda: window(stage, "GIMP Message"), "GIMP's message")
    stage.shot("gimp-idle")
    stage.xdotool("windowactivate", "--sync", shown, "key", "Return")
    yield gone(stage, "GIMP Message")
    facts["same meanwhile"] = look(image) == before
    blow.tell(RESTART)
    yield stage.until(lambda: blow.told(RESTARTED), "the new backend", RUN_S)
    (new,) = made("inpaint", SEEN, image=image, drawables=[source], **JOB)
    return facts | (yield from arrived(stage, image, source, new, before))


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


def case_killed_behind_the_dialog(stage):
    """Run does nothing as long as there is no backend, and the job comes from the next one. The last case: from here on
    GIMP's last values are the dialog's."""
    image, source, before = yield from selected_picture(stage)
    title = "Pentimento: Inpaint"
    yield from dialog(stage, "Inpaint Selection", title)
    blow = yield from prepared(stage, "dialog")
    yield stage.until(lambda: blow.told(STRUCK), "the backend's death", RUN_S)
    yield stage.until(pause(6), "the dialog's next looks at the backend, one each two seconds")
    stage.xdotool("key", "alt+u")
    yield stage.until(pause(1), "what does not come")
    stage.shot("gimp-dialog")
    facts = {"open": window(stage, title) is not None, "begun": window(stage, "^Pentimento$") is not None}
    facts["same meanwhile"] = look(image) == before
    blow.tell(RESTART)
    yield stage.until(lambda: blow.told(RESTARTED), "the new backend", RUN_S)
    while window(stage, title) is not None:
        stage.xdotool("key", "alt+u")
        yield stage.until(pause(1), "what Run does")
    yield stage.until(lambda: len(image.get_layers()) == len(before.layers) + 1, "the result", RUN_S)
    yield gone(stage, "^Pentimento$")
    return facts | (yield from arrived(stage, image, source, image.get_layers()[0], before))


def survived(stage, moment):
    """What the artist reads while the backend is away, and what comes of the job once there is another."""
    image, source, before = yield from selected_picture(stage)
    blow = yield from prepared(stage, moment)
    said = []
    reader = threading.Thread(target=lambda: said.append(read_while_away(stage, blow)))
    reader.start()
    (new,) = made("inpaint", SEEN, image=image, drawables=[source], **JOB)
    reader.join()
    return {"said": said[0]} | (yield from arrived(stage, image, source, new, before))


def read_while_away(stage, blow):
    """What GIMP's progress bar says of the dead backend. A thread's work: the procedure keeps us waiting meanwhile."""
    file, end = stage.folder / "said", time.monotonic() + RUN_S
    begun = len(file.read_text("utf-8")) if file.exists() else 0
    while time.monotonic() < end:
        lines = file.read_text("utf-8")[begun:].splitlines() if blow.told(STRUCK) else []
        if away := [line for line in lines if "has not answered" in line]:
            stage.shot(f"gimp-{blow.moment}")
            blow.tell(RESTART)
            return away[-1]
        time.sleep(0.05)
    raise TimeoutError("GIMP did not say that the backend is away")


def prepared(stage, moment):
    """Asks for a death, and waits until it only waits for its moment."""
    blow = Blow(stage.folder, moment)
    blow.tell(WANTED)
    yield stage.until(lambda: blow.told(PREPARED), "the test outside", RUN_S)
    return blow


def selected_picture(stage):
    """An image with a soft selection in a window, its layer, and how it looks."""
    image, source = new_image(*SIZE)
    image.select_ellipse(Gimp.ChannelOps.REPLACE, 20, 20, SIZE[0] - 40, SIZE[1] - 40)
    Gimp.Selection.feather(image, 12)
    Gimp.Display.new(image)
    yield from in_front(stage)
    return image, source, look(image)


def in_front(stage):
    """Gives GIMP's window with the picture the focus."""
    main = yield stage.until(lambda: window(stage, "RGB.*GIMP$"), "GIMP's window with the picture")
    stage.xdotool("windowactivate", "--sync", main)


class Look(NamedTuple):
    """Everything of an image that belongs to the artist."""

    layers: list
    selected: list
    selection: bytes
    colours: list


def look(image):
    colours = Gimp.context_get_foreground(), Gimp.context_get_background()
    return Look(
        [(layer.get_id(), layer.get_name(), raw(layer)) for layer in image.get_layers()],
        [layer.get_id() for layer in image.get_selected_layers()],
        raw(image.get_selection()),
        [list(colour.get_rgba()) for colour in colours],
    )


def arrived(stage, image, source, new, before):
    """What a run has brought in the end, and what one Undo leaves of it."""
    after = look(image)
    facts = {
        "layers": image.get_layers() == [new, source],
        "active": after.selected == [new.get_id()],
        "same": after._replace(layers=after.layers[1:], selected=before.selected) == before,
        "mask": raw(new.get_mask()) == after.selection,
        "job": record(new)["layer"]["job"],
        "picture": hashlib.sha256(raw(new) + raw(new.get_mask())).hexdigest(),
    }
    yield from in_front(stage)
    stage.xdotool("key", "ctrl+z")
    yield stage.until(lambda: image.get_layers() == [source], "undo")
    return facts | {"same after undo": look(image) == before}
