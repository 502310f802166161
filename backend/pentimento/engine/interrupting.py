"""Cancel within a stage: between any two of torch's operations, and wherever a long loop asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from torch.overrides import TorchFunctionMode

_CHECK: Final[ContextVar[Callable[[], None] | None]] = ContextVar("check", default=None)


@contextmanager
def interruptible(check: Callable[[], None]) -> Iterator[None]:
    """While this is open `check` is called before each of torch's operations in this thread; it may raise.

    It costs some microseconds an operation: nothing to a load, an encode, a decode or a step on a CPU, too much for a
    step on a fast device. What breaks because it was interrupted is reported as the interruption.
    """
    token = _CHECK.set(check)
    try:
        with _Checked(check):
            yield
    except Exception:
        # Libraries that load files turn whatever happens meanwhile into errors of their own.
        check()
        raise
    finally:
        _CHECK.reset(token)


def check_here() -> None:
    """For loops that take long without torch."""
    if check := _CHECK.get():
        check()


class _Checked(TorchFunctionMode):
    def __init__(self, check: Callable[[], None]) -> None:
        super().__init__()
        self._check = check

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self._check()
        return func(*args, **(kwargs or {}))
