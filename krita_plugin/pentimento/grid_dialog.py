"""The dialog of a grid: up to three settings, a line of values for each, and how many pictures they make."""

from __future__ import annotations

from pentimento_shared.variants import MAX_AXES, axis_rows, count_said, example

from .looks import SPACING, let_wheel_scroll
from .qt import QtCore, QtWidgets
from .run_panel import Sentence
from .session import Session

_NOTHING = "(nothing)"
_LETTERS = "xyz"
_WIDTH = 520
"""px; room for a line of values, and for a sentence that says what is wrong with it."""


class GridDialog(QtWidgets.QDialog):
    """Asks for the axes; everything else is as the docker has it. Begins with what was asked for last."""

    def __init__(self, session: Session, parent: QtWidgets.QWidget) -> None:
        super().__init__(parent)
        self._session = session
        self._task = session.task()
        self._rows = {row.name: row for row in axis_rows(self._task)}
        self.setObjectName("pentimento_grid_dialog")
        self.setWindowTitle("Pentimento: Grid")
        self.setAttribute(QtCore.Qt.WidgetAttribute.WA_DeleteOnClose)
        self._axes = [self._make_axis(letter) for letter in _LETTERS[:MAX_AXES]]
        self._sentence = Sentence()
        self._sentence.setObjectName("count")
        self._buttons = QtWidgets.QDialogButtonBox(
            QtWidgets.QDialogButtonBox.StandardButton.Ok | QtWidgets.QDialogButtonBox.StandardButton.Cancel
        )
        self._buttons.accepted.connect(self.accept)
        self._buttons.rejected.connect(self.reject)
        self._build()
        self._show_last()
        self._check()

    def accept(self) -> None:
        """Begins the grid in the document in front."""
        self._session.axes = self._written()
        self._session.grid([axis for axis in self._written() if axis[0]])
        super().accept()

    def _make_axis(self, letter: str) -> tuple[QtWidgets.QComboBox, QtWidgets.QLineEdit]:
        box, line = QtWidgets.QComboBox(), QtWidgets.QLineEdit()
        box.setObjectName(f"{letter}_axis")
        line.setObjectName(f"{letter}_values")
        box.addItem(_NOTHING, "")
        for row in self._rows.values():
            box.addItem(row.label, row.name)
            box.setItemData(box.count() - 1, row.help, QtCore.Qt.ItemDataRole.ToolTipRole)
        let_wheel_scroll(box)
        line.setAccessibleName(f"Values along {letter}")
        box.currentIndexChanged.connect(lambda _: self._check())
        line.textChanged.connect(lambda _: self._check())
        return box, line

    def _build(self) -> None:
        layout = QtWidgets.QVBoxLayout(self)
        layout.setSpacing(2 * SPACING)
        told = QtWidgets.QLabel("A picture for each combination, as one group of layers. All else is as in the docker.")
        told.setWordWrap(True)
        layout.addWidget(told)
        table = QtWidgets.QGridLayout()
        table.setColumnStretch(2, 1)
        for number, (box, line) in enumerate(self._axes):
            table.addWidget(QtWidgets.QLabel(_LETTERS[number].upper()), number, 0)
            table.addWidget(box, number, 1)
            table.addWidget(line, number, 2)
        layout.addLayout(table)
        layout.addWidget(self._sentence, 1, QtCore.Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self._buttons)
        self.setMinimumWidth(_WIDTH)

    def _show_last(self) -> None:
        for (box, line), (name, values) in zip(self._axes, self._session.axes, strict=False):
            if name in self._rows:
                box.setCurrentIndex(box.findData(name))
                line.setText(values)

    def _written(self) -> list[tuple[str, str]]:
        return [(str(box.currentData()), line.text()) for box, line in self._axes]

    def _check(self) -> None:
        """Says how many pictures there will be, or what is wrong with what is written so far."""
        for box, line in self._axes:
            row = self._rows.get(box.currentData())
            line.setEnabled(row is not None)
            line.setPlaceholderText("" if row is None else example(row))
            line.setToolTip("" if row is None else "\n".join((row.help, *row.choices)))
        models = [str(model["id"]) for model in self._session.link.snapshot().models]
        settings = self._session.order(self._task).settings
        count, sentence = count_said(self._task, settings, self._written(), models or None)
        self._sentence.say(sentence, count == 0)
        run = self._buttons.button(QtWidgets.QDialogButtonBox.StandardButton.Ok)
        run.setEnabled(count > 0)
        run.setText(f"Make {count} pictures" if count > 1 else "Make it")


def ask_for_grid(session: Session, parent: QtWidgets.QWidget) -> None:
    """Opens the dialog over `parent`; the window's other parts wait, Krita does not."""
    GridDialog(session, parent).open()
