"""What the artist has set, and what follows from it: plain Python, no editor and no Qt."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

from pentimento_shared.controller import Order, SourceKind
from pentimento_shared.settings import SETTINGS, TASKS, Setting, SettingError, Task, Value

Mode = Literal["auto", "img2img", "inpaint", "txt2img"]
MODES: Final[tuple[Mode, ...]] = ("auto", "img2img", "inpaint", "txt2img")

HIDDEN: Final = tuple(row.name for row in SETTINGS if row.hidden)
"""Settings that the docker does not show."""

_TASK_WORDS: Final[Mapping[str, str]] = {"img2img": "img2img", "inpaint": "inpainting", "txt2img": "Generate"}


@dataclass(frozen=True)
class Row:
    """A row of the settings table as the chosen model has it.

    `setting` carries the model's default and limits. `value` is the artist's, within those limits, or the default.
    `problem` is a sentence that says why it has no effect now; empty when it has.
    """

    setting: Setting
    value: Value
    problem: str = ""


@dataclass(frozen=True)
class Choices:
    """The docker's settings. `changed` holds only what the artist set: the rest follows the model's defaults."""

    changed: Mapping[str, Value]
    mode: Mode = "auto"
    source: SourceKind = "layer"
    unfolded: bool = False

    @classmethod
    def from_json(cls, text: str) -> Choices:
        """What `to_json` wrote. What does not fit, because it is of another version, is left out."""
        try:
            saved = json.loads(text)
        except ValueError:
            return cls({})
        if not isinstance(saved, dict):
            return cls({})
        changed = saved.get("changed")
        mode, source = saved.get("mode"), saved.get("source")
        return cls(
            _valid(changed if isinstance(changed, dict) else {}),
            mode if mode in MODES else "auto",
            "canvas" if source == "canvas" else "layer",
            saved.get("unfolded") is True,
        )

    def to_json(self) -> str:
        saved = {"changed": dict(self.changed), "mode": self.mode, "source": self.source, "unfolded": self.unfolded}
        return json.dumps(saved, ensure_ascii=False)

    def with_values(self, values: Mapping[str, Value]) -> Choices:
        return replace(self, changed={**self.changed, **_valid(values)})

    def without(self, names: Sequence[str]) -> Choices:
        """With the defaults again for these settings."""
        return replace(self, changed={name: value for name, value in self.changed.items() if name not in names})

    def task(self, selected: bool) -> Task:
        """What a click on Run does. `selected`: whether the document has a selection."""
        if self.mode == "auto":
            return "inpaint" if selected else "img2img"
        return self.mode

    def rows(self, task: Task, told: Sequence[Mapping[str, Any]] | None, model: str) -> dict[str, Row]:
        """Every row of the table by name. `told` is the table as the backend gives it for `model` (its name to show);
        None: not known yet."""
        of_model = {str(row["name"]): row for row in told or ()}
        return {row.name: self._row(row, task, of_model.get(row.name), model) for row in SETTINGS}

    def order(self, task: Task, rows: Mapping[str, Row]) -> Order:
        """What the artist set, as far as the task and the model have it; `rows` as given by `rows(task, ...)`."""
        settings = {
            name: row.value
            for name, row in rows.items()
            if name in self.changed and not row.problem and name not in HIDDEN
        }
        return Order(task, settings, self.source)

    def _row(self, table: Setting, task: Task, told: Mapping[str, Any] | None, model: str) -> Row:
        setting = table if told is None else _narrowed(table, told, task)
        value = self.changed.get(table.name, setting.default)
        if isinstance(value, (int, float)) and not isinstance(value, bool) and setting.maximum is not None:
            value = min(value, type(value)(setting.maximum))
        if told is not None and not told.get("supported", True):
            return Row(setting, value, f"{model} does not have this setting.")
        if task not in table.tasks:
            words = " and ".join(_TASK_WORDS[name] for name in TASKS if name in table.tasks)
            return Row(setting, value, f"Only for {words}.")
        return Row(setting, value)


def _narrowed(table: Setting, told: Mapping[str, Any], task: Task) -> Setting:
    """The row with the default, the maximum and the choices that the backend gives it for a model in a task."""
    try:
        default = table.check(told.get("task_defaults", {}).get(task, told.get("default")))
    except SettingError:
        default = table.default
    maximum = told.get("maximum")
    choices = tuple(map(str, told.get("choices", table.choices)))
    if table.kind != "string":  # a name may be that of a file which only the backend knows
        choices = tuple(choice for choice in table.choices if choice in choices)
    maximum = maximum if isinstance(maximum, (int, float)) else table.maximum
    return replace(table, default=default, maximum=maximum, choices=choices)


def _valid(values: Mapping[str, object]) -> dict[str, Value]:
    rows = {row.name: row for row in SETTINGS}
    valid: dict[str, Value] = {}
    for name, value in values.items():
        try:
            valid[name] = rows[name].check(value)
        except (KeyError, SettingError):
            continue  # of another version's table: this one has no place for it
    return valid
