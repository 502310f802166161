"""One widget for each kind of setting, tied to the procedure's arguments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gi.repository import Gimp, GimpUi, GObject, Gtk

from .arguments import Argument
from .window import left, row

_BOTH = GObject.BindingFlags.BIDIRECTIONAL | GObject.BindingFlags.SYNC_CREATE


@dataclass(frozen=True)
class Field:
    """A setting's widget. `box` is its list of words where it has one that can be typed in as well."""

    argument: Argument
    widget: Gtk.Widget
    box: Gtk.ComboBoxText | None = None
    hint: Gtk.Label = field(default_factory=lambda: left(""))

    def attach(self, table: Gtk.Grid, *, hinted: bool) -> None:
        """Puts it into a table, with a label unless the widget shows its own, and with room for a hint if wanted."""
        label = "" if isinstance(self.widget, GimpUi.SpinScale) else self.argument.row.label
        row(table, label, self.widget, self.hint if hinted and self.argument.unset is not None else None)

    def offer(self, words: Sequence[str]) -> None:
        """Lists words to choose from, those that are not listed yet."""
        if self.box is None:
            return
        known = {line[0] for line in self.box.get_model()}
        for word in words:
            if word not in known:
                self.box.append_text(word)

    def suit(self, task: str, rows: Mapping[str, Mapping[str, Any]], model: str) -> None:
        """Greys what the model cannot do and says what it takes by itself. `rows`: its table, empty when unknown."""
        about = rows.get(self.argument.row.name)
        able = about is None or (about["supported"] and (task == "refine" or task in about["tasks"]))
        self.widget.set_sensitive(able)
        self.widget.set_tooltip_text(self._tip(about, model) if able else f"{model} does not do this.")
        if about is not None:
            self.offer(about["choices"])
        if self.argument.unset in (None, "") or task == "refine":
            return
        value = f" ({about.get('task_defaults', {}).get(task, about['default'])})" if about is not None else ""
        words = "" if self.argument.form == "choice" else f"{self.argument.unset}: {self.argument.why}"
        self.hint.set_text((words + value).strip())

    def _tip(self, about: Mapping[str, Any] | None, model: str) -> str:
        row = self.argument.row
        # The files that a name may be are listed in the box; they have nothing to do with the model.
        choices = row.choices if about is None or row.kind == "string" else tuple(about["choices"])
        some = f" {model} takes {', '.join(choices)}." if choices != row.choices else ""
        return self.argument.help + some


def field_for(argument: Argument, config: Gimp.ProcedureConfig) -> Field:
    """The widget for an argument's kind; it shows and changes the argument in `config`."""
    kind, name = argument.row.kind, argument.name
    if kind == "text":
        return Field(argument, _text_area(config, name, 4 if name == "prompt" else 2))
    if argument.form == "string":
        box = Gtk.ComboBoxText.new_with_entry()
        for word in argument.row.choices:
            box.append_text(word)
        config.bind_property(name, box.get_child(), "text", _BOTH)
        box.set_hexpand(True)
        return Field(argument, box, box)
    if argument.form == "boolean":
        return Field(argument, GimpUi.prop_check_button_new(config, name, ""))
    if argument.form == "choice":
        return Field(argument, GimpUi.prop_choice_combo_box_new(config, name))
    if name == "seed":
        return Field(argument, _seed(config, name))
    digits = 2 if kind == "number" else 0
    step = argument.row.step or 1
    if name == "strength":
        scale = GimpUi.prop_spin_scale_new(config, name, step, 10 * step, 2)
        scale.set_hexpand(True)
        return Field(argument, scale)
    spin = GimpUi.prop_spin_button_new(config, name, step, 10 * step, digits)
    spin.set_halign(Gtk.Align.START)
    return Field(argument, spin)


def _text_area(config: Gimp.ProcedureConfig, name: str, lines: int) -> Gtk.Widget:
    view = Gtk.TextView.new_with_buffer(GimpUi.prop_text_buffer_new(config, name, -1))
    view.set_wrap_mode(Gtk.WrapMode.WORD_CHAR)
    view.set_accepts_tab(False)
    scrolled = Gtk.ScrolledWindow(shadow_type=Gtk.ShadowType.IN, hscrollbar_policy=Gtk.PolicyType.NEVER)
    scrolled.add(view)
    scrolled.set_size_request(380, 20 * lines + 8)
    return scrolled


def _seed(config: Gimp.ProcedureConfig, name: str) -> Gtk.Widget:
    """The number and a button that asks for a new one each time."""
    box = Gtk.Box(spacing=6, halign=Gtk.Align.START)
    box.pack_start(GimpUi.prop_spin_button_new(config, name, 1, 100, 0), False, False, 0)
    fresh = Gtk.Button(label="New Each Time")
    fresh.set_tooltip_text("-1: a new seed is drawn for each result.")
    fresh.connect("clicked", lambda _: config.set_property(name, -1.0))
    box.pack_start(fresh, False, False, 0)
    return box
