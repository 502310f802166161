"""X/Y/Z: up to three settings with a list of values each, laid out as cells with settings and names. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Final

from .many import seeds_of
from .sampler_names import split
from .settings import SETTINGS, Setting, SettingError, Task, Value, did_you_mean, settings_for, validate
from .value_lists import Word, axis_error, read_values

MAX_AXES: Final = 3
MAX_CELLS: Final = 256
SEARCH: Final = "prompt_sr"
"""The axis that searches prompts for its first value and replaces it by each."""
SINGLE: Final[Mapping[str, Value]] = {"batch_size": 1, "batch_count": 1, "prompt_matrix": False}
"""What every cell has: it is one picture."""
_NO_AXES: Final = (*SINGLE, *(row.name for row in SETTINGS if row.hidden))
_SEARCH_ROW: Final = Setting(
    SEARCH, "Prompt S/R", "Words in the prompts (the first value), and what takes their place.", "string", "", "prompt"
)
_ALIASES: Final[Mapping[str, str]] = {
    "denoising": "strength",
    "checkpoint name": "model",
    "checkpoint": "model",
    "var seed": "variation_seed",
    "var strength": "variation_strength",
    "negative": "negative_prompt",
    "prompt s/r": SEARCH,
}
"""AUTOMATIC1111's names of axes, where they are not those of the settings."""


@dataclass(frozen=True)
class Axis:
    """A setting (its row's `name`, or SEARCH) and its values, in the order in which they were written, at least one."""

    name: str
    label: str
    values: tuple[Value, ...]

    def text(self, value: Value) -> str:
        """A value beside the axis's label: "0.4"."""
        if isinstance(value, bool):
            return "yes" if value else "no"
        return f"{value:g}" if isinstance(value, float) else " ".join(str(value).split()) or "(empty)"

    def title(self, value: Value) -> str:
        """A value as part of a cell's name: "strength 0.4", but "Euler": words say themselves what they are."""
        words = isinstance(value, str) and self.name not in ("context", "styles", "negative_prompt")
        return self.text(value) if words else f"{self.name.replace('_', ' ')} {self.text(value)}"


@dataclass(frozen=True)
class Cell:
    """One picture of a grid: its place (x, y, z), its settings, and what it is called."""

    at: tuple[int, int, int]
    settings: Mapping[str, Value]
    name: str


@dataclass(frozen=True)
class Grid:
    """`cells` in reading order: x fastest, then y, then z. `axes` are one to three, in that order."""

    axes: tuple[Axis, ...]
    cells: tuple[Cell, ...]

    @property
    def running_order(self) -> tuple[int, ...]:
        """Indexes of the cells, those of one model together: changing it is what takes longest."""
        models: dict[Value, int] = {}
        ranks = [models.setdefault(cell.settings.get("model", ""), len(models)) for cell in self.cells]
        return tuple(sorted(range(len(self.cells)), key=lambda k: ranks[k]))


def axis_rows(task: Task) -> tuple[Setting, ...]:
    """The settings that can be an axis, and the search in prompts."""
    return (*(row for row in settings_for(task) if row.name not in _NO_AXES), _SEARCH_ROW)


def read_axis(name: str, values: str, task: Task, models: Collection[str] | None = None) -> Axis:
    """The axis of a setting (by its name, its label, or AUTOMATIC1111's) and a list of values as it is written.

    `models` are the ids there are, None when they are not known. Raises SettingError, with the place in the list.
    """
    row = _row(name, task)
    known: list[Value] = []
    for word in read_values(row, values):
        checked = _checked(row, word, task, models)
        if checked in known and row.name not in ("seed", "variation_seed"):
            raise axis_error(row, word, f"{word.text} comes twice.", "each value once")
        known.append(checked)
    return Axis(row.name, row.label, tuple(known))


def split_axis(text: str) -> tuple[str, str]:
    """(name, values) of "strength: 0.2-0.8 [4]". Raises SettingError without a colon."""
    name, colon, values = text.partition(":")
    if not colon:
        detail = f'The axis {text!r} has no values. Write them after a colon: "strength: 0.2, 0.5, 0.8".'
        raise SettingError("axis", text, "NAME: VALUES", detail)
    return name.strip(), values.strip()


def plan_grid(task: Task, settings: Mapping[str, Value], axes: Sequence[Axis], draw: Callable[[], int]) -> Grid:
    """The cells of a grid. `settings` are those of all, as far as they differ from the model's defaults.

    Seeds of -1 are drawn now (`draw`), once for all cells, or once for each -1 on an axis: what the cells show is
    what the axes say, and nothing else. Raises SettingError.
    """
    _check_axes(axes)
    drawn = {name: draw() for name in ("seed", "variation_seed")}
    axes = tuple(_drawn(axis, draw) for axis in axes)
    cells: list[Cell] = []
    for z, y, x in product(*(range(len(axes[k].values)) if k < len(axes) else (0,) for k in (2, 1, 0))):
        chosen = [(axis, axis.values[at]) for axis, at in zip(axes, (x, y, z), strict=False)]
        cells.append(Cell((x, y, z), _settings_of(task, settings, chosen, drawn), _name_of(chosen)))
    return Grid(axes, tuple(cells))


def _row(name: str, task: Task) -> Setting:
    rows = axis_rows(task)
    named = {_plain(alias): row for row in rows for alias in (row.label, row.name)}
    named |= {alias: row for alias, goal in _ALIASES.items() for row in rows if row.name == goal}
    if (row := named.get(_plain(name))) is not None:
        return row
    allowed = ", ".join(row.name for row in rows)
    if _plain(name) in map(_plain, SINGLE):
        why = f"{name} cannot be an axis: each cell of a grid is one picture."
        raise SettingError("axis", name, allowed, why)
    hint = did_you_mean(_plain(name), named)
    raise SettingError("axis", name, allowed, f"There is no axis {name!r} for {task}. There are: {allowed}.", hint)


def _plain(name: str) -> str:
    return " ".join(name.replace("_", " ").replace("-", " ").replace(".", " ").lower().split())


def _checked(row: Setting, word: Word, task: Task, models: Collection[str] | None) -> Value:
    """The value in the table's spelling. Raises SettingError."""
    if row.name == SEARCH:
        return word.value
    if row.name == "model" and models is not None:
        named = {model.lower(): model for model in models}
        if word.text.lower() not in named:
            listed = ", ".join(sorted(models))
            problem = f"there is no such model; there are: {listed}.{did_you_mean(word.text, models)}"
            raise axis_error(row, word, problem, listed)
        return named[word.text.lower()]
    both = split(word.text) if row.name == "sampler" else None
    if both:
        return " ".join(both)
    try:
        return validate(task, {row.name: word.value})[row.name]
    except SettingError as error:
        raise axis_error(row, word, error.detail, error.allowed) from error


def _check_axes(axes: Sequence[Axis]) -> None:
    names = [axis.name for axis in axes]
    if not 1 <= len(axes) <= MAX_AXES:
        raise SettingError("axis", len(axes), "1 to 3 axes", f"A grid has 1 to {MAX_AXES} axes, not {len(axes)}.")
    for name in names:
        if names.count(name) > 1:
            raise SettingError("axis", name, "each setting once", f"{name} is on two axes; put all its values on one.")
    count = prod(len(axis.values) for axis in axes)
    if count > MAX_CELLS:
        by = " x ".join(str(len(axis.values)) for axis in axes)
        detail = f"The axes make {by} = {count} pictures; at most {MAX_CELLS} are allowed. Take values out."
        raise SettingError("axis", count, f"at most {MAX_CELLS} pictures", detail)


def _drawn(axis: Axis, draw: Callable[[], int]) -> Axis:
    if axis.name not in ("seed", "variation_seed"):
        return axis
    return Axis(axis.name, axis.label, tuple(draw() if value == -1 else value for value in axis.values))


def _settings_of(
    task: Task, settings: Mapping[str, Value], chosen: Sequence[tuple[Axis, Value]], drawn: Mapping[str, int]
) -> dict[str, Value]:
    """What a cell asks for, checked as a whole. Raises SettingError."""
    names = {row.name for row in settings_for(task)}
    own: dict[str, Value] = {name: value for name, value in {**settings, **SINGLE}.items() if name in names}
    own |= {axis.name: value for axis, value in chosen if axis.name != SEARCH}
    for axis, value in chosen:
        if axis.name == SEARCH:
            own |= _searched(own, str(axis.values[0]), str(value))
    both = split(str(own.get("sampler", "")))
    if both and "schedule" not in [axis.name for axis, _ in chosen]:
        own |= {"sampler": both[0], "schedule": both[1]}
    complete = validate(task, own)
    for name in ("seed", "variation_seed"):
        if int(complete[name]) < 0 and (name == "seed" or complete["variation_strength"]):
            own[name] = drawn[name]
    seeds_of({**complete, **own})
    return own


def _searched(settings: Mapping[str, Value], old: str, new: str) -> dict[str, Value]:
    prompts = {name: str(settings.get(name, "")) for name in ("prompt", "negative_prompt")}
    if not any(old in prompt for prompt in prompts.values()):
        detail = f"Prompt S/R: {old!r}, the first value, stands in neither of the prompts. Write it as it is there."
        raise SettingError(SEARCH, old, "words of the prompt or the negative prompt", detail)
    return {name: prompt.replace(old, new) for name, prompt in prompts.items() if name in settings}


def _name_of(chosen: Sequence[tuple[Axis, Value]]) -> str:
    return ", ".join(axis.title(value) for axis, value in chosen)


def example(row: Setting) -> str:
    """Values of an axis as they may be written, to show where there are none yet."""
    if row.kind == "boolean":
        return "yes, no"
    if row.kind in ("choice", "string") and row.choices:
        return ", ".join(row.choices[:3])
    if row.name in ("seed", "variation_seed"):
        return "1, 2, 3 or 1-5"
    if row.kind == "number":
        return f"{row.minimum or 0:g}-{row.maximum or 1:g} [4]"
    if row.kind == "integer":
        return "10-30 (+10)"
    return "words of the prompt, other words, ..." if row.name == SEARCH else 'one, "two, with a comma"'


def count_said(
    task: Task, settings: Mapping[str, Value], axes: Sequence[tuple[str, str]], models: Collection[str] | None
) -> tuple[int, str]:
    """How many pictures the axes make, and a sentence: the first and the last of them, or (with 0) what is wrong."""
    written = [axis for axis in axes if axis[0]]
    if not written:
        return 0, "Choose what shall change, and write its values."
    names = {row.name for row in settings_for(task)}
    own = {name: value for name, value in settings.items() if name in names}
    try:
        cells = plan_grid(task, own, [read_axis(*axis, task, models) for axis in written], lambda: 0).cells
    except SettingError as error:
        return 0, error.detail
    if len(cells) == 1:
        return 1, f"1 picture: {cells[0].name}."
    return len(cells), f"{len(cells)} pictures, from {cells[0].name} to {cells[-1].name}."
