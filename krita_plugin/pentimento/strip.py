"""The strip of a document's results: thumbnails, what they came from, and what can be done with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pentimento_shared.document import DocumentError

from . import layers, results
from .looks import SPACING, icon, tool_button
from .qt import QtCore, QtGui, QtWidgets
from .results import Result
from .saving import save_png
from .session import Session

_SIDE = 48
"""Of a thumbnail, px."""


class ResultsStrip(QtWidgets.QWidget):
    """Shows the active document's results, newest first; a click shows the layer."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._document = ""
        self._known: dict[str, tuple[str, Result]] = {}
        self._pictures: dict[str, QtGui.QIcon] = {}
        self._order: list[Result] = []
        self._heading = QtWidgets.QLabel()
        self._back = tool_button(icon("arrow-left"), "Show the layer that this one was made from")
        self._forth = tool_button(icon("arrow-right"), "Show the layer that was made from this one")
        self._back.clicked.connect(lambda: self._walk(results.parent))
        self._forth.clicked.connect(lambda: self._walk(results.child))
        self._list = self._make_list()
        self._build()

    @property
    def newest(self) -> Result | None:
        return self._order[0] if self._order else None

    def refresh(self) -> None:
        """Looks at the document's layers again; cheap when nothing changed."""
        document = layers.active_document()
        try:
            records = {} if document is None else document.records()
        except DocumentError:
            return  # it is being closed: the next look finds another document, or none
        name = "" if document is None else document.id
        known = results.read_results(records, self._known)
        if name != self._document or known != self._known:
            if name != self._document:
                self._pictures = {}
            self._document, self._known = name, known
            self._fill()

    def _make_list(self) -> QtWidgets.QListWidget:
        rows = QtWidgets.QListWidget()
        rows.setObjectName("results")
        rows.setIconSize(QtCore.QSize(_SIDE, _SIDE))
        rows.setUniformItemSizes(True)
        rows.setTextElideMode(QtCore.Qt.TextElideMode.ElideRight)
        rows.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        rows.setMinimumHeight(_SIDE + 2 * SPACING)
        rows.setContextMenuPolicy(QtCore.Qt.ContextMenuPolicy.CustomContextMenu)
        rows.customContextMenuRequested.connect(self._open_menu)
        rows.itemClicked.connect(lambda _item: self._show(self._current()))
        rows.currentRowChanged.connect(lambda _row: self._enable_walk())
        return rows

    def _build(self) -> None:
        layout = QtWidgets.QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACING)
        layout.setColumnStretch(0, 1)
        layout.addWidget(self._heading, 0, 0)
        layout.addWidget(self._back, 0, 1)
        layout.addWidget(self._forth, 0, 2)
        layout.addWidget(self._list, 1, 0, 1, 3)
        self._enable_walk()

    def _fill(self) -> None:
        before, old = self._current(), {result.layer for result in self._order}
        self._order = results.newest_first([result for _, result in self._known.values()])
        self._heading.setText(f"Results ({len(self._order)})" if self._order else "No results in this document yet")
        with QtCore.QSignalBlocker(self._list):
            self._list.clear()
            for result in self._order:
                self._list.addItem(self._item(result))
            rows = {result.layer: row for row, result in enumerate(self._order)}
            arrived = bool(self._order) and self._order[0].layer not in old
            self._list.setCurrentRow(0 if before is None or arrived else rows.get(before.layer, 0))
        self._enable_walk()

    def _item(self, result: Result) -> QtWidgets.QListWidgetItem:
        seeds = [str(link.seed) for link in results.chain(result, self._order)]
        item = QtWidgets.QListWidgetItem(self._picture(result), f"{result.title}\n{'  ←  '.join(seeds)}")
        made = "" if len(seeds) == 1 else f"\nMade from the result with seed {seeds[1]}."
        item.setToolTip(f"{result.title}\nSeed {seeds[0]}.{made}\nClick to show its layer.")
        item.setSizeHint(QtCore.QSize(80, _SIDE + SPACING))
        return item

    def _picture(self, result: Result) -> QtGui.QIcon:
        if result.layer not in self._pictures:
            image = layers.thumbnail(result.layer, _SIDE)
            square = QtGui.QPixmap(_SIDE, _SIDE)
            square.fill(QtCore.Qt.GlobalColor.transparent)
            if image is not None:
                painter = QtGui.QPainter(square)
                painter.drawImage((_SIDE - image.width()) // 2, (_SIDE - image.height()) // 2, image)
                painter.end()
            self._pictures[result.layer] = QtGui.QIcon(square)
        return self._pictures[result.layer]

    def _current(self) -> Result | None:
        row = self._list.currentRow()
        return self._order[row] if 0 <= row < len(self._order) else None

    def _enable_walk(self) -> None:
        result = self._current()
        self._back.setEnabled(result is not None and results.parent(result, self._order) is not None)
        self._forth.setEnabled(result is not None and results.child(result, self._order) is not None)

    def _show(self, result: Result | None, instead_of: tuple[str, ...] = ()) -> None:
        """Only one picture of a batch shows: the first would hide the one that was clicked."""
        if result is not None:
            batch = [other.layer for other in results.siblings(result, self._order)]
            if not layers.show(result.layer, [*batch, *instead_of]):
                self.refresh()

    def _walk(self, way: Callable[[Result, Sequence[Result]], Result | None]) -> None:
        here = self._current()
        there = None if here is None else way(here, self._order)
        if here is not None and there is not None:
            self._list.setCurrentRow(self._order.index(there))
            self._show(there, instead_of=(here.layer,))

    def _open_menu(self, position: QtCore.QPoint) -> None:
        result = self._current()
        if result is None or self._list.itemAt(position) is None:
            return
        menu = self.menu_for(result)
        menu.exec(self._list.viewport().mapToGlobal(position))

    def menu_for(self, result: Result) -> QtWidgets.QMenu:
        """What can be done with a result."""
        session, layer = self._session, result.layer
        menu = QtWidgets.QMenu(self)
        menu.setAttribute(QtCore.Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction("Reuse settings", lambda: self._reuse(result))
        menu.addAction("Refine this layer again", lambda: session.refine(layer))
        menu.addAction("Refine with the settings above", lambda: self._refine_with_settings(result))
        menu.addAction("Redo exactly", lambda: session.redo(layer))
        menu.addSeparator()
        menu.addAction(icon("edit-copy"), "Copy seed", lambda: _clipboard().setText(str(result.seed)))
        menu.addAction(icon("document-save"), "Save as PNG...", lambda: self._save(result))
        menu.addSeparator()
        menu.addAction(icon("deletelayer"), "Delete layer", lambda: self._delete(result))
        return menu

    def _reuse(self, result: Result) -> None:
        settings = result.record.recipe.as_written
        choices = self._session.choices
        self._session.choose(choices.with_values(settings))

    def _refine_with_settings(self, result: Result) -> None:
        task = "inpaint" if result.record.recipe.task == "inpaint" else "img2img"
        order = self._session.choices.order(task, self._session.rows(task))
        self._session.refine(result.layer, order.settings)

    def _save(self, result: Result) -> None:
        document = layers.active_document()
        name = "".join(sign for sign in result.title[:40] if sign.isalnum() or sign in " -_").strip() or "result"
        path, _ = QtWidgets.QFileDialog.getSaveFileName(
            self, "Save the result", f"{name} {result.seed}.png", "PNG pictures (*.png)"
        )
        if path and document is not None:
            self._session.do(save_png(document, result, path, self._session.tell))

    def _delete(self, result: Result) -> None:
        layers.delete(result.layer)
        QtCore.QTimer.singleShot(200, self.refresh)


def _clipboard() -> QtGui.QClipboard:
    return QtWidgets.QApplication.clipboard()
