"""The styles of a prompt: their names, a list to choose them from, and a way to write them into the prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from pentimento_shared.settings import Setting
from pentimento_shared.style_names import names_in, toggled

from .looks import tool_button
from .qt import QtCore, QtWidgets
from .widgets import LineWidget

_NONE: Final = "No styles yet: `pentimento styles save NAME PROMPT` keeps one."


class StylesWidget(LineWidget):
    """Names that can be typed, and a menu that ticks them. `written`: the artist wants them in the prompts."""

    written = QtCore.pyqtSignal()

    def __init__(self, setting: Setting, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(setting, parent)
        self._styles: Sequence[Mapping[str, Any]] = ()
        self._box.setPlaceholderText("None")
        self._button = tool_button(None, "Choose styles")
        self._button.setText("Choose")
        self._button.setPopupMode(QtWidgets.QToolButton.ToolButtonPopupMode.InstantPopup)
        self._menu = QtWidgets.QMenu(self._button)
        self._menu.setToolTipsVisible(True)
        self._menu.aboutToShow.connect(self._fill)
        self._button.setMenu(self._menu)
        self._add(self._button)

    def offer(self, styles: Sequence[Mapping[str, Any]]) -> None:
        """The styles that there are, as the backend tells them."""
        self._styles = styles

    def _fill(self) -> None:
        self._menu.clear()
        chosen = names_in(self._box.text())
        for style in self._styles:
            name = str(style["name"])
            action = self._menu.addAction(name, lambda name=name: self._toggle(name))
            action.setCheckable(True)
            action.setChecked(name in chosen)
            action.setToolTip(_words(style))
        if not self._styles:
            self._menu.addAction(_NONE).setEnabled(False)
        self._menu.addSeparator()
        write = self._menu.addAction("Write them into the prompts", self.written.emit)
        write.setToolTip("Puts the styles' words into the prompts, where they can be changed, and chooses none.")
        write.setEnabled(bool(chosen))

    def _toggle(self, name: str) -> None:
        self.edited.emit(toggled(self._box.text(), name))


def _words(style: Mapping[str, Any]) -> str:
    negative = style.get("negative_prompt")
    return f"{style.get('prompt', '')}" + (f"\nNot: {negative}" if negative else "")
