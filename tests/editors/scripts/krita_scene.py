"""For cases inside Krita: documents with layers, runs of the plugin's own commands, and what has changed since."""

from typing import NamedTuple

import krita
from krita_docker import KRITA, RUN_S, docker, landscape
from krita_document import identity, krita_id, opened, painted, settled, some_bytes
from pentimento.choices import Choices
from pentimento.document import KritaDocument
from pentimento.qt import QtCore, QtGui, QtWidgets

from pentimento_shared.client import Client
from pentimento_shared.geometry import Rect
from pentimento_shared.layer_record import LayerRecord

FEW = {"prompt": "a lake at dawn", "steps": 2, "strength": 0.6, "seed": 11}
"""Settings of a short job."""
LONG = {**FEW, "steps": 150, "strength": 1.0}
"""Of one that goes on for as long as the artist needs to do something."""
CLIPBOARD = "what the artist copied"


# documents


def valley(stage, size=(160, 120), space=("RGBA", "U8", ""), place=None):
    """A document on a white background, and its active layer "Sketch", painted all over `place` (the canvas)."""
    document = yield from opened(stage, *size, *space)
    place = place or Rect(0, 0, *size)
    pixels = landscape(*place.size) if space[:2] == ("RGBA", "U8") else some_bytes(space, 4 * place.size.area)
    source = painted(document, "Sketch", pixels, place)
    QtWidgets.QApplication.clipboard().setText(CLIPBOARD)
    yield from settled(stage, document)
    yield from activated(stage, document, source)
    return document, source


def activated(stage, document, node):
    document.setActiveNode(node)
    yield stage.until(lambda: document.activeNode() == node, "the active layer")


def shown_in_window(stage, document):
    """Brings a document's view to the front."""
    while (before := KRITA.activeDocument()) != document:
        KRITA.action("windows_next").trigger()
        yield stage.until(lambda before=before: KRITA.activeDocument() != before, "another document's view")


def node_of(document, id):
    return document.nodeByUniqueID(krita_id(id))


def record_of(document, id):
    return LayerRecord.from_json(KritaDocument(document).records()[id])


def canvas(document):
    """Bytes of what the artist sees."""
    return bytes(document.pixelData(0, 0, document.width(), document.height()))


def selected(document):
    """The selection's levels on the whole canvas; None without one."""
    selection = document.selection()
    return None if selection is None else bytes(selection.pixelData(0, 0, document.width(), document.height()))


def pictures(layer):
    """The bytes of a layer and of its masks."""
    rect = layer.bounds().getRect()
    return rect, bytes(layer.pixelData(*rect)), *(bytes(mask.pixelData(*rect)) for mask in layer.childNodes())


# runs


def session():
    """What the docker of this window shares with all others."""
    return docker()._session


def command(document, name, source="layer", **settings):
    """Chooses the settings in the docker and gives one of the commands; the run that comes of it."""
    session().choose(Choices({**FEW, **settings}, source=source))
    KRITA.action(f"pentimento_{name}").trigger()
    return session().shown(KritaDocument(document).id)


def over(stage, run):
    """Waits for a run's end; its status."""
    yield stage.until(lambda: run.status.over, "the run's end", RUN_S)
    return run.status


def finished(stage, document, name, source="layer", **settings):
    """Gives a command, waits for its layers and until Krita shows them; their nodes."""
    run = command(document, name, source, **settings)
    status = yield from over(stage, run)
    assert status.phase == "done", status.message
    yield from settled(stage, document)
    return [node_of(document, id) for id in status.layers]


def sampling(run):
    return run.status.stage == "sample" and run.status.step > 0


def backend_jobs():
    with Client.discover() as client:
        return client.jobs()


def stroke(stage, document, enough=lambda: True):
    """A stroke of the artist's pen over the middle of the canvas; the pen is lifted once it is `enough`."""
    x, y = middle_of_the_canvas()
    before = canvas(document)
    stage.xdotool("mousemove", str(x - 40), str(y))
    stage.xdotool("mousedown", "1")
    for k in range(1, 9):
        stage.xdotool("mousemove", str(x - 40 + 10 * k), str(y + k))
    yield stage.until(lambda: canvas(document) != before and enough(), "the stroke", RUN_S)
    stage.xdotool("mouseup", "1")
    yield stage.until(lambda: QtWidgets.QApplication.mouseButtons() == QtCore.Qt.MouseButton.NoButton, "the lifted pen")
    yield from settled(stage, document)


def middle_of_the_canvas():
    """Where on the screen the visible document lies."""
    widgets = QtWidgets.QApplication.allWidgets()
    kinds = ("KisOpenGLCanvas2", "KisQPainterCanvas")
    shown = next(w for w in widgets if w.metaObject().className() in kinds and w.isVisible())
    point = shown.mapToGlobal(shown.rect().center())
    return point.x(), point.y()


def pressed(stage, document, action, enough):
    """Undo or redo, until what it does is seen."""
    KRITA.action(action).trigger()
    yield stage.until(enough, f"what {action} does")
    yield from settled(stage, document)


# what has changed


class Look(NamedTuple):
    """Everything of a document that belongs to the artist."""

    layers: dict
    canvas: bytes
    selection: bytes
    colours: list
    clipboard: str


def look(document):
    view = KRITA.activeWindow().activeView()
    return Look(
        {identity(node): _all_of(document, node) for node in _nodes(document.rootNode())},
        canvas(document),
        selected(document),
        [view.foregroundColor().components(), view.backgroundColor().components()],
        QtWidgets.QApplication.clipboard().text(),
    )


def altered(before, after, added=()):
    """What of the artist's is no longer as it was; `added`: ids of new layers, which do not count, and change what
    the canvas shows."""
    there = {id: layer for id, layer in after.layers.items() if id not in added}
    found = [layer[0] for id, layer in before.layers.items() if there.get(id) != layer]
    if list(there) != list(before.layers):
        found.append("the order of the layers")
    names = [name for name in Look._fields if name != "layers" and not (added and name == "canvas")]
    return found + [name for name in names if getattr(before, name) != getattr(after, name)]


def changed_where(before, after, levels, pixel_bytes=4):
    """Whether any byte of two pictures differs in the pixels whose level is not 0."""
    wide = bytearray(len(levels) * pixel_bytes)
    counting = bytes(levels).translate(bytes(1) + b"\xff" * 255)
    for k in range(pixel_bytes):
        wide[k::pixel_bytes] = counting
    return bool((_number(before) ^ _number(after)) & _number(wide))


def inverted(levels):
    """255 where the level is 0, 0 elsewhere."""
    return levels.translate(b"\xff" + bytes(255))


def _number(data):
    return int.from_bytes(data, "little")


def _nodes(node):
    for child in node.childNodes():
        yield child
        yield from _nodes(child)


def _all_of(document, node):
    bounds = node.bounds()
    painted = bounds.united(QtCore.QRect(0, 0, document.width(), document.height()))
    pixels = bytes(node.pixelData(painted.x(), painted.y(), painted.width(), painted.height()))
    state = node.visible(), node.opacity(), node.locked(), identity(node.parentNode())
    return node.name(), node.type(), bounds.getRect(), state, pixels


# selections


def selections(size):
    """The kinds of selections that artists make, by name: each as a new krita.Selection."""
    width, height = size
    return {
        "hard": rectangle(40, 30, 64, 48),
        "feathered": feathered(rectangle(40, 30, 64, 48), 12),
        "anti-aliased": painted_selection(size, disc(size)),
        "one pixel": rectangle(77, 50, 1, 1),
        "faint": rectangle(30, 20, 50, 60, 16),
        "whole canvas": rectangle(0, 0, width, height),
        "over the corner": rectangle(width - 30, height - 40, 90, 90),
        "soft at the border": feathered(rectangle(0, 0, 40, height), 9),
        "every level": painted_selection(size, bytes(range(256))[:width] * height),
    }


def rectangle(x, y, width, height, level=255):
    selection = krita.Selection()
    selection.select(x, y, width, height, level)
    return selection


def feathered(selection, radius):
    selection.feather(radius)
    return selection


def disc(size):
    """Levels of a disc with a smooth rim."""
    picture = QtGui.QImage(*size, QtGui.QImage.Format.Format_Grayscale8)
    picture.fill(0)
    painter = QtGui.QPainter(picture)
    painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
    painter.setPen(QtCore.Qt.PenStyle.NoPen)
    painter.setBrush(QtCore.Qt.GlobalColor.white)
    painter.drawEllipse(QtCore.QPointF(80.3, 60.7), 41.6, 33.2)
    painter.end()
    data, stride = picture.constBits().asstring(picture.sizeInBytes()), picture.bytesPerLine()
    return b"".join(data[y * stride : y * stride + size[0]] for y in range(size[1]))


def painted_selection(size, levels):
    selection = krita.Selection()
    selection.setPixelData(QtCore.QByteArray(levels), 0, 0, *size)
    return selection
