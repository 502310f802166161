"""Krita's documents as the controller sees them: beside pixel_access.py and layers.py all that knows Krita's API."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import krita

from pentimento_shared.document import (
    WAIT,
    Document,
    DocumentChanged,
    DocumentError,
    Insertion,
    Layer,
    NewLayer,
    Picture,
    Steps,
)
from pentimento_shared.geometry import Rect, Size
from pentimento_shared.steps import aside, through

from . import pixel_access
from .colors import ColorSpace
from .qt import QtCore, QtWidgets

_KEY: Final = "pentimento/"
_MODELS: Final = ("RGBA", "GRAYA")
_KINDS: Final = {
    "grouplayer": "a group",
    "vectorlayer": "a vector layer",
    "filterlayer": "a filter layer",
    "filllayer": "a fill layer",
    "filelayer": "a file layer",
    "clonelayer": "a clone layer",
    "transparencymask": "a mask",
    "filtermask": "a filter mask",
    "transformmask": "a transform mask",
    "selectionmask": "a selection mask",
    "colorizemask": "a colorize mask",
}
_ACTIVE_WITHIN_S: Final = 2.0


class KritaDocument(Document):
    """An open document. Cheap to make; two of the same document have the same id."""

    def __init__(self, document: krita.Document) -> None:
        self._document = document
        self._id = _OPEN.id_of(document)

    @property
    def id(self) -> str:
        return self._id

    @property
    def name(self) -> str:
        return Path(self._document.fileName()).name or self._document.name() or "Unnamed"

    def is_open(self) -> bool:
        return any(document == self._document for document in krita.Krita.instance().documents())

    def size(self) -> Size:
        self._must_be_open()
        return Size(self._document.width(), self._document.height())

    def problem(self) -> str:
        self._must_be_open()
        model = self._document.colorModel()
        if model in _MODELS:
            return ""
        return (
            f"The document's colour model is {model.removesuffix('A')}; Pentimento works on RGB and grey ones. Choose "
            "Image > Convert Image Color Space and pick RGB or Grayscale."
        )

    def active_layer(self) -> Layer | None:
        self._must_be_open()
        node = self._document.activeNode()
        return None if node is None else _layer(node)

    def layer(self, id: str) -> Layer | None:
        self._must_be_open()
        node = self._node(id)
        return None if node is None else _layer(node)

    def selection(self) -> Rect | None:
        self._must_be_open()
        selection = self._document.selection()
        if selection is None:
            return None
        box = Rect(selection.x(), selection.y(), selection.width(), selection.height())
        box = box.intersect(Rect.of(self.size()))
        return None if box.empty else box

    def read_layer(self, id: str, rect: Rect, *, bare: bool) -> Steps[Picture]:
        yield from self._settled()
        node = self._existing(id)
        problem = _layer_problem(node)
        if problem:
            raise DocumentError(problem)
        # A copy shares the pixels: what the artist paints while it is read changes nothing in it.
        copy = node.duplicate()
        yield
        own, space = pixel_access.color_space(node), pixel_access.color_space(self._document)
        reader = copy.pixelData if bare else copy.projectionPixelData

        def read_strip(*strip: int) -> bytes:
            return bytes(reader(*strip))

        if own == space:
            return (yield from aside(lambda: through(pixel_access.read(read_strip, rect, space))))
        with pixel_access.conversion(own, space) as convert:
            return (yield from pixel_access.read(read_strip, rect, space, convert))

    def read_canvas(self, rect: Rect) -> Steps[Picture]:
        yield from self._settled()
        space = pixel_access.color_space(self._document)
        return (yield from pixel_access.read(self._canvas_strip, rect, space))

    def read_selection(self, rect: Rect) -> Steps[Picture]:
        yield from self._settled()
        return (yield from pixel_access.read_mask(self._selection_strip, rect, Rect.of(self.size())))

    def read_mask(self, id: str, rect: Rect) -> Steps[Picture | None]:
        yield from self._settled()
        mask = next((child for child in self._existing(id).childNodes() if _hides(child)), None)
        if mask is None:
            return None
        return (yield from pixel_access.read_mask(lambda *strip: bytes(mask.pixelData(*strip)), rect))

    def idle(self) -> bool:
        if not self.is_open() or QtWidgets.QApplication.mouseButtons() != QtCore.Qt.MouseButton.NoButton:
            return False
        if not self._document.tryBarrierLock():
            return False
        self._document.unlock()
        return True

    def insert(self, insertion: Insertion) -> Steps[tuple[str, ...]]:
        self._must_take(insertion)
        space = pixel_access.color_space(self._document)
        yield
        nodes: list[krita.Node] = []
        for new in insertion.layers:
            node = yield from self._built(new, space)
            nodes.append(node)
        while not self.idle():
            self._must_take(insertion)
            yield WAIT
        self._must_take(insertion)
        yield from self._add(nodes, insertion)
        return tuple(_id(node) for node in nodes)

    def records(self) -> Mapping[str, str]:
        self._must_be_open()
        keys = [key for key in self._document.annotationTypes() if key.startswith(_KEY)]
        there = [key for key in keys if self._node(key.removeprefix(_KEY)) is not None]
        return {
            key.removeprefix(_KEY): bytes(self._document.annotation(key)).decode("utf-8", "replace") for key in there
        }

    # what insertion does

    def _built(self, new: NewLayer, space: ColorSpace) -> Steps[krita.Node]:
        """The layer with its mask, not yet in the document."""
        self._must_be_open()
        if not space.takes(new.pixels.channels, new.pixels.depth):
            raise DocumentChanged("The document was converted to another colour space since the job began.")
        node = self._document.createNode(new.name, "paintlayer")
        # Nobody else knows the node yet, so another thread can fill it: Krita's memory for it comes 64 MB at a time.
        yield from aside(lambda: through(pixel_access.write(node, new.pixels, new.place, space)))
        if new.mask is not None:
            selection = krita.Selection()
            yield from pixel_access.write_mask(selection, new.mask, new.place)
            self._must_be_open()
            mask = self._document.createTransparencyMask("selection")
            mask.setSelection(selection)
            node.setChildNodes([mask])  # addChildNode would add an undo step
        return node

    def _add(self, nodes: list[krita.Node], insertion: Insertion) -> Steps[None]:
        parent, above = self._place(insertion)
        top = nodes[0]
        if len(nodes) > 1:
            top = self._document.createNode(insertion.group, "grouplayer")
            top.setChildNodes(nodes[::-1])
            for node in nodes[1:]:
                node.setVisible(False)
        for node, new in zip(nodes, insertion.layers, strict=True):
            record = QtCore.QByteArray(new.record.encode())
            self._document.setAnnotation(_KEY + _id(node), "Pentimento's recipe of a layer", record)
        yield from _with_child(parent, top, above)
        # Krita activates what was added by itself, a moment later; before that it knows the new nodes only by half.
        yield from self._until_active(top)
        if top is nodes[0]:
            return
        # Krita composes what the added node covers, which for a group that was never composed is nothing.
        yield from _composed(self._document)
        if self._in_front():
            self._document.setActiveNode(nodes[0])
            yield from self._until_active(nodes[0])

    def _place(self, insertion: Insertion) -> tuple[krita.Node, krita.Node | None]:
        """The parent of the new layer, and the node that it lies above; None: on top of all."""
        node = self._document.activeNode() if insertion.above is None else self._existing(insertion.above)
        while node is not None and node.type().endswith("mask"):
            node = node.parentNode()
        root = self._document.rootNode()
        if node is None or node == root or node.parentNode() is None:
            return root, None
        return node.parentNode(), node

    def _until_active(self, wanted: krita.Node) -> Steps[None]:
        """Waits a while until that node is the active one. Only the document in front changes its active layer."""
        until = time.monotonic() + _ACTIVE_WITHIN_S
        while self._in_front() and time.monotonic() < until and self._document.activeNode() != wanted:
            yield WAIT

    def _in_front(self) -> bool:
        active = krita.Krita.instance().activeDocument()
        return active is not None and active == self._document

    # checks

    def _must_be_open(self) -> None:
        if not self.is_open():
            raise DocumentChanged("The document was closed.")

    def _must_take(self, insertion: Insertion) -> None:
        size = self.size()
        if size != insertion.canvas:
            was = insertion.canvas
            raise DocumentChanged(
                f"The document was {was.width} x {was.height} px when the job began; "
                f"it is {size.width} x {size.height} px now."
            )
        if insertion.above is not None:
            self._existing(insertion.above)

    def _settled(self) -> Steps[None]:
        """Waits until strokes and updates are through, so that what is read is what will be seen."""
        self._must_be_open()
        while not self._document.tryBarrierLock():
            yield WAIT
            self._must_be_open()
        self._document.unlock()

    def _node(self, id: str) -> krita.Node | None:
        return self._document.nodeByUniqueID(QtCore.QUuid(id))

    def _existing(self, id: str) -> krita.Node:
        self._must_be_open()
        node = self._node(id)
        if node is None:
            raise DocumentChanged("The layer is gone from the document.")
        return node

    def _canvas_strip(self, x: int, y: int, width: int, height: int) -> bytes:
        self._must_be_open()
        return bytes(self._document.pixelData(x, y, width, height))

    def _selection_strip(self, x: int, y: int, width: int, height: int) -> bytes:
        self._must_be_open()
        selection = self._document.selection()
        if selection is None:
            raise DocumentError("The selection was removed while it was read. Select again and start again.")
        return bytes(selection.pixelData(x, y, width, height))


class _OpenDocuments:
    """Names for open documents: Krita makes a new object at each question, and flattening changes the root's id."""

    def __init__(self) -> None:
        self._known: list[tuple[krita.Document, str]] = []

    def id_of(self, document: krita.Document) -> str:
        for known, id in self._known:
            if known == document:
                return id
        there = krita.Krita.instance().documents()
        self._known = [pair for pair in self._known if pair[0] in there]
        self._known.append((document, QtCore.QUuid.createUuid().toString()))
        return self._known[-1][1]


_OPEN: Final = _OpenDocuments()


def _with_child(parent: krita.Node, child: krita.Node, above: krita.Node | None) -> Steps[None]:
    """Adds a child, in one undo step."""
    nodes = QtCore.Q_ARG("Node*", child), QtCore.Q_ARG("Node*", above)
    if not (yield from _beside(parent, "addChildNode", *nodes)):
        parent.addChildNode(child, above)


def _composed(document: krita.Document) -> Steps[None]:
    """Shows on the canvas what is in the document."""
    if not (yield from _beside(document, "refreshProjection")):
        document.refreshProjection()


def _beside(target: QtCore.QObject, method: str, *arguments: object) -> Steps[bool]:
    """Calls a method of Krita's from a thread of its own; False when this Krita has none of that name.

    Krita does its work in threads, but such calls come back only when the whole canvas has been composed anew: 2 s at
    4096 x 4096. So another thread waits for it, through Qt, which frees the interpreter meanwhile.
    """

    def call() -> bool:
        try:
            QtCore.QMetaObject.invokeMethod(target, method, QtCore.Qt.ConnectionType.DirectConnection, *arguments)
        except (RuntimeError, TypeError):
            return False
        return True

    return (yield from aside(call))


def _id(node: krita.Node) -> str:
    return node.uniqueId().toString().strip("{}")


def _layer(node: krita.Node) -> Layer:
    bounds = node.bounds()
    rect = Rect(bounds.x(), bounds.y(), bounds.width(), bounds.height())
    return Layer(_id(node), node.name(), Rect(0, 0, 0, 0) if rect.empty else rect, _layer_problem(node))


def _layer_problem(node: krita.Node) -> str:
    kind, name = node.type(), node.name()
    advice = "Select a paint layer, or choose the visible canvas as the source."
    if kind != "paintlayer":
        return f"“{name}” is {_KINDS.get(kind, 'not a paint layer')}. {advice}"
    if node.locked():
        return f"“{name}” is locked. Unlock it, select another paint layer, or choose the visible canvas as the source."
    if node.animated():
        return f"“{name}” is animated. {advice}"
    return ""


def _hides(child: krita.Node) -> bool:
    return child.type() == "transparencymask" and child.visible()
