"""Played inside Krita, with a backend beside it: what helps with prompts and settings, as an artist uses it."""

import time

import krita
from krita_docker import choose, docker, message, open_docker, painted_document, part
from pentimento.qt import QtCore, QtGui, QtWidgets

from pentimento_shared.settings import GROUPS, SETTINGS, by_group

KRITA = krita.Krita.instance()
Qt = QtCore.Qt


def shown(name):
    """What a label of the docker says, empty when it is not to be seen."""
    label = part(name, QtWidgets.QLabel)
    return label.text() if label.isVisible() else ""


def prompt(name="prompt"):
    return part(name, QtWidgets.QPlainTextEdit)


def value(name):
    return docker()._session.choices.changed.get(name)


def opened(stage, width=300):
    yield from painted_document(stage)
    yield from open_docker(stage, width=width, above=100)
    yield stage.until(lambda: part("model").currentText().startswith("Pentimento demo"), "the backend's models")


def milliseconds(work, times):
    """What the longest of some calls takes of this thread, however busy the machine is with other things."""
    taken = []
    for _ in range(times):
        before = time.thread_time()
        work()
        taken.append(1000 * (time.thread_time() - before))
    return max(taken)


def case_groups(stage):
    """The fold, its headings, and what it costs the window to show it and to keep it up to date."""
    yield from opened(stage)
    fold = part("fold", QtWidgets.QToolButton)
    folded = not part("steps").isVisible()
    refresh = milliseconds(docker()._refresh, 20)
    unfold = milliseconds(fold.click, 1)
    yield stage.until(lambda: part("steps").isVisible(), "the advanced settings")
    refresh = max(refresh, milliseconds(docker()._refresh, 20))
    labels = [label for label in docker().findChildren(QtWidgets.QLabel) if label.font().bold() and label.isVisible()]
    labels.sort(key=lambda label: label.mapTo(docker(), QtCore.QPoint()).y())
    docker().settings.grab().save(str(stage.folder / "krita-advanced.png"))
    fold.click()
    rows = by_group(row for row in SETTINGS if row.advanced and docker().findChild(QtWidgets.QWidget, row.name))
    return {
        "folded": folded,
        "headings": [label.text() for label in labels if label.text() in GROUPS.values()],
        "groups": [title for title, _ in rows],
        "refresh": refresh,
        "unfold": unfold,
    }


def case_files(stage):
    """The backend's files among the words of a setting."""
    yield from opened(stage)
    part("fold", QtWidgets.QToolButton).click()
    box = part("upscale_first").findChild(QtWidgets.QComboBox)

    def names():
        return [box.itemText(index) for index in range(box.count())]

    yield stage.until(lambda: len(names()) > 2, "the backend's upscalers")
    box.setCurrentText("Mill_x4")
    box.textActivated.emit("Mill_x4")
    vaes = part("vae").findChild(QtWidgets.QComboBox)
    docker().settings.grab().save(str(stage.folder / "krita-files.png"))
    facts = {"names": names(), "chosen": value("upscale_first"), "shown": box.currentText()}
    facts["vaes"] = [vaes.itemText(index) for index in range(vaes.count())]
    part("reset", QtWidgets.QPushButton).click()
    part("fold", QtWidgets.QToolButton).click()
    return {**facts, "reset": box.currentText()}


def case_tokens(stage):
    yield from opened(stage)
    prompt().setPlainText("mountains at sunset, watercolor")
    before = shown("prompt_tokens")
    yield stage.until(lambda: shown("prompt_tokens") not in ("", before), "the count")
    count = shown("prompt_tokens")
    prompt().setPlainText("\U0001f304 a (mountain")
    yield stage.until(lambda: shown("prompt_fault"), "the fault")
    yield stage.rest()
    marked = [selection.cursor.selectedText() for selection in prompt().extraSelections()]
    stage.shot("krita-fault")
    facts = {"count": count, "fault": shown("prompt_fault"), "marked": marked, "with fault": shown("prompt_tokens")}
    prompt().setPlainText("")
    yield stage.until(lambda: not shown("prompt_fault"), "nothing")
    return {**facts, "empty": [shown("prompt_tokens"), shown("negative_prompt_tokens")]}


def case_styles(stage):
    yield from opened(stage)
    prompt().setPlainText("a lake")
    widget = part("styles")
    menu = widget.findChild(QtWidgets.QMenu)
    yield stage.until(lambda: docker()._session.link.snapshot().styles, "the styles", 30)

    def entries():
        menu.aboutToShow.emit()
        return {action.text(): action for action in menu.actions() if action.text()}

    names = list(entries())
    entries()["Oil"].trigger()
    entries()["Noir, dark"].trigger()
    chosen = [value("styles"), [name for name, action in entries().items() if action.isChecked()]]
    widget.grab().save(str(stage.folder / "styles.png"))
    entries()["Oil"].trigger()
    fewer = value("styles")
    entries()["Write them into the prompts"].trigger()
    written = [prompt().toPlainText(), prompt("negative_prompt").toPlainText(), value("styles")]
    widget.edited.emit("nonesuch")
    yield stage.until(lambda: shown("styles_fault"), "what is wrong with the style")
    said = shown("styles_fault")
    choose(styles="")
    return {"names": names, "chosen": chosen, "fewer": fewer, "written": written, "said": said}


def case_reuse_from_file(stage):
    yield from opened(stage)
    QtWidgets.QFileDialog.getOpenFileName = staticmethod(lambda *_: (stage.given["infotext"], ""))
    KRITA.action("pentimento_reuse").trigger()
    yield stage.until(lambda: message().startswith("Settings taken"), "the settings of the file")
    facts = {"said": message(), "taken": [prompt().toPlainText(), part("steps").number(), value("sampler")]}
    drop(docker().widget(), stage.given["recipe"])
    yield stage.until(lambda: "Pentimento)" in message(), "the settings of the dropped file")
    facts["dropped"] = [prompt().toPlainText(), part("seed").number(), part("strength").number()]
    facts["took text"] = drop(docker().widget(), "/tmp/words.txt")
    QtWidgets.QFileDialog.getOpenFileName = staticmethod(lambda *_: (stage.given["none"], ""))
    KRITA.action("pentimento_reuse").trigger()
    yield stage.until(lambda: "holds no settings" in message(), "the refusal")
    facts["kept"] = prompt().toPlainText()
    part("reset", QtWidgets.QPushButton).click()
    return facts


def drop(widget, path):
    """Drops a file on a widget; whether it was taken."""
    data = QtCore.QMimeData()
    data.setUrls([QtCore.QUrl.fromLocalFile(path)])
    buttons, modifiers = Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier
    action = Qt.DropAction.CopyAction
    enter = QtGui.QDragEnterEvent(QtCore.QPoint(9, 9), action, data, buttons, modifiers)
    enter.ignore()
    QtWidgets.QApplication.sendEvent(widget, enter)
    taken = enter.isAccepted()
    if path.endswith(".png"):
        event = QtGui.QDropEvent(QtCore.QPointF(9, 9), action, data, buttons, modifiers)
        QtWidgets.QApplication.sendEvent(widget, event)
    return taken


def case_large_letters(stage):
    """Played on a small screen with letters of twice the size."""
    yield from opened(stage, width=420)
    font = QtGui.QFont(docker().font())
    font.setPointSizeF(2 * font.pointSizeF())
    docker().setFont(font)
    prompt().setPlainText("mountains at sunset")
    part("fold", QtWidgets.QToolButton).click()
    yield stage.until(lambda: part("steps").isVisible(), "the advanced settings")
    yield stage.rest()
    stage.shot("krita-large")
    area = docker().findChild(QtWidgets.QScrollArea)
    last = part("reset", QtWidgets.QPushButton)
    area.ensureWidgetVisible(last)
    yield stage.until(lambda: not last.visibleRegion().isEmpty(), "the last of the settings")
    stage.shot("krita-large-end")
    widgets = [widget for widget in area.widget().findChildren(QtWidgets.QWidget) if widget.isVisible()]
    ends = {widget: widget.mapTo(docker(), QtCore.QPoint(widget.width(), 0)).x() for widget in widgets}
    run, screen = part("run"), QtWidgets.QApplication.primaryScreen().geometry()
    bottom = run.mapToGlobal(QtCore.QPoint(0, run.height())).y()
    part("fold", QtWidgets.QToolButton).click()
    return {
        "screen": [screen.width(), screen.height()],
        "clipped": [
            f"{w.metaObject().className()} {w.objectName()}" for w, end in ends.items() if end > docker().width()
        ],
        "run is seen": bottom <= screen.height(),
        "width": docker().width(),
    }
