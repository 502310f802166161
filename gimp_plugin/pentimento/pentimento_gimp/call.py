"""A procedure as it was called, and how it ends without a result."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from gi.repository import Gimp, GLib

from pentimento_shared.document import Document
from pentimento_shared.settings import Task, check_task

from .procedures import AXES, Filter


class Refused(Exception):
    """The procedure ends without a result: cancelled, or with a sentence that says why."""

    def __init__(self, status: Gimp.PDBStatusType, sentence: str = "") -> None:
        self.status = status
        self.error = GLib.Error.new_literal(Gimp.PlugIn.error_quark(), sentence, 0) if sentence else None
        super().__init__(sentence)


def failed(sentence: str) -> Refused:
    """The end with a sentence, which GIMP shows to the artist or hands to the calling script."""
    return Refused(Gimp.PDBStatusType.EXECUTION_ERROR, sentence)


def grid_task(call: Call, document: Document) -> Task:
    """What each picture of a grid is."""
    task = call.config.get_property("task")
    if task == "auto":
        return "img2img" if document.selection() is None else "inpaint"
    return check_task(task)


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

    @property
    def source(self) -> str:
        """What is read: "layer" or "canvas"."""
        return self.config.get_property("source") if self.filter.sourced else "layer"

    @property
    def axes(self) -> list[tuple[str, str]]:
        """A grid's axes and their values as they were written; those without a setting are none."""
        written = [tuple(self.config.get_property(f"{k}-{part}") or "" for part in ("axis", "values")) for k in AXES]
        return [(name, values) for name, values in written if name.strip()]
