"""What a result layer remembers: the recipe, and from where in the document it came."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from .geometry import Rect, Size
from .pixels import MAX_SIDE
from .png_file import PixelsError, read_png_header
from .recipe import Recipe, RecipeError

_KEY: Final = "layer"
_FIELDS: Final = frozenset({"source", "bare", "place", "mask", "job"})
_FARTHEST: Final = 1 << 20
"""Farthest that a layer may lie from the canvas' corner, px: more than any editor has room for."""


@dataclass(frozen=True)
class LayerRecord:
    """Of one result layer, all that is needed to refine it or to make it again.

    `source` is the id of the layer that was sent, None when it was the visible canvas, or nothing (txt2img). `bare`:
    the source's own pixels were read, without its masks. `place`: canvas px of the picture that came back, maybe
    outside the canvas. `mask`: the layer's mask as a grey PNG of the size of what was sent, None without one. For
    inpaint it is the selection as it was sent, before mask mode, grow and feather. `job` is the backend's id.
    """

    recipe: Recipe
    source: str | None
    bare: bool
    place: Rect
    mask: bytes | None
    job: str

    def to_json(self) -> str:
        """The recipe's JSON object with one more key, "layer"."""
        layer = {
            "source": self.source,
            "bare": self.bare,
            "place": list(self.place),
            "mask": None if self.mask is None else base64.b64encode(self.mask).decode("ascii"),
            "job": self.job,
        }
        return json.dumps({**self.recipe.to_dict(), _KEY: layer}, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> LayerRecord:
        """The record in a text that came with a document, maybe a stranger's. Raises RecipeError."""
        try:
            data = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise RecipeError(f"This layer's record is not readable: {error}") from error
        layer = data.pop(_KEY, None) if isinstance(data, dict) else None
        recipe = Recipe.from_dict(data)
        if not isinstance(layer, dict) or set(layer) != _FIELDS:
            raise RecipeError("This layer's record does not say where its picture came from; it cannot be made again.")
        place = _place(layer["place"], recipe)
        _expect(isinstance(layer["source"], (str, type(None))), "source", "text or null")
        _expect(isinstance(layer["bare"], bool), "bare", "true or false")
        _expect(isinstance(layer["job"], str), "job", "text")
        mask = _mask(layer["mask"], (place.size, recipe.context.size))
        return cls(recipe, layer["source"], layer["bare"], place, mask, layer["job"])


def _place(value: Any, recipe: Recipe) -> Rect:
    if not isinstance(value, list) or len(value) != len(Rect._fields) or not all(map(_near, value)):
        raise RecipeError("In this layer's record place is not 4 whole numbers.")
    place = Rect(*value)
    sized = place.size == recipe.size and not place.empty and max(place.size) <= MAX_SIDE
    _expect(sized, "place", f"of the picture's size, {recipe.size.width} x {recipe.size.height} px")
    return place


def _near(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) <= _FARTHEST


def _mask(value: Any, sizes: Sequence[Size]) -> bytes | None:
    if value is None:
        return None
    try:
        png = base64.b64decode(value, validate=True)
        header = read_png_header(png)
    except (TypeError, ValueError, binascii.Error, PixelsError) as error:
        raise RecipeError(f"In this layer's record the mask is not a PNG ({error}).") from error
    fits = header.channels == 1 and header.size in sizes
    _expect(fits, "mask", "a grey picture of the size of place or of what was sent")
    return png


def _expect(condition: bool, name: str, wanted: str) -> None:
    if not condition:
        raise RecipeError(f"In this layer's record {name} is not {wanted}.")
