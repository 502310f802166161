"""Played inside Krita: the document adapter on real documents."""

import os
import time
from array import array

import krita
from pentimento.document import KritaDocument
from pentimento_shared.document import DocumentChanged, Insertion, NewLayer, Strips
from pentimento_shared.geometry import Rect, Size
from pentimento_shared.pixels import Pixels

APPLICATION = krita.Krita.instance()
SRGB, LINEAR = "sRGB-elle-V2-srgbtrc.icc", "sRGB-elle-V2-g10.icc"


def opened(stage, width=160, height=120, model="RGBA", depth="U8", profile=""):
    """A document in the window, once its layers can be chosen."""
    document = APPLICATION.createDocument(width, height, "harbour", model, depth, profile, 72.0)
    APPLICATION.activeWindow().addView(document)
    yield stage.until(lambda: document.activeNode() is not None, "the document's window")
    return document


def worked(stage, steps, times=None):
    """What the steps result in; Krita's own event loop runs between them."""
    while True:
        begun = time.perf_counter()
        try:
            next(steps)
        except StopIteration as end:
            return end.value
        finally:
            if times is not None:
                times.append(1000 * (time.perf_counter() - begun))
        yield stage.until(lambda: True, "the next piece")


def settled(stage, document):
    def quiet():
        return document.tryBarrierLock() and (document.unlock() or True)

    yield stage.until(quiet, "Krita's own work")


def pressed(stage, document, action):
    """Undo or redo, once it is through."""
    APPLICATION.action(action).trigger()
    yield from settled(stage, document)


def joined(picture):
    return picture.joined() if isinstance(picture, Strips) else picture


def painted(document, name, data, rect, parent=None):
    """A new layer on top with these bytes of Krita's."""
    layer = document.createNode(name, "paintlayer")
    layer.setPixelData(data, *rect)
    (parent or document.rootNode()).addChildNode(layer, None)
    return layer


def identity(node):
    return node.uniqueId().toString().strip("{}")


def names(node):
    return [[child.name(), *names(child)] if child.childNodes() else child.name() for child in node.childNodes()]


def some_bytes(space, count):
    depth = space[1]
    if depth == "F32":
        levels = array("H", os.urandom(2 * count))
        return array("f", [level / 65535 for level in levels]).tobytes()
    if depth == "F16":
        return array("H", [level % 0x3C01 for level in array("H", os.urandom(2 * count))]).tobytes()
    return os.urandom(count * (1 if depth == "U8" else 2))


SPACES = {
    "8 bit": ("RGBA", "U8", SRGB),
    "16 bit": ("RGBA", "U16", SRGB),
    "16 bit linear": ("RGBA", "U16", LINEAR),
    "half float": ("RGBA", "F16", LINEAR),
    "float": ("RGBA", "F32", LINEAR),
    "float perceptual": ("RGBA", "F32", SRGB),
    "wide gamut": ("RGBA", "U16", "Rec2020-elle-V4-g10.icc"),
    "wide gamut 8 bit": ("RGBA", "U8", "ClayRGB-elle-V4-srgbtrc.icc"),
    "linear without saying so": ("RGBA", "U16", "Artifex Software scRGB ICCProfile"),
    "grey": ("GRAYA", "U8", "Gray-D50-elle-V2-srgbtrc.icc"),
    "grey 16 bit linear": ("GRAYA", "U16", "Gray-D50-elle-V2-g10.icc"),
    "grey float": ("GRAYA", "F32", "Gray-D50-elle-V2-g10.icc"),
}


def off_by(space, first, second):
    """How far two pictures in Krita's bytes are apart, in levels of their depth; 16 bit for floats."""
    code = {"U8": "B", "U16": "H", "F16": "e", "F32": "f"}[space[1]]
    scale = 65535 if code in "ef" else 1
    first, second = (memoryview(data).cast(code) for data in (first, second))
    return max(abs(a - b) for a, b in zip(first, second)) * scale


def case_round_trips(stage):
    facts = {}
    for name, space in SPACES.items():
        document = yield from opened(stage, 256, 64, *space)
        adapter, rect = KritaDocument(document), Rect(-16, -8, 200, 80)
        channels = 2 if space[0] == "GRAYA" else 4
        before = some_bytes(space, 200 * 80 * channels)
        source = painted(document, "source", before, rect)
        pixels = joined((yield from worked(stage, adapter.read_layer(identity(source), rect, bare=True))))
        new = NewLayer("copy", pixels, rect, None, "{}")
        (made,) = yield from worked(stage, adapter.insert(Insertion((new,), identity(source), Size(256, 64))))
        after = bytes(document.nodeByUniqueID(krita_id(made)).pixelData(*rect))
        facts[name] = {"channels": pixels.channels, "depth": pixels.depth, "off": off_by(space, before, after)}
        document.setModified(False)
        document.close()
    return facts


def krita_id(id):
    from pentimento.qt import QtCore

    return QtCore.QUuid(id)
