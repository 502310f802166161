"""The pixels of a run, read from the document in pieces that leave the editor alive."""

from __future__ import annotations

from dataclasses import dataclass

from .document import Document, DocumentError, Picture, Steps
from .geometry import Rect
from .pixel_form import Form, form_of
from .plans import Plan


@dataclass(frozen=True)
class Gathered:
    """What was read: the picture, the mask (as read, or the PNG that the plan brought), and the form that the result
    must have where no picture shows it."""

    image: Picture | None
    mask: Picture | bytes | None
    form: Form | None


def gather(document: Document, plan: Plan) -> Steps[Gathered]:
    """Reads what the plan asks for. Raises DocumentError."""
    mask: Picture | bytes | None = None
    if plan.masked_by == "selection":
        mask = yield from document.read_selection(plan.place)
    elif plan.masked_by == "layer" and plan.source is not None:
        mask = yield from document.read_mask(plan.source, plan.place)
    mask = plan.mask if mask is None else mask
    if plan.task == "inpaint" and mask is None:
        raise DocumentError(
            "The layer has lost the mask that it was painted through, so there is nothing to say what shall change. "
            "Select that part and use inpaint."
        )
    if plan.reads == "layer" and plan.source is not None:
        return Gathered((yield from document.read_layer(plan.source, plan.place, bare=plan.bare)), mask, None)
    if plan.reads == "canvas":
        return Gathered((yield from document.read_canvas(plan.place)), mask, None)
    return Gathered(None, mask, (yield from document_form(document)))


def document_form(document: Document) -> Steps[Form]:
    """What pixels of that document look like, seen from one of them."""
    return form_of((yield from document.read_canvas(Rect(0, 0, 1, 1))))
