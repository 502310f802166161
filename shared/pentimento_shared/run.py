"""One run, from reading the document to the new layers in it, a little at each tick of the editor's timer."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

from .client import Client
from .document import WAIT, Document, DocumentChanged, DocumentError, Insertion, Steps
from .errand import CANCELLED, Errand
from .gathering import document_form, gather
from .geometry import Size
from .pixel_form import Form, fitted, form_of
from .plans import Plan
from .status import Status
from .steps import aside

BUDGET_S: Final = 0.025
"""Seconds of one step() beyond which no further piece of work is begun, going by the longest piece so far."""
CANCEL_S: Final = 5.0
"""Seconds that a cancel waits for the backend; after that it is told in the background."""
Life = Steps[None]


class Run:
    """One job of one document. Call everything from the UI thread: step() from a timer until the status is over."""

    def __init__(self, status: Status, document: Document, name: str) -> None:
        """A run that stands at `status` and does nothing; see begin and refused."""
        self._status = status
        self._document = document
        self._document_id = document.id
        self._name = name
        self._life: Life | None = None
        self._errand: Errand | None = None
        self._insertion: Insertion | None = None
        self._inserting = False
        self._cancelled_at: float | None = None

    @classmethod
    def begin(cls, connect: Callable[[], Client], application: str, document: Document, plan: Plan) -> Run:
        """A run that carries the plan out as step() is called. `connect` is called in another thread."""
        run = cls(Status("gathering", "Reading the picture."), document, document.name)
        run._life = run._live(connect, application, plan)
        return run

    @classmethod
    def refused(cls, document: Document, sentence: str) -> Run:
        """A run that could not begin; its status says why."""
        return cls(Status("failed", sentence), document, "")

    @property
    def status(self) -> Status:
        """How it stood after the last step()."""
        return self._status

    @property
    def document_id(self) -> str:
        """The document that it belongs to."""
        return self._document_id

    def step(self) -> Status:
        """Does the next bit, for at most 50 ms, and tells how the run stands. Call it every 10 to 50 ms."""
        end, longest = time.monotonic() + BUDGET_S, 0.0
        while self._life is not None:
            begun = time.monotonic()
            waiting = self._advance(self._life)
            now = time.monotonic()
            longest = max(longest, now - begun)
            if waiting or now + longest > end:
                break
        return self._status

    def cancel(self) -> None:
        """Ends the run in whatever phase it is, without waiting for anything; a result that has come is not inserted.

        Only once the new layer is being put together it is too late: it appears, and Undo takes it away.
        """
        if self._life is None or self._inserting:
            return
        if self._errand is None or self._errand.cancel():
            self._life.close()
            self._life, self._insertion = None, None
            self._tell(phase="cancelled", message=CANCELLED, away=False)
        elif self._cancelled_at is None:
            self._cancelled_at = time.monotonic()
            self._tell(message="Cancelling.")

    def insert_into(self, document: Document) -> None:
        """Inserts a kept result above the active layer of `document`, in its own place; go on calling step().

        Raises ValueError when no result is kept.
        """
        if self._status.phase != "kept" or self._insertion is None:
            raise ValueError("this run keeps no result")
        self._document, self._document_id, self._name = document, document.id, document.name
        self._life = self._insert_elsewhere(self._insertion)
        self._tell(phase="inserting", message="Inserting the result.")

    def _advance(self, life: Life) -> bool:
        """Takes one piece of the run's life; returns whether there is nothing more to do for now."""
        try:
            return bool(next(life))
        except StopIteration:
            self._life = None
        except DocumentError as error:
            self._stop(str(error))
        except BaseException as error:
            self._stop(f"Pentimento's own fault, please report it: {error!r}.")
            raise
        return True

    def _stop(self, sentence: str) -> None:
        self._life, self._inserting = None, False
        if self._insertion is None:
            self._tell(phase="failed", message=sentence, away=False)
        else:
            self._keep(sentence)

    def _keep(self, sentence: str) -> None:
        kept = "The result is kept and can be inserted into the document that is in front."
        self._tell(phase="kept", message=f"{sentence} {kept}", away=False)

    def _live(self, connect: Callable[[], Client], application: str, plan: Plan) -> Life:
        gathered = yield from gather(self._document, plan)
        self._errand = Errand(connect, application, plan, gathered)
        del gathered  # the errand lets its pixels go as soon as they are packed
        self._errand.start()
        while self._errand.insertion is None:
            self._listen(self._errand)
            if self._status.over:
                return
            yield WAIT
        self._insertion = self._errand.insertion
        self._listen(self._errand)
        self._errand = None
        yield from self._insert(self._insertion, anchored=plan.anchored)

    def _listen(self, errand: Errand) -> None:
        """Takes over what the errand's thread says of itself."""
        told, silence = errand.status, errand.silence()
        self._status = replace(told, progress=max(told.progress, self._status.progress), away=silence is not None)
        if told.over:
            return
        if self._cancelled_at is not None:
            self._await_cancel(silence)
        elif silence is not None:
            self._tell(
                message=f"The backend has not answered for {silence:.0f} s. The job goes on as soon as it is back: "
                "start the backend again if it was stopped."
            )

    def _await_cancel(self, silence: float | None) -> None:
        if self._cancelled_at is not None and time.monotonic() - self._cancelled_at > CANCEL_S:
            sentence = "Cancelled here. The backend does not answer; it is told when it is back."
            self._tell(phase="cancelled", message=sentence, away=False)
        else:
            self._tell(message="Cancelling." if silence is None else "Cancelling: the backend does not answer yet.")

    def _insert(self, insertion: Insertion, anchored: bool) -> Life:
        document = self._document
        while not (reason := self._misplaced(insertion, anchored)) and not document.idle():
            self._tell(message="The result is here; it appears when your stroke is done.")
            yield WAIT
        if reason:
            self._keep(reason)
            return
        if insertion.above is not None and document.layer(insertion.above) is None:
            insertion = replace(insertion, above=None)
        self._inserting = True
        self._tell(message="Inserting the result.")
        try:
            layers = yield from document.insert(insertion)
        except DocumentChanged as error:
            self._inserting = False
            self._keep(str(error))
            return
        self._insertion, self._inserting = None, False
        self._tell(phase="done", message=_done(self._status), progress=1.0, layers=layers)

    def _misplaced(self, insertion: Insertion, anchored: bool) -> str:
        """Why the result has no place in the document any more, or nothing."""
        document = self._document
        if not document.is_open():
            return f"{self._name} was closed before the result came."
        if document.size() != insertion.canvas:
            sizes = f"{_by(insertion.canvas)} to {_by(document.size())}"
            return f"{self._name} was resized from {sizes} px before the result came."
        if anchored and insertion.above is not None and document.layer(insertion.above) is None:
            return f"The layer that the result belongs to is no longer in {self._name}."
        return ""

    def _insert_elsewhere(self, insertion: Insertion) -> Life:
        document = self._document
        if problem := document.problem():
            raise DocumentError(problem)
        layer = document.active_layer()
        form = yield from document_form(document)
        if any(form_of(new.pixels) != form for new in insertion.layers):
            insertion = yield from _fitted(insertion, form)
        insertion = replace(insertion, above=layer.id if layer else None, canvas=document.size())
        yield from self._insert(insertion, anchored=False)

    def _tell(self, **changes: Any) -> None:
        self._status = replace(self._status, **changes)


def _fitted(insertion: Insertion, form: Form) -> Steps[Insertion]:
    """The insertion with its pixels in another document's form; the work is done in a thread of its own."""

    def work() -> Insertion:
        layers = tuple(replace(layer, pixels=fitted(layer.pixels, form)) for layer in insertion.layers)
        return replace(insertion, layers=layers)

    return (yield from aside(work))


def _done(status: Status) -> str:
    seeds = ", ".join(map(str, dict.fromkeys(status.seeds)))
    what = "The result is" if len(status.seeds) == 1 else f"{len(status.seeds)} results are"
    return f"{what} in the layer list (seed {seeds})."


def _by(size: Size) -> str:
    return f"{size.width} x {size.height}"
