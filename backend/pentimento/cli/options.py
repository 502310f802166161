"""Command line options from the table of settings: one option per row, `cfg_scale` as `--cfg-scale`."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import click

from pentimento_shared.sampler_names import split
from pentimento_shared.settings import SETTINGS, Setting, SettingError, Task, Value, settings_for

POSITIONAL: Final = ("prompt",)
"""Rows that are arguments of the command and not options."""
_METAVARS: Final[Mapping[str, str]] = {
    "text": "TEXT",
    "string": "NAME",
    "choice": "NAME",
    "integer": "N",
    "number": "X",
}

_F = TypeVar("_F", bound=Callable[..., object])


class SettingType(click.ParamType):
    """The values of one row of the table. What the table does not allow raises its own SettingError."""

    def __init__(self, row: Setting) -> None:
        self.row = row
        self.name = row.name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Value:
        if self.row.name == "sampler" and split(value):
            return value  # "DPM++ 2M Karras": two settings in one, which only all of them together can be checked for
        return self.row.check(_typed(self.row, value))


def _typed(row: Setting, text: Any) -> Any:
    """The number that a text says, for rows that want one; the text itself when it says none."""
    if row.kind not in ("integer", "number") or not isinstance(text, str):
        return text
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text


def setting_options(*tasks: Task) -> Callable[[_F], _F]:
    """A decorator that gives a click command the options of these tasks, in the table's order.

    Each arrives under its row's name, None when it was not given: the backend then takes the model's
    own default.
    """

    def decorate(command: _F) -> _F:
        for row in reversed(SETTINGS):
            if row.name not in POSITIONAL and not set(tasks).isdisjoint(row.tasks):
                command = _option(row)(command)
        return command

    return decorate


def setting_option(name: str) -> Callable[[_F], _F]:
    """A decorator that gives a click command the option of one row; as in `setting_options` None when not given."""
    return _option(next(row for row in SETTINGS if row.name == name))


def _option(row: Setting) -> Callable[[_F], _F]:
    flag = row.name.replace("_", "-")
    if row.kind == "boolean":
        return click.option(f"--{flag}/--no-{flag}", row.name, default=None, help=_help(row))
    return click.option(
        f"--{flag}",
        row.name,
        type=SettingType(row),
        default=None,
        metavar=_METAVARS[row.kind],
        help=_help(row),
    )


def _help(row: Setting) -> str:
    if row.kind in ("text", "string", "boolean") and not row.choices:
        return row.help
    default = f"{row.default:g}" if isinstance(row.default, float) else row.default
    return f"{row.help} [{row.allowed}; default: {default}, or the model's]"


def given(options: Mapping[str, Any]) -> dict[str, Value]:
    """The settings among a command's options that were given."""
    names = {row.name for row in SETTINGS}
    return {name: value for name, value in options.items() if name in names and value is not None}


class SizeType(click.ParamType):
    """A size like 256x384, as (width, height) in px."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Value, Value]:
        if isinstance(value, tuple):
            return value
        found = re.fullmatch(r"(\d+)\s*[xX×*]\s*(\d+)", str(value).strip())
        if not found:
            raise SettingError("size", value, "WIDTHxHEIGHT in px, like 256x384")
        rows = {row.name: row for row in settings_for("txt2img")}
        return rows["width"].check(int(found[1])), rows["height"].check(int(found[2]))
