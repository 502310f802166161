"""Takes the settings of a picture over into the docker: of a PNG file, or of the active layer."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from pentimento_shared.document import DocumentError, Steps
from pentimento_shared.layer_record import LayerRecord
from pentimento_shared.recipe import RecipeError
from pentimento_shared.settings_file import FileSettings, NoSettings, read_settings_file

from . import layers
from .choices import HIDDEN
from .qt import QtCore, QtGui, QtWidgets
from .session import NO_DOCUMENT, Session

_NOT_OURS = "Pentimento did not make this layer, so it holds no settings. Select one of its results."


def choose_file(session: Session, parent: QtWidgets.QWidget) -> None:
    """Asks for a PNG and takes its settings over."""
    path, _ = QtWidgets.QFileDialog.getOpenFileName(parent, "Reuse settings from file", "", "PNG pictures (*.png)")
    if path:
        session.do(reuse_file(session, path))


def reuse_file(session: Session, path: str) -> Steps[None]:
    """Reads the file in a thread of its own: it may lie far away. Then the docker shows its settings, and says what of
    them could not be taken."""
    outcome: list[FileSettings | NoSettings] = []
    models = session.link.snapshot().models

    def read() -> None:
        try:
            outcome.append(read_settings_file(path, models))
        except NoSettings as reason:
            outcome.append(reason)

    reader = threading.Thread(target=read, name="pentimento-reuse", daemon=True)
    reader.start()
    while reader.is_alive():
        yield
    found = outcome[0]
    if isinstance(found, NoSettings):
        session.tell(str(found))
        return
    shown = {name: value for name, value in found.settings.items() if name not in HIDDEN}
    session.choose(session.choices.with_values(shown))
    session.tell(found.sentence(QtCore.QFileInfo(path).fileName()), bad=bool(found.left_out or found.notes))


def reuse_layer(session: Session) -> None:
    """Takes over the settings that the active layer was made with, as they were written."""
    document = layers.active_document()
    if document is None:
        session.tell(NO_DOCUMENT)
        return
    try:
        layer = document.active_layer()
        text = None if layer is None else document.records().get(layer.id)
        if text is None:
            session.tell(_NOT_OURS)
            return
        settings = LayerRecord.from_json(text).recipe.as_written
    except (DocumentError, RecipeError) as error:
        session.tell(str(error))
        return
    session.choose(session.choices.with_values(settings))


def dropped_file(data: QtCore.QMimeData) -> str:
    """The one PNG file on this computer that is dragged along; empty when it is something else."""
    paths: Iterable[str] = [url.toLocalFile() for url in data.urls() if url.isLocalFile()]
    found = [path for path in paths if path.lower().endswith(".png")]
    return found[0] if len(found) == 1 else ""


class DropTarget(QtCore.QObject):
    """Lets a widget take a PNG that is dropped on it, for its settings."""

    def __init__(self, session: Session, widget: QtWidgets.QWidget) -> None:
        super().__init__(widget)
        self._session = session
        widget.setAcceptDrops(True)
        widget.installEventFilter(self)

    def eventFilter(self, watched: QtCore.QObject, event: QtCore.QEvent) -> bool:
        if isinstance(event, QtGui.QDropEvent):  # entering and moving are such events too
            path = dropped_file(event.mimeData())
            if path:
                event.acceptProposedAction()
                if event.type() == QtCore.QEvent.Type.Drop:
                    self._session.do(reuse_file(self._session, path))
                return True
        return super().eventFilter(watched, event)
