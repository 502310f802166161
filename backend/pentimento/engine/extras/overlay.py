"""What lies over the weights of a model in memory: exchanged for sums, which cost nothing per step, and kept beside.

The originals come back to the last bit, which adding and subtracting again would not do.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from typing import Final

import torch

Changes = Iterator[tuple[torch.nn.Parameter, torch.Tensor]]
"""Weights, each with what is added to it, in float32; whoever takes it may change it."""

_NOTHING: Final = ()


class Overlay:
    """What was laid over one model last. It stays for the next job, which most often wants the same."""

    def __init__(self) -> None:
        self._kept: dict[torch.nn.Parameter, torch.Tensor] = {}
        self._what: Hashable = _NOTHING
        """What lies there; None while it is being exchanged."""

    def lay(self, what: Hashable, changes: Callable[[], Changes]) -> None:
        """Lays `changes()` over the model's own weights; `what` names them. Nothing is done when just these lie there.

        Raises what `changes` raises, and whatever stops it; the next `lay` or `mend` puts in order what is left then.
        """
        if what == self._what:
            return
        self._put_back()
        for weight, change in changes():
            # The originals wait in main memory: a small graphics card could not hold both.
            self._kept[weight] = weight.data.to("cpu")
            weight.data = change.add_(weight.data).to(weight.dtype)
        self._what = what

    def mend(self) -> None:
        """Takes off what was not laid to its end."""
        if self._what is None:
            self.take_off()

    def take_off(self) -> None:
        """Gives the model its own weights back."""
        self._put_back()
        self._what = _NOTHING

    def _put_back(self) -> None:
        self._what = None
        for weight in tuple(self._kept):
            weight.data = self._kept[weight].to(weight.device)
            # Only now: a cancel may come between any two operations, and what is left is put back after it.
            del self._kept[weight]
