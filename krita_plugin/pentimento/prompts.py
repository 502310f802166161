"""A prompt as the docker shows it: the text, and below it how long it is and what cannot be read in it."""

from __future__ import annotations

from pentimento_shared.prompt_check import Finding
from pentimento_shared.settings import Setting

from .looks import PromptBox, small
from .qt import QtCore, QtWidgets


class PromptField(QtWidgets.QWidget):
    """`edited`: the artist wrote something; `run`: Ctrl+Enter. `lines` show when nothing is written."""

    run = QtCore.pyqtSignal()
    edited = QtCore.pyqtSignal(str)

    def __init__(self, setting: Setting, lines: int) -> None:
        super().__init__()
        self._box = PromptBox(setting.label, lines)
        self._box.setObjectName(setting.name)
        self._box.setToolTip(f"{setting.help}\nCtrl+Enter runs.")
        self._box.setAccessibleName(setting.label)
        self._box.run.connect(self.run)
        self._box.edited.connect(self.edited)
        self._fault = small(QtWidgets.QLabel())
        self._fault.setObjectName(f"{setting.name}_fault")
        self._fault.setWordWrap(True)
        self._count = small(QtWidgets.QLabel())
        self._count.setObjectName(f"{setting.name}_tokens")
        self._count.setToolTip("Tokens of the prompt, and of the chunks that the model reads them in.")
        layout = QtWidgets.QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        layout.setColumnStretch(0, 1)
        layout.addWidget(self._box, 0, 0, 1, 2)
        layout.addWidget(self._fault, 1, 0)
        layout.addWidget(self._count, 1, 1, QtCore.Qt.AlignmentFlag.AlignRight | QtCore.Qt.AlignmentFlag.AlignTop)

    def show_prompt(self, text: str, finding: Finding) -> None:
        """Shows the text without `edited`, and what is known of it."""
        self._box.show_text(text)
        self._box.mark(finding.position)
        self._say(self._fault, finding.fault)
        self._say(self._count, finding.count if text else "")

    def _say(self, label: QtWidgets.QLabel, text: str) -> None:
        label.setText(text)
        label.setVisible(bool(text))
