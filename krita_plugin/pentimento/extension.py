"""The commands under Tools > Scripts > Pentimento; their ids are names that shortcuts and scripts rely on."""

from __future__ import annotations

from collections.abc import Callable

from krita import Extension, Krita, Window

from . import layers
from .docker import ID, PentimentoDocker
from .grid_dialog import ask_for_grid
from .qt import QtWidgets
from .reusing import choose_file
from .session import Session


class PentimentoExtension(Extension):
    """Gives every window the menu. Commands run with the docker's settings, also where the docker is hidden."""

    def __init__(self, parent: object, session: Session) -> None:
        super().__init__(parent)
        self._session = session
        session.told.connect(self._tell)

    def setup(self) -> None:
        """Krita's: nothing to do before there is a window."""

    def createActions(self, window: Window) -> None:
        """Krita's: a new window needs its menu."""
        top = window.createAction("pentimento", "Pentimento", "tools/scripts")
        menu = QtWidgets.QMenu("pentimento", window.qwindow())
        menu.setObjectName("pentimento")
        top.setMenu(menu)
        for name, text, command in self._commands():
            action = window.createAction(name, text, "tools/scripts/pentimento")
            action.triggered.connect(lambda *_, command=command: command())

    def _commands(self) -> tuple[tuple[str, str, Callable[[], None]], ...]:
        session = self._session
        return (
            ("pentimento_img2img", "Img2img active layer", lambda: session.paint("img2img", "layer")),
            ("pentimento_inpaint", "Inpaint selection", lambda: session.paint("inpaint")),
            ("pentimento_generate", "Generate", lambda: session.paint("txt2img")),
            ("pentimento_grid", "Grid...", self._ask_for_grid),
            ("pentimento_refine", "Refine this layer again", session.refine),
            ("pentimento_redo", "Redo exactly", session.redo),
            ("pentimento_cancel", "Cancel", self._cancel),
            ("pentimento_reuse", "Reuse settings from file...", self._reuse),
            ("pentimento_settings", "Settings...", self._open_settings),
        )

    def _cancel(self) -> None:
        document = layers.active_document()
        self._session.cancel(None if document is None else document.id)

    def _ask_for_grid(self) -> None:
        window = Krita.instance().activeWindow()
        if window is not None:
            ask_for_grid(self._session, window.qwindow())

    def _reuse(self) -> None:
        window = Krita.instance().activeWindow()
        if window is not None:
            choose_file(self._session, window.qwindow())

    def _open_settings(self) -> None:
        self._session.unfold()
        for docker in _dockers():
            docker.show()
            docker.raise_()

    def _tell(self, sentence: str) -> None:
        """What would be said in the docker alone is said over the canvas when the docker is not to be seen."""
        if not any(docker.isVisible() for docker in _dockers()):
            layers.say(sentence)


def _dockers() -> list[QtWidgets.QWidget]:
    """The active window's docker, as a list of one or none."""
    window = Krita.instance().activeWindow()
    found = [] if window is None else window.dockers()
    return [docker for docker in found if isinstance(docker, PentimentoDocker) or docker.objectName() == ID]
