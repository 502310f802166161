"""Saves a result as a PNG that carries its recipe, so that other programs and people can make it again."""

from __future__ import annotations

import threading
from collections.abc import Callable

from pentimento_shared.document import Document, DocumentError, Picture, Steps, Strips
from pentimento_shared.pixels import encode_png
from pentimento_shared.recipe import INFOTEXT_KEY, PNG_KEY, Recipe

from .qt import QtCore
from .results import Result


def save_png(document: Document, result: Result, path: str, tell: Callable[[str, bool], None]) -> Steps[None]:
    """Reads the layer as it looks by itself, and writes it in a thread of its own; `tell` gets what came of it."""
    try:
        layer = document.layer(result.layer)
        if layer is None or layer.bounds.empty:
            tell("That layer is empty or no longer there: nothing was saved.", True)
            return
        picture = yield from document.read_layer(layer.id, layer.bounds, bare=False)
    except DocumentError as error:
        tell(str(error), True)
        return
    outcome = [(f"{path} could not be written.", True)]
    writer = threading.Thread(
        target=lambda: outcome.append(_write(picture, result.record.recipe, path)), name="pentimento-save", daemon=True
    )
    writer.start()
    while writer.is_alive():
        yield
    tell(*outcome[-1])


def _write(picture: Picture, recipe: Recipe, path: str) -> tuple[str, bool]:
    """Writes the file, whole or not at all; a sentence about it, and whether that is bad."""
    pixels = picture.joined() if isinstance(picture, Strips) else picture
    # Qt and not Python: inside Krita, Python may know no letters in a path but those of ASCII.
    file = QtCore.QSaveFile(path)
    if file.open(QtCore.QIODevice.OpenModeFlag.WriteOnly):
        file.write(encode_png(pixels, {PNG_KEY: recipe.to_json(), INFOTEXT_KEY: recipe.to_infotext()}))
        if file.commit():
            return f"Saved {QtCore.QFileInfo(path).fileName()} with its recipe.", False
    return f"{path} could not be written: {file.errorString()}. Choose another folder.", True
