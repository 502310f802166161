"""What all windows of Krita share: the settings, the backend and the runs, driven by one timer on the UI thread."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from pentimento_shared.backend_link import BackendLink
from pentimento_shared.controller import Controller, Order, Run, SourceKind
from pentimento_shared.document import Document
from pentimento_shared.prompt_check import QUESTION, Findings, PromptCheck
from pentimento_shared.settings import Task, Value

from . import layers
from .choices import Choices, Row
from .qt import QtCore

_WORKING_MS = 20
_WATCHING_MS = 400
_SAVE_AFTER_MS = 800

_ENDED = object()

NO_DOCUMENT = "There is no document to work on. Create or open one first."


class Notice(NamedTuple):
    """A sentence about a document (its id; empty: there is none), and whether it is about trouble."""

    document: str
    text: str
    bad: bool


class Session(QtCore.QObject):
    """Commands go in. `changed`: settings or messages look different now; `progressed`: a run does; `watched`: it is
    time to look what document and backend did by themselves; `told`: a sentence for the artist, docker or not."""

    changed = QtCore.pyqtSignal()
    progressed = QtCore.pyqtSignal()
    watched = QtCore.pyqtSignal()
    told = QtCore.pyqtSignal(str)

    def __init__(self, link: BackendLink, controller: Controller, saved: str, save: Callable[[str], None]) -> None:
        """`saved` is what `save` was given last; both hold the settings as text."""
        super().__init__()
        self.link = link
        self._controller = controller
        self._check = PromptCheck(link.connect)
        self._choices = Choices.from_json(saved)
        self._runs: list[Run] = []
        self._chores: deque[Generator[None, None, None]] = deque()
        self._notice = Notice("", "", False)
        self.axes: Sequence[tuple[str, str]] = ()
        """What was written in the grid's dialog last."""
        self._turn = 0
        self._worker = self._timer(_WORKING_MS, self._tick)
        self._watcher = self._timer(_WATCHING_MS, self.watched.emit)
        self._watcher.start()
        self._saver = self._timer(_SAVE_AFTER_MS, lambda: save(self._choices.to_json()))
        self._saver.setSingleShot(True)

    # settings

    @property
    def choices(self) -> Choices:
        return self._choices

    def choose(self, choices: Choices) -> None:
        """Takes the artist's new settings, in all windows."""
        if choices != self._choices:
            self._choices = choices
            self._saver.start()
            self.changed.emit()

    def choose_value(self, name: str, value: Value) -> None:
        self.choose(self._choices.with_values({name: value}))

    def unfold(self) -> None:
        """Opens the fold with the advanced settings."""
        self.choose(replace(self._choices, unfolded=True))

    def task(self) -> Task:
        """What a click on Run does now."""
        return self._choices.task(self._choices.mode == "auto" and layers.has_selection())

    def model(self) -> str:
        """The id of the chosen model: the artist's choice, else the backend's first."""
        models = self.link.snapshot().models
        first = str(models[0]["id"]) if models else "demo"
        return str(self._choices.changed.get("model", first))

    def model_info(self) -> Mapping[str, Any]:
        """What the backend tells of the chosen model; empty when it does not have it, or is not there."""
        model = self.model()
        return next((info for info in self.link.snapshot().models if info["id"] == model), {})

    def rows(self, task: Task) -> dict[str, Row]:
        """The table of settings as it is for the chosen model."""
        model = self.model()
        return self._choices.rows(task, self.link.settings(model), str(self.model_info().get("name", model)))

    def findings(self, rows: Mapping[str, Row]) -> Findings:
        """What the backend says of the prompts in the table as it is now."""
        return self._check.look({name: rows[name].value for name in QUESTION})

    # commands

    def run(self) -> None:
        """Runs what the docker says."""
        self.paint(self.task())

    def paint(self, task: Task, source: SourceKind | None = None) -> None:
        """Runs a task on the active document with the docker's settings; `source` None: with its source too."""
        order = replace(self._choices, source=source or self._choices.source).order(task, self.rows(task))
        self._begin(lambda document: self._controller.start(document, order))

    def order(self, task: Task) -> Order:
        """What the docker asks for."""
        return self._choices.order(task, self.rows(task))

    def grid(self, axes: Sequence[tuple[str, str]]) -> None:
        """Runs what the docker says for each combination of the values on `axes`: (setting, values as written)."""
        order = self.order(self.task())
        self._begin(lambda document: self._controller.grid(document, order, axes))

    def refine(self, layer: str | None = None, changes: Mapping[str, Value] | None = None) -> None:
        """Makes a result (None: the active layer) the source of the next one, with its own settings and `changes`."""
        self._begin(lambda document: self._controller.refine(document, changes or {}, layer))

    def redo(self, layer: str | None = None) -> None:
        """Makes a result (None: the active layer) again, pixel by pixel."""
        self._begin(lambda document: self._controller.redo(document, layer))

    def cancel(self, document: str | None) -> None:
        """Cancels what runs in that document (its id): the run that is shown."""
        run = self.shown(document)
        if run is None or run.status.over:
            self.tell("Nothing is running in this document.", bad=False)
            return
        run.cancel()
        self._work()

    def start_backend(self) -> None:
        self.link.start_backend()
        self.watched.emit()

    def insert_kept(self) -> None:
        """Puts the oldest kept result into the active document."""
        document, kept = layers.active_document(), self.kept()
        if document is None:
            self.tell(NO_DOCUMENT)
        elif kept is not None:
            kept.insert_into(document)
            self._work()

    def forget_kept(self) -> None:
        kept = self.kept()
        self._runs = [run for run in self._runs if run is not kept]
        self.changed.emit()

    def do(self, chore: Generator[None, None, None]) -> None:
        """Works off a generator in the gaps between the editor's own work; each piece of it under 50 ms."""
        self._chores.append(chore)
        self._work()

    def tell(self, sentence: str, bad: bool = True) -> None:
        """Shows a sentence where the active document's messages stand, until the next command."""
        document = layers.active_document()
        self._notice = Notice("" if document is None else document.id, sentence, bad)
        self.told.emit(sentence)
        self.changed.emit()

    # what to show

    def notice(self, document: str | None) -> Notice | None:
        """What comes before what a document's runs say, if there is anything."""
        return self._notice if self._notice.text and self._notice.document == (document or "") else None

    def shown(self, document: str | None) -> Run | None:
        """The run to show with a document (its id): the oldest that goes on, else the newest."""
        own = [run for run in self._runs if run.document_id == document]
        return next((run for run in own if not run.status.over), own[-1] if own else None)

    def waiting(self, document: str | None) -> int:
        """How many more runs of that document go on, beside the one that is shown."""
        return max(0, sum(run.document_id == document and not run.status.over for run in self._runs) - 1)

    def kept(self) -> Run | None:
        """A result without a place: to be offered in every document."""
        return next((run for run in self._runs if run.status.phase == "kept"), None)

    def close(self) -> None:
        """Ends timer and threads; the jobs stay with the backend."""
        self._worker.stop()
        self._watcher.stop()
        self._check.close()
        self.link.close()

    # the timers

    def _timer(self, interval: int, slot: Callable[[], None]) -> QtCore.QTimer:
        timer = QtCore.QTimer(self)
        timer.setInterval(interval)
        timer.timeout.connect(slot)
        return timer

    def _begin(self, start: Callable[[Document], Run]) -> None:
        self._notice = Notice("", "", False)
        document = layers.active_document()
        if document is None:
            self.tell(NO_DOCUMENT)
            return
        run = start(document)
        over = [old for old in self._runs if old.document_id == run.document_id and old.status.over]
        self._runs = [old for old in self._runs if old not in over or old.status.phase == "kept"]
        self._runs.append(run)
        if run.status.over:
            self._end(run)
        else:
            self.told.emit(f"Pentimento begins: {run.status.message}")
        self._work()

    def _end(self, run: Run) -> None:
        status = run.status
        sentence = " ".join([status.message, *status.warnings])
        if status.phase in ("failed", "kept") and self.shown(run.document_id) is not run:
            self._notice = Notice(run.document_id, sentence, True)
        self.told.emit(sentence)
        self.watched.emit()

    def _work(self) -> None:
        self._worker.start()
        self.changed.emit()

    def _tick(self) -> None:
        """One bit of one run, so that no tick is longer than a run's own step."""
        going = [run for run in self._runs if not run.status.over]
        if going:
            self._turn += 1
            run = going[self._turn % len(going)]
            before, status = run.status, run.step()
            if status.over:
                self._end(run)
            if status is not before:
                self.progressed.emit()
        elif self._chores:
            if next(self._chores[0], _ENDED) is _ENDED:
                self._chores.popleft()
        else:
            self._worker.stop()
