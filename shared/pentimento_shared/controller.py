"""What both plugins do with a document and a backend: start, grid, refine, redo. Plain Python, driven by a timer."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final

from .client import Client
from .document import Document, DocumentError
from .grid_run import GridRun, Variant
from .plans import Order, Plan, SourceKind, plan_start, plan_variants
from .recipe import RecipeError
from .result_plans import plan_redo, plan_refine
from .run import Run
from .settings import SEED_END, SettingError, Value, settings_for
from .status import Phase, Status
from .variants import plan_grid, read_axis

__all__ = ["Controller", "Order", "Phase", "Run", "SourceKind", "Status"]

_NONE: Final[Mapping[str, Value]] = MappingProxyType({})


class Controller:
    """Begins runs. Each has a thread for network and PNG; several may go on at once, in one document or in many."""

    def __init__(self, connect: Callable[[], Client], application: str) -> None:
        """`connect` finds the backend (Client.discover); it is called in threads, again whenever the backend was away.
        `application` names the editor, for the backend's list of jobs."""
        self._connect = connect
        self._application = application

    def start(self, document: Document, order: Order) -> Run:
        """Img2img, inpainting or Generate. Document, layer and rectangle are those of now.

        What cannot be done is a run that has failed, with the sentence that says why; so it is for refine and redo.
        """
        return self._run(document, lambda: plan_start(document, order))

    def grid(self, document: Document, order: Order, axes: Sequence[tuple[str, str]]) -> Run:
        """A picture for each combination of up to three settings' values, in one group of named layers.

        `axes` are what the artist wrote: (name of the setting, its values), see variants.read_axis.
        """
        try:
            grid = plan_grid(order.task, _own(order), [read_axis(*axis, order.task) for axis in axes], _draw)
            plans = plan_variants(document, order, [cell.settings for cell in grid.cells])
        except (DocumentError, SettingError) as error:
            return Run.refused(document, str(error))
        variants = [Variant(cell.name, plan) for cell, plan in zip(grid.cells, plans, strict=True)]
        return GridRun.begin_grid(self._connect, self._application, document, variants, grid.running_order)

    def refine(self, document: Document, changes: Mapping[str, Value] = _NONE, layer: str | None = None) -> Run:
        """A result layer (None: the active one) as the source of the next: its settings but for `changes`, another
        seed unless `changes` has one."""
        return self._run(document, lambda: plan_refine(document, changes, layer))

    def redo(self, document: Document, layer: str | None = None) -> Run:
        """The same pixels as those that a result layer (None: the active one) came with, in a layer above it."""
        return self._run(document, lambda: plan_redo(document, layer))

    def _run(self, document: Document, plan: Callable[[], Plan]) -> Run:
        try:
            return Run.begin(self._connect, self._application, document, plan())
        except (DocumentError, RecipeError, SettingError) as error:
            return Run.refused(document, str(error))


def _own(order: Order) -> dict[str, Value]:
    """The order's settings that its task has."""
    names = {row.name for row in settings_for(order.task)}
    return {name: value for name, value in order.settings.items() if name in names}


def _draw() -> int:
    return secrets.randbelow(SEED_END)
