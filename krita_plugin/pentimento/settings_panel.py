"""The upper part of the docker: mode, prompts, strength, model, and the fold with everything else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from pentimento_shared.presets import PRESETS
from pentimento_shared.settings import SETTINGS, Setting, Value, by_group
from pentimento_shared.style_names import written_out

from . import reusing
from .choices import HIDDEN, MODES, Row
from .looks import SPACING, FoldButton, heading, let_wheel_scroll, mark_checked, narrow, small
from .prompts import PromptField
from .qt import QtCore, QtWidgets
from .session import Session
from .styles import StylesWidget
from .widgets import RowWidget, SeedWidget, widget_for

_MODES = {
    "auto": ("Auto", "Inpaints where something is selected, else img2img of the source."),
    "img2img": ("Img2img", "Repaints the whole source; a selection limits what shows of it."),
    "inpaint": ("Inpaint", "Repaints what is selected, and sees what is around it."),
    "txt2img": ("Generate", "Paints from the prompt alone, into the selection or the whole canvas."),
}
_SOURCES = (("layer", "Active layer"), ("canvas", "Visible canvas"))
_PROMPTS = {"prompt": 3, "negative_prompt": 1}
"""Name -> how many lines show when it is empty."""
_OWN_PLACE = ("prompt", "negative_prompt", "model", *HIDDEN)


class SettingsPanel(QtWidgets.QWidget):
    """Shows the session's settings, and changes them. `run`: Ctrl+Enter in a prompt."""

    run = QtCore.pyqtSignal()

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._modes = self._make_modes()
        self._prompts = {row.name: self._make_prompt(row) for row in SETTINGS if row.name in _PROMPTS}
        self._widgets: dict[str, RowWidget] = {}
        self._labels: dict[str, QtWidgets.QLabel] = {}
        self._model = self._make_model()
        self._source = self._make_source()
        self._styles_fault = small(QtWidgets.QLabel())
        self._styles_fault.setObjectName("styles_fault")
        self._styles_fault.setWordWrap(True)
        self._presets = self._make_presets()
        self._reuse = self._make_reuse()
        self._fold = FoldButton("Advanced")
        self._fold.setObjectName("fold")
        self._advanced = self._make_advanced()
        self._fold.toggled.connect(self._advanced.setVisible)
        self._fold.clicked.connect(lambda unfolded: self._change(unfolded=unfolded))
        self._build()

    def refresh(self, last_seed: int | None) -> None:
        """Shows the settings as they are now."""
        choices, task = self._session.choices, self._session.task()
        rows = self._session.rows(task)
        self._show_modes(choices.mode)
        findings = self._session.findings(rows)
        for name, field in self._prompts.items():
            field.show_prompt(str(rows[name].value), findings.of(name))
        self._styles_fault.setText(findings.problem)
        self._styles_fault.setVisible(bool(findings.problem))
        for name, widget in self._widgets.items():
            widget.show_row(rows[name])
            if name in self._labels:
                self._labels[name].setEnabled(not rows[name].problem)
            if isinstance(widget, SeedWidget):
                widget.show_last(last_seed)
            if isinstance(widget, StylesWidget):
                widget.offer(self._session.link.snapshot().styles)
        self._show_models(rows["model"])
        self._source.setCurrentIndex([name for name, _ in _SOURCES].index(choices.source))
        self._source.setEnabled(task != "txt2img")
        self._fold.setChecked(choices.unfolded)
        self._advanced.setVisible(choices.unfolded)

    def _make_modes(self) -> dict[str, QtWidgets.QToolButton]:
        buttons: dict[str, QtWidgets.QToolButton] = {}
        group = QtWidgets.QButtonGroup(self)
        for mode in MODES:
            button = QtWidgets.QToolButton()
            button.setObjectName(f"mode_{mode}")
            button.setText(_MODES[mode][0])
            button.setCheckable(True)
            button.setSizePolicy(QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Fixed)
            button.clicked.connect(lambda _checked, mode=mode: self._change(mode=mode))
            group.addButton(button)
            buttons[mode] = button
        return buttons

    def _make_prompt(self, setting: Setting) -> PromptField:
        field = PromptField(setting, _PROMPTS[setting.name])
        field.edited.connect(lambda text: self._session.choose_value(setting.name, text))
        field.run.connect(self.run)
        return field

    def _make_model(self) -> QtWidgets.QComboBox:
        box = narrow(QtWidgets.QComboBox())
        let_wheel_scroll(box)
        box.setObjectName("model")
        box.activated.connect(lambda index: self._session.choose_value("model", box.itemData(index)))
        return box

    def _make_source(self) -> QtWidgets.QComboBox:
        box = narrow(QtWidgets.QComboBox())
        let_wheel_scroll(box)
        for name, text in _SOURCES:
            box.addItem(text, name)
        box.setObjectName("source")
        box.setToolTip("What img2img and inpainting start from.")
        box.activated.connect(lambda index: self._change(source=box.itemData(index)))
        return box

    def _make_presets(self) -> QtWidgets.QPushButton:
        button = QtWidgets.QPushButton("Presets")
        button.setObjectName("presets")
        button.setToolTip("Settings for what artists do most.")
        menu = QtWidgets.QMenu(button)
        menu.setToolTipsVisible(True)
        for preset in PRESETS:
            strength = preset.settings.get("strength")
            text = preset.name if strength is None else f"{preset.name}\t{strength:g}"
            action = menu.addAction(text, lambda preset=preset: self._take(preset.settings))
            action.setToolTip(preset.help)
        button.setMenu(menu)
        return button

    def _make_reuse(self) -> QtWidgets.QPushButton:
        button = QtWidgets.QPushButton("Reuse")
        button.setObjectName("reuse")
        button.setToolTip("Take over the settings of a picture. A PNG can also be dropped on this docker.")
        menu = QtWidgets.QMenu(button)
        menu.addAction("Settings from file...", lambda: reusing.choose_file(self._session, self))
        menu.addAction("Settings from the active layer", lambda: reusing.reuse_layer(self._session))
        button.setMenu(menu)
        return button

    def _make_advanced(self) -> QtWidgets.QWidget:
        box = QtWidgets.QWidget()
        form = _form(box)
        for title, rows in by_group(_shown(advanced=True)):
            form.addRow(heading(title))
            for row in rows:
                self._add_row(form, row)
        reset = QtWidgets.QPushButton("Reset to the model's defaults")
        reset.setObjectName("reset")
        reset.clicked.connect(self._reset)
        form.addRow(reset)
        return box

    def _build(self) -> None:
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACING)
        modes = QtWidgets.QHBoxLayout()
        modes.setSpacing(1)
        for button in self._modes.values():
            modes.addWidget(button)
        layout.addLayout(modes)
        layout.addWidget(self._prompts["prompt"])
        layout.addWidget(self._prompts["negative_prompt"])
        plain = QtWidgets.QWidget()
        form = _form(plain)
        for row in _shown(advanced=False):
            self._add_row(form, row)
        form.insertRow(1, self._styles_fault)
        form.addRow("Source", self._source)
        form.addRow("Model", self._model)
        layout.addWidget(plain)
        head = QtWidgets.QHBoxLayout()
        head.addWidget(self._fold)
        head.addStretch(1)
        head.addWidget(self._reuse)
        head.addWidget(self._presets)
        layout.addLayout(head)
        layout.addWidget(self._advanced)

    def _add_row(self, form: QtWidgets.QFormLayout, setting: Setting) -> None:
        widget = StylesWidget(setting) if setting.name == "styles" else widget_for(setting)
        if isinstance(widget, StylesWidget):
            widget.written.connect(self._write_styles)
        widget.setObjectName(setting.name)
        widget.edited.connect(lambda value: self._session.choose_value(setting.name, value))
        self._widgets[setting.name] = widget
        if setting.kind == "boolean":
            form.addRow(widget)
            return
        label = QtWidgets.QLabel(setting.label)
        label.setToolTip(setting.help)
        label.setBuddy(widget)
        self._labels[setting.name] = label
        form.addRow(label, widget)

    def _show_modes(self, chosen: str) -> None:
        info = self._session.model_info()
        self._modes[chosen].setChecked(True)
        for mode, button in self._modes.items():
            able = mode == "auto" or mode in info.get("tasks", MODES)
            button.setEnabled(able)
            button.setToolTip(_MODES[mode][1] if able else f"{info['name']} cannot do this.")
            mark_checked(button)

    def _show_models(self, row: Row) -> None:
        """Every model that the backend has, and the chosen one even when it has not."""
        chosen = self._session.model()
        models = {str(info["id"]): info for info in self._session.link.snapshot().models}
        names = {id_: str(info["name"]) for id_, info in models.items()}
        names.setdefault(chosen, f"{chosen} (not installed)" if models else chosen)
        if names != {self._model.itemData(k): self._model.itemText(k) for k in range(self._model.count())}:
            self._model.clear()
            for id_, name in names.items():
                self._model.addItem(name, id_)
        self._model.setCurrentIndex(self._model.findData(chosen))
        self._model.setToolTip(f"{names[chosen]}\n{models.get(chosen, {}).get('description', row.setting.help)}")

    def _change(self, **changes: object) -> None:
        self._session.choose(replace(self._session.choices, **changes))

    def _take(self, settings: Mapping[str, Value]) -> None:
        self._session.choose(self._session.choices.with_values(settings))

    def _write_styles(self) -> None:
        rows = self._session.rows(self._session.task())
        values = {name: str(rows[name].value) for name in (*_PROMPTS, "styles")}
        self._take(written_out(self._session.link.snapshot().styles, values))

    def _reset(self) -> None:
        names = [row.name for row in SETTINGS if row.advanced]
        self._session.choose(self._session.choices.without(names))


def _shown(advanced: bool) -> list[Setting]:
    """The rows of the table that a form shows, in the table's order."""
    return [row for row in SETTINGS if row.advanced == advanced and row.name not in _OWN_PLACE]


def _form(box: QtWidgets.QWidget) -> QtWidgets.QFormLayout:
    form = QtWidgets.QFormLayout(box)
    form.setContentsMargins(0, 0, 0, 0)
    form.setHorizontalSpacing(2 * SPACING)
    form.setVerticalSpacing(SPACING)
    # With large letters a label goes above its widget before anything is clipped.
    form.setRowWrapPolicy(QtWidgets.QFormLayout.RowWrapPolicy.WrapLongRows)
    form.setFieldGrowthPolicy(QtWidgets.QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return form
