"""The table of settings as arguments of GIMP procedures, and back.

An argument of a procedure always has a value. So that a script or a dialog need not give every setting, an argument
has one more value than its setting where something else knows better, the *unset* one: 0 or one below the least, an
empty text, or a choice of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gi.repository import Gimp, GObject

from pentimento_shared.plans import ONE_PICTURE
from pentimento_shared.settings import SETTINGS, Setting, Value, settings_for
from pentimento_shared.variants import SINGLE

BY_MODEL: Final = "by-model"
AS_RECORDED: Final = "as-recorded"
YES: Final = "yes"
NO: Final = "no"


@dataclass(frozen=True)
class Argument:
    """One setting as an argument. `unset` is the value that says nothing, None where every value says something;
    `why` says what happens then."""

    row: Setting
    unset: Value | None = None
    why: str = ""

    @property
    def name(self) -> str:
        """As GIMP names it: `cfg-scale`."""
        return self.row.name.replace("_", "-")

    @property
    def help(self) -> str:
        if self.unset is None:
            return self.row.help
        shown = "Empty" if self.unset == "" else self.unset
        return f"{self.row.help} {shown}: {self.why}."

    @property
    def default(self) -> Value:
        return self.row.default if self.unset is None else self.unset

    @property
    def choices(self) -> tuple[tuple[str, str], ...]:
        """(value, label) of a choice's values, the unset one first."""
        own = ((YES, "Yes"), (NO, "No")) if self.row.kind == "boolean" else tuple((c, c) for c in self.row.choices)
        return own if self.unset is None else ((str(self.unset), self.why.capitalize()), *own)

    @property
    def bounds(self) -> tuple[float, float]:
        """Least and greatest number."""
        least, most = self.row.minimum or 0, self.row.maximum or 0
        return (min(least, float(self.unset)) if isinstance(self.unset, (int, float)) else least), most

    @property
    def form(self) -> str:
        """The kind of GIMP argument: string, boolean, choice, double or int."""
        kind, number = self.row.kind, self.row.kind in ("integer", "number")
        if kind in ("text", "string") or (number and self.row.choices):
            return "string"
        if kind == "boolean":
            return "boolean" if self.unset is None else "choice"
        if kind == "choice":
            return "choice"
        # GIMP's whole numbers end at 2^31, seeds do not.
        return "double" if kind == "number" or self.bounds[1] >= 2**31 else "int"

    def add(self, procedure: Gimp.Procedure) -> None:
        """Adds it to a procedure that is being made."""
        about = (self.name, self.row.label, self.help)
        if self.form == "string":
            procedure.add_string_argument(*about, str(self.default), GObject.ParamFlags.READWRITE)
        elif self.form == "boolean":
            procedure.add_boolean_argument(*about, bool(self.default), GObject.ParamFlags.READWRITE)
        elif self.form == "choice":
            choice = Gimp.Choice.new()
            for number, (value, label) in enumerate(self.choices):
                choice.add(value, number, label, "")
            procedure.add_choice_argument(*about, choice, str(self.default), GObject.ParamFlags.READWRITE)
        elif self.form == "double":
            procedure.add_double_argument(*about, *self.bounds, float(self.default), GObject.ParamFlags.READWRITE)
        else:
            bounds = (int(bound) for bound in self.bounds)
            procedure.add_int_argument(*about, *bounds, int(self.default), GObject.ParamFlags.READWRITE)

    def read(self, config: Gimp.ProcedureConfig) -> Value | None:
        """What a procedure was called with, None for the unset value. Raises SettingError."""
        value = config.get_property(self.name)
        if value is None:
            value = ""  # an empty text, as GIMP hands it on
        if self.unset is not None and value == self.unset:
            return None
        if self.row.kind == "boolean" and isinstance(value, str):
            return value == YES
        if self.row.kind == "integer" and isinstance(value, str) and value.strip().lstrip("-").isdecimal():
            value = int(value)
        return self.row.check(value)

    def write(self, config: Gimp.ProcedureConfig, value: Value) -> None:
        """Puts a setting's value where the dialog begins."""
        if self.form == "choice" and isinstance(value, bool):
            value = YES if value else NO
        typed = {"string": str, "boolean": bool, "choice": str, "double": float, "int": int}[self.form]
        config.set_property(self.name, typed(value))


def start_arguments(task: str) -> tuple[Argument, ...]:
    """The arguments of a task's procedure; what the model has defaults for may be left to it."""
    return tuple(_for_start(row) for row in settings_for(task) if not row.hidden)  # type: ignore[arg-type]


def refine_arguments() -> tuple[Argument, ...]:
    """The arguments of refining: each may be left as the layer has it, and a new seed is drawn."""
    rows = [row for row in SETTINGS if row.tasks != ("txt2img",) and not row.hidden]
    return tuple(_for_refine(row) for row in rows if row.name not in SINGLE)


def grid_arguments() -> tuple[Argument, ...]:
    """The arguments of a grid, whatever its task: what a task does not have is passed over."""
    rows = [row for row in SETTINGS if not row.hidden and row.name not in SINGLE]
    return tuple(map(_for_start, rows))


def read_all(arguments: Sequence[Argument], config: Gimp.ProcedureConfig) -> dict[str, Value]:
    """The settings that were given, by their names in the table. Raises SettingError."""
    given = {argument.row.name: argument.read(config) for argument in arguments}
    return {name: value for name, value in given.items() if value is not None}


def _for_start(row: Setting) -> Argument:
    if row.group == "sampling" and row.kind == "choice" and "Automatic" not in row.choices:
        return Argument(row, BY_MODEL, "what suits the model")
    if row.group in ("sampling", "model") and (row.minimum or 0) > 0:
        return Argument(row, 0, "what suits the model")
    return Argument(row)


def _for_refine(row: Setting) -> Argument:
    why = "as the layer has it"
    if row.name == "seed" or row.name in ONE_PICTURE:
        return Argument(row)
    if row.kind in ("choice", "boolean"):
        return Argument(row, AS_RECORDED, why)
    if row.kind in ("text", "string") or row.choices:
        return Argument(row, "", why)
    return Argument(row, 0 if (row.minimum or 0) > 0 else int(row.minimum or 0) - 1, why)
