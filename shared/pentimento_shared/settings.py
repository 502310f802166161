"""The table of settings: one row each, from which validation, JSON schema, widgets, CLI options and docs are made.

A new setting is one new row in `SETTINGS` and the code in the engine that honours it.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, TypeGuard

from .sampler_names import AUTOMATIC, SAMPLERS, SCHEDULES, called, split

Task = Literal["txt2img", "img2img", "inpaint"]
Kind = Literal["text", "string", "choice", "integer", "number", "boolean"]
Group = Literal["prompt", "model", "sampling", "size", "seed", "loopback", "inpaint"]
Value = str | int | float | bool

TASKS: Final[tuple[Task, ...]] = ("txt2img", "img2img", "inpaint")
SOURCE_TASKS: Final[tuple[Task, ...]] = ("img2img", "inpaint")
SEED_END: Final = 2**32

GROUPS: Final[Mapping[Group, str]] = {
    "prompt": "Prompt",
    "sampling": "Sampling",
    "size": "Size",
    "seed": "Seed and batches",
    "loopback": "Loopback",
    "inpaint": "Inpainting",
    "model": "Model",
}
"""Group -> the heading over its rows, in the order in which forms show them."""

AUTOMATIC_VAE: Final = "automatic"
"""The value of `vae` that means the model's own."""
CONTEXTS: Final = ("automatic", "selection", "canvas")
LINEAR: Final = "Linear"
AGGRESSIVE: Final = "Aggressive"
LAZY: Final = "Lazy"
CURVES: Final = (LINEAR, AGGRESSIVE, LAZY)
"""How strength goes from a loopback's first loop to its last."""
RESIZE_MODES: Final = ("Just resize", "Crop and resize", "Resize and fill")
AS_THE_SOURCE, AS_WORKED = "as the source", "as worked"
LANCZOS: Final = "Lanczos"
UPSCALE_WORDS: Final = (LANCZOS, "off")
"""The values of `upscale_first` that name no upscaler."""
MASK_MODES: Final = ("Inpaint masked", "Inpaint not masked")
MASKED_CONTENTS: Final = ("original", "fill", "latent noise", "latent nothing")
OUTPAINT_FILLS: Final = ("edge", "blur", "noise")


@dataclass(frozen=True)
class Setting:
    """One row of the table.

    `kind` says which widget and which JSON type: *text* is multi-line, *string* one line. `minimum` and `maximum` are
    inclusive. `step` is what a spin box moves by; values between steps are valid. `choices` are all values of a
    *choice*; of an *integer* they are words that may stand in the place of a number, of a *string* in that of a name.
    `aliases` are (other programs' word in lower case, ours). `advanced` rows go into the fold. An editor shows no
    widget for a `hidden` row: it has the value from the document, or from the recipe of what is made again.
    """

    name: str
    label: str
    help: str
    kind: Kind
    default: Value
    group: Group
    minimum: float | None = None
    maximum: float | None = None
    step: float | None = None
    choices: tuple[str, ...] = ()
    aliases: tuple[tuple[str, str], ...] = ()
    unit: str = ""
    advanced: bool = True
    tasks: tuple[Task, ...] = TASKS
    hidden: bool = False

    @property
    def allowed(self) -> str:
        """The values that `check` takes, as words for an error message: "a number from 0 to 1"."""
        if self.kind in ("text", "string"):
            noun = f"{', '.join(self.choices)}, or a name" if self.choices else "text"
            return noun if self.maximum is None else f"{noun} of at most {self.maximum:g} characters"
        if self.kind == "boolean":
            return "true or false"
        if self.kind == "choice":
            return ", ".join(self.choices)
        noun = "a whole number" if self.kind == "integer" else "a number"
        words = "".join(f", or {word}" for word in self.choices)
        unit = f" {self.unit}" if self.unit else ""
        return f"{noun} from {self.minimum:.15g} to {self.maximum:.15g}{unit}{words}"

    def check(self, value: object) -> Value:
        """`value` in this row's own type (a *number* comes back as float, a *choice* in the table's spelling).

        Raises SettingError for another type, a value out of range, NaN or infinity. Text is never read as a number.
        """
        if self.kind in ("text", "string"):
            if isinstance(value, str) and (self.maximum is None or len(value) <= self.maximum):
                word = dict(self.aliases).get(value.strip().lower(), value)
                return called(word, self.choices) or value
        elif self.kind == "boolean":
            if isinstance(value, bool):
                return value
        elif isinstance(value, str):
            word = dict(self.aliases).get(value.strip().lower(), value)
            choice = called(word, self.choices) if self.kind == "choice" else word
            if choice in self.choices:
                return choice
        elif self.kind != "choice" and self._in_range(value):
            return int(value) if self.kind == "integer" else float(value)
        raise SettingError(self.name, value, self.allowed, hint=self._hint(value))

    def _in_range(self, value: object) -> TypeGuard[float]:
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return False
        if isinstance(value, float) and not (math.isfinite(value) and (self.kind == "number" or value.is_integer())):
            return False
        return (self.minimum is None or value >= self.minimum) and (self.maximum is None or value <= self.maximum)

    def _hint(self, value: object) -> str:
        if self.kind != "choice" or not isinstance(value, str):
            return ""
        return did_you_mean(value, self.choices)


class SettingError(ValueError):
    """A setting that is not in the table, or has a value that the table does not allow. Nothing was changed."""

    def __init__(self, field: str, value: object, allowed: str, detail: str = "", hint: str = "") -> None:
        self.field = field
        self.value = value
        self.allowed = allowed
        shown = repr(value) if len(repr(value)) <= 80 else repr(value)[:77] + "..."
        self.detail = (detail or f"{field} is {shown}; allowed: {allowed}.") + hint
        super().__init__(self.detail)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """ " Did you mean X?" for the nearest of the known words, or nothing when none is near."""
    by_lower = {name.lower(): name for name in known}
    near = difflib.get_close_matches(word.lower(), by_lower, n=1)
    return f" Did you mean {by_lower[near[0]]}?" if near else ""


SETTINGS: Final[tuple[Setting, ...]] = (
    Setting(
        name="prompt",
        label="Prompt",
        help="What the picture shall show, in words. (words:1.3) weigh more, [words] less.",
        kind="text",
        default="",
        group="prompt",
        maximum=20_000,
        advanced=False,
    ),
    Setting(
        name="negative_prompt",
        label="Negative prompt",
        help="What the picture shall not show. Has no effect at CFG scale 1.",
        kind="text",
        default="",
        group="prompt",
        maximum=20_000,
        advanced=False,
    ),
    Setting(
        name="styles",
        label="Styles",
        help="Names of styles, separated by commas; each adds its words to both prompts.",
        kind="string",
        default="",
        group="prompt",
        maximum=1000,
        advanced=False,
    ),
    Setting(
        name="prompt_matrix",
        label="Prompt matrix",
        help="Parts of the prompt between | are choices: a picture for each combination, all with the first part.",
        kind="boolean",
        default=False,
        group="prompt",
    ),
    Setting(
        name="strength",
        label="Denoising strength",
        help="How much of the source may change: 0 gives it back as it is, 1 keeps nothing of it.",
        kind="number",
        default=0.6,
        group="sampling",
        minimum=0,
        maximum=1,
        step=0.01,
        advanced=False,
        tasks=SOURCE_TASKS,
    ),
    Setting(
        name="model",
        label="Model",
        help="The checkpoint that paints.",
        kind="string",
        default="demo",
        group="model",
        maximum=200,
        advanced=False,
    ),
    Setting(
        name="vae",
        label="SD VAE",
        help="What turns latents into a picture: automatic takes the model's own; or the name of a file in models/vae.",
        kind="string",
        default=AUTOMATIC_VAE,
        group="model",
        maximum=200,
        choices=(AUTOMATIC_VAE,),
    ),
    Setting(
        name="cfg_scale",
        label="CFG scale",
        help="How strictly the picture follows the prompt; 1 leaves the negative prompt out.",
        kind="number",
        default=7.0,
        group="sampling",
        minimum=1,
        maximum=30,
        step=0.5,
    ),
    Setting(
        name="distilled_cfg_scale",
        label="Distilled CFG scale",
        help="How strictly a model that was distilled to guide itself (FLUX.1 dev) follows the prompt."
        " Does nothing with other models.",
        kind="number",
        default=3.5,
        group="sampling",
        minimum=0,
        maximum=30,
        step=0.1,
    ),
    Setting(
        name="steps",
        label="Sampling steps",
        help="Steps over the whole noise scale; a lower strength runs its share of them.",
        kind="integer",
        default=20,
        group="sampling",
        minimum=1,
        maximum=150,
        step=1,
    ),
    Setting(
        name="exact_steps",
        label="Do exactly the steps asked",
        help="Run all sampling steps at any strength, closer together, instead of the strength's share of them.",
        kind="boolean",
        default=False,
        group="sampling",
        tasks=SOURCE_TASKS,
    ),
    Setting(
        name="sampler",
        label="Sampling method",
        help="The solver that walks from noise to picture. LCM and TCD are for models distilled for them.",
        kind="choice",
        default="DPM++ 2M",
        group="sampling",
        choices=SAMPLERS,
    ),
    Setting(
        name="schedule",
        label="Schedule type",
        help="How the noise levels are spread over the steps. Automatic takes what suits the model.",
        kind="choice",
        default="Automatic",
        group="sampling",
        choices=SCHEDULES,
    ),
    Setting(
        name="seed",
        label="Seed",
        help="The same seed and settings give the same picture; -1 draws a new one.",
        kind="integer",
        default=-1,
        group="seed",
        minimum=-1,
        maximum=SEED_END - 1,
        step=1,
    ),
    Setting(
        name="batch_size",
        label="Batch size",
        help="Pictures made side by side, with seed, seed+1, ...",
        kind="integer",
        default=1,
        group="seed",
        minimum=1,
        maximum=8,
        step=1,
    ),
    Setting(
        name="batch_count",
        label="Batch count",
        help="Batches made one after another.",
        kind="integer",
        default=1,
        group="seed",
        minimum=1,
        maximum=100,
        step=1,
    ),
    Setting(
        name="variation_seed",
        label="Variation seed",
        help="The seed whose noise is mixed in by the variation strength; -1 draws a new one.",
        kind="integer",
        default=-1,
        group="seed",
        minimum=-1,
        maximum=SEED_END - 1,
        step=1,
    ),
    Setting(
        name="variation_strength",
        label="Variation strength",
        help="How far the picture goes from the seed's to the variation seed's. Above 0 a batch counts up the"
        " variation seed, and the seed stays.",
        kind="number",
        default=0.0,
        group="seed",
        minimum=0,
        maximum=1,
        step=0.01,
    ),
    Setting(
        name="loops",
        label="Loops",
        help="How often the result is painted over again, with the next seed; each time is a picture of its own.",
        kind="integer",
        default=1,
        group="loopback",
        minimum=1,
        maximum=32,
        step=1,
        tasks=SOURCE_TASKS,
    ),
    Setting(
        name="final_strength",
        label="Final denoising strength",
        help="The last loop's strength; the first loop has the denoising strength.",
        kind="number",
        default=0.5,
        group="loopback",
        minimum=0,
        maximum=1,
        step=0.01,
        tasks=SOURCE_TASKS,
    ),
    Setting(
        name="loopback_curve",
        label="Denoising strength curve",
        help="How strength goes from the first loop to the last: evenly, soon (Aggressive) or late (Lazy).",
        kind="choice",
        default=LINEAR,
        group="loopback",
        choices=CURVES,
        tasks=SOURCE_TASKS,
    ),
    Setting(
        name="last_loop",
        label="Last loop",
        help="End after this loop, as if the others were to follow; 0 runs all. A result's recipe has its own here.",
        kind="integer",
        default=0,
        group="loopback",
        minimum=0,
        maximum=32,
        step=1,
        tasks=SOURCE_TASKS,
        hidden=True,
    ),
    Setting(
        name="width",
        label="Width",
        help="Of the picture to work on. Automatic: as the source and its height or scale say; the model's own, or the"
        " selection's, where there is no source.",
        kind="integer",
        default="automatic",
        group="size",
        minimum=64,
        maximum=8192,
        step=8,
        choices=("automatic",),
        unit="px",
        tasks=("txt2img", "img2img"),
    ),
    Setting(
        name="height",
        label="Height",
        help="Of the picture to work on. Automatic: as the source and its width or scale say; the model's own, or the"
        " selection's, where there is no source.",
        kind="integer",
        default="automatic",
        group="size",
        minimum=64,
        maximum=8192,
        step=8,
        choices=("automatic",),
        unit="px",
        tasks=("txt2img", "img2img"),
    ),
    Setting(
        name="scale_by",
        label="Scale",
        help="Size of the picture to work on as a multiple of the source's, instead of a width and a height.",
        kind="number",
        default=1.0,
        group="size",
        minimum=0.05,
        maximum=4,
        step=0.05,
        tasks=("img2img",),
    ),
    Setting(
        name="resize_mode",
        label="Resize mode",
        help="How a source of other proportions is brought to width and height: stretched, cut off around its middle,"
        " or whole with the rest filled from its edges.",
        kind="choice",
        default=RESIZE_MODES[0],
        group="size",
        choices=RESIZE_MODES,
        tasks=("img2img",),
    ),
    Setting(
        name="result_size",
        label="Result size",
        help="As the source: brought back to its size. As worked: at the size that was asked for, else at which the"
        " model worked.",
        kind="choice",
        default=AS_THE_SOURCE,
        group="size",
        choices=(AS_THE_SOURCE, AS_WORKED),
        tasks=("img2img",),
    ),
    Setting(
        name="upscale_first",
        label="Enlarge small sources first",
        help="With what a picture, or a part of one, that is smaller than the model's native size is enlarged to it:"
        " Lanczos, or the name of an upscaler in models/upscalers; off works on it as it is.",
        kind="string",
        default=LANCZOS,
        group="size",
        maximum=200,
        choices=UPSCALE_WORDS,
        aliases=(("none", "off"),),
        tasks=SOURCE_TASKS,
    ),
    Setting(
        name="depth",
        label="Bit depth",
        help="Bits of each sample of the new picture; in an editor those of the document.",
        kind="choice",
        default="8",
        group="size",
        choices=("8", "16"),
        tasks=("txt2img",),
        hidden=True,
    ),
    Setting(
        name="clip_skip",
        label="Clip skip",
        help="Take the text encoder's output this many layers from its end; 1 is the last layer."
        " SDXL and SD 3 begin with the one before the last, at 1 and 2.",
        kind="integer",
        default=1,
        group="model",
        minimum=1,
        maximum=12,
        step=1,
    ),
    Setting(
        name="mask_mode",
        label="Mask mode",
        help="Paint what is selected, or all that is not.",
        kind="choice",
        default=MASK_MODES[0],
        group="inpaint",
        choices=MASK_MODES,
        tasks=("inpaint",),
    ),
    Setting(
        name="masked_content",
        label="Masked content",
        help="What the painting starts from under the selection: the picture itself, a fill from what is around it,"
        " noise, or nothing. At strength 1 it makes no difference.",
        kind="choice",
        default=MASKED_CONTENTS[0],
        group="inpaint",
        choices=MASKED_CONTENTS,
        tasks=("inpaint",),
    ),
    Setting(
        name="outpaint_fill",
        label="Outpaint fill",
        help="What the painting starts from where the selection reaches beyond the picture: its edge drawn out, its"
        " colours blurred, or those with noise.",
        kind="choice",
        default=OUTPAINT_FILLS[0],
        group="inpaint",
        choices=OUTPAINT_FILLS,
        tasks=("inpaint",),
    ),
    Setting(
        name="context",
        label="Inpaint area (context)",
        help="What the model sees. Only masked: the selection with a padding, automatic or in px, or its bounds alone."
        " Whole picture: the canvas.",
        kind="integer",
        default="automatic",
        group="inpaint",
        minimum=0,
        maximum=4096,
        step=8,
        choices=CONTEXTS,
        aliases=(("only masked", "automatic"), ("whole picture", "canvas")),
        unit="px",
        tasks=("inpaint",),
    ),
    Setting(
        name="grow",
        label="Grow selection",
        help="Widen the selection before painting; the layer mask shows it.",
        kind="integer",
        default=0,
        group="inpaint",
        minimum=0,
        maximum=256,
        step=1,
        unit="px",
        tasks=("inpaint",),
    ),
    Setting(
        name="feather",
        label="Mask blur (feather)",
        help="Soften the selection's edge before painting; the layer mask shows it.",
        kind="integer",
        default=0,
        group="inpaint",
        minimum=0,
        maximum=256,
        step=1,
        unit="px",
        tasks=("inpaint",),
    ),
    Setting(
        name="inpainting_mask_weight",
        label="Inpainting conditioning mask strength",
        help="How much of what is selected an inpainting model does not see: at 0 it sees all of it."
        " Does nothing with other models.",
        kind="number",
        default=1.0,
        group="inpaint",
        minimum=0,
        maximum=1,
        step=0.05,
        tasks=("inpaint",),
    ),
    Setting(
        name="color_match",
        label="Color match",
        help="Bring the result's colours to those of the kept surroundings (inpaint) or of the source (img2img).",
        kind="boolean",
        default=False,
        group="inpaint",
        tasks=SOURCE_TASKS,
    ),
)


def settings_for(task: Task) -> tuple[Setting, ...]:
    """The rows that a task has, in the table's order. Raises SettingError (field "task") for an unknown task."""
    check_task(task)
    return tuple(row for row in SETTINGS if task in row.tasks)


def by_group(rows: Iterable[Setting]) -> tuple[tuple[str, tuple[Setting, ...]], ...]:
    """(heading, rows) of each group that has any: the groups in the order of `GROUPS`, the rows in their own."""
    rows = tuple(rows)
    groups = ((title, tuple(row for row in rows if row.group == group)) for group, title in GROUPS.items())
    return tuple((title, members) for title, members in groups if members)


def check_task(task: object) -> Task:
    """`task` when it is one of `TASKS`; raises SettingError (field "task") otherwise."""
    for known in TASKS:
        if task == known:
            return known
    raise SettingError("task", task, ", ".join(TASKS))


def validate(
    task: Task, values: Mapping[str, object], defaults: Mapping[str, object] | None = None
) -> dict[str, Value]:
    """The complete settings of `task`: `values`, for what they leave out the model's `defaults`, then the table's.

    `defaults` may hold rows of other tasks; those are passed over. `values` may not: a setting that the task does not
    have is an error, as is an unknown one, and the message names the nearest. A sampler's name may hold its schedule
    ("DPM++ 2M Karras"). Raises SettingError.
    """
    rows = {row.name: row for row in settings_for(task)}
    for name in values:
        if name not in rows:
            raise _unknown(task, name, rows)
    values, preset = _with_split_sampler(values), defaults or {}
    return {name: row.check(values.get(name, preset.get(name, row.default))) for name, row in rows.items()}


def _with_split_sampler(values: Mapping[str, object]) -> Mapping[str, object]:
    """The values with AUTOMATIC1111's older names, sampler and schedule in one, as two."""
    sampler, asked = values.get("sampler"), values.get("schedule", AUTOMATIC)
    both = split(sampler) if isinstance(sampler, str) else None
    if both is None or not isinstance(asked, str):
        return values
    if called(asked, SCHEDULES) in (AUTOMATIC, both[1]):
        return {**values, "sampler": both[0], "schedule": both[1]}
    detail = f"sampler is {sampler!r}, which holds a schedule, and schedule is {asked!r}; give one of the two."
    raise SettingError("sampler", sampler, ", ".join(SAMPLERS), detail)


def _unknown(task: Task, name: str, rows: Mapping[str, Setting]) -> SettingError:
    allowed = ", ".join(rows)
    elsewhere = [row for row in SETTINGS if row.name == name]
    if elsewhere:
        detail = f"{name} is not a setting of {task}, only of {' and '.join(elsewhere[0].tasks)}; leave it out."
        return SettingError(name, name, allowed, detail)
    detail = f"There is no setting {name!r}. {task} has: {allowed}."
    return SettingError(name, name, allowed, detail, hint=did_you_mean(name, rows))


def json_schema(task: Task) -> dict[str, object]:
    """JSON Schema (2020-12) of a task's settings object: every property optional, no others allowed."""
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {row.name: _property(row) for row in settings_for(task)},
    }


def _property(row: Setting) -> dict[str, object]:
    about: dict[str, object] = {"title": row.label, "description": row.help, "default": row.default}
    if row.kind in ("text", "string"):
        limit = {} if row.maximum is None else {"maxLength": int(row.maximum)}
        examples = {"examples": list(row.choices)} if row.choices else {}
        return {**about, "type": "string", **limit, **examples}
    if row.kind == "boolean":
        return {**about, "type": "boolean"}
    if row.kind == "choice":
        return {**about, "type": "string", "enum": list(row.choices)}
    number = {"type": row.kind, "minimum": row.minimum, "maximum": row.maximum}
    if row.choices:
        return {**about, "anyOf": [number, {"type": "string", "enum": list(row.choices)}]}
    return {**about, **number}
