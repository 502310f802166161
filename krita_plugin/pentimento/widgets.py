"""Widgets for rows of the settings table: each shows a row, and says with `edited` what the artist made of it."""

from __future__ import annotations

from pentimento_shared.settings import Setting, Value

from .choices import Row
from .looks import enlarged, let_wheel_scroll, narrow, tool_button
from .qt import QtCore, QtWidgets

_INT_END = 2**31
"""Qt's whole-number spin box ends before this; larger ranges take the one for fractions, without any."""


class RowWidget(QtWidgets.QWidget):
    """Base of the widgets below: tooltip and greying are the same for all."""

    edited = QtCore.pyqtSignal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._layout = QtWidgets.QHBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(4)

    def show_row(self, row: Row) -> None:
        """Shows the row's value, limits and why it has no effect, without `edited`."""
        self.setEnabled(not row.problem)
        self.setToolTip(f"{row.problem}\n{row.setting.help}" if row.problem else row.setting.help)
        self._show(row.setting, row.value)

    def _show(self, setting: Setting, value: Value) -> None:
        raise NotImplementedError

    def _add(self, *widgets: QtWidgets.QWidget) -> None:
        for widget in widgets:
            let_wheel_scroll(widget)
            self._layout.addWidget(widget)


class NumberWidget(RowWidget):
    """A spin box; for a fraction between fixed ends also a slider."""

    def __init__(self, setting: Setting, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._whole = setting.kind == "integer"
        self._unit = setting.step or 1
        self._box = self._spin_box(setting)
        self._box.valueChanged.connect(lambda _: self.edited.emit(self.number()))
        self._slider: QtWidgets.QSlider | None = None
        if not self._whole and setting.maximum is not None and setting.maximum <= 1:
            self._slider = QtWidgets.QSlider(QtCore.Qt.Orientation.Horizontal)
            self._slider.valueChanged.connect(lambda steps: self._box.setValue(steps * self._unit))
            self._add(self._slider)
        self._add(self._box)
        self._layout.setStretch(0, 1)

    def _spin_box(self, setting: Setting) -> QtWidgets.QSpinBox | QtWidgets.QDoubleSpinBox:
        small = self._whole and (setting.maximum is None or setting.maximum < _INT_END)
        box = QtWidgets.QSpinBox() if small else QtWidgets.QDoubleSpinBox()
        if isinstance(box, QtWidgets.QDoubleSpinBox):
            box.setDecimals(0 if self._whole else 2)
        box.setKeyboardTracking(False)
        box.setSuffix(f" {setting.unit}" if setting.unit else "")
        box.setMinimumWidth(60)
        if setting.minimum == -1:  # of seeds alone
            box.setSpecialValueText("Random")
        return box

    def number(self) -> Value:
        """The number that stands there now."""
        return int(self._box.value()) if self._whole else float(self._box.value())

    def _show(self, setting: Setting, value: Value) -> None:
        low, high, step = setting.minimum or 0, _INT_END - 1 if setting.maximum is None else setting.maximum, self._unit
        convert = int if isinstance(self._box, QtWidgets.QSpinBox) else float
        with QtCore.QSignalBlocker(self._box):
            self._box.setRange(convert(low), convert(high))
            self._box.setSingleStep(convert(step))
            self._box.setValue(convert(value))
        if self._slider is not None:
            with QtCore.QSignalBlocker(self._slider):
                self._slider.setRange(round(low / step), round(high / step))
                self._slider.setPageStep(max(1, round(0.1 / step)))
                self._slider.setValue(round(float(value) / step))


class SeedWidget(NumberWidget):
    """The seed, with a dice for a new random one each time, and a button for the one used last."""

    def __init__(self, setting: Setting, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(setting, parent)
        self._box.setButtonSymbols(QtWidgets.QAbstractSpinBox.ButtonSymbols.NoButtons)
        self._last: int | None = None
        self._dice = tool_button(None, "A new random seed for each picture")
        self._dice.setText("\u2684")
        self._dice.setFont(enlarged(self._dice.font()))
        self._dice.setMaximumHeight(self._box.sizeHint().height())
        self._dice.clicked.connect(lambda: self._box.setValue(-1))
        self._reuse = tool_button(None, "")
        self._reuse.setText("Last")
        self._reuse.clicked.connect(self._take_last)
        self._add(self._dice, self._reuse)
        self.show_last(None)

    def show_last(self, seed: int | None) -> None:
        """`seed`: that of the newest picture in this document; None: there is none yet."""
        self._last = seed
        self._reuse.setEnabled(seed is not None)
        self._reuse.setToolTip("Take the last picture's seed" + ("" if seed is None else f", {seed}"))

    def _take_last(self) -> None:
        if self._last is not None:
            self._box.setValue(self._last)


class ChoiceWidget(RowWidget):
    """A box of words; those that the model does not take are grey."""

    def __init__(self, setting: Setting, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = narrow(QtWidgets.QComboBox())
        self._box.addItems(setting.choices)
        self._box.textActivated.connect(self.edited.emit)
        self._add(self._box)

    def _show(self, setting: Setting, value: Value) -> None:
        items = self._box.model()
        for index in range(self._box.count()):
            items.item(index).setEnabled(self._box.itemText(index) in setting.choices)
        self._box.setCurrentText(str(value))


class NameWidget(RowWidget):
    """A box of the names that there are; one that is chosen and not there stays to be seen."""

    def __init__(self, setting: Setting, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = narrow(QtWidgets.QComboBox())
        self._box.textActivated.connect(self.edited.emit)
        self._add(self._box)

    def _show(self, setting: Setting, value: Value) -> None:
        names = list(dict.fromkeys((*setting.choices, str(value))))
        # Filled anew only when it is another list: it may be open.
        if names != [self._box.itemText(index) for index in range(self._box.count())]:
            self._box.clear()
            self._box.addItems(names)
        self._box.setCurrentText(str(value))


class WordOrNumberWidget(RowWidget):
    """A box of words with one more, behind which a number can be given."""

    def __init__(self, setting: Setting, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._words = setting.choices
        self._box = narrow(QtWidgets.QComboBox())
        self._box.addItems([word.capitalize() for word in setting.choices] + [f"In {setting.unit or 'numbers'}"])
        self._number = NumberWidget(setting)
        # What the number starts at: the settings of this kind have a word as their default.
        self._number.show_row(Row(setting, int((setting.minimum or 0) + 8 * (setting.step or 1))))
        self._box.activated.connect(self._chosen)
        self._number.edited.connect(self.edited.emit)
        self._add(self._box, self._number)
        self._layout.setStretch(0, 1)

    def _chosen(self, index: int) -> None:
        self._number.setVisible(index == len(self._words))
        self.edited.emit(self._words[index] if index < len(self._words) else self._number.number())

    def _show(self, setting: Setting, value: Value) -> None:
        word = isinstance(value, str)
        self._box.setCurrentIndex(self._words.index(value) if word else len(self._words))
        self._number.setVisible(not word)
        if not word:
            self._number.show_row(Row(setting, value))


class FlagWidget(RowWidget):
    """A check box, which brings its label along."""

    def __init__(self, setting: Setting, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = QtWidgets.QCheckBox(setting.label)
        self._box.clicked.connect(self.edited.emit)
        self._add(self._box)

    def _show(self, setting: Setting, value: Value) -> None:
        self._box.setChecked(bool(value))


class LineWidget(RowWidget):
    def __init__(self, setting: Setting, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._box = QtWidgets.QLineEdit()
        self._box.textEdited.connect(self.edited.emit)
        self._add(self._box)

    def _show(self, setting: Setting, value: Value) -> None:
        if self._box.text() != value:
            self._box.setText(str(value))


def widget_for(setting: Setting) -> RowWidget:
    """The widget that fits the row's kind."""
    if setting.name == "seed":
        return SeedWidget(setting)
    if setting.kind == "choice":
        return ChoiceWidget(setting)
    if setting.kind == "boolean":
        return FlagWidget(setting)
    if setting.kind in ("text", "string"):
        return NameWidget(setting) if setting.choices else LineWidget(setting)
    return WordOrNumberWidget(setting) if setting.choices else NumberWidget(setting)
