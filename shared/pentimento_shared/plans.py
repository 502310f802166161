"""What a run reads, sends and makes a layer of: decided from the document as it is when the artist asks for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from .document import Document, DocumentError, Layer
from .extra import Extra
from .framing import AUTOMATIC, LEAST_SIDE
from .geometry import Rect, Size, context_rect
from .pixels import MAX_PIXELS, MAX_SIDE
from .settings import MASK_MODES, SETTINGS, Task, Value, validate

SourceKind = Literal["layer", "canvas"]
"""The active layer, or all that is visible."""
Reading = Literal["layer", "canvas", "nothing"]

ONE_PICTURE: Final[Mapping[str, Value]] = {
    "batch_size": 1,
    "batch_count": 1,
    "prompt_matrix": False,
    "loops": 1,
    "last_loop": 0,
    "variation_strength": 0.0,
}
"""What makes a job one picture of its seed alone."""
_PLACELESS: Final = ("prompt", "model", "sampling", "seed", "loopback")
"""Groups of settings that have no part in what of a document is read."""
_ROWS: Final = {row.name: row for row in SETTINGS}


@dataclass(frozen=True)
class Order:
    """What the artist asks for. `settings` need hold only what differs from the model's defaults; rows that `task`
    does not have are passed over."""

    task: Task
    settings: Mapping[str, Value] = field(default_factory=dict)
    source: SourceKind = "layer"


@dataclass(frozen=True)
class Plan:
    """A run, fixed when it starts.

    The picture is read from `reads` (the layer `source`, `bare` of its masks or not) in `place`. The mask is that of
    `masked_by` in `place`, else the grey PNG `mask`. `above` is the layer that the result goes above; when it is
    `anchored` the result has no place without it. `canvas` is the document's size. `expected` is the SHA-256 that the
    picture's levels must have, None when any will do. With `last_only` the result is the last of the job's pictures:
    the others lead to it. `extras` are the files that the picture was made with before.
    """

    task: Task
    settings: Mapping[str, Value]
    place: Rect
    canvas: Size
    reads: Reading
    source: str | None = None
    bare: bool = False
    masked_by: Literal["selection", "layer"] | None = None
    mask: bytes | None = None
    above: str | None = None
    anchored: bool = False
    region: Mapping[str, Any] | None = None
    parent: str | None = None
    expected: str | None = None
    last_only: bool = False
    extras: tuple[Extra, ...] = ()

    @property
    def reshapes_selection(self) -> bool:
        """Whether the backend changes the selection, so that the layer's mask comes from there."""
        return self.task == "inpaint" and bool(
            self.settings["grow"] or self.settings["feather"] or inverted(self.settings)
        )


def plan_start(document: Document, order: Order) -> Plan:
    """The plan of an order. Raises DocumentError, SettingError with a sentence for the artist."""
    check_document(document)
    settings = settings_of(order.task, order.settings)
    if order.task == "txt2img":
        return _generate(document, settings)
    layer = document.active_layer() if order.source == "canvas" else _source_layer(document)
    if order.task == "inpaint":
        return _inpaint(document, settings, order.source, layer)
    return _img2img(document, settings, order.source, layer)


def plan_variants(document: Document, order: Order, variants: Sequence[Mapping[str, Value]]) -> tuple[Plan, ...]:
    """The plan of each of an order's variants, their complete settings in `variants`; of each the last picture counts.

    The document is asked only where variants differ in what is read of it. Raises as plan_start does.
    """
    planned: dict[object, Plan] = {}
    plans: list[Plan] = []
    for settings in variants:
        key = tuple((name, settings[name]) for name in sorted(settings) if _ROWS[name].group not in _PLACELESS)
        if key not in planned:
            planned[key] = plan_start(document, Order(order.task, settings, order.source))
        like = planned[key]
        size = {name: like.settings[name] for name in ("width", "height") if order.task == "txt2img"}
        own = {**settings_of(order.task, settings), **size}
        plans.append(replace(like, settings=own, last_only=True))
    return tuple(plans)


def check_document(document: Document) -> None:
    """Raises DocumentError for a document that nothing can be made of."""
    if problem := document.problem():
        raise DocumentError(problem)


def settings_of(task: Task, values: Mapping[str, Value]) -> dict[str, Value]:
    """`values` that `task` has, checked, and those that the plan itself rests on. Raises SettingError."""
    own = {name: value for name, value in values.items() if name not in _ROWS or task in _ROWS[name].tasks}
    complete = validate(task, own)
    needed = ("context", "grow", "feather", "mask_mode") if task == "inpaint" else ()
    return {name: value for name, value in complete.items() if name in own or name in needed}


def inverted(settings: Mapping[str, Value]) -> bool:
    """Whether what is not selected is to be painted."""
    return settings.get("mask_mode") == MASK_MODES[1]


def _source_layer(document: Document) -> Layer:
    layer = document.active_layer()
    if layer is None:
        raise DocumentError(
            "No layer is active. Click a paint layer in the layer list, or choose the visible canvas as source."
        )
    if layer.problem:
        raise DocumentError(layer.problem)
    return layer


def _generate(document: Document, settings: Mapping[str, Value]) -> Plan:
    canvas, selection, layer = document.size(), document.selection(), document.active_layer()
    box = at_least(selection or Rect.of(canvas), int(_ROWS["width"].minimum or 1), canvas)
    width, height = (settings.get(name, AUTOMATIC) for name in ("width", "height"))
    size = box.width if width == AUTOMATIC else int(width), box.height if height == AUTOMATIC else int(height)
    place = Rect(box.x, box.y, *size)
    most = int(_ROWS["width"].maximum or 0)
    if max(place.size) > most:
        raise DocumentError(
            f"The area to fill is {by(place.size)} px; at most {most} px a side can be generated. Select a part of it."
        )
    return Plan(
        "txt2img",
        {**settings, "width": place.width, "height": place.height},
        place,
        canvas,
        "nothing",
        masked_by="selection" if selection else None,
        above=layer.id if layer else None,
    )


def _inpaint(document: Document, settings: Mapping[str, Value], source: SourceKind, layer: Layer | None) -> Plan:
    canvas, selection = document.size(), document.selection()
    if selection is None:
        raise DocumentError(
            "Nothing is selected. Select what shall be painted anew, or use img2img for the whole layer."
        )
    if source == "layer" and layer and layer.bounds.empty:
        raise _empty(layer)
    context = settings["context"]
    around = context if isinstance(context, str) else int(context)
    if inverted(settings):
        selection = Rect.of(canvas)  # what is not selected may lie anywhere
    shown = context_rect(selection, canvas, around, int(settings["grow"]), int(settings["feather"]))
    place = checked(at_least(shown, LEAST_SIDE, canvas))
    return Plan(
        "inpaint",
        settings,
        place,
        canvas,
        source,
        source=layer.id if layer and source == "layer" else None,
        masked_by="selection",
        above=layer.id if layer else None,
        anchored=source == "layer",
        region=region_of(canvas, place),
    )


def _img2img(document: Document, settings: Mapping[str, Value], source: SourceKind, layer: Layer | None) -> Plan:
    canvas, selection = document.size(), document.selection()
    place = Rect.of(canvas)
    if source == "layer" and layer:
        if layer.bounds.empty:
            raise _empty(layer)
        place = at_least(layer.bounds)
        if selection and selection.intersect(layer.bounds).empty:
            raise DocumentError(
                f"The selection lies beside what is painted on {layer.name}. Select a part of it, or deselect to "
                "change all of it."
            )
    return Plan(
        "img2img",
        settings,
        checked(place),
        canvas,
        source,
        source=layer.id if layer and source == "layer" else None,
        masked_by="selection" if selection else None,
        above=layer.id if layer else None,
        anchored=source == "layer",
    )


def at_least(rect: Rect, side: int = LEAST_SIDE, canvas: Size | None = None) -> Rect:
    """`rect`, widened around its centre to at least `side` px both ways; inside the canvas where that has room."""
    width, height = max(rect.width, side), max(rect.height, side)
    x, y = rect.x - (width - rect.width) // 2, rect.y - (height - rect.height) // 2
    if canvas is not None:
        x, y = max(0, min(x, canvas.width - width)), max(0, min(y, canvas.height - height))
    return Rect(x, y, width, height)


def checked(place: Rect) -> Rect:
    """`place`, when the backend takes pictures of that size. Raises DocumentError."""
    if max(place.size) > MAX_SIDE or place.size.area > MAX_PIXELS:
        raise DocumentError(
            f"What would be sent is {by(place.size)} px; at most {MAX_SIDE} px a side and {MAX_PIXELS / 1e6:.0f} "
            "million px in all are allowed. Select a part and inpaint that."
        )
    return place


def region_of(canvas: Size, place: Rect) -> dict[str, Any]:
    """Where the picture lies in the document. One beyond the canvas is told as a document of its own: either way the
    backend takes the picture as it is and crops no further."""
    if not Rect.of(canvas).contains(place):
        canvas, place = place.size, Rect.of(place.size)
    return {"canvas": list(canvas), "context": list(place)}


def _empty(layer: Layer) -> DocumentError:
    return DocumentError(
        f"The layer {layer.name} is empty. Paint something on it, or choose the visible canvas as source."
    )


def by(size: Size) -> str:
    """A size as text: "640 x 480"."""
    return f"{size.width} x {size.height}"
