"""The docker: one in each of Krita's windows."""

from __future__ import annotations

from krita import DockWidget

from . import layers
from .looks import SPACING, PromptBox
from .qt import QtCore, QtGui, QtWidgets
from .reusing import DropTarget
from .run_panel import RunPanel
from .session import Session
from .settings_panel import SettingsPanel
from .strip import ResultsStrip

ID = "pentimento"
"""The docker's name among Krita's dockers, kept in the artist's window layout."""


class PentimentoDocker(DockWidget):
    """Settings, run and results of the active document."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self.setWindowTitle("Pentimento")
        self._session = session
        self.settings = SettingsPanel(session)
        self.progress = RunPanel(session)
        self.strip = ResultsStrip(session)
        self.settings.run.connect(session.run)
        self.setWidget(self._build())
        for target in (self.widget(), *(box.viewport() for box in self.findChildren(PromptBox))):
            DropTarget(session, target)
        session.changed.connect(self._refresh)
        session.progressed.connect(self._refresh_run)
        session.watched.connect(self._watch)

    def canvasChanged(self, canvas: object) -> None:
        """Krita's: another document, or none, is the active one."""
        self._watch()

    def showEvent(self, event: QtGui.QShowEvent) -> None:
        super().showEvent(event)
        self._watch()

    def _watch(self) -> None:
        """Looks what the artist did meanwhile: Krita tells of neither selections nor layers."""
        if self.isVisible():
            self.strip.refresh()
            self._refresh()

    def _refresh(self) -> None:
        if self.isVisible():
            newest = self.strip.newest
            self.settings.refresh(None if newest is None else newest.seed)
            self._refresh_run()

    def _refresh_run(self) -> None:
        if self.isVisible():
            document = layers.active_document()
            self.progress.refresh(None if document is None else document.id)

    def _build(self) -> QtWidgets.QWidget:
        body = QtWidgets.QWidget()
        layout = QtWidgets.QVBoxLayout(body)
        layout.setContentsMargins(SPACING, SPACING, SPACING, SPACING)
        layout.setSpacing(SPACING)
        layout.addWidget(_Scroll(self.settings))
        layout.addWidget(self.progress)
        layout.addWidget(self.strip, 1)
        return body


class _Scroll(QtWidgets.QScrollArea):
    """As high as what is in it where there is room, and scrolled where there is none."""

    def __init__(self, content: QtWidgets.QWidget) -> None:
        super().__init__()
        self.setWidgetResizable(True)
        self.setFrameShape(QtWidgets.QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(QtCore.Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Preferred, QtWidgets.QSizePolicy.Policy.Maximum)
        self.setWidget(content)
        content.installEventFilter(self)

    def eventFilter(self, watched: QtCore.QObject, event: QtCore.QEvent) -> bool:
        if event.type() == QtCore.QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return super().eventFilter(watched, event)

    def resizeEvent(self, event: QtGui.QResizeEvent) -> None:
        super().resizeEvent(event)
        if event.size().width() != event.oldSize().width():
            self.updateGeometry()

    def sizeHint(self) -> QtCore.QSize:
        hint, layout = self.widget().sizeHint(), self.widget().layout()
        if layout.hasHeightForWidth():  # there is a sentence that wraps
            hint.setHeight(max(hint.height(), layout.heightForWidth(self.viewport().width())))
        return hint

    def minimumSizeHint(self) -> QtCore.QSize:
        bar = self.verticalScrollBar().sizeHint().width()
        return QtCore.QSize(self.widget().minimumSizeHint().width() + bar, 120)
