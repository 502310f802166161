"""What a LoRA and its relatives add to one weight: the dense difference that a few small tensors stand for.

LoRA: Hu et al., arXiv 2106.09685; LoCon, LoHa and LoKr: Yeh et al., arXiv 2309.14859 (LyCORIS); DoRA: Liu et al.,
arXiv 2402.09353.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import torch

Parts = Mapping[str, torch.Tensor]
"""The tensors that a file has for one weight, by their names in `keys.PARTS`."""


class Misfit(Exception):
    """Tensors that do not go together, or not with the weight they are for; `str()` says why."""


class _Dense(NamedTuple):
    """A difference before its scale, and the rank that alpha is measured in; None where there is no rank."""

    values: torch.Tensor
    rank: int | None


def delta(parts: Parts, weight: torch.Tensor) -> torch.Tensor:
    """The difference [like `weight`] in float32, at weight 1, on the device of `weight`; the caller's own.

    Tensors on the device "meta" are enough to see whether they fit. Raises Misfit.
    """
    try:
        return _delta({name: part.to(weight.device, torch.float32) for name, part in parts.items()}, weight)
    except (RuntimeError, KeyError, IndexError) as error:
        found = ", ".join(f"{name} {_size(part)}" for name, part in parts.items() if part.ndim)
        raise Misfit(f"{found} do not make a weight of {_size(weight)}") from error


def _size(tensor: torch.Tensor) -> str:
    return " x ".join(map(str, tensor.shape))


def _delta(parts: Parts, weight: torch.Tensor) -> torch.Tensor:
    kind = next((make for mark, make in _KINDS if mark in parts), None)
    if kind is None:
        raise KeyError
    dense, rank = kind(parts)
    # A 1 x 1 convolution and a linear layer hold the same numbers.
    if dense.shape[0] != weight.shape[0] or dense.numel() != weight.numel():
        raise IndexError
    # In place: on a CPU new memory costs more than the sum itself.
    change = dense.reshape(weight.shape).mul_(_scale(parts, rank))
    magnitude = parts.get("magnitude")
    return change if magnitude is None else _decomposed(weight.float(), change, magnitude)


def _scale(parts: Parts, rank: int | None) -> float:
    alpha = parts.get("alpha")
    if alpha is None or rank is None or alpha.device.type == "meta":
        return 1.0
    return float(alpha) / rank


def _lora(parts: Parts) -> _Dense:
    """up @ down; for convolutions down has the kernel, or mid has it between the two (LoCon, Tucker form)."""
    up, down = parts["up"], parts["down"]
    rank = down.shape[0]
    if "mid" in parts:
        return _Dense(torch.einsum("nmkl,on,mi->oikl", parts["mid"], up.flatten(1), down.flatten(1)), rank)
    return _Dense(up.flatten(1) @ down.flatten(1), rank)


def _loha(parts: Parts) -> _Dense:
    """The product, number by number, of two low-rank matrices."""
    first, second = (_pair(parts, f"w{k}_a", f"w{k}_b", f"t{k}") for k in (1, 2))
    return _Dense(first * second, parts["w1_b"].shape[0])


def _lokr(parts: Parts) -> _Dense:
    """The Kronecker product of two matrices, each whole or of low rank."""
    factors: list[torch.Tensor] = []
    rank = None
    for k in (1, 2):
        if f"k{k}" in parts:
            factors.append(parts[f"k{k}"])
        else:
            factors.append(_pair(parts, f"k{k}_a", f"k{k}_b", f"kt{k}"))
            rank = parts[f"k{k}_b"].shape[0]
    first, second = factors
    return _Dense(torch.kron(first.reshape(*first.shape, *[1] * (second.ndim - first.ndim)), second), rank)


def _full(parts: Parts) -> _Dense:
    return _Dense(parts["diff"], None)


def _pair(parts: Parts, a: str, b: str, core: str) -> torch.Tensor:
    """a @ b; with a core tensor [ranks, kernel] the Tucker form, whose a is stored turned."""
    if core in parts:
        return torch.einsum("nmkl,no,mi->oikl", parts[core], parts[a], parts[b])
    return parts[a] @ parts[b].flatten(1)


_KINDS: Final[tuple[tuple[str, Callable[[Parts], _Dense]], ...]] = (
    ("up", _lora),
    ("w1_a", _loha),
    ("k1", _lokr),
    ("k1_a", _lokr),
    ("diff", _full),
)
"""A tensor that only this kind has -> what it stands for."""


def _decomposed(weight: torch.Tensor, change: torch.Tensor, magnitude: torch.Tensor) -> torch.Tensor:
    """DoRA: the changed weight's directions with lengths of their own. Those of each output where `magnitude` has as
    many, as in the paper; else those of each input, as LyCORIS has them."""
    changed = weight + change
    per_output = magnitude.shape[0] == weight.shape[0] and magnitude.numel() == weight.shape[0]
    axis = 0 if per_output else 1
    if magnitude.numel() != weight.shape[axis]:
        raise IndexError
    others = [k for k in range(weight.ndim) if k != axis]
    shape = [-1 if k == axis else 1 for k in range(weight.ndim)]
    lengths = torch.linalg.vector_norm(changed, dim=others, keepdim=True)
    return changed * (magnitude.reshape(shape) / lengths) - weight
