"""Data-parallel training in a few lines: processes of one thread each that average their gradients."""

from __future__ import annotations

import tempfile
import timeit
from collections.abc import Callable, Iterable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.multiprocessing as mp


class Team(NamedTuple):
    """This process's place among the training processes."""

    rank: int
    size: int
    device: torch.device

    def average(self, parameters: Iterable[torch.nn.Parameter]) -> None:
        """Replace each gradient by its mean over the team."""
        if self.size == 1:
            return
        grads = [p.grad for p in parameters if p.grad is not None]
        flat = torch.cat([g.reshape(-1) for g in grads])
        dist.all_reduce(flat)
        flat /= self.size
        for grad, part in zip(grads, flat.split([grad.numel() for grad in grads]), strict=True):
            grad.copy_(part.view_as(grad))

    def same(self, module: torch.nn.Module) -> None:
        """Give every process the first one's weights."""
        if self.size > 1:
            for tensor in [*module.parameters(), *module.buffers()]:
                dist.broadcast(tensor.data, 0)

    def agree(self, value: bool) -> bool:
        """The first process's answer, everywhere."""
        if self.size == 1:
            return value
        flag = torch.tensor([float(value)])
        dist.broadcast(flag, 0)
        return bool(flag.item())


def half(device: torch.device) -> torch.autocast:
    """Autocast to bfloat16 where the hardware is faster in it."""
    return torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda" or _bfloat16_pays())


@cache
def _bfloat16_pays() -> bool:
    """Whether this CPU multiplies in bfloat16 faster than in float32.

    Tried, not looked up: of two CPUs that name AVX512-BF16 one trained at twice the speed in it, one at two thirds.
    """

    def seconds(dtype: torch.dtype) -> float:
        matrix = torch.ones(768, 768, dtype=dtype)
        return min(timeit.repeat(lambda: matrix @ matrix, number=1, repeat=5))

    return seconds(torch.bfloat16) < seconds(torch.float32)


def _member(rank: int, size: int, store: str, work: Callable[..., None], args: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=size)
    try:
        work(Team(rank, size, torch.device("cpu")), *args)
    finally:
        dist.destroy_process_group()


def run_team(workers: int, work: Callable[..., None], *args: Any) -> None:
    """Call `work(team, *args)` in one process on a GPU if there is one, else in `workers` processes
    with one thread each."""
    if torch.cuda.is_available():
        work(Team(0, 1, torch.device("cuda")), *args)
        return
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_member, (workers, str(Path(folder) / "store"), work, args), nprocs=workers)  # pyright: ignore[reportPrivateImportUsage]
