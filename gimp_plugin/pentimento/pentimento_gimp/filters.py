"""What a procedure does when it is called: ask the artist where there is one, run the job, hand the layers over."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from gi.repository import Gimp, GLib

from pentimento_shared import VERSION
from pentimento_shared.client import Client
from pentimento_shared.controller import Controller, Order, Run, Status
from pentimento_shared.settings import SettingError

from .arguments import read_all
from .document import GimpDocument
from .procedures import Filter
from .watch import Watch

TICK_S: Final = 0.02
"""Seconds between two looks at a run."""


class Refused(Exception):
    """The procedure ends without a result: cancelled, or with a sentence that says why."""

    def __init__(self, status: Gimp.PDBStatusType, sentence: str = "") -> None:
        self.status = status
        self.error = GLib.Error.new_literal(Gimp.PlugIn.error_quark(), sentence, 0) if sentence else None
        super().__init__(sentence)


@dataclass(frozen=True)
class Call:
    """A procedure as it was called. `image` is None where none is open."""

    procedure: Gimp.Procedure
    filter: Filter
    mode: Gimp.RunMode
    image: Gimp.Image | None
    drawables: Sequence[Gimp.Drawable]
    config: Gimp.ProcedureConfig

    @property
    def interactive(self) -> bool:
        """Whether somebody sits before a screen. Else nothing of GTK is touched."""
        return self.mode != Gimp.RunMode.NONINTERACTIVE


def run(call: Call) -> Gimp.ValueArray:
    """Carries a procedure out. Raises Refused."""
    if call.filter.task == "backend":
        from .backend_dialog import show

        show()
        return call.procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, None)
    if call.image is None:
        raise failed("No image is open. Open or create one first.")
    document = GimpDocument(call.image, _layer(call))
    if call.filter.task == "save":
        from .saving import save

        save(call, document)
        return call.procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, None)
    if call.mode == Gimp.RunMode.INTERACTIVE:
        from .dialog import ask

        ask(call, document)
    job = _begin(call, document)
    done = _followed(call, job)
    return document.returned(done.layers)


def failed(sentence: str) -> Refused:
    return Refused(Gimp.PDBStatusType.EXECUTION_ERROR, sentence)


def _layer(call: Call) -> Gimp.Layer | None:
    """The one layer that the procedure was called for; None leaves the choice to the image."""
    needed = call.filter.task != "txt2img" and not (
        call.filter.sourced and call.config.get_property("source") == "canvas"
    )
    if needed and len(call.drawables) > 1:
        raise failed("More than one layer is selected. Select the one to work on.")
    for drawable in call.drawables:
        if isinstance(drawable, Gimp.LayerMask):
            return Gimp.Layer.from_mask(drawable)
        if isinstance(drawable, Gimp.Layer):
            return drawable
    return None


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
    source = call.config.get_property("source") if call.filter.sourced else "layer"
    return controller.start(document, Order(task, settings, source))  # type: ignore[arg-type]


def _followed(call: Call, job: Run) -> Status:
    """The status of the job when its layers are in the image. Raises Refused for every other end."""
    if call.interactive:
        from .progress import follow
    else:
        follow = _follow_quietly
    with Watch() as watch:
        status = follow(job, watch.on)
    if status.phase == "cancelled":
        raise Refused(Gimp.PDBStatusType.CANCEL)
    if status.phase != "done":
        raise failed(status.message)
    for warning in status.warnings:
        Gimp.message(warning)
    return status


def _follow_quietly(job: Run, tell: Callable[[Status], None]) -> Status:
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
    return status
