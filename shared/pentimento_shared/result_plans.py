"""What is made of a result layer: its refinement, or the same pixels once more."""

from __future__ import annotations

from collections.abc import Mapping

from .document import Document, DocumentError, Layer
from .framing import AUTOMATIC
from .geometry import Rect
from .layer_record import LayerRecord
from .plans import (
    ONE_PICTURE,
    Plan,
    Reading,
    at_least,
    by,
    check_document,
    checked,
    inverted,
    region_of,
    settings_of,
)
from .recipe import Recipe, RecipeError
from .settings import AS_WORKED, MASK_MODES, Task, Value


def plan_refine(document: Document, changes: Mapping[str, Value], id: str | None) -> Plan:
    """The plan that takes a result layer as its source. Raises DocumentError, SettingError, RecipeError."""
    check_document(document)
    layer, record = _recorded(document, id)
    if layer.problem:
        raise DocumentError(layer.problem)
    if layer.bounds.empty:
        raise DocumentError(f"The layer {layer.name} is empty: there is nothing to refine.")
    task: Task = "img2img" if record.recipe.task == "txt2img" else record.recipe.task
    settings = settings_of(task, {**record.recipe.settings, **_anew(record.recipe), **changes})
    place = checked(at_least(_moved(record.place, layer.bounds)))
    mask = record.mask if place.size == record.place.size and not inverted(record.recipe.settings) else None
    canvas = document.size()
    return Plan(
        task,
        settings,
        place,
        canvas,
        "layer",
        source=layer.id,
        bare=True,
        masked_by="layer",
        mask=mask,
        above=layer.id,
        anchored=True,
        region=region_of(canvas, place) if task == "inpaint" else None,
        parent=record.recipe.id,
    )


def plan_redo(document: Document, id: str | None) -> Plan:
    """The plan that makes a result layer's pixels once more. Raises DocumentError, SettingError, RecipeError."""
    check_document(document)
    layer, record = _recorded(document, id)
    recipe = record.recipe
    if record.source is not None and document.layer(record.source) is None:
        raise DocumentError(
            f"The layer that {layer.name} was made from is no longer in this document: the same pixels cannot come "
            "again. Undo its deletion, or refine the result instead."
        )
    canvas = document.size()
    place = record.place
    if recipe.task == "img2img":  # the result may have come back in another size than that of its source
        place = Rect(place.x, place.y, *recipe.context.size)
    reads: Reading = "nothing" if recipe.task == "txt2img" else "canvas" if record.source is None else "layer"
    if reads == "canvas" and not Rect.of(canvas).contains(place):
        raise DocumentError(
            f"The canvas is {by(canvas)} px now and no longer covers what {layer.name} was made from: the same pixels "
            "cannot come again."
        )
    return Plan(
        recipe.task,
        recipe.settings,
        place,
        canvas,
        reads,
        source=record.source,
        bare=record.bare,
        mask=record.mask,
        above=layer.id,
        anchored=True,
        region=region_of(recipe.canvas, recipe.context) if recipe.task == "inpaint" else None,
        parent=recipe.parent,
        expected=recipe.source,
        last_only=True,
        extras=recipe.extras,
    )


def settings_to_refine(recipe: Recipe) -> dict[str, Value]:
    """The settings of a result that go on to its refinement, as they were written: wildcards are drawn anew. One of a
    prompt matrix goes on with its own combination."""
    settings = recipe.settings if recipe.written.get("prompt_matrix") else recipe.as_written
    return {name: value for name, value in settings.items() if name not in _anew(recipe)}


def _anew(recipe: Recipe) -> dict[str, Value]:
    """The settings of a result that do not go on to its refinement: those that were for one picture, or that have had
    their effect. The layer's own mask is final; a layer that came back in another size is not scaled again."""
    settings: dict[str, Value] = {"seed": -1, **ONE_PICTURE}
    settings |= {"grow": 0, "feather": 0, "mask_mode": MASK_MODES[0]}
    if recipe.task == "txt2img" or recipe.settings.get("result_size") == AS_WORKED:
        settings |= {"width": AUTOMATIC, "height": AUTOMATIC, "scale_by": 1.0}
    return settings


def _recorded(document: Document, id: str | None) -> tuple[Layer, LayerRecord]:
    """The layer of that id (None: the active one) and its record. Raises DocumentError, RecipeError."""
    layer = document.active_layer() if id is None else document.layer(id)
    if layer is None:
        raise DocumentError("No layer is active. Click a layer that Pentimento made.")
    text = document.records().get(layer.id)
    if text is None:
        raise DocumentError(
            f"The layer {layer.name} was not made by Pentimento, so there are no settings to go on from. "
            "Use img2img or inpaint for it."
        )
    try:
        return layer, LayerRecord.from_json(text)
    except RecipeError as error:
        raise RecipeError(f"{layer.name}: {error}") from error


def _moved(place: Rect, bounds: Rect) -> Rect:
    """Where the record's picture lies now that the layer's painted px have these bounds.

    A layer of the same size was moved at most. One that the picture still covers was painted thinner in place.
    Anything else was painted on beyond the picture, and then all of it counts.
    """
    return place if bounds.size != place.size and place.contains(bounds) else bounds
