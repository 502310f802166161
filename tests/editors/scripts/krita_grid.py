"""Played inside Krita, with a backend beside it: the dialog of a grid, and the group of layers that it makes."""

from krita_docker import KRITA, RUN_S, open_docker
from krita_document import identity, names, settled
from krita_scene import (
    FEW,
    activated,
    altered,
    canvas,
    changed_where,
    finished,
    inverted,
    look,
    node_of,
    over,
    pressed,
    record_of,
    sampling,
    selected,
    selections,
    session,
    valley,
)
from pentimento.choices import Choices
from pentimento.document import KritaDocument
from pentimento.grid_dialog import GridDialog
from pentimento.qt import QtWidgets

SIZE = (160, 120)


def dialog():
    return next((w for w in QtWidgets.QApplication.topLevelWidgets() if isinstance(w, GridDialog)), None)


def written(window, **lines):
    """Chooses axes and writes values: x=("strength", "0.2, 0.4")."""
    for letter, (name, values) in lines.items():
        box = window.findChild(QtWidgets.QComboBox, f"{letter}_axis")
        box.setCurrentIndex(box.findData(name))
        window.findChild(QtWidgets.QLineEdit, f"{letter}_values").setText(values)


def asked(stage):
    """The dialog, opened by its command."""
    yield stage.until(lambda: dialog() is None, "the end of the dialog before")
    KRITA.action("pentimento_grid").trigger()
    yield stage.until(lambda: dialog() is not None and dialog().isVisible(), "the dialog")
    return dialog()


def said(window):
    button = window.findChild(QtWidgets.QDialogButtonBox).button(QtWidgets.QDialogButtonBox.StandardButton.Ok)
    return window.findChild(QtWidgets.QFrame, "count").text, button


def case_grid(stage):
    yield from open_docker(stage)
    document, source = yield from valley(stage, SIZE)
    yield stage.until(lambda: session().link.snapshot().usable, "the backend", RUN_S)
    document.setSelection(selections(SIZE)["feathered"])
    yield from activated(stage, document, source)
    session().choose(Choices(dict(FEW), source="layer"))
    before, tree, levels = look(document), names(document.rootNode()), selected(document)

    window = yield from asked(stage)
    facts = {"empty": said(window)[0]}
    written(window, x=("strength", "0.4, 1.4"))
    facts["wrong"] = [said(window)[0], said(window)[1].isEnabled()]
    written(window, x=("strength", "0.5, 0.9"), y=("sampler", "Euler, Heun"))
    facts["right"] = [said(window)[0], said(window)[1].isEnabled(), said(window)[1].text()]
    stage.shot("grid-dialog")
    said(window)[1].click()

    run = session().shown(KritaDocument(document).id)
    status = yield from over(stage, run)
    assert status.phase == "done", status.message
    yield from settled(stage, document)
    layers = [node_of(document, id) for id in status.layers]
    group = layers[0].parentNode()
    facts["group"] = [group.name(), [node.name() for node in reversed(group.childNodes())]]
    facts["visible"] = [layer.visible() for layer in layers]
    facts["settings"] = [
        [record_of(document, id).recipe.settings[name] for name in ("strength", "sampler")] for id in status.layers
    ]
    facts["active"] = document.activeNode() == layers[0]
    masks = [identity(mask) for layer in layers for mask in layer.childNodes()]
    facts["altered"] = altered(before, look(document), [*status.layers, *masks, identity(group)])
    facts["outside"] = changed_where(before.canvas, canvas(document), inverted(levels))
    facts["inside"] = changed_where(before.canvas, canvas(document), levels)
    stage.shot("grid")

    yield from activated(stage, document, layers[2])
    (again,) = yield from finished(stage, document, "redo")
    facts["redone"] = bytes(again.pixelData(*again.bounds().getRect())) == bytes(
        layers[2].pixelData(*layers[2].bounds().getRect())
    )
    yield from pressed(stage, document, "edit_undo", lambda: len(group.childNodes()) == 4)
    yield from pressed(stage, document, "edit_undo", lambda: names(document.rootNode()) == tree)
    facts["after undo"] = altered(before, look(document))
    return facts


def case_cancelled_grid(stage):
    document, source = yield from valley(stage, SIZE)
    session().choose(Choices({**FEW, "strength": 1.0}, mode="img2img", source="layer"))
    yield from activated(stage, document, source)
    before = look(document)
    window = yield from asked(stage)
    facts = {"remembered": window.findChild(QtWidgets.QLineEdit, "x_values").text()}
    written(window, x=("steps", "1, 150"), y=("", ""))
    said(window)[1].click()
    run = session().shown(KritaDocument(document).id)
    yield stage.until(lambda: run.status.message.startswith("2 of 2") and sampling(run), "the second picture", RUN_S)
    KRITA.action("pentimento_cancel").trigger()
    status = yield from over(stage, run)
    facts["phase"] = status.phase
    facts["altered"] = altered(before, look(document))
    return facts
