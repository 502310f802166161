"""Played inside Krita, with no backend anywhere: what the docker says then."""

import krita
from krita_docker import message, names, open_docker, painted_document, part, picture_size
from pentimento.qt import QtWidgets

from pentimento_shared.places import backend_file

KRITA = krita.Krita.instance()


def said_of_backend():
    """What the docker says of the backend, as it is to be seen."""
    labels = part("backend").findChildren(QtWidgets.QLabel)
    return " ".join(label.text() for label in labels if label.isVisible()).strip()


def case_settings_come_back(stage):
    yield from painted_document(stage)
    yield from open_docker(stage)
    prompt = part("prompt", QtWidgets.QPlainTextEdit)
    kept = {"prompt": prompt.toPlainText(), "strength": part("strength").number()}
    prompt.clear()
    part("strength").edited.emit(0.6)
    return kept


def case_no_backend(stage):
    document = yield from painted_document(stage, picture_size(stage))
    yield from open_docker(stage)
    yield stage.until(said_of_backend, "the word about the backend")
    yield stage.until(lambda: part("message").isHidden(), "an empty line")
    stage.shot("krita-no-backend")
    button = part("start", QtWidgets.QPushButton).isVisible()
    before = names(document)
    KRITA.action("pentimento_img2img").trigger()
    yield stage.until(lambda: message() and not part("cancel").isEnabled(), "what comes of the command")
    same = names(document) == before
    return {"said": said_of_backend(), "button": button, "message": message(), "same": same}


def case_backend_that_does_not_start(stage):
    """The remembered command is one that ends at once with an error."""
    yield from painted_document(stage)
    yield from open_docker(stage)
    start = part("start", QtWidgets.QPushButton)
    backend_file().parent.mkdir(parents=True, exist_ok=True)
    backend_file().write_text('{"command": ["/bin/false"]}', "utf-8")
    yield stage.until(start.isVisible, "the button")
    start.click()
    yield stage.until(lambda: "did not start" in said_of_backend(), "what came of it")
    return said_of_backend()
