"""A running job before the artist: GIMP's progress bar, and a small window with a preview and a Cancel of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from gi.repository import Gdk, GdkPixbuf, Gimp, GimpUi, GLib, Gtk

from pentimento_shared.controller import Run, Status
from pentimento_shared.document import DocumentError

from .document import GimpDocument, open_images
from .window import SPACING, left, pointer_pressed, prepare

TICK_MS: Final = 20
_PREVIEW_PX: Final = 256


def follow(job: Run, document: GimpDocument, tell: Callable[[Status], None]) -> GimpDocument:
    """Runs the job to its end; GIMP and all its windows go on meanwhile. A kept result may be put elsewhere.

    Returns where the result is: `document`, or that other one.
    """
    prepare()
    Gimp.progress_init("Pentimento")
    window = Window(job, document, tell)
    try:
        return window.run()
    finally:
        window.close()
        Gimp.progress_end()


class Window:
    """The small window of one job."""

    def __init__(self, job: Run, document: GimpDocument, tell: Callable[[Status], None]) -> None:
        self._job, self._document, self._tell = job, document, tell
        self._loop = GLib.MainLoop()
        self._shown = self._preview = self._fault = None
        self._picture = Gtk.Image()
        self._message = left("", wrap=True)
        self._message.set_width_chars(36)
        self._message.set_max_width_chars(36)
        self._bar = Gtk.ProgressBar(show_text=True)
        self._elsewhere = Gtk.ComboBoxText(no_show_all=True)
        self._insert = Gtk.Button(label="_Insert There", use_underline=True, no_show_all=True)
        self._insert.connect("clicked", lambda _: self._put_elsewhere())
        self._cancel = Gtk.Button(label="Cancel")
        self._cancel.connect("clicked", lambda _: self._stop())
        self._window = self._made()

    def run(self) -> GimpDocument:
        GLib.timeout_add(TICK_MS, self._tick)
        self._loop.run()
        if self._fault is not None:
            raise self._fault
        return self._document

    def close(self) -> None:
        self._window.destroy()

    def _made(self) -> Gtk.Window:
        # It must take nothing from the artist's hands: no focus, no place above the canvas.
        window = Gtk.Window(title="Pentimento", type_hint=Gdk.WindowTypeHint.UTILITY, focus_on_map=False)
        window.set_resizable(False)
        window.connect("delete-event", lambda *_: self._stop())
        window.connect("key-press-event", lambda _, event: event.keyval == Gdk.KEY_Escape and self._stop())
        box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=SPACING, border_width=2 * SPACING)
        for widget in (self._picture, self._bar, self._message, self._elsewhere):
            box.pack_start(widget, False, False, 0)
        buttons = Gtk.Box(spacing=SPACING)
        buttons.pack_end(self._cancel, False, False, 0)
        buttons.pack_end(self._insert, False, False, 0)
        box.pack_start(buttons, False, False, 0)
        window.add(box)
        GimpUi.window_set_transient(window)
        window.show_all()
        return window

    def _tick(self) -> bool:
        try:
            status = self._job.step()
        except Exception as fault:  # noqa: BLE001  raised where the loop was begun; here GLib would drop it
            self._fault = fault
            self._loop.quit()
            return False
        self._tell(status)
        if status != self._shown:
            self._shown = status
            self._show(status)
        if status.phase == "kept":
            return False
        if status.over:
            self._loop.quit()
        return not status.over

    def _show(self, status: Status) -> None:
        Gimp.progress_set_text(f"Pentimento: {status.message}")
        Gimp.progress_update(status.progress)
        self._message.set_text(status.message)
        self._bar.set_fraction(status.progress)
        self._bar.set_text(_stage(status))
        if status.preview and status.preview is not self._preview:
            self._preview = status.preview
            self._picture.set_from_pixbuf(_scaled(status.preview))
        if status.phase == "kept":
            self._offer_places()

    def _offer_places(self) -> None:
        """Instead of Cancel: into which image the result may go."""
        self._elsewhere.remove_all()
        for image in open_images():
            self._elsewhere.append(str(image.get_id()), image.get_name())
        self._elsewhere.set_active(0)
        self._elsewhere.show()
        self._insert.show()
        self._insert.set_sensitive(self._elsewhere.get_active() >= 0)
        self._cancel.set_label("Close")
        self._window.present()

    def _put_elsewhere(self) -> None:
        images = {str(image.get_id()): image for image in open_images()}
        image = images.get(self._elsewhere.get_active_id() or "")
        if image is None:
            self._offer_places()
            return
        self._document = GimpDocument(image, busy=pointer_pressed)
        try:
            self._job.insert_into(self._document)
        except DocumentError as error:
            self._message.set_text(str(error))
            return
        self._insert.hide()
        self._elsewhere.hide()
        GLib.timeout_add(TICK_MS, self._tick)

    def _stop(self) -> bool:
        if self._job.status.over:
            self._loop.quit()
        else:
            self._job.cancel()
        return True


def _stage(status: Status) -> str:
    if status.phase == "queued" and status.position:
        return f"Number {status.position} in the queue"
    if status.steps:
        return f"{status.stage or status.phase}: step {status.step} of {status.steps}"
    return status.stage or status.phase


def _scaled(jpeg: bytes) -> GdkPixbuf.Pixbuf:
    loader = GdkPixbuf.PixbufLoader()
    loader.write(jpeg)
    loader.close()
    picture = loader.get_pixbuf()
    factor = _PREVIEW_PX / max(picture.get_width(), picture.get_height())
    size = (max(1, round(side * factor)) for side in (picture.get_width(), picture.get_height()))
    return picture.scale_simple(*size, GdkPixbuf.InterpType.BILINEAR)
