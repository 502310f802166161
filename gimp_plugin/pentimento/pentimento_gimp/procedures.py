"""The procedures: what GIMP lists in its menu and in its procedure database."""

from __future__ import annotations

import traceback
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from gi.repository import Gimp, GObject

from .arguments import Argument, grid_arguments, refine_arguments, start_arguments

MENU: Final = "<Image>/Filters/Pentimento"
GRID: Final = "grid"
"""The task of the procedure that makes one of the tasks in TASKS_OF_GRID, many times."""
TASKS_OF_GRID: Final = {
    "auto": "Inpaint the selection; without one img2img",
    "inpaint": "Inpaint the selection",
    "img2img": "Img2img of the source",
    "txt2img": "Generate from the prompt alone",
}
AXES: Final = "xyz"
_SINGLE: Final = Gimp.ProcedureSensitivityMask.DRAWABLE
_ANY: Final = _SINGLE | Gimp.ProcedureSensitivityMask.DRAWABLES | Gimp.ProcedureSensitivityMask.NO_DRAWABLES


@dataclass(frozen=True)
class Filter:
    """One procedure. `task` is what it starts; `sourced`: it takes the layer or the visible canvas."""

    label: str
    blurb: str
    help: str
    sensitivity: Gimp.ProcedureSensitivityMask
    task: str = ""
    sourced: bool = False

    def arguments(self) -> tuple[Argument, ...]:
        """Its settings."""
        if self.task == "refine":
            return refine_arguments()
        if self.task == GRID:
            return grid_arguments()
        return start_arguments(self.task) if self.task in ("inpaint", "img2img", "txt2img") else ()


PROCEDURES: Final[Mapping[str, Filter]] = {
    "pentimento-inpaint": Filter(
        "_Inpaint Selection...",
        "Paint the selection anew, in a layer of its own",
        "A prompt says what to paint. The new layer has the selection as its mask, the source stays as it is.",
        _ANY,
        "inpaint",
        sourced=True,
    ),
    "pentimento-img2img": Filter(
        "Img_2img Layer...",
        "Turn the layer into another picture, in a layer of its own",
        "A prompt says into what, the strength how far. With a selection only that part of the result shows.",
        _ANY,
        "img2img",
        sourced=True,
    ),
    "pentimento-generate": Filter(
        "_Generate into New Layer...",
        "Make a picture from words, in a layer of its own",
        "The picture fills the selection, or the canvas when nothing is selected.",
        _ANY,
        "txt2img",
    ),
    "pentimento-grid": Filter(
        "Grid of _Variants...",
        "Make a picture for each combination of up to three settings' values, in one group of layers",
        'An axis is a setting by its name or label (strength, "Sampling method", "Prompt S/R"), its values a list with '
        "commas, 0.2, 0.4, or a range: 1-5, 1-10 (+2), 0.2-0.8 [4].",
        _ANY,
        GRID,
        sourced=True,
    ),
    "pentimento-refine": Filter(
        "_Refine Layer Again...",
        "Go on from a layer that Pentimento made",
        "Takes the layer as the next source, with its own settings but for those that are given, and a new seed.",
        _SINGLE,
        "refine",
    ),
    "pentimento-redo": Filter(
        "Re_do Exactly",
        "Make the same pixels once more",
        "Repeats what made the layer, with the same seed, into a layer above it.",
        _SINGLE,
        "redo",
    ),
    "pentimento-save": Filter(
        "_Save Result with Settings...",
        "Save a layer that Pentimento made as PNG, with its prompt, seed and settings inside",
        "The settings are in the file as Pentimento and as AUTOMATIC1111 read them.",
        _SINGLE,
        "save",
    ),
    "pentimento-backend": Filter(
        "_Backend...",
        "See whether Pentimento's backend runs, start it or stop it",
        "Shows the state of the backend, its models, its device and its log.",
        Gimp.ProcedureSensitivityMask.ALWAYS,
        "backend",
    ),
}


def create(plug_in: Gimp.PlugIn, name: str) -> Gimp.ImageProcedure:
    """The procedure of that name, as GIMP asks for it. Asks nothing of anybody."""
    about = PROCEDURES[name]
    procedure = Gimp.ImageProcedure.new(plug_in, name, Gimp.PDBProcType.PLUGIN, _run, None)
    procedure.set_image_types("*")
    procedure.set_sensitivity_mask(about.sensitivity)
    procedure.set_menu_label(about.label)
    procedure.add_menu_path(MENU)
    procedure.set_documentation(about.blurb, about.help, name)
    procedure.set_attribution("Pentimento", "Pentimento, Apache-2.0", "2026")
    for argument in about.arguments():
        argument.add(procedure)
    if about.sourced:
        source = Gimp.Choice.new()
        source.add("layer", 0, "The layer", "")
        source.add("canvas", 1, "All that is visible", "")
        blurb = "What is read: the layer, or all that is visible"
        procedure.add_choice_argument("source", "Source", blurb, source, "layer", GObject.ParamFlags.READWRITE)
    if about.task == GRID:
        _add_axes(procedure)
    if about.task == "save":
        action, flags = Gimp.FileChooserAction.SAVE, GObject.ParamFlags.READWRITE
        procedure.add_file_argument("file", "File", "The PNG file to write", action, True, None, flags)
    elif about.task != "backend":
        procedure.add_core_object_array_return_value(
            "layers", "New layers", "The layers that were made", Gimp.Layer.__gtype__, GObject.ParamFlags.READWRITE
        )
    return procedure


def _add_axes(procedure: Gimp.ImageProcedure) -> None:
    flags = GObject.ParamFlags.READWRITE
    tasks = Gimp.Choice.new()
    for number, (task, label) in enumerate(TASKS_OF_GRID.items()):
        tasks.add(task, number, label, "")
    procedure.add_choice_argument("task", "Task", "What each picture is", tasks, "auto", flags)
    for letter in AXES:
        procedure.add_string_argument(f"{letter}-axis", f"{letter.upper()} axis", "A setting, or nothing", "", flags)
        procedure.add_string_argument(f"{letter}-values", f"{letter.upper()} values", "0.2, 0.4 or 1-5", "", flags)


def _run(
    procedure: Gimp.Procedure,
    mode: Gimp.RunMode,
    image: Gimp.Image | None,
    drawables: list[Gimp.Drawable],
    config: Gimp.ProcedureConfig,
    data: Any,
) -> Gimp.ValueArray:
    # Only now: whatever speaks to the network or draws windows would cost each start of GIMP.
    from .call import Call, Refused, failed
    from .filters import run

    name = procedure.get_name()
    # An image may be closed while we ask for its pixels; that is ours to tell, not GIMP's.
    procedure.get_plug_in().set_pdb_error_handler(Gimp.PDBErrorHandler.PLUGIN)
    try:
        return run(Call(procedure, PROCEDURES[name], mode, image, drawables, config))
    except Refused as reason:
        return procedure.new_return_values(reason.status, reason.error)
    except Exception as error:  # noqa: BLE001  GIMP would only say that there are no return values
        traceback.print_exc()
        fault = failed(f"Pentimento's own fault, please report it: {error!r}.")
        return procedure.new_return_values(fault.status, fault.error)
