"""A result layer as PNG, with its settings inside."""

from __future__ import annotations

import zlib
from pathlib import Path

from gi.repository import Gimp, Gio

from pentimento_shared.document import DocumentError
from pentimento_shared.layer_record import LayerRecord
from pentimento_shared.pixels import PixelsError, encode_png
from pentimento_shared.png_file import chunk
from pentimento_shared.recipe import INFOTEXT_KEY, PNG_KEY, RecipeError
from pentimento_shared.steps import through

from .call import Call, Refused, failed
from .document import GimpDocument

_HEADER_END = 33
"""Bytes of a PNG's signature and header, after which its colour profile comes."""


def save(call: Call, document: GimpDocument) -> None:
    """Writes the layer as it looks by itself to the `file` argument, or where the artist says. Raises Refused."""
    layer = document.active_layer()
    text = document.records().get(layer.id) if layer else None
    if layer is None or text is None:
        raise failed("Pentimento did not make this layer, so there are no settings to save. Export it as any other.")
    path = _asked(layer.name) if call.mode == Gimp.RunMode.INTERACTIVE else _given(call)
    try:
        recipe = LayerRecord.from_json(text).recipe
        pixels = through(document.read_layer(layer.id, layer.bounds, bare=False))
        about = {PNG_KEY: recipe.to_json(), INFOTEXT_KEY: recipe.to_infotext()}
        path.write_bytes(_profiled(encode_png(pixels.joined(), about, level=6), document.profile()))
    except (DocumentError, PixelsError, RecipeError) as error:
        raise failed(str(error)) from error
    except OSError as error:
        raise failed(f"{path} cannot be written ({error.strerror}). Choose another folder.") from error


def _given(call: Call) -> Path:
    file: Gio.File | None = call.config.get_property("file")
    if file is None or file.get_path() is None:
        raise failed("The argument file is missing: give the PNG file to write, on this computer.")
    return Path(file.get_path())


def _asked(name: str) -> Path:
    from .window import ask_where

    path = ask_where("Pentimento: Save Result with Settings", f"{name}.png")
    if path is None:
        raise Refused(Gimp.PDBStatusType.CANCEL)
    return path if path.suffix.lower() == ".png" else path.with_name(f"{path.name}.png")


def _profiled(png: bytes, profile: bytes) -> bytes:
    """The PNG with a colour profile (ICC) inside."""
    extra = b"".join(chunk(b"iCCP", b"profile\0\0" + zlib.compress(profile)))
    return png[:_HEADER_END] + extra + png[_HEADER_END:]
