"""Steps that do not need the editor's UI thread: all at once, or beside it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from .document import WAIT, Steps

T = TypeVar("T")


def through(steps: Steps[T]) -> T:
    """What the steps come to, all at once in the caller's thread."""
    try:
        while True:
            next(steps)
    except StopIteration as end:
        return end.value


def aside(work: Callable[[], T]) -> Steps[T]:
    """Does the work in a thread of its own, and gives what it gives or raises what it raises.

    The work goes on to its end when the steps are closed before; nobody waits for it then.
    """
    pool = ThreadPoolExecutor(1, "pentimento-aside")
    done = pool.submit(work)
    pool.shutdown(wait=False)
    while not done.done():
        yield WAIT
    return done.result()
