"""A grid in a document: one job after the other, and all their pictures as one group of layers at the end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from .client import Client
from .document import WAIT, Document, Insertion, NewLayer
from .errand import Errand
from .gathering import Gathered, gather
from .outcome import shortened
from .plans import Plan
from .run import Life, Run
from .status import Status


class Variant(NamedTuple):
    """A cell of a grid: what its layer is called, and how it is made."""

    name: str
    plan: Plan


class GridRun(Run):
    """The jobs of a grid, driven as a Run is. The document is read once, when it begins.

    A cancel ends the job that runs and the grid with it, and leaves the document as it was, as every cancel does. When
    a job fails, what is done by then is inserted, with a warning that says what came in between.
    """

    @classmethod
    def begin_grid(
        cls,
        connect: Callable[[], Client],
        application: str,
        document: Document,
        variants: Sequence[Variant],
        running_order: Sequence[int],
    ) -> GridRun:
        """`running_order` has the indexes of the variants as they are to be made; they are laid out as they come."""
        run = cls(Status("gathering", "Reading the picture."), document, document.name)
        run._life = run._live_grid(connect, application, variants, running_order)
        return run

    def _live_grid(
        self, connect: Callable[[], Client], application: str, variants: Sequence[Variant], running_order: Sequence[int]
    ) -> Life:
        gathered: dict[object, Gathered] = {}
        for variant in variants:
            key = _reads(variant.plan)
            if key not in gathered:
                gathered[key] = yield from gather(self._document, variant.plan)
        made: dict[int, NewLayer] = {}
        seeds: dict[int, int] = {}
        trouble: tuple[str, ...] = ()
        for number, k in enumerate(running_order):
            name, plan = variants[k]
            errand = self._errand = Errand(connect, application, plan, gathered[_reads(plan)])
            errand.start()
            lead = f"{number + 1} of {len(variants)}, {name}: "
            while errand.insertion is None and not errand.status.over:
                self._listen_to(errand, lead, number / len(variants), 1 / len(variants))
                yield WAIT
            told = errand.status
            trouble = tuple(dict.fromkeys((*trouble, *told.warnings)))
            if errand.insertion is None and told.phase == "failed" and made:
                trouble += (f"The grid ended early: {lead}{told.message}",)
                break
            if errand.insertion is None:
                message = f"{lead}{told.message}" if told.phase == "failed" else told.message
                self._tell(phase=told.phase, message=message, away=False)
                return
            made[k], seeds[k] = replace(errand.insertion.layers[-1], name=name), told.seeds[-1]
        self._errand = None
        order = sorted(made)
        self._tell(phase="inserting", seeds=tuple(seeds[k] for k in order), warnings=trouble, away=False)
        first = variants[0].plan
        self._insertion = _laid_out([made[k] for k in order], first)
        yield from self._insert(self._insertion, anchored=first.anchored)

    def _listen_to(self, errand: Errand, lead: str, begun: float, share: float) -> None:
        """Takes over what one job's thread says, as a part of the whole."""
        before = self._status.progress
        self._listen(errand)
        if not self._status.over:
            progress = max(before, 0.95 * (begun + share * errand.status.progress))
            self._status = replace(self._status, message=lead + self._status.message, progress=progress)


def _reads(plan: Plan) -> object:
    """What of the document a plan reads."""
    return plan.task, plan.reads, plan.source, plan.bare, plan.masked_by, plan.place


def _laid_out(layers: Sequence[NewLayer], plan: Plan) -> Insertion:
    prompt = shortened(str(plan.settings.get("prompt", "")))
    group = f"Grid: {prompt} ({len(layers)} pictures)" if len(layers) > 1 else ""
    return Insertion(tuple(layers), plan.above, plan.canvas, group)
