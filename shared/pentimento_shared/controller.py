"""What both plugins do with a document and a backend: start, refine, redo. Plain Python, driven by a timer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from .client import Client
from .document import Document, DocumentError
from .plans import Order, Plan, SourceKind, plan_redo, plan_refine, plan_start
from .recipe import RecipeError
from .run import Run
from .settings import SettingError, Value
from .status import Phase, Status

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
