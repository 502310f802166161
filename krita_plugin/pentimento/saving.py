"""Saves a result as a PNG that carries its recipe, so that other programs and people can make it again."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from pentimento_shared.document import Document, DocumentError, Steps
from pentimento_shared.pixels import Pixels, encode_png
from pentimento_shared.recipe import INFOTEXT_KEY, PNG_KEY, Recipe

from .results import Result


def save_png(document: Document, result: Result, path: Path, tell: Callable[[str], None]) -> Steps[None]:
    """Reads the layer as it looks by itself, and writes it in a thread of its own; `tell` gets what came of it."""
    layer = document.layer(result.layer)
    if layer is None or layer.bounds.empty:
        tell("That layer is empty or no longer there: nothing was saved.")
        return
    try:
        pixels = yield from document.read_layer(layer.id, layer.bounds, bare=False)
    except DocumentError as error:
        tell(str(error))
        return
    outcome: list[str] = []
    writer = threading.Thread(
        target=lambda: outcome.append(_write(pixels, result.record.recipe, path)), name="pentimento-save", daemon=True
    )
    writer.start()
    while writer.is_alive():
        yield
    tell(outcome[0] if outcome else f"{path} could not be written.")


def _write(pixels: Pixels, recipe: Recipe, path: Path) -> str:
    """Writes the file; a sentence about it."""
    try:
        path.write_bytes(encode_png(pixels, {PNG_KEY: recipe.to_json(), INFOTEXT_KEY: recipe.to_infotext()}))
    except OSError as error:
        return f"{path} could not be written: {error.strerror or error}. Choose another folder."
    return f"Saved {path.name} with its recipe."
