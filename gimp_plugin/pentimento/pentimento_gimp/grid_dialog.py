"""The dialog of a grid: that of a filter, and up to three settings with a line of values for each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gi.repository import GimpUi, GObject, Gtk

from pentimento_shared.settings import SettingError, Value
from pentimento_shared.variants import axis_rows, count_said, example

from .arguments import read_all
from .call import Call, grid_task
from .dialog import Dialog, ask
from .document import GimpDocument
from .procedures import AXES, GRID
from .window import SPACING, grid, row

_BOTH = GObject.BindingFlags.BIDIRECTIONAL | GObject.BindingFlags.SYNC_CREATE


def ask_for_grid(call: Call, document: GimpDocument) -> None:
    """Lets the artist choose the axes and all other settings. Raises Refused when the artist cancels."""
    ask(call, document, None, GridDialog)


class GridDialog(Dialog):
    """The axes are below the prompts. Of the settings those count that the grid's task has."""

    def __init__(self, call: Call, *others: Any) -> None:
        self._counted = ""
        super().__init__(call, *others)

    def _main(self) -> Gtk.Widget:
        box = super()._main()
        table = grid()
        row(table, "Task", GimpUi.prop_choice_combo_box_new(self._call.config, "task"))
        for letter in AXES:
            row(table, "", self._axis(letter))
        box.pack_start(table, False, False, SPACING)
        return box

    def _axis(self, letter: str) -> Gtk.Widget:
        """The choice of a setting, which may be typed as well, and the line of its values."""
        line = Gtk.Box(spacing=SPACING)
        setting, values = Gtk.ComboBoxText.new_with_entry(), Gtk.Entry(hexpand=True)
        for known in self._axes_rows():
            setting.append_text(known.label)
        for name, entry in (("axis", setting.get_child()), ("values", values)):
            entry.set_name(f"{letter}-{name}")
            self._call.config.bind_property(f"{letter}-{name}", entry, "text", _BOTH)
        setting.connect("changed", lambda _: values.set_placeholder_text(self._example(setting.get_active_text())))
        name = Gtk.Label(label=f"_{letter.upper()}", use_underline=True, mnemonic_widget=setting.get_child())
        line.pack_start(name, False, False, 0)
        line.pack_start(setting, False, False, 0)
        line.pack_start(values, True, True, 0)
        return line

    def _axes_rows(self) -> list[Any]:
        """Those of all tasks, each once."""
        rows = {each.name: each for task in ("inpaint", "img2img", "txt2img") for each in axis_rows(task)}
        return list(rows.values())

    def _example(self, label: str | None) -> str:
        return next((example(each) for each in self._axes_rows() if each.label == label), "")

    def _look(self) -> bool:
        # What the task is follows the selection, which may change while the dialog is open.
        if self._document.is_open():
            task = grid_task(self._call, self._document)
            self._call = replace(self._call, filter=replace(self._call.filter, task=task))
        return super()._look()

    def _problem(self, model: Mapping[str, Any] | None) -> str:
        if problem := super()._problem(model):
            return problem
        task = grid_task(self._call, self._document)
        if task == "inpaint" and self._document.selection() is None:
            return "Nothing is selected. Select what shall be painted anew, or choose another task."
        try:
            settings: Mapping[str, Value] = read_all(
                replace(self._call.filter, task=GRID).arguments(), self._call.config
            )
        except SettingError as error:
            return str(error)
        known = [str(each["id"]) for each in self._link.snapshot().models]
        count, self._counted = count_said(task, settings, self._call.axes, known or None)
        return "" if count else self._counted

    def _notice(self) -> str:
        return self._counted
