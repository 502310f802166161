"""The dialog of a filter: GIMP's own procedure dialog, filled from the table of settings."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import closing
from typing import Any, Final

from gi.repository import Gimp, GimpUi, GLib, Gtk

from pentimento_shared import VERSION
from pentimento_shared.backend_link import BackendLink
from pentimento_shared.document import Layer
from pentimento_shared.layer_record import LayerRecord
from pentimento_shared.presets import PRESETS
from pentimento_shared.settings import by_group

from .arguments import Argument
from .call import Call, Refused
from .document import GimpDocument
from .widgets import field_for
from .window import SPACING, checkered, grid, heading, left, prepare, row

LOOK_MS: Final = 200
"""Time between two looks at the backend."""
PREVIEW_PX: Final = 200
FOLD_PX: Final = 420
LEAST_FOLD_PX: Final = 100
FRAME_PX: Final = 60
"""What a desktop puts around a window, at most."""
_FIRST: Final = ("prompt", "negative_prompt", "strength", "model")
"""What is above the fold, in this order; the rest of the table is in it."""


def ask(call: Call, document: GimpDocument, record: LayerRecord | None, kind: type[Dialog] | None = None) -> None:
    """Lets the artist change the arguments; they are in `call.config` then. Raises Refused when the artist cancels.

    `record`: the layer's that is refined; its settings are what the dialog begins with. `kind`: another dialog.
    """
    prepare()
    arguments = call.filter.arguments()
    if record is not None:
        for argument in arguments:
            if argument.row.name in record.recipe.settings and argument.row.name != "seed":
                argument.write(call.config, record.recipe.settings[argument.row.name])
    with closing(BackendLink(VERSION)) as link:
        dialog = (kind or Dialog)(call, document, link, arguments)
        agreed = dialog.run()
    if not agreed:
        raise Refused(Gimp.PDBStatusType.CANCEL)


class Dialog:
    """One showing of the dialog."""

    def __init__(self, call: Call, document: GimpDocument, link: BackendLink, arguments: tuple[Argument, ...]) -> None:
        self._call, self._document, self._link = call, document, link
        title = call.filter.label.replace("_", "").rstrip(".")
        self._window = GimpUi.ProcedureDialog.new(call.procedure, call.config, f"Pentimento: {title}")
        self._window.set_ok_label("R_un")
        self._fields = {argument.row.name: field_for(argument, call.config) for argument in arguments}
        self._picture, self._source_problem = Gtk.Image(), ""
        self._told = left("", wrap=True)
        self._start = Gtk.Button(label="Start Backend", valign=Gtk.Align.START, no_show_all=True)
        self._start.connect("clicked", lambda _: link.start_backend())
        self._put_together()

    def run(self) -> bool:
        """Whether the artist wants it done."""
        self._show_source()
        self._look()
        timer = GLib.timeout_add(LOOK_MS, self._look)
        if self._call.filter.sourced:
            self._call.config.connect("notify::source", lambda *_: self._show_source())
        self._fields["prompt"].widget.get_child().grab_focus()
        try:
            return bool(self._window.run())
        finally:
            GLib.source_remove(timer)
            self._window.destroy()

    def _put_together(self) -> None:
        box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=2 * SPACING, border_width=2 * SPACING)
        columns = Gtk.Box(spacing=2 * SPACING)
        columns.pack_start(self._side(), False, False, 0)
        columns.pack_start(self._main(), True, True, 0)
        box.pack_start(columns, True, True, 0)
        box.pack_start(self._fold(), False, False, 0)
        line = Gtk.Box(spacing=2 * SPACING)
        line.pack_start(self._told, True, True, 0)
        line.pack_end(self._start, False, False, 0)
        box.pack_start(line, False, False, 0)
        self._window.get_content_area().pack_start(box, True, True, 0)
        box.show_all()

    def _side(self) -> Gtk.Widget:
        side = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=SPACING)
        side.pack_start(self._picture, False, False, 0)
        if self._call.filter.sourced:
            side.pack_start(GimpUi.prop_choice_combo_box_new(self._call.config, "source"), False, False, 0)
        return side

    def _main(self) -> Gtk.Widget:
        box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=SPACING)
        for name in ("prompt", "negative_prompt"):
            box.pack_start(left(self._fields[name].argument.row.label), False, False, 0)
            box.pack_start(self._fields[name].widget, name == "prompt", True, 0)
        table = grid()
        if "strength" in self._fields:
            row(table, "Preset", self._presets())
        for name in ("strength", "model"):
            if name in self._fields:
                self._fields[name].attach(table, hinted=False)
        box.pack_start(table, False, False, 0)
        return box

    def _fold(self) -> Gtk.Widget:
        table = grid()
        table.set_margin_start(2 * SPACING)
        folded = (field.argument.row for name, field in self._fields.items() if name not in _FIRST)
        for title, rows in by_group(folded):
            heading(table, title)
            for setting in rows:
                self._fields[setting.name].attach(table, hinted=self._call.filter.task != "refine")
        expander = Gtk.Expander(label="_Advanced", use_underline=True)
        scrolled = Gtk.ScrolledWindow(hscrollbar_policy=Gtk.PolicyType.NEVER)
        scrolled.add(table)
        expander.add(scrolled)
        expander.connect("activate", lambda _: scrolled.set_min_content_height(self._fold_height()))
        return expander

    def _fold_height(self) -> int:
        """Of the opened fold, px: however many rows the table gets and however large the letters are, the dialog stays
        on the screen."""
        window = self._window.get_window()
        room = window.get_display().get_monitor_at_window(window).get_workarea().height - FRAME_PX
        return max(LEAST_FOLD_PX, min(FOLD_PX, room - self._window.get_allocated_height()))

    def _presets(self) -> Gtk.Widget:
        box = Gtk.ComboBoxText()
        box.append_text("Choose one ...")
        box.set_active(0)
        for preset in PRESETS:
            box.append_text(f"{preset.name} ({preset.help.lower()})")
        box.set_tooltip_text("Settings for what is done most.")

        def chosen(_: Gtk.ComboBoxText) -> None:
            settings = PRESETS[box.get_active() - 1].settings if box.get_active() > 0 else {}
            for name, value in settings.items():
                if name in self._fields:
                    self._fields[name].argument.write(self._call.config, value)

        box.connect("changed", chosen)
        return box

    def _look(self) -> bool:
        """Shows how the backend is, and what stands against running."""
        state = self._link.snapshot()
        models = {str(model.get("id", "")): model for model in state.models}
        self._fields["model"].offer(sorted(models))
        name = self._call.config.get_property("model")
        model = models.get(name) if name else None
        rows = self._link.settings(name or None)
        for field in self._fields.values():
            field.suit(self._call.filter.task, {row["name"]: row for row in rows or ()}, name or "the model")
        problem = self._problem(model)
        self._told.set_text(" ".join(filter(None, [problem or self._notice(), state.message])))
        self._start.set_visible(state.can_start)
        self._window.set_response_sensitive(Gtk.ResponseType.OK, state.usable and not problem)
        return True

    def _problem(self, model: Mapping[str, Any] | None) -> str:
        """Why this cannot run, apart from the backend."""
        task = self._call.filter.task
        if model is not None and task != "refine" and task not in model.get("tasks", ()):
            return f"{model.get('name')} cannot do this; choose another model."
        if not self._document.is_open():
            return "The image was closed."
        return self._document.problem() or self._source_problem

    def _notice(self) -> str:
        unselected = self._document.is_open() and self._document.selection() is None
        if self._call.filter.task == "inpaint" and unselected:
            return "Nothing is selected: the whole layer is changed, as Img2img Layer does."
        return ""

    def _show_source(self) -> None:
        """Shows what is read, and looks whether it can be: at a large blank layer that takes a moment."""
        layer, sourced = self._document.active_layer(), self._call.filter.sourced
        self._source_problem = _problem_of(layer) if sourced and self._call.source == "layer" else ""
        canvas = self._call.filter.task == "txt2img" or self._call.source == "canvas"
        size, rgba = self._document.preview(PREVIEW_PX, canvas=canvas)
        self._picture.set_from_pixbuf(checkered(size.width, size.height, rgba))


def _problem_of(layer: Layer | None) -> str:
    if layer is None:
        return "No layer is selected. Select one, or choose all that is visible."
    return layer.problem or (f"{layer.name} is empty. Paint something on it." if layer.bounds.empty else "")
