"""Makes a function that reports by a callback into an iterator of what it reports."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import TypeVar

T = TypeVar("T")


def stream(function: Callable[[Callable[[T], None], Callable[[], bool]], None]) -> Iterator[T]:
    """Yields what `function(emit, closed)` passes to `emit`, as it comes; then ends, or raises what it raised.

    The function runs in a thread of its own, because diffusers' loops report by callbacks and cannot yield; like a
    generator it stands still until the next event is asked for. `closed()` is true once the iterator was closed early;
    the close waits until the function has come to its end.
    """
    events: queue.Queue[tuple[T] | None] = queue.Queue()
    wanted = threading.Semaphore(0)
    failure: list[BaseException] = []
    closed = threading.Event()

    def emit(event: T) -> None:
        events.put((event,))
        wanted.acquire()

    def work() -> None:
        try:
            function(emit, closed.is_set)
        except BaseException as error:  # noqa: BLE001 - handed to the caller's thread, where it is raised
            failure.append(error)
        finally:
            events.put(None)

    thread = threading.Thread(target=work, name="engine", daemon=True)
    thread.start()
    try:
        while (item := events.get()) is not None:
            yield item[0]
            wanted.release()
    finally:
        closed.set()
        while thread.is_alive():
            wanted.release()
            thread.join(timeout=0.05)
    if failure:
        raise failure[0]
