"""Played inside Krita: the document adapter on real documents."""

import faulthandler
import os
import time
from array import array

import krita
from pentimento.document import KritaDocument

from pentimento_shared.document import DocumentChanged, Insertion, NewLayer, Strips
from pentimento_shared.geometry import Rect, Size
from pentimento_shared.pixels import Pixels

faulthandler.enable()
APPLICATION = krita.Krita.instance()
SRGB, LINEAR = "sRGB-elle-V2-srgbtrc.icc", "sRGB-elle-V2-g10.icc"


def opened(stage, width=160, height=120, model="RGBA", depth="U8", profile=""):
    """A document in the window, once its layers can be chosen."""
    document = APPLICATION.createDocument(width, height, "harbour", model, depth, profile, 72.0)
    APPLICATION.activeWindow().addView(document)
    yield stage.until(lambda: document.activeNode() is not None, "the document's window")
    return document


def worked(stage, steps, times=None):
    """What the steps result in; Krita's own event loop runs between them, as with the controller.

    `times`: what each piece took by the clock and of this thread's CPU time, ms.
    """
    turn = time.perf_counter()
    while True:
        begun, spent = time.perf_counter(), time.thread_time()
        try:
            waiting = next(steps)
        except StopIteration as end:
            return end.value
        finally:
            if times is not None:
                times.append((1000 * (time.perf_counter() - begun), 1000 * (time.thread_time() - spent)))
        if waiting or time.perf_counter() - turn > 0.025:
            yield stage.until(lambda: True, "the next piece")
            turn = time.perf_counter()


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
    return max(abs(a - b) for a, b in zip(first, second, strict=True)) * scale


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
        # Left open: Krita 5.2 dies at times when one is closed while the next is made.
    return facts


def krita_id(id):
    from pentimento.qt import QtCore

    return QtCore.QUuid(id)


def canvas_bytes(document):
    return bytes(document.pixelData(0, 0, document.width(), document.height()))


def soft_mask(rect):
    """Every level from 0 to 255, the first third of it 0."""
    count = rect.width * rect.height
    return bytes(count // 3) + bytes(range(256)) * (count // 256) + bytes(count)


def case_one_undo_step(stage):
    document = yield from opened(stage)
    adapter, place = KritaDocument(document), Rect(40, 30, 64, 48)
    background = document.topLevelNodes()[0]
    group = document.createNode("group", "grouplayer")
    document.rootNode().addChildNode(group, None)
    source = painted(document, "source", os.urandom(160 * 120 * 4), Rect(0, 0, 160, 120), group)
    painted(document, "over it", os.urandom(4 * 100), Rect(0, 0, 10, 10), group)
    yield from settled(stage, document)
    document.setModified(False)
    before, tree = canvas_bytes(document), names(document.rootNode())
    mask = soft_mask(place)[: place.width * place.height]
    pixels = Pixels(place.size, 3, 8, os.urandom(place.width * place.height * 3))
    new = NewLayer("dawn (7)", pixels, place, Pixels(place.size, 1, 8, mask), '{"recipe": "\u00e9"}')
    steps = adapter.insert(Insertion((new,), identity(source), Size(160, 120)))
    (made,) = yield from worked(stage, steps)
    after = canvas_bytes(document)
    layer = document.nodeByUniqueID(krita_id(made))
    kept = layer.childNodes()[0]
    outside = [
        at
        for at in range(160 * 120)
        if not (place.x <= at % 160 < place.right and place.y <= at // 160 < place.bottom)
        or mask[(at // 160 - place.y) * place.width + at % 160 - place.x] == 0
    ]
    facts = {
        "active": identity(document.activeNode()) == made,
        "tree": [tree, names(document.rootNode())],
        "mask": bytes(kept.pixelData(*place)) == mask and kept.type() == "transparencymask",
        "mask beyond": set(bytes(kept.pixelData(0, 0, 160, 30))) == {0},
        "outside": all(before[4 * at : 4 * at + 4] == after[4 * at : 4 * at + 4] for at in outside),
        "inside": before != after,
        "records": dict(adapter.records()) == {made: '{"recipe": "\u00e9"}'},
        "bounds": list(adapter.layer(made).bounds),
        "modified": document.modified(),
        "read mask": joined((yield from worked(stage, adapter.read_mask(made, place)))).data == mask,
    }
    yield from pressed(stage, document, "edit_undo")
    facts["undone"] = canvas_bytes(document) == before and names(document.rootNode()) == tree
    facts["records after undo"] = dict(adapter.records())
    yield from pressed(stage, document, "edit_redo")
    facts["redone"] = canvas_bytes(document) == after and names(document.rootNode()) == facts["tree"][1]
    facts["mask after redo"] = bytes(kept.pixelData(*place)) == mask
    yield from pressed(stage, document, "edit_undo")
    yield from pressed(stage, document, "edit_undo")
    facts["the step before"] = names(document.rootNode())
    facts["background"] = background.name()
    return facts


def case_while_another_document_is_open(stage):
    document = yield from opened(stage)
    adapter, place = KritaDocument(document), Rect(0, 0, 16, 16)
    new = NewLayer("dawn", Pixels(place.size, 4, 8, os.urandom(1024)), place, None, "{}")
    source = document.topLevelNodes()[0]
    other = yield from opened(stage)
    chosen = other.activeNode()
    steps = adapter.insert(Insertion((new,), identity(source), Size(160, 120)))
    (made,) = yield from worked(stage, steps)
    return {
        "there": names(document.rootNode()),
        "other": names(other.rootNode()),
        "still working in": APPLICATION.activeDocument() == other,
        "active": other.activeNode() == chosen,
        "layer": adapter.layer(made).name,
        "ids": adapter.id != KritaDocument(other).id,
    }


def case_a_batch(stage):
    document = yield from opened(stage)
    adapter, place = KritaDocument(document), Rect(-8, -8, 32, 32)
    background = document.topLevelNodes()[0]
    yield from settled(stage, document)
    tree, canvas = names(document.rootNode()), bytes(document.pixelData(0, 0, 160, 120))
    opaque = bytes([160, 80, 40, 255]) * (32 * 32)
    layers = tuple(
        NewLayer(f"dawn ({seed})", Pixels(place.size, 4, 8, opaque), place, None, str(seed)) for seed in range(3)
    )
    steps = adapter.insert(Insertion(layers, None, Size(160, 120), "dawn"))
    made = yield from worked(stage, steps)
    nodes = [document.nodeByUniqueID(krita_id(id)) for id in made]
    facts = {
        "tree": names(document.rootNode()),
        "visible": [node.visible() for node in nodes],
        "active": document.activeNode().name(),
        "names": [node.name() for node in nodes],
        "records": [adapter.records()[id] for id in made],
        "above": document.topLevelNodes()[0] == background,
    }
    yield from settled(stage, document)
    facts["seen"] = [shown(document, *at) for at in ((3, 3), (23, 23), (24, 24))]
    yield from pressed(stage, document, "edit_undo")
    facts["undone"] = names(document.rootNode()) == tree
    facts["as before"] = bytes(document.pixelData(0, 0, 160, 120)) == canvas
    yield from pressed(stage, document, "edit_redo")
    facts["seen again"] = shown(document, 3, 3)
    return facts


def shown(document, x, y):
    """The canvas there as RGBA; Krita has the bytes of 8-bit colours the other way round."""
    blue, green, red, alpha = bytes(document.pixelData(x, y, 1, 1))
    return [red, green, blue, alpha]


def case_reading_leaves_no_trace(stage):
    document = yield from opened(stage)
    adapter, rect = KritaDocument(document), Rect(-10, -10, 120, 120)
    data = os.urandom(100 * 100 * 4)
    source = painted(document, "source", data, Rect(0, 0, 100, 100))
    yield from settled(stage, document)
    mask, selected = document.createTransparencyMask("mask"), krita.Selection()
    selected.select(20, 20, 30, 30, 128)
    mask.setSelection(selected)
    source.addChildNode(mask, None)
    select(document, 10, 10, 50, 40)
    yield from settled(stage, document)
    document.setModified(False)
    undo = APPLICATION.action("edit_undo").text(), APPLICATION.action("edit_undo").isEnabled()
    tree, active = names(document.rootNode()), document.activeNode()
    bare = joined((yield from worked(stage, adapter.read_layer(identity(source), rect, bare=True))))
    seen = joined((yield from worked(stage, adapter.read_layer(identity(source), rect, bare=False))))
    yield from worked(stage, adapter.read_canvas(Rect(0, 0, 160, 120)))
    chosen = joined((yield from worked(stage, adapter.read_selection(rect))))
    own = joined((yield from worked(stage, adapter.read_mask(identity(source), rect))))
    alpha, shown = pixel(bare, rect, 30, 30)[3], pixel(seen, rect, 30, 30)[3]
    return {
        "bare": pixel(bare, rect, 5, 5) == rgba(data, 100, 5, 5) and alpha == rgba(data, 100, 30, 30)[3],
        "masked": abs(shown - alpha * 128 / 255) <= 1 and pixel(seen, rect, 5, 5)[3] == 0,
        "beyond": pixel(bare, rect, -5, -5),
        "selection": [chosen.data.count(255), len(chosen.data), pixel(chosen, rect, 10, 10)[0]],
        "mask": [own.data.count(128), own.data.count(0)],
        "modified": document.modified(),
        "undo": undo == (APPLICATION.action("edit_undo").text(), APPLICATION.action("edit_undo").isEnabled()),
        "tree": tree == names(document.rootNode()),
        "active": active == document.activeNode(),
    }


def select(document, *rect, level=255):
    selection = krita.Selection()
    selection.select(*rect, level)
    document.setSelection(selection)


def pixel(pixels, rect, x, y):
    at = ((y - rect.y) * rect.width + x - rect.x) * pixels.channels
    return list(pixels.data[at : at + pixels.channels])


def rgba(data, width, x, y):
    blue, green, red, alpha = data[4 * (y * width + x) : 4 * (y * width + x) + 4]
    return [red, green, blue, alpha]


def case_selections(stage):
    document = yield from opened(stage)
    adapter = KritaDocument(document)

    def box():
        rect = adapter.selection()
        return None if rect is None else list(rect)

    facts = {"none": box()}
    boxes = {"inside": (50, 40, 60, 30), "over the border": (150, 110, 100, 100), "one": (3, 4, 1, 1)}
    for name, rect in boxes.items():
        select(document, *rect)
        yield from settled(stage, document)
        facts[name] = box()
    select(document, 0, 0, 70, 120)
    yield from settled(stage, document)
    yield from pressed(stage, document, "invert_selection")
    facts["inverted"] = box()
    pixels = joined((yield from worked(stage, adapter.read_selection(Rect(60, -2, 120, 10)))))
    facts["read inverted"] = [pixels.data.count(255), pixels.data.count(0)]
    select(document, 10, 10, 20, 20, level=0)
    yield from settled(stage, document)
    facts["empty"] = box()
    document.setSelection(None)
    yield from settled(stage, document)
    facts["deselected"] = box()
    return facts


def case_what_cannot_be_a_source(stage):
    document = yield from opened(stage)
    adapter, root = KritaDocument(document), document.rootNode()
    background = document.topLevelNodes()[0]
    facts = {}
    for kind in ("grouplayer", "filterlayer", "vectorlayer", "clonelayer", "filelayer"):
        node = document.createCloneLayer("it", background) if kind == "clonelayer" else document.createNode("it", kind)
        root.addChildNode(node, None)
        yield from settled(stage, document)
        facts[kind] = adapter.layer(identity(node)).problem
    locked = painted(document, "it", os.urandom(400), Rect(0, 0, 10, 10))
    locked.setLocked(True)
    facts["locked"] = adapter.layer(identity(locked)).problem
    empty = painted(document, "it", b"", Rect(0, 0, 0, 0))
    facts["empty"] = [adapter.layer(identity(empty)).problem, list(adapter.layer(identity(empty)).bounds)]
    facts["background"] = adapter.layer(identity(background)).problem
    facts["document"] = adapter.problem()
    cmyk = APPLICATION.createDocument(8, 8, "print", "CMYKA", "U8", "", 72.0)
    facts["cmyk"] = KritaDocument(cmyk).problem()
    yield stage.rest()
    cmyk.close()
    facts["unknown"] = adapter.layer("00000000-0000-0000-0000-000000000000")
    return facts


def case_changed_since(stage):
    document = yield from opened(stage)
    adapter, place = KritaDocument(document), Rect(0, 0, 16, 16)
    source = painted(document, "source", os.urandom(1024), place)
    yield from settled(stage, document)
    new = NewLayer("dawn", Pixels(place.size, 3, 8, bytes(768)), place, None, "{}")
    insertion = Insertion((new,), identity(source), Size(160, 120))
    facts = {"ids": [adapter.id == KritaDocument(document).id, adapter.id == KritaDocument(krita_document()).id]}

    def refusal():
        tree = names(document.rootNode())
        try:
            yield from worked(stage, adapter.insert(insertion))
        except DocumentChanged as error:
            return [str(error), names(document.rootNode()) == tree, len(document.annotationTypes())]
        return "inserted"

    document.setColorSpace("RGBA", "U16", SRGB)
    yield from settled(stage, document)
    facts["converted"] = yield from refusal()
    document.setColorSpace("RGBA", "U8", SRGB)
    document.resizeImage(0, 0, 200, 120)
    yield from settled(stage, document)
    facts["resized"] = yield from refusal()
    document.resizeImage(0, 0, 160, 120)
    yield from settled(stage, document)
    source.remove()
    yield from settled(stage, document)
    facts["deleted"] = yield from refusal()
    document.flatten()
    yield from settled(stage, document)
    facts["flattened"] = [adapter.is_open(), adapter.id == KritaDocument(krita_document()).id]
    yield stage.rest()
    document.setModified(False)
    document.close()
    facts["closed"] = [adapter.is_open(), adapter.id != "", adapter.idle()]
    try:
        adapter.size()
    except DocumentChanged as error:
        facts["closed size"] = str(error)
    return facts


def krita_document():
    return APPLICATION.activeDocument()


def case_records_are_saved(stage):
    document = yield from opened(stage)
    adapter, place = KritaDocument(document), Rect(0, 0, 16, 16)
    new = NewLayer("dawn", Pixels(place.size, 4, 8, os.urandom(1024)), place, None, '{"prompt": "caf\u00e9"}')
    (made,) = yield from worked(stage, adapter.insert(Insertion((new,), None, Size(160, 120))))
    path = str(stage.folder / "harbour.kra")
    document.setBatchmode(True)
    document.saveAs(path)
    facts = {"name": adapter.name}
    yield stage.rest()
    document.close()
    document = APPLICATION.openDocument(path)
    APPLICATION.activeWindow().addView(document)
    yield stage.until(lambda: document.activeNode() is not None, "the reopened document's window")
    again = KritaDocument(document)
    facts["records"] = dict(again.records()) == {made: '{"prompt": "caf\u00e9"}'}
    facts["layer"] = again.layer(made).name
    facts["another"] = again.id != adapter.id
    return facts


def case_a_layer_of_another_colour_space(stage):
    document = yield from opened(stage)
    adapter, rect = KritaDocument(document), Rect(0, 0, 4, 1)
    layer = painted(document, "deep", b"\x00\x00\x00\xff" * 4, rect)
    layer.setColorSpace("RGBA", "F32", LINEAR)
    layer.setPixelData(array("f", [0.5, 0.25, 0.0, 1.0] * 4).tobytes(), *rect)
    yield from settled(stage, document)
    pixels = joined((yield from worked(stage, adapter.read_layer(identity(layer), rect, bare=True))))
    return {"depth": pixels.depth, "pixel": list(pixels.data[:4])}


def case_strokes_come_first(stage):
    document = yield from opened(stage)
    adapter, place = KritaDocument(document), Rect(0, 0, 16, 16)
    new = NewLayer("dawn", Pixels(place.size, 4, 8, os.urandom(1024)), place, None, "{}")
    window = APPLICATION.activeWindow().qwindow()
    middle = window.mapToGlobal(window.centralWidget().geometry().center())
    facts = {"idle": adapter.idle()}
    stage.xdotool("mousemove", str(middle.x()), str(middle.y()), "mousedown", "1")
    yield stage.until(lambda: not adapter.idle(), "the mouse button")
    steps, begun, pieces = adapter.insert(Insertion((new,), None, Size(160, 120))), time.monotonic(), 0
    while time.monotonic() - begun < 0.5:
        next(steps)
        pieces += 1
        yield stage.until(lambda: True, "the next piece")
    facts["waits"] = [pieces > 5, len(document.topLevelNodes()), dict(adapter.records())]
    stage.xdotool("mouseup", "1")
    yield stage.until(adapter.idle, "the end of the stroke")
    (made,) = yield from worked(stage, steps)
    facts["then"] = adapter.layer(made).name
    return facts


def case_closed_while_it_is_inserted(stage):
    for _ in range(3):
        document = yield from opened(stage, 1024, 1024)
        adapter, place = KritaDocument(document), Rect(0, 0, 1024, 1024)
        new = NewLayer("dawn", Pixels(place.size, 4, 8, bytes(4 << 20)), place, None, "{}")
        steps = adapter.insert(Insertion((new,), None, Size(1024, 1024)))
        while len(document.topLevelNodes()) == 1:
            next(steps)
            yield stage.until(lambda: True, "the next piece")
        yield stage.rest(0.15)
        document.setModified(False)
        document.close()
        yield from worked(stage, steps)
    return True


def case_large_16_bit(stage):
    return (yield from large(stage, "U16", 4096))


def case_large_float(stage):
    return (yield from large(stage, "F32", 2048))


def large(stage, depth, side):
    """How long the pieces of work on Krita's UI thread are."""
    document = yield from opened(stage, side, side, "RGBA", depth, LINEAR)
    adapter, place = KritaDocument(document), Rect(0, 0, side, side)
    source = document.createNode("source", "paintlayer")
    top, code = (65535, "H") if depth == "U16" else (1, "f")
    ramp = array(code, [x * top // side if depth == "U16" else x / side for x in range(side)])
    row = array(code, bytes(4 * ramp.itemsize * side))
    row[0::4], row[1::4], row[2::4], row[3::4] = ramp, ramp, ramp[::-1], array(code, [top] * side)
    for y in range(0, side, 64):
        source.setPixelData(row.tobytes() * 64, 0, y, side, 64)
    document.rootNode().addChildNode(source, None)
    yield from settled(stage, document)
    read, masks, inserted = [], [], []
    picture = yield from worked(stage, adapter.read_layer(identity(source), place, bare=True), read)
    select(document, 100, 100, side - 200, side - 200)
    yield from settled(stage, document)
    mask = joined((yield from worked(stage, adapter.read_selection(place), masks)))
    new = NewLayer("dawn", joined(picture), place, mask, "{}")
    steps = adapter.insert(Insertion((new,), identity(source), Size(side, side)))
    (made,) = yield from worked(stage, steps, inserted)
    same = adapter.layer(made).bounds == place
    pieces = [len(read), len(masks), len(inserted)]
    return {
        "read": spread(read),
        "selection": spread(masks),
        "insert": spread(inserted),
        "same": same,
        "pieces": pieces,
    }


def spread(times):
    """[median, 95 %, longest, all] in ms, as the clock and as the CPU saw them."""
    result = []
    for values in (sorted(wall for wall, _ in times), sorted(cpu for _, cpu in times)):
        picked = values[len(values) // 2], values[len(values) * 95 // 100], values[-1], sum(values)
        result.append([round(value, 1) for value in picked])
    return result


def case_an_animated_layer(stage):
    """The last one: Krita itself sometimes ends when a document is closed soon after this."""
    document = yield from opened(stage)
    layer = painted(document, "it", os.urandom(400), Rect(0, 0, 10, 10))
    layer.enableAnimation()
    yield from settled(stage, document)
    return KritaDocument(document).layer(identity(layer)).problem
