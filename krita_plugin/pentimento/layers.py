"""What the docker shows of the open document, and does with its layers: beside document.py all that touches Krita's
documents. Everything here belongs to the UI thread and concerns the active document."""

from __future__ import annotations

from collections.abc import Iterable

from krita import Krita, Node

from .document import KritaDocument
from .qt import QtCore, QtGui


def active_document() -> KritaDocument | None:
    document = Krita.instance().activeDocument()
    return None if document is None else KritaDocument(document)


def has_selection() -> bool:
    """Whether the artist has selected anything, at the cost of a question: it is asked again and again."""
    document = Krita.instance().activeDocument()
    return document is not None and document.selection() is not None


def show(layer: str, instead_of: Iterable[str] = ()) -> bool:
    """Makes a layer visible and the active one, and hides the others. Whether it is there."""
    document, node = Krita.instance().activeDocument(), _node(layer)
    if document is None or node is None:
        return False
    for other in map(_node, instead_of):
        if other is not None:
            other.setVisible(False)
    node.setVisible(True)
    parent = node.parentNode()
    while parent is not None and parent.parentNode() is not None:
        parent.setVisible(True)
        parent = parent.parentNode()
    document.setActiveNode(node)
    document.refreshProjection()
    return True


def delete(layer: str) -> None:
    """Takes a layer away, in one undo step."""
    node = _node(layer)
    if node is not None:
        node.remove()


def thumbnail(layer: str, side: int) -> QtGui.QImage | None:
    """A layer's picture within `side` x `side` px; None when it is gone or empty."""
    node = _node(layer)
    if node is None or node.bounds().isEmpty():
        return None
    size = node.bounds().size().scaled(side, side, QtCore.Qt.AspectRatioMode.KeepAspectRatio)
    return node.thumbnail(max(size.width(), 1), max(size.height(), 1))


def say(message: str) -> None:
    """Shows a sentence over the canvas for a few seconds; without a canvas there is nowhere to show it."""
    window = Krita.instance().activeWindow()
    view = None if window is None else window.activeView()
    if view is not None:
        view.showFloatingMessage(message, QtGui.QIcon(), _SHOWN_MS, 1)


_SHOWN_MS = 6000


def _node(layer: str) -> Node | None:
    document = Krita.instance().activeDocument()
    return None if document is None else document.nodeByUniqueID(QtCore.QUuid(layer))
