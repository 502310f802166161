"""The dialog of a filter: GIMP's own procedure dialog, filled from the table of settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing
from typing import Any, Final

from gi.repository import Gimp, GimpUi, GLib, Gtk

from pentimento_shared import VERSION
from pentimento_shared.backend_link import BackendLink
from pentimento_shared.document import Layer
from pentimento_shared.layer_record import LayerRecord
from pentimento_shared.presets import PRESETS
from pentimento_shared.prompt_check import PROMPTS, QUESTION, PromptCheck
from pentimento_shared.recipe import Recipe, RecipeError
from pentimento_shared.result_plans import settings_to_refine
from pentimento_shared.settings import SettingError, Value, by_group

from .arguments import Argument, read_all
from .call import Call, Refused
from .document import GimpDocument
from .prompts import PromptArea
from .reusing import asked_file, reuse_button, settings_of, take_drops
from .styles import StylesBox
from .widgets import Field, field_for
from .window import SPACING, checkered, grid, heading, left, let_wheel_scroll, prepare, row, screen_height

LOOK_MS: Final = 200
"""Time between two looks at the backend."""
PREVIEW_PX: Final = 200
FOLD_PX: Final = 420
LEAST_FOLD_PX: Final = 100
_FIRST: Final = (*PROMPTS, "styles", "strength", "model")
"""What is above the fold, in this order; the rest of the table is in it."""


def ask(call: Call, document: GimpDocument, record: LayerRecord | None, kind: type[Dialog] | None = None) -> None:
    """Lets the artist change the arguments; they are in `call.config` then. Raises Refused when the artist cancels.

    `record`: the layer's that is refined; its settings are what the dialog begins with. `kind`: another dialog.
    """
    prepare()
    arguments = call.filter.arguments()
    if record is not None:
        begun = settings_to_refine(record.recipe)
        for argument in arguments:
            argument.write(call.config, begun.get(argument.row.name, argument.default))
    with closing(BackendLink(VERSION)) as link, closing(PromptCheck(link.connect)) as check:
        dialog = (kind or Dialog)(call, document, link, check, arguments)
        agreed = dialog.run()
    if not agreed:
        raise Refused(Gimp.PDBStatusType.CANCEL)


class Dialog:
    """One showing of the dialog."""

    def __init__(
        self,
        call: Call,
        document: GimpDocument,
        link: BackendLink,
        check: PromptCheck,
        arguments: tuple[Argument, ...],
    ) -> None:
        self._call, self._document, self._link, self._check = call, document, link, check
        title = call.filter.label.replace("_", "").rstrip(".")
        self._window = GimpUi.ProcedureDialog.new(call.procedure, call.config, f"Pentimento: {title}")
        self._window.set_ok_label("R_un")
        self._fields = {argument.row.name: field_for(argument, call.config) for argument in arguments}
        self._prompts = {name: PromptArea(self._fields[name], grows=name == "prompt") for name in PROMPTS}
        self._styles = StylesBox(call.config)
        self._fields["styles"] = Field(self._fields["styles"].argument, self._styles.widget)
        self._picture, self._source_problem, self._reused = Gtk.Image(), "", ""
        self._suited: tuple[str, str, Sequence[Mapping[str, Any]] | None] | None = None
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
        take_drops(self._window, self._reuse)
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
        line = Gtk.Box(spacing=2 * SPACING, border_width=2 * SPACING)
        line.pack_start(self._told, True, True, 0)
        line.pack_end(self._start, False, False, 0)
        # However many rows the table gets and however large the letters are, the buttons stay on the screen.
        whole = Gtk.ScrolledWindow(hscrollbar_policy=Gtk.PolicyType.NEVER, propagate_natural_height=True)
        whole.add(box)
        self._window.get_content_area().pack_start(whole, True, True, 0)
        self._window.get_content_area().pack_start(line, False, False, 0)
        whole.show_all()
        line.show_all()

    def _side(self) -> Gtk.Widget:
        side = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=SPACING)
        side.pack_start(self._picture, False, False, 0)
        if self._call.filter.sourced:
            side.pack_start(GimpUi.prop_choice_combo_box_new(self._call.config, "source"), False, False, 0)
        return side

    def _main(self) -> Gtk.Widget:
        box = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=SPACING)
        for name, area in self._prompts.items():
            box.pack_start(area.widget, name == "prompt", True, 0)
        table = grid()
        self._fields["styles"].attach(table, hinted=False)
        line = Gtk.Box(spacing=SPACING)
        if "strength" in self._fields:
            line.pack_start(self._presets(), True, True, 0)
        recorded = self._recorded() is not None
        line.pack_end(reuse_button(self._reuse_file, self._reuse_layer if recorded else None), False, False, 0)
        row(table, "Preset" if "strength" in self._fields else "", line)
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
                let_wheel_scroll(self._fields[setting.name].widget)
        scrolled = Gtk.ScrolledWindow(hscrollbar_policy=Gtk.PolicyType.NEVER)
        scrolled.add(table)
        expander = Gtk.Expander(label="_Advanced", use_underline=True)
        expander.add(scrolled)
        folded_height: list[int] = []

        def turned(*_: object) -> None:
            width, height = self._window.get_size()
            if not expander.get_expanded():
                self._window.resize(width, folded_height.pop() if folded_height else height)
                return
            folded_height.append(height)
            room = screen_height(self._window)
            fold = max(LEAST_FOLD_PX, min(FOLD_PX, room - height))
            scrolled.set_min_content_height(fold)
            self._window.resize(width, min(room, height + fold))

        expander.connect("notify::expanded", turned)
        return expander

    def _presets(self) -> Gtk.Widget:
        box = Gtk.ComboBoxText()
        box.append_text("Choose one ...")
        box.set_active(0)
        for preset in PRESETS:
            box.append_text(f"{preset.name} ({preset.help.lower()})")
        box.set_tooltip_text("Settings for what is done most.")

        def chosen(_: Gtk.ComboBoxText) -> None:
            settings = PRESETS[box.get_active() - 1].settings if box.get_active() > 0 else {}
            self._fill(settings)

        box.connect("changed", chosen)
        return box

    def _reuse_file(self) -> None:
        path = asked_file(self._window)
        if path:
            self._reuse(path)

    def _reuse(self, path: str) -> None:
        settings, self._reused = settings_of(path, self._link.snapshot().models)
        self._fill(settings)

    def _reuse_layer(self) -> None:
        recipe = self._recorded()
        self._fill({} if recipe is None else recipe.as_written)

    def _recorded(self) -> Recipe | None:
        """What the layer was made with, when Pentimento made it."""
        layer = self._document.active_layer()
        text = self._document.records().get(layer.id) if layer else None
        try:
            return None if text is None else LayerRecord.from_json(text).recipe
        except RecipeError:
            return None

    def _fill(self, settings: Mapping[str, Value]) -> None:
        for name, value in settings.items():
            if name in self._fields:
                self._fields[name].argument.write(self._call.config, value)

    def _check_prompts(self) -> str:
        """Shows what is known of the prompts; what is wrong with the styles."""
        asked = [field.argument for name, field in self._fields.items() if name in QUESTION]
        try:
            findings = self._check.look(read_all(asked, self._call.config))
        except SettingError as error:
            return str(error)
        for name, area in self._prompts.items():
            area.show(findings.of(name))
        return findings.problem

    def _look(self) -> bool:
        """Shows how the backend is, and what stands against running."""
        state = self._link.snapshot()
        models = {str(model.get("id", "")): model for model in state.models}
        self._fields["model"].offer(sorted(models))
        name = self._call.config.get_property("model")
        model = models.get(name) if name else None
        self._suit(name or "")
        self._styles.offer(state.styles)
        problem, fault = self._problem(model), self._check_prompts()
        self._told.set_text(" ".join(filter(None, [self._reused, problem or fault or self._notice(), state.message])))
        self._start.set_visible(state.can_start)
        self._window.set_response_sensitive(Gtk.ResponseType.OK, state.usable and not problem)
        return True

    def _suit(self, model: str) -> None:
        """Greys what the model cannot do; all of it anew only when model, task or what is known has changed."""
        rows = self._link.settings(model or None)
        task = self._call.filter.task
        if (task, model, rows) == self._suited:
            return
        self._suited = task, model, rows
        for field in self._fields.values():
            field.suit(task, {row["name"]: row for row in rows or ()}, model or "the model")

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
