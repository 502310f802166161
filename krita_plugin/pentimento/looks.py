"""Small things that make the docker look and feel like one of Krita's own."""

from __future__ import annotations

from krita import Krita

from .qt import QtCore, QtGui, QtWidgets

SPACING = 4
"""Between the docker's widgets, px: what Krita's own dockers have."""


def icon(name: str) -> QtGui.QIcon:
    """One of Krita's icons, in the colours of its theme; faded where it is disabled, which Krita's own are not."""
    found = Krita.instance().icon(name)
    if found.isNull():
        return found
    bright = found.pixmap(32, 32)
    faded = QtGui.QPixmap(bright.size())
    faded.fill(QtCore.Qt.GlobalColor.transparent)
    painter = QtGui.QPainter(faded)
    painter.setOpacity(0.3)
    painter.drawPixmap(0, 0, bright)
    painter.end()
    both = QtGui.QIcon(bright)
    both.addPixmap(faded, QtGui.QIcon.Mode.Disabled)
    return both


def tool_button(picture: QtGui.QIcon | None, tip: str) -> QtWidgets.QToolButton:
    button = QtWidgets.QToolButton()
    button.setAutoRaise(True)
    button.setToolTip(tip)
    button.setAccessibleName(tip)
    if picture is not None:
        button.setIcon(picture)
    return button


def small(label: QtWidgets.QLabel) -> QtWidgets.QLabel:
    """For a remark beside what it is about."""
    font = QtGui.QFont(label.font())
    font.setPointSizeF(0.9 * font.pointSizeF())
    label.setFont(font)
    return label


def enlarged(font: QtGui.QFont) -> QtGui.QFont:
    """For a sign among letters, which is drawn too small to be seen what it is."""
    large = QtGui.QFont(font)
    large.setPointSizeF(1.6 * font.pointSizeF())
    return large


def heading(text: str) -> QtWidgets.QLabel:
    """The title over a group of rows."""
    label = QtWidgets.QLabel(text)
    font = QtGui.QFont(label.font())
    font.setBold(True)
    label.setFont(font)
    label.setContentsMargins(0, 2 * SPACING, 0, 0)
    return label


def narrow(box: QtWidgets.QComboBox) -> QtWidgets.QComboBox:
    """Lets a combo box be narrower than its longest entry, so that it never widens the docker."""
    box.setSizeAdjustPolicy(QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(8)
    box.setSizePolicy(QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Fixed)
    return box


def mark_checked(button: QtWidgets.QAbstractButton) -> None:
    """Gives a checked button the theme's highlight: Krita's dark themes show hardly that it is pressed."""
    palette = QtWidgets.QApplication.palette(button)
    if button.isChecked():
        palette.setColor(QtGui.QPalette.ColorRole.Button, palette.color(QtGui.QPalette.ColorRole.Highlight))
    button.setPalette(palette)


class _WheelFilter(QtCore.QObject):
    def eventFilter(self, watched: QtCore.QObject, event: QtCore.QEvent) -> bool:
        wheel = event.type() == QtCore.QEvent.Type.Wheel and isinstance(watched, QtWidgets.QWidget)
        if wheel and not watched.hasFocus():
            event.ignore()
            return True
        return super().eventFilter(watched, event)


def let_wheel_scroll(widget: QtWidgets.QWidget) -> None:
    """The wheel over `widget` scrolls the docker instead of changing a value by accident, unless it has the focus."""
    widget.setFocusPolicy(QtCore.Qt.FocusPolicy.StrongFocus)
    widget.installEventFilter(_WheelFilter(widget))


class FoldButton(QtWidgets.QToolButton):
    """A heading with an arrow; `toggled` says whether what is below it shows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.setText(text)
        self.setCheckable(True)
        self.setAutoRaise(True)
        self.setToolButtonStyle(QtCore.Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.toggled.connect(self._turn)
        self._turn(False)

    def _turn(self, open_: bool) -> None:
        self.setArrowType(QtCore.Qt.ArrowType.DownArrow if open_ else QtCore.Qt.ArrowType.RightArrow)


_MOST_LINES = 8


class PromptBox(QtWidgets.QPlainTextEdit):
    """Text of several lines that grows with what is written, and runs with Ctrl+Enter."""

    run = QtCore.pyqtSignal()
    edited = QtCore.pyqtSignal(str)

    def __init__(self, placeholder: str, least_lines: int) -> None:
        super().__init__()
        self._least = least_lines
        self._marked = 0
        self.setPlaceholderText(placeholder)
        self.setTabChangesFocus(True)
        self.textChanged.connect(self._changed)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Fixed)

    def show_text(self, text: str) -> None:
        """Shows `text` without `edited`; the caret stays where it is when nothing differs."""
        if text != self.toPlainText():
            with QtCore.QSignalBlocker(self):
                self.setPlainText(text)
            self._fit()

    def mark(self, position: int) -> None:
        """Underlines the character at `position`, from 1; nothing when it is 0."""
        if position == self._marked:
            return
        self._marked = position
        within = 0 < position <= len(self.toPlainText())
        self.setExtraSelections([_underlined(self.document(), position)] if within else [])

    def event(self, event: QtCore.QEvent) -> bool:
        # Without this, Krita takes a typed letter for the shortcut of a brush or a tool.
        if event.type() == QtCore.QEvent.Type.ShortcutOverride and isinstance(event, QtGui.QKeyEvent):
            modifiers = event.modifiers() & ~QtCore.Qt.KeyboardModifier.KeypadModifier
            plain = modifiers in (QtCore.Qt.KeyboardModifier.NoModifier, QtCore.Qt.KeyboardModifier.ShiftModifier)
            if plain or _is_run(event):
                event.accept()
                return True
        return super().event(event)

    def keyPressEvent(self, event: QtGui.QKeyEvent) -> None:
        if _is_run(event):
            self.run.emit()
        else:
            super().keyPressEvent(event)

    def sizeHint(self) -> QtCore.QSize:
        lines = min(max(int(self.document().size().height()), self._least), _MOST_LINES)
        frame = 2 * self.frameWidth() + 2 * int(self.document().documentMargin())
        return QtCore.QSize(160, lines * self.fontMetrics().lineSpacing() + frame)

    def minimumSizeHint(self) -> QtCore.QSize:
        return QtCore.QSize(80, self.sizeHint().height())

    def resizeEvent(self, event: QtGui.QResizeEvent) -> None:
        super().resizeEvent(event)
        self._fit()

    def _changed(self) -> None:
        self._fit()
        self.edited.emit(self.toPlainText())

    def _fit(self) -> None:
        policies = QtCore.Qt.ScrollBarPolicy
        long = self.document().size().height() > _MOST_LINES
        self.setVerticalScrollBarPolicy(policies.ScrollBarAsNeeded if long else policies.ScrollBarAlwaysOff)
        self.updateGeometry()


def _is_run(event: QtGui.QKeyEvent) -> bool:
    enter = event.key() in (QtCore.Qt.Key.Key_Return, QtCore.Qt.Key.Key_Enter)
    return enter and bool(event.modifiers() & QtCore.Qt.KeyboardModifier.ControlModifier)


def _underlined(document: QtGui.QTextDocument, position: int) -> QtWidgets.QTextEdit.ExtraSelection:
    """A wavy line under the character at `position` (from 1), as spelling checkers have it."""
    text = document.toPlainText()
    # Qt counts in UTF-16: characters beyond its first plane are two.
    places = [len(text[:end].encode("utf-16-le")) // 2 for end in (position - 1, position)]
    found = QtWidgets.QTextEdit.ExtraSelection()
    found.cursor = QtGui.QTextCursor(document)
    found.cursor.setPosition(places[0])
    found.cursor.setPosition(places[1], QtGui.QTextCursor.MoveMode.KeepAnchor)
    wavy = QtGui.QTextCharFormat()
    wavy.setUnderlineStyle(QtGui.QTextCharFormat.UnderlineStyle.WaveUnderline)
    wavy.setUnderlineColor(QtGui.QColor("#e05050"))
    found.format = wavy
    return found
