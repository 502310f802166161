"""When memory runs out: what can still be done, rung by rung, and at the end a size that would fit."""

from __future__ import annotations

import errno
import gc
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import torch

from pentimento_shared.geometry import Size

from .request import Stage

T = TypeVar("T")

_SIGNS: Final = (
    "out of memory",  # CUDA, MPS
    "can't allocate memory",  # torch on a CPU
    "cannot allocate memory",  # the system
    "not enough memory",  # torch on a CPU, Windows
    "bad_alloc",
    "alloc_failed",  # cuBLAS, cuDNN
    "could not create a memory object",  # oneDNN; the next two as well, which say no more than this
    "could not create a primitive",
    "could not execute a primitive",
)


@dataclass(frozen=True)
class Rung:
    """A way to do with less memory.

    `stages` are those that it helps. `take` takes it for the rest of the job and returns whether that changed
    anything. `notice` is for the artist.
    """

    stages: Collection[Stage]
    take: Callable[[], bool]
    notice: str = ""


class NoRungLeft(Exception):
    """Memory ran out and there is no way left to do with less. `reason` is what torch or the system said."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def climb_down(rungs: Sequence[Rung], stage: Stage, work: Callable[[], T], tell: Callable[[str], None]) -> T:
    """`work()`; when memory runs out, again one rung lower. Raises NoRungLeft, and whatever else `work` raises."""
    left = iter([rung for rung in rungs if stage in rung.stages])
    while True:
        outcome = _attempt(work)
        if not isinstance(outcome, _RanOut):
            return outcome
        # Here the exception is gone, and with it the frames whose tensors filled the memory.
        free_unused()
        rung = next((rung for rung in left if rung.take()), None)
        if rung is None:
            raise NoRungLeft(outcome.reason)
        if rung.notice:
            tell(rung.notice)


@dataclass(frozen=True)
class _RanOut:
    reason: str


def _attempt(work: Callable[[], T]) -> T | _RanOut:
    try:
        return work()
    except Exception as error:
        if not ran_out(error):
            raise
        return _RanOut(str(error).partition("\n")[0])


def ran_out(error: BaseException | None) -> bool:
    """Whether an error, or one that it came from, says that memory ran out."""
    while error is not None:
        if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
            return True
        if isinstance(error, OSError) and error.errno == errno.ENOMEM:
            return True
        if isinstance(error, (RuntimeError, OSError)) and any(sign in str(error).lower() for sign in _SIGNS):
            return True
        error = error.__cause__
    return False


def free_unused() -> None:
    """Hands back what nothing refers to any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    elif torch.backends.mps.is_available():
        torch.mps.empty_cache()


class Tiles:
    """Lets a VAE work in overlapping tiles, and undoes that: the next job's pictures owe nothing to this one's."""

    def __init__(self) -> None:
        self._undo: Callable[[], None] | None = None

    def take(self, vae: Any, work: Size) -> bool:
        """Tiles of at most half of `work`'s longer side, px. False when this VAE cannot, or does already."""
        if self._undo is not None or not hasattr(vae, "tile_latent_min_size"):
            return False
        before = vae.use_tiling, vae.tile_latent_min_size, vae.tile_sample_min_size

        def undo() -> None:
            vae.use_tiling, vae.tile_latent_min_size, vae.tile_sample_min_size = before

        factor = 2 ** (len(vae.config.block_out_channels) - 1)
        side = min(vae.tile_latent_min_size, math.ceil(max(work) / factor / 2))
        vae.use_tiling, vae.tile_latent_min_size, vae.tile_sample_min_size = True, side, side * factor
        self._undo = undo
        return True

    def undo(self) -> None:
        """May be called without a `take` before it."""
        if self._undo is not None:
            self._undo()
            self._undo = None


def fitting(work: Size, ran: int | None, multiple: int) -> Size | None:
    """A size of `work`'s form that memory may have room for, in multiples of `multiple` px a side.

    `ran` is the largest area (px) that has run before; without one half of `work`'s area is as good a guess as any.
    None when nothing smaller is left.
    """
    area = work.area / 2 if ran is None or ran >= work.area else ran
    scale = math.sqrt(area / work.area)
    sides = [int(side * scale) // multiple * multiple for side in work]
    return Size(*sides) if min(sides) > 0 and Size(*sides).area < work.area else None
