"""Played inside Krita, with a backend beside it: the docker and the commands, as an artist uses them."""

import re

import krita
from pentimento.choices import Choices
from pentimento.qt import QtCore, QtGui, QtWidgets
from pentimento.widgets import widget_for

from pentimento import docker as docker_module
from pentimento_shared.pixels import decode_png
from pentimento_shared.recipe import PNG_KEY
from pentimento_shared.settings import SETTINGS

KRITA = krita.Krita.instance()
Qt = QtCore.Qt
RUN_S = 240
"""How long a run may take: far longer than it does, on a busy machine too."""
ARROW = "  \u2190  "


# what an artist sees and does


def docker():
    return next(d for d in KRITA.activeWindow().dockers() if d.objectName() == docker_module.ID)


def part(name, kind=QtWidgets.QWidget):
    """A widget of the docker by its name."""
    found = docker().findChild(kind, name)
    assert found is not None, f"the docker has no {name}"
    return found


def message():
    return part("message").text if part("message").isVisible() else ""


def open_docker(stage, width=300, above=240):
    """Shows the docker below the layers, and nothing else on that side."""
    window = KRITA.activeWindow()
    for other in window.dockers():
        other.setVisible(other.objectName() in (docker_module.ID, "ToolBox", "KisLayerBox"))
    yield stage.until(lambda: docker().isVisible(), "the docker")
    layers = next(d for d in window.dockers() if d.objectName() == "KisLayerBox")
    window.qwindow().resizeDocks([docker()], [width], Qt.Orientation.Horizontal)
    window.qwindow().resizeDocks([layers, docker()], [above, 960 - above], Qt.Orientation.Vertical)


def picture_size(stage):
    """Of the documents that the screenshots show, px; those in docs/images were given a larger one."""
    return tuple(stage.given.get("picture", (384, 256)))


def landscape(width, height):
    """B, G, R, A bytes of a sketch."""
    picture = QtGui.QImage(width, height, QtGui.QImage.Format.Format_ARGB32)
    sky = QtGui.QLinearGradient(0, 0, 0, height)
    for place, color in ((0, "#6fa8dc"), (0.55, "#fce5cd"), (0.56, "#93c47d"), (1, "#38761d")):
        sky.setColorAt(place, QtGui.QColor(color))
    painter = QtGui.QPainter(picture)
    painter.setRenderHint(QtGui.QPainter.RenderHint.Antialiasing)
    painter.fillRect(picture.rect(), QtGui.QBrush(sky))
    painter.setPen(Qt.PenStyle.NoPen)
    painter.setBrush(QtGui.QColor("#7f6a93"))
    corners = ((0, 0.56), (0.2, 0.25), (0.38, 0.5), (0.6, 0.2), (0.85, 0.56))
    painter.drawPolygon(QtGui.QPolygonF([QtCore.QPointF(x * width, y * height) for x, y in corners]))
    painter.setBrush(QtGui.QColor("#ffe599"))
    painter.drawEllipse(QtCore.QPointF(0.82 * width, 0.18 * height), 0.06 * width, 0.06 * width)
    painter.end()
    return QtCore.QByteArray(picture.constBits().asstring(picture.sizeInBytes()))


def open_document(stage, model="RGBA", size=(256, 192)):
    document = KRITA.createDocument(*size, "Valley", model, "U8", "", 72.0)
    KRITA.activeWindow().addView(document)
    yield stage.until(lambda: document.activeNode() is not None, "the document's first layer")
    return document


def activate(stage, document, node):
    document.setActiveNode(node)
    yield stage.until(lambda: document.activeNode() == node, "the active layer")


def painted_document(stage, size=(256, 192)):
    """A document whose active layer "Sketch" is painted all over."""
    document = yield from open_document(stage, size=size)
    layer = document.createNode("Sketch", "paintlayer")
    layer.setPixelData(landscape(*size), 0, 0, *size)
    document.rootNode().addChildNode(layer, None)
    document.refreshProjection()
    yield from activate(stage, document, layer)
    return document


def select(document, x, y, width, height):
    selection = krita.Selection()
    selection.select(x, y, width, height, 255)
    document.setSelection(selection)


def names(document):
    return [node.name() for node in document.topLevelNodes()]


def choose(**settings):
    """Sets settings as their widgets do."""
    for name, value in settings.items():
        part(name).edited.emit(value)


def run_by(stage, start):
    """Starts something and waits until it is over; what the docker says then."""
    start()
    yield stage.until(lambda: not part("cancel").isEnabled(), "the run's end", RUN_S)
    return message()


def results():
    return part("results", QtWidgets.QListWidget)


def menu_entry(text):
    strip = docker().strip
    return next(action for action in strip.menu_for(strip._current()).actions() if action.text() == text)


def floating_message():
    found = [w for w in QtWidgets.QApplication.allWidgets() if w.metaObject().className() == "KisFloatingMessage"]
    return any(widget.isVisible() for widget in found)


# the docker


def fold():
    """Folds the advanced settings away again; whether they are."""
    part("fold", QtWidgets.QToolButton).click()
    return not part("color_match").isVisible()


def case_idle(stage):
    document = yield from painted_document(stage, picture_size(stage))
    yield from open_docker(stage, above=130)
    yield stage.until(lambda: part("model").currentText().startswith("Pentimento demo"), "the backend's models")
    yield stage.until(lambda: part("run").text() == "Img2img", "the mode")
    stage.shot("krita-docker")
    shown = [row.name for row in SETTINGS if docker().findChild(QtWidgets.QWidget, row.name) is not None]
    cfg, grow, clip = part("cfg_scale"), part("grow"), part("clip_skip")
    part("fold", QtWidgets.QToolButton).click()
    yield stage.until(lambda: not part("steps").visibleRegion().isEmpty(), "room for the advanced settings")
    stage.shot("krita-settings")
    shown_widgets = [widget for widget in docker().widget().findChildren(QtWidgets.QWidget) if widget.isVisible()]
    ends = {widget: widget.mapTo(docker(), QtCore.QPoint(widget.width(), 0)).x() for widget in shown_widgets}
    clipped = [f"{widget.metaObject().className()} {end}" for widget, end in ends.items() if end > docker().width()]
    return {
        "shown": shown,
        "cfg_scale": cfg.number(),
        "clip_skip_most": clip.findChild(QtWidgets.QSpinBox).maximum(),
        "grow": [grow.isEnabled(), grow.toolTip().splitlines()[0]],
        "clipped": clipped,
        "folded": fold(),
        "layers": names(document),
    }


def case_commands(stage):
    yield from painted_document(stage)
    actions = {name: KRITA.action(f"pentimento_{name}") for name in stage.given["commands"]}
    menus = KRITA.activeWindow().qwindow().findChildren(QtWidgets.QMenu, "pentimento")
    return {
        "texts": [None if action is None else action.text() for action in actions.values()],
        "in menu": [action.objectName() for menu in menus for action in menu.actions()],
    }


def case_ctrl_enter_runs(stage):
    document = yield from painted_document(stage, picture_size(stage))
    yield from open_docker(stage)
    prompt = part("prompt", QtWidgets.QPlainTextEdit)
    prompt.clear()
    KRITA.activeWindow().qwindow().activateWindow()
    prompt.setFocus()
    yield stage.until(prompt.hasFocus, "the keyboard's focus in the prompt")
    # Each letter is the shortcut of a tool or a brush: with real keys they must reach the prompt all the same.
    stage.xdotool("type", "--delay", "30", "sunset over the mountains, watercolor")
    yield stage.until(lambda: "color" in prompt.toPlainText(), "the typed prompt")
    stage.xdotool("key", "ctrl+Return")
    yield stage.until(lambda: part("progress").isVisible(), "the progress bar")
    preview = part("preview", QtWidgets.QLabel)
    yield stage.until(lambda: preview.isVisible() and not preview.pixmap().isNull(), "the preview", RUN_S)
    yield stage.until(lambda: re.search(r"[5-9]/12", part("progress").text()), "a few steps", RUN_S)
    steps = part("progress").text()
    stage.shot("krita-running")
    yield stage.until(lambda: not part("cancel").isEnabled(), "the run's end", RUN_S)
    yield stage.until(lambda: results().count() == 1, "the result in the strip")
    return {
        "typed": prompt.toPlainText(),
        "steps": steps,
        "message": message(),
        "layers": names(document),
        "active": document.activeNode().name(),
        "left": [part("progress").isVisible(), part("preview").isVisible()],
    }


def case_results(stage):
    document = yield from painted_document(stage, picture_size(stage))
    yield from open_docker(stage)
    part("prompt", QtWidgets.QPlainTextEdit).setPlainText("sunset over the mountains, watercolor")
    choose(steps=10, strength=0.45)
    yield from run_by(stage, KRITA.action("pentimento_img2img").trigger)
    first = document.activeNode()
    yield from run_by(stage, KRITA.action("pentimento_refine").trigger)
    yield from run_by(stage, KRITA.action("pentimento_refine").trigger)
    third = document.activeNode()
    yield stage.until(lambda: results().count() == 3, "three results")
    stage.shot("krita-results")
    chains = [results().item(row).text().splitlines()[1].split(ARROW) for row in range(3)]
    yield from run_by(stage, KRITA.action("pentimento_redo").trigger)
    again = document.activeNode()
    place = (0, 0, document.width(), document.height())
    part("reset", QtWidgets.QPushButton).click()
    return {
        "chains": chains,
        "names": [node.name() for node in (third, first)],
        "new": again.uniqueId() != third.uniqueId(),
        "same": again.pixelData(*place) == third.pixelData(*place),
        "layers": len(document.topLevelNodes()),
    }


def case_inpaint(stage):
    document = yield from painted_document(stage)
    yield from open_docker(stage)
    choose(steps=8)
    select(document, 100, 20, 64, 80)
    yield stage.until(lambda: part("run").text() == "Inpaint", "the mode that follows the selection")
    enabled = [part("grow").isEnabled(), part("color_match").isEnabled()]
    yield from run_by(stage, KRITA.action("pentimento_inpaint").trigger)
    layer = document.activeNode()
    part("reset", QtWidgets.QPushButton).click()
    masks = [child.type() for child in layer.childNodes()]
    return {"enabled": enabled, "masks": masks, "selected": document.selection() is not None}


def case_generate(stage):
    document = yield from painted_document(stage)
    yield from open_docker(stage)
    part("mode_txt2img", QtWidgets.QToolButton).click()
    shown = [part("run").text(), part("strength").isEnabled(), part("source").isEnabled()]
    choose(steps=6)
    yield from run_by(stage, part("run", QtWidgets.QPushButton).click)
    bounds = document.activeNode().bounds()
    part("mode_auto", QtWidgets.QToolButton).click()
    part("reset", QtWidgets.QPushButton).click()
    return {"shown": shown, "size": [bounds.width(), bounds.height()]}


def case_strip(stage):
    document = yield from painted_document(stage)
    yield from open_docker(stage)
    part("prompt", QtWidgets.QPlainTextEdit).setPlainText("dawn")
    choose(strength=0.35, steps=8, seed=77)
    document.setSelection(None)
    yield from run_by(stage, KRITA.action("pentimento_img2img").trigger)
    first = document.activeNode()
    choose(strength=0.6, seed=-1)
    yield from run_by(stage, menu_entry("Refine with the settings above").trigger)
    second = document.activeNode()
    yield stage.until(lambda: results().count() == 2, "both results")
    back = docker().strip._back
    back.click()
    yield stage.until(lambda: document.activeNode() == first, "the parent's layer")
    walked = [first.visible(), second.visible(), results().currentRow(), back.isEnabled()]
    box = results().visualItemRect(results().item(0)).center()
    click(results().viewport(), box)
    yield stage.until(lambda: document.activeNode() == second, "the clicked layer")
    clicked = second.visible()
    menu_entry("Copy seed").trigger()
    copied = QtWidgets.QApplication.clipboard().text()
    results().setCurrentRow(1)
    menu_entry("Reuse settings").trigger()
    reused = [part("seed").number(), part("strength").number(), part("steps").number()]
    # Inside Krita, Python itself may not know such letters in a path.
    path = stage.folder / "d\u00e4mmerung.png"
    QtWidgets.QFileDialog.getSaveFileName = staticmethod(lambda *_: (str(path), ""))
    menu_entry("Save as PNG...").trigger()
    yield stage.until(lambda: message().startswith("Saved"), "the file")
    file = QtCore.QFile(str(path))
    file.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
    png = file.readAll().data()
    before = names(document)
    menu_entry("Delete layer").trigger()
    yield stage.until(lambda: results().count() == 1, "the strip without the deleted layer")
    deleted = names(document)
    KRITA.action("edit_undo").trigger()
    yield stage.until(lambda: results().count() == 2, "the layer that Undo brought back")
    part("reset", QtWidgets.QPushButton).click()
    return {
        "walked": walked,
        "clicked": clicked,
        "copied": copied.isdigit(),
        "reused": reused,
        "png": [list(decode_png(png).size), PNG_KEY.encode() in png, b"parameters" in png],
        "deleted": len(before) - len(deleted),
        "undone": names(document) == before,
    }


def click(widget, position):
    """A click of the left mouse button."""
    for kind in (QtCore.QEvent.Type.MouseButtonPress, QtCore.QEvent.Type.MouseButtonRelease):
        event = QtGui.QMouseEvent(
            kind,
            QtCore.QPointF(position),
            Qt.MouseButton.LeftButton,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        )
        QtWidgets.QApplication.sendEvent(widget, event)


def case_batch(stage):
    document = yield from painted_document(stage)
    yield from open_docker(stage)
    choose(steps=6, batch_count=2)
    yield from run_by(stage, KRITA.action("pentimento_img2img").trigger)
    yield stage.until(lambda: results().count() == 2, "both results")
    group = document.topLevelNodes()[-1]
    first, second = reversed(group.childNodes())
    before = [first.visible(), second.visible()]
    click(results().viewport(), results().visualItemRect(results().item(1)).center())
    yield stage.until(lambda: document.activeNode() == second, "the second picture's layer")
    part("reset", QtWidgets.QPushButton).click()
    return {"group": group.type(), "before": before, "after": [first.visible(), second.visible()]}


def case_limits(stage):
    """A model that has fewer settings, tasks and clip layers than the table."""
    told = [
        {"name": "grow", "supported": False, "default": 0},
        {"name": "clip_skip", "default": 1, "maximum": 2},
        {"name": "cfg_scale", "default": 4.5, "task_defaults": {"inpaint": 2.5}},
        {"name": "sampler", "default": "Euler", "choices": ["Euler", "Heun"]},
        {"name": "upscale_first", "default": "Lanczos", "choices": ["Lanczos", "off", "Mill_x4"]},
    ]
    choices = Choices({"grow": 5, "clip_skip": 9, "steps": 7, "strength": 0.5})
    rows, others = (choices.rows(task, told, "Small model") for task in ("inpaint", "txt2img"))
    order, for_generate = choices.order("inpaint", rows), choices.order("txt2img", others)
    widget = widget_for(next(row for row in SETTINGS if row.name == "sampler"))
    widget.show_row(rows["sampler"])
    box = widget.findChild(QtWidgets.QComboBox)
    texts = [box.itemText(k) for k in range(box.count()) if box.model().item(k).isEnabled()]
    facts = {"samplers": [box.currentText(), *texts], "of": box.count()}
    namer = widget_for(next(row for row in SETTINGS if row.name == "upscale_first"))
    chosen = []
    namer.edited.connect(chosen.append)
    namer.show_row(rows["upscale_first"])
    box = namer.findChild(QtWidgets.QComboBox)
    facts["upscalers"] = [box.itemText(k) for k in range(box.count())]
    box.setCurrentIndex(2)
    box.textActivated.emit(box.currentText())
    gone = Choices({"upscale_first": "Gone_x2"}).rows("inpaint", told, "Small model")["upscale_first"]
    namer.show_row(gone)
    facts["gone"] = [box.currentText(), box.count(), *chosen]
    return {
        **facts,
        "why": rows["grow"].problem,
        "inpaint": dict(order.settings),
        "txt2img": dict(for_generate.settings),
        "cfg_scale": [rows["cfg_scale"].value, others["cfg_scale"].value],
    }


def case_presets(stage):
    yield from painted_document(stage)
    yield from open_docker(stage)
    choose(strength=0.6)
    entries = part("presets", QtWidgets.QPushButton).menu().actions()
    next(entry for entry in entries if entry.text().startswith("Subtle")).trigger()
    facts = {"entries": [entry.text() for entry in entries], "strength": part("strength").number()}
    choose(strength=0.6)
    return facts


def case_cancel(stage):
    document = yield from painted_document(stage)
    yield from open_docker(stage)
    choose(steps=150, strength=0.9)
    before = names(document)
    KRITA.action("pentimento_img2img").trigger()
    yield stage.until(lambda: "Painting" in part("progress").text(), "the steps", RUN_S)
    said = yield from run_by(stage, KRITA.action("pentimento_cancel").trigger)
    part("reset", QtWidgets.QPushButton).click()
    choose(strength=0.6)
    return {"said": said, "same": names(document) == before, "results": results().count()}


def case_two_documents(stage):
    first = yield from painted_document(stage)
    yield from open_docker(stage)
    choose(steps=12)
    KRITA.action("pentimento_img2img").trigger()
    second = yield from painted_document(stage)
    yield stage.until(lambda: not part("progress").isVisible(), "the docker of the other document")
    elsewhere = [part("cancel").isEnabled(), results().count()]
    KRITA.action("pentimento_img2img").trigger()
    yield stage.until(lambda: results().count() == 1, "the second document's result", RUN_S)
    yield stage.until(lambda: len(first.topLevelNodes()) == 3, "the first document's result", RUN_S)
    part("reset", QtWidgets.QPushButton).click()
    return {"elsewhere": elsewhere, "layers": [len(first.topLevelNodes()), len(second.topLevelNodes())]}


def case_closed_document(stage):
    first = yield from painted_document(stage)
    yield from open_docker(stage)
    choose(steps=12)
    KRITA.action("pentimento_img2img").trigger()
    yield stage.until(lambda: "Painting" in part("progress").text(), "the steps", RUN_S)
    second = yield from painted_document(stage)
    yield stage.rest()
    first.setModified(False)
    first.close()
    yield stage.until(lambda: part("insert").isVisible(), "the offer to insert the result here")
    said = message()
    part("insert", QtWidgets.QPushButton).click()
    yield stage.until(lambda: results().count() == 1, "the result in the other document")
    part("reset", QtWidgets.QPushButton).click()
    return {"said": said, "offered still": part("insert").isVisible(), "layers": len(second.topLevelNodes())}


def case_hidden_docker(stage):
    document = yield from painted_document(stage)
    docker().setVisible(False)
    before = floating_message()
    KRITA.action("pentimento_inpaint").trigger()
    yield stage.until(floating_message, "the message over the canvas")
    KRITA.action("pentimento_img2img").trigger()
    yield stage.until(lambda: len(document.topLevelNodes()) == 3, "the result", RUN_S)
    KRITA.action("pentimento_settings").trigger()
    yield stage.until(lambda: docker().isVisible(), "the docker")
    yield stage.until(lambda: part("steps").isVisible(), "the advanced settings")
    return {"before": before, "folded again": fold()}


# what cannot be done


def refused(stage, document, command="pentimento_img2img"):
    """What the docker says to a command that changes nothing."""
    before = [] if document is None else names(document)
    part("prompt", QtWidgets.QPlainTextEdit).setPlainText("dusk")
    said = yield from run_by(stage, KRITA.action(command).trigger)
    yield stage.until(message, "the sentence")
    assert document is None or names(document) == before
    return message() or said


def case_refuses_without_a_document(stage):
    document = yield from painted_document(stage)
    yield from open_docker(stage)
    yield stage.rest()
    document.setModified(False)
    document.close()
    yield stage.until(lambda: not KRITA.documents(), "no document")
    KRITA.action("pentimento_img2img").trigger()
    return docker()._session.notice(None).text


def refuses_layer(stage, make):
    document = yield from painted_document(stage)
    yield from open_docker(stage)
    layer = make(document)
    if layer.parentNode() is None:
        document.rootNode().addChildNode(layer, None)
    yield from activate(stage, document, layer)
    return (yield from refused(stage, document))


def case_refuses_a_vector_layer(stage):
    said = yield from refuses_layer(stage, lambda document: document.createVectorLayer("Lines"))
    stage.shot("krita-error")
    return said


def case_refuses_a_group(stage):
    return (yield from refuses_layer(stage, lambda document: document.createGroupLayer("Group")))


def case_refuses_a_locked_layer(stage):
    def locked(document):
        document.activeNode().setLocked(True)
        return document.activeNode()

    return (yield from refuses_layer(stage, locked))


def case_refuses_an_empty_layer(stage):
    return (yield from refuses_layer(stage, lambda document: document.createNode("Empty", "paintlayer")))


def case_refuses_without_a_selection(stage):
    document = yield from painted_document(stage)
    yield from open_docker(stage)
    return (yield from refused(stage, document, "pentimento_inpaint"))


def case_refuses_an_empty_selection(stage):
    document = yield from painted_document(stage)
    yield from open_docker(stage)
    document.setSelection(krita.Selection())
    return (yield from refused(stage, document, "pentimento_inpaint"))


def case_refuses_cmyk(stage):
    document = yield from open_document(stage, "CMYKA")
    yield from open_docker(stage)
    return (yield from refused(stage, document))


def case_refuses_to_refine_what_it_did_not_make(stage):
    document = yield from painted_document(stage)
    yield from open_docker(stage)
    return (yield from refused(stage, document, "pentimento_refine"))


def case_refuses_to_cancel_nothing(stage):
    document = yield from painted_document(stage)
    yield from open_docker(stage)
    return (yield from refused(stage, document, "pentimento_cancel"))


def case_settings_are_kept(stage):
    yield from painted_document(stage)
    yield from open_docker(stage)
    part("prompt", QtWidgets.QPlainTextEdit).setPlainText(stage.given["kept"])
    choose(strength=0.42)
    yield stage.until(lambda: "0.42" in KRITA.readSetting("pentimento", "settings", ""), "Krita's settings")
