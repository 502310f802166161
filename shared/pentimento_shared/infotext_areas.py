"""AUTOMATIC1111's words for what is painted and at what size, in its "parameters" text: out and in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from .settings import MASK_MODES, MASKED_CONTENTS, RESIZE_MODES, Value

_WHOLE, _MASKED = "Whole picture", "Only masked"
_PADDING: Final = "Masked area padding"


def pairs(settings: Mapping[str, Value]) -> dict[str, Value]:
    """What a recipe's settings have to say; its defaults only where AUTOMATIC1111 writes them, too."""
    said: dict[str, Value] = {}
    if settings.get("resize_mode", RESIZE_MODES[0]) != RESIZE_MODES[0]:
        said["Resize mode"] = settings["resize_mode"]
    if "feather" not in settings:
        return said
    if settings["mask_mode"] != MASK_MODES[0]:
        said["Mask mode"] = settings["mask_mode"]
    said["Mask blur"] = settings["feather"]
    said |= _area(settings["context"])
    if settings["masked_content"] != MASKED_CONTENTS[0]:
        said["Masked content"] = settings["masked_content"]
    return said


def settings_of(pairs: Mapping[str, str]) -> dict[str, Value]:
    """The settings that such pairs hold, unchecked. A text with a mask blur and no area speaks of the whole picture."""
    found: dict[str, Value] = {}
    for key, name in (("Resize mode", "resize_mode"), ("Mask mode", "mask_mode"), ("Masked content", "masked_content")):
        if key in pairs:
            found[name] = pairs[key]
    area, padding = pairs.get("Inpaint area", _WHOLE if "Mask blur" in pairs else ""), pairs.get(_PADDING, "")
    if area == _WHOLE:
        found["context"] = "canvas"
    elif area == _MASKED:
        found["context"] = int(padding) if padding.isdecimal() else "automatic"
    return found


def _area(context: Value) -> dict[str, Value]:
    if context == "canvas":
        return {"Inpaint area": _WHOLE}
    if context == "automatic":
        return {"Inpaint area": _MASKED}
    return {"Inpaint area": _MASKED, _PADDING: 0 if context == "selection" else context}
