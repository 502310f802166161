"""Makes a function that reports by a callback into an iterator of what it reports."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from typing import Final, TypeVar

T = TypeVar("T")

_LOOK_S: Final = 1.0


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
        while (item := _next(events, thread)) is not None:
            yield item[0]
            wanted.release()
    finally:
        closed.set()
        while thread.is_alive():
            wanted.release()
            thread.join(timeout=0.05)
    if failure:
        raise failure[0]


def _next(events: queue.Queue[tuple[T] | None], thread: threading.Thread) -> tuple[T] | None:
    """The next event, None after the last. A thread that found no memory even for saying that it ends has ended too."""
    while True:
        try:
            return events.get(timeout=_LOOK_S)
        except queue.Empty:
            if not thread.is_alive() and events.empty():
                raise MemoryError("the engine's thread has ended without a word") from None
