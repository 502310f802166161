"""The backend before the artist: how it is, what it can do, start and stop, where its log is."""

from __future__ import annotations

import os
import subprocess
from contextlib import closing
from typing import Final

from gi.repository import Gimp, GimpUi, GLib, Gtk

from pentimento_shared import VERSION, backend_start
from pentimento_shared.backend_link import BackendLink, LinkState
from pentimento_shared.places import data_folder

from .call import Call, failed
from .window import SPACING, grid, left, prepare, row

LOOK_MS: Final = 200


def show(call: Call) -> None:
    """Shows the dialog until it is closed. Raises Refused where there is no screen."""
    if not call.interactive:
        raise failed("This shows a dialog. Without a screen, `python3 launch.py doctor` says how the backend is.")
    prepare()
    with closing(BackendLink(VERSION)) as link:
        Dialog(link).run()


class Dialog:
    """One showing of the dialog."""

    def __init__(self, link: BackendLink) -> None:
        self._link = link
        self._labels = {name: left("", wrap=True) for name in ("State", "Device", "Models", "Log")}
        self._stopping: subprocess.Popen[bytes] | None = None
        self._window = GimpUi.Dialog(title="Pentimento: Backend", role="pentimento-backend")
        self._start = self._window.add_button("_Start", Gtk.ResponseType.YES)
        self._stop = self._window.add_button("S_top", Gtk.ResponseType.NO)
        self._window.add_button("_Close", Gtk.ResponseType.CLOSE)
        table = grid()
        table.set_border_width(2 * SPACING)
        for name, label in self._labels.items():
            label.set_width_chars(60)
            label.set_yalign(0.0)
            row(table, name, label)
        self._labels["Log"].set_text(str(data_folder() / "logs" / "server.log"))
        self._window.get_content_area().pack_start(table, True, True, 0)
        self._window.show_all()

    def run(self) -> None:
        timer = GLib.timeout_add(LOOK_MS, self._look)
        self._look()
        while (answer := self._window.run()) in (Gtk.ResponseType.YES, Gtk.ResponseType.NO):
            if answer == Gtk.ResponseType.YES:
                self._link.start_backend()
            else:
                self._end_backend()
        GLib.source_remove(timer)
        self._window.destroy()

    def _look(self) -> bool:
        state = self._link.snapshot()
        stopping = self._stopping is not None and self._stopping.poll() is None
        self._labels["State"].set_text("The backend is stopping." if stopping else state.message)
        self._labels["Device"].set_text(state.device or "not known yet")
        self._labels["Models"].set_text(_models(state))
        self._start.set_sensitive(state.can_start and not stopping)
        self._stop.set_sensitive(state.usable and bool(_stop_command()) and not stopping)
        return True

    def _end_backend(self) -> None:
        try:
            self._stopping = subprocess.Popen(
                _stop_command(), env=backend_start.outside(os.environ), stdin=subprocess.DEVNULL
            )
        except OSError as error:
            Gimp.message(f"The backend cannot be stopped from here ({error}). Type: python3 launch.py stop")


def _stop_command() -> list[str]:
    """What ends the backend, made of what started it; empty when that is not known."""
    *program, verb = backend_start.remembered_command(os.environ) or ("",)
    if verb != "serve":
        return []
    return [*(["flatpak-spawn", "--host"] if "FLATPAK_ID" in os.environ else []), *program, "stop"]


def _models(state: LinkState) -> str:
    if not state.models:
        return "not known yet"
    return "\n".join(f"{model.get('name')} ({model.get('id')})" for model in state.models)
