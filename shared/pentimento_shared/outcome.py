"""What comes of a job: its pictures as new layers, ready for the document."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from .document import Insertion, NewLayer
from .extra import changes
from .geometry import Rect
from .layer_record import LayerRecord
from .pixel_form import Form, fitted, on_canvas, split_alpha
from .pixels import Pixels, decode_png, read_png_text
from .plans import Plan
from .prompt_matrix import parts
from .recipe import PNG_KEY, Recipe, RecipeError

_LONGEST_NAME: Final = 40
"""Characters of a prompt that go into a layer's name."""


@dataclass(frozen=True)
class Selected:
    """A mask as the editor gave it and as the PNG that is sent and remembered."""

    pixels: Pixels
    png: bytes


def composite_for(plan: Plan) -> str:
    """Which view of a result is fetched: with alpha where that says something, otherwise as the model made it."""
    return "layer" if plan.task == "img2img" or plan.reshapes_selection else "raw"


def new_layer(png: bytes, plan: Plan, job: str, mask: Selected | None, form: Form | None) -> NewLayer:
    """The layer of one fetched picture. Raises PixelsError for a damaged one, RecipeError when its recipe is missing
    or not readable."""
    recipe = _recipe(png)
    pixels, shown = decode_png(png), mask and mask.pixels
    if plan.reshapes_selection:
        pixels, shown = split_alpha(pixels)
    if form is not None:
        pixels = fitted(pixels, form)
    place = Rect(plan.place.x, plan.place.y, *pixels.size)
    if shown is not None and shown.size != place.size:
        shown = on_canvas(shown, place.size)
    record = LayerRecord(recipe, plan.source, plan.bare, place, mask and mask.png, job)
    return NewLayer(_name(recipe), pixels, place, shown, record.to_json())


def insertion(layers: Sequence[NewLayer], plan: Plan) -> Insertion:
    """All layers of a job, above what they were made from; several in a group, a loopback's last loop on top."""
    if len(layers) == 1:
        return Insertion(tuple(layers), plan.above, plan.canvas)
    looped = int(plan.settings.get("loops", 1)) > 1
    group = f"{shortened(str(plan.settings.get('prompt', '')))} ({len(layers)} {'loops' if looped else 'pictures'})"
    return Insertion(tuple(reversed(layers)) if looped else tuple(layers), plan.above, plan.canvas, group)


def shortened(prompt: str) -> str:
    """A prompt as part of a layer's name."""
    words = " ".join(prompt.split())
    if len(words) <= _LONGEST_NAME:
        return words or "Pentimento"
    return words[: _LONGEST_NAME - 1].rstrip() + "…"


def _name(recipe: Recipe) -> str:
    """What sets the picture apart from others of its job."""
    if recipe.loop:
        return f"loop {recipe.loop} of {recipe.settings['loops']}, strength {recipe.start:.3g} ({recipe.own_seed})"
    prompt = str(recipe.settings["prompt"])
    if recipe.written.get("prompt_matrix"):
        written = str(recipe.written.get("prompt", prompt))
        first, end = parts(written)[0]
        own = prompt.removeprefix(written[first:end]).strip(" ,\n")
        return f"{shortened(own or prompt)} ({recipe.seed})"
    varied = f", variation {recipe.settings['variation_seed']}" if recipe.settings["variation_strength"] else ""
    return f"{shortened(prompt)} ({recipe.seed}{varied})"


def changed_files(layers: Sequence[NewLayer], plan: Plan) -> tuple[str, ...]:
    """A sentence for each file that took part in other pictures before under its name."""
    return changes(plan.extras, LayerRecord.from_json(layers[-1].record).recipe.extras) if plan.extras else ()


def _recipe(png: bytes) -> Recipe:
    text = read_png_text(png).get(PNG_KEY)
    if text is None:
        raise RecipeError("The backend sent a picture without its recipe.")
    return Recipe.from_json(text)
