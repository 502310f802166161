"""The middle part of the docker: run and cancel, how it goes, and what must be said."""

from __future__ import annotations

from pentimento_shared.status import Status

from .looks import SPACING, icon
from .qt import QtCore, QtGui, QtWidgets
from .session import Session

_RUN = {"img2img": "Img2img", "inpaint": "Inpaint", "txt2img": "Generate"}
_STAGES = {"load": "Loading the model", "encode": "Reading", "sample": "Painting", "decode": "Finishing"}
_PREVIEW_HEIGHT = 220
"""The most that a preview takes of the docker's height, px."""


class RunPanel(QtWidgets.QWidget):
    """Shows the run of the active document, and the backend when there is something about it."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._document: str | None = None
        self._run = QtWidgets.QPushButton(icon("media-playback-start"), "")
        self._run.clicked.connect(session.run)
        self._cancel = QtWidgets.QPushButton(icon("dialog-cancel"), "Cancel")
        self._cancel.clicked.connect(lambda: session.cancel(self._document))
        self._bar = QtWidgets.QProgressBar()
        self._bar.setRange(0, 1000)
        self._preview = Preview()
        self._line = Sentence()
        self._name_parts()
        self._kept = self._make_kept()
        self._backend = BackendBox(session)
        self._build()

    def refresh(self, document: str | None) -> None:
        """Shows how things stand for that document (its id; None: there is none)."""
        self._document = document
        run = self._session.shown(document)
        status = None if run is None else run.status
        going = status is not None and not status.over
        self._run.setText(_RUN[self._session.task()])
        self._cancel.setEnabled(going)
        self._bar.setVisible(going)
        if status is not None and going:
            self._bar.setValue(round(1000 * status.progress))
            self._bar.setFormat(_progress_text(status, self._session.waiting(document)))
        self._preview.show_picture(status.preview if status is not None and going else None)
        kept = self._session.kept()
        self._kept.setVisible(kept is not None)
        self._say(status if kept is None or going else kept.status)
        self._backend.refresh()

    def _say(self, status: Status | None) -> None:
        """The notice, what went wrong, or what came of it: one sentence, in the place where it is looked for."""
        notice = self._session.notice(self._document)
        if notice is not None:
            self._line.say(notice.text, notice.bad)
        elif status is not None and (status.over or status.away):
            bad = status.phase in ("failed", "kept") or status.away or bool(status.warnings)
            self._line.say(" ".join([status.message, *status.warnings]), bad)
        else:
            self._line.say("", False)

    def _make_kept(self) -> QtWidgets.QWidget:
        box = QtWidgets.QWidget()
        layout = QtWidgets.QHBoxLayout(box)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACING)
        insert = QtWidgets.QPushButton("Insert into this document")
        insert.setObjectName("insert")
        insert.clicked.connect(self._session.insert_kept)
        forget = QtWidgets.QPushButton("Leave it")
        forget.setToolTip("The result stays with the backend for a day, but is no longer offered here.")
        forget.clicked.connect(self._session.forget_kept)
        layout.addWidget(insert, 1)
        layout.addWidget(forget)
        return box

    def _name_parts(self) -> None:
        """For scripts and tests, which find widgets by their names."""
        parts = {"run": self._run, "cancel": self._cancel, "progress": self._bar, "preview": self._preview}
        for name, part in {**parts, "message": self._line}.items():
            part.setObjectName(name)

    def _build(self) -> None:
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACING)
        buttons = QtWidgets.QHBoxLayout()
        buttons.setSpacing(SPACING)
        buttons.addWidget(self._run, 1)
        buttons.addWidget(self._cancel)
        layout.addLayout(buttons)
        for widget in (self._bar, self._preview, self._line, self._kept, self._backend):
            layout.addWidget(widget)


class BackendBox(QtWidgets.QWidget):
    """Nothing while the backend is well; else what is the matter, and a button that helps."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._line = Sentence()
        self.setObjectName("backend")
        self._start = QtWidgets.QPushButton("Start backend")
        self._start.setObjectName("start")
        self._start.clicked.connect(session.start_backend)
        layout = QtWidgets.QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(SPACING)
        layout.addWidget(self._line)
        layout.addWidget(self._start)

    def refresh(self) -> None:
        state = self._session.link.snapshot()
        trouble = state.state in ("absent", "starting", "foreign")
        self._line.say(state.message if trouble else "", state.state != "starting")
        self._start.setVisible(state.can_start)
        self.setVisible(trouble)


class Preview(QtWidgets.QLabel):
    """A picture that fits into the docker's width."""

    def __init__(self) -> None:
        super().__init__()
        self.setAlignment(QtCore.Qt.AlignmentFlag.AlignCenter)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Ignored, QtWidgets.QSizePolicy.Policy.Fixed)
        self._data: bytes | None = None

    def show_picture(self, data: bytes | None) -> None:
        """`data`: JPEG or WebP; None hides the widget."""
        if data != self._data:
            self._data = data
            picture = QtGui.QPixmap()
            if data is not None:
                picture.loadFromData(data)
            if not picture.isNull():
                ways = QtCore.Qt.AspectRatioMode.KeepAspectRatio, QtCore.Qt.TransformationMode.SmoothTransformation
                picture = picture.scaled(self.width(), _PREVIEW_HEIGHT, *ways)
            self.setPixmap(picture)
        self.setVisible(data is not None)


class Sentence(QtWidgets.QFrame):
    """A sentence that wraps, behind a sign when it is about trouble; nothing at all when there is none."""

    def __init__(self) -> None:
        super().__init__()
        self._sign = QtWidgets.QLabel()
        self._sign.setPixmap(icon("warning").pixmap(16, 16))
        self._text = QtWidgets.QLabel()
        self._text.setWordWrap(True)
        self._text.setTextInteractionFlags(QtCore.Qt.TextInteractionFlag.TextSelectableByMouse)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 2, 0, 2)
        layout.setSpacing(SPACING)
        layout.addWidget(self._sign, 0, QtCore.Qt.AlignmentFlag.AlignTop)
        layout.addWidget(self._text, 1)

    @property
    def text(self) -> str:
        return self._text.text()

    def say(self, text: str, bad: bool) -> None:
        self._text.setText(text)
        self._sign.setVisible(bad)
        self.setVisible(bool(text))


def _progress_text(status: Status, more: int) -> str:
    if status.away:
        text = "Waiting for the backend"  # the sentence that says more has its own place, and would not fit here
    elif status.phase == "queued":
        text = (
            "Waiting: next in the queue"
            if status.position in (None, 1)
            else f"Waiting: number {status.position} in the queue"
        )
    elif status.phase == "running":
        steps = f" {status.step}/{status.steps}" if status.stage == "sample" and status.steps else ""
        text = _STAGES.get(status.stage or "", "Working") + steps
    else:
        text = status.message.rstrip(".")
    return f"{text} (+{more})" if more else text
