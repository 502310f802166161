"""What a procedure does when it is called: ask the artist where there is one, run the job, hand the layers over."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from gi.repository import Gimp

from pentimento_shared import VERSION
from pentimento_shared.client import Client
from pentimento_shared.controller import Controller, Order, Run, Status
from pentimento_shared.layer_record import LayerRecord
from pentimento_shared.recipe import RecipeError
from pentimento_shared.settings import SettingError

from .arguments import read_all
from .call import Call, Refused, failed, grid_task
from .document import GimpDocument
from .procedures import GRID
from .watch import Watch

TICK_S: Final = 0.02
"""Seconds between two looks at a run."""


def run(call: Call) -> Gimp.ValueArray:
    """Carries a procedure out. Raises Refused."""
    if call.filter.task == "backend":
        from .backend_dialog import show

        show(call)
        return call.procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, None)
    if call.image is None:
        raise failed("No image is open. Open or create one first.")
    document = _document(call)
    if call.filter.task == "save":
        from .saving import save

        save(call, document)
        return call.procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, None)
    if call.mode == Gimp.RunMode.INTERACTIVE and call.filter.task == GRID:
        from .grid_dialog import ask_for_grid

        ask_for_grid(call, document)
    elif call.mode == Gimp.RunMode.INTERACTIVE and call.filter.arguments():
        from .dialog import ask

        ask(call, document, _recorded(document) if call.filter.task == "refine" else None)
    job = _begin(call, document)
    place = _followed(call, document, job)
    return place.returned(job.status.layers)


def _document(call: Call) -> GimpDocument:
    """The image, with the layer that the procedure was called for."""
    if len(call.drawables) > 1 and call.filter.task != "txt2img" and call.source == "layer":
        raise failed("More than one layer is selected. Select the one to work on.")
    layer = call.drawables[0] if len(call.drawables) == 1 else None
    if layer is not None and layer.get_image() != call.image:
        raise failed("The layer belongs to another image than the one that was given.")
    if isinstance(layer, Gimp.LayerMask):
        layer = Gimp.Layer.from_mask(layer)
    if not isinstance(layer, Gimp.Layer):
        layer = None
    if not call.interactive:
        return GimpDocument(call.image, layer)
    from .window import pointer_pressed

    return GimpDocument(call.image, layer, pointer_pressed)


def _recorded(document: GimpDocument) -> LayerRecord:
    """The record of the layer that is to be refined."""
    layer = document.active_layer()
    text = document.records().get(layer.id) if layer else None
    if text is None:
        raise failed("Pentimento did not make this layer, so there are no settings to go on from. Use Img2img Layer.")
    try:
        return LayerRecord.from_json(text)
    except RecipeError as error:
        raise failed(str(error)) from error


def _begin(call: Call, document: GimpDocument) -> Run:
    """The job, as the arguments ask for it."""
    controller = Controller(Client.discover, f"GIMP {Gimp.version()}, Pentimento {VERSION}")
    task = call.filter.task
    if task == "redo":
        return controller.redo(document)
    try:
        settings = read_all(call.filter.arguments(), call.config)
    except SettingError as error:
        raise failed(str(error)) from error
    if task == "refine":
        return controller.refine(document, settings)
    if task == GRID:
        return controller.grid(document, Order(grid_task(call, document), settings, call.source), call.axes)
    if task == "inpaint" and call.mode == Gimp.RunMode.INTERACTIVE and document.selection() is None:
        task = "img2img"  # as the dialog has said
    return controller.start(document, Order(task, settings, call.source))  # type: ignore[arg-type]


def _followed(call: Call, document: GimpDocument, job: Run) -> GimpDocument:
    """Where the layers of the job are, once they are there. Raises Refused for every other end."""
    follow = _follow_quietly
    if call.interactive:
        from .progress import follow
    with Watch() as watch:
        document = follow(job, document, watch.on)
    status = job.status
    if status.phase == "cancelled":
        raise Refused(Gimp.PDBStatusType.CANCEL)
    if status.phase != "done":
        raise failed(status.message)
    for warning in status.warnings:
        Gimp.message(warning)
    return document


def _follow_quietly(job: Run, document: GimpDocument, tell: Callable[[Status], None]) -> GimpDocument:
    """Runs the job to its end without a window of our own."""
    Gimp.progress_init("Pentimento")
    shown = ""
    while not (status := job.step()).over:
        tell(status)
        if status.message != shown:
            shown = status.message
            Gimp.progress_set_text(shown)
        Gimp.progress_update(status.progress)
        time.sleep(TICK_S)
    Gimp.progress_end()
    return document
