"""Small random-weight upscalers in files as they are given away: spandrel knows them by their keys."""

from __future__ import annotations

from pathlib import Path

import torch
from safetensors.torch import save_file

Tensors = dict[str, torch.Tensor]

COMPACT_REACH = 3
"""How far away, px of the source, `compact`'s network looks."""


def write(path: Path, tensors: Tensors) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, path)
    return path


def compact(scale: int = 4, width: int = 8, gain: float = 0.3) -> Tensors:
    """Real-ESRGAN's compact network: what three convolutions make, by `gain`, is added to the source, whose px are
    repeated."""
    random, most = torch.Generator().manual_seed(0), 3 * scale**2
    return {
        **_convolution(random, "body.0", width, 3),
        "body.1.weight": torch.full((width,), 0.2),
        **_convolution(random, "body.2", width, width),
        "body.3.weight": torch.full((width,), 0.2),
        **_convolution(random, "body.4", most, width, gain),
    }


def esrgan(scale: int = 2, width: int = 4, out_channels: int = 3) -> Tensors:
    """ESRGAN of one block, in the keys of Real-ESRGAN. The first three channels carry the colours through."""
    random, grow = torch.Generator().manual_seed(0), 32
    found = _convolution(random, "conv_first", width, 3, 0.1)
    for part in (1, 2, 3):
        for k in range(5):
            out = grow if k < 4 else width
            found |= _convolution(random, f"body.0.rdb{part}.conv{k + 1}", out, width + k * grow, 0.5)
    found |= _convolution(random, "conv_body", width, width, 0.1)
    for up in range({2: 1, 4: 2}[scale]):
        found |= _convolution(random, f"conv_up{up + 1}", width, width, 0.1)
    found |= _convolution(random, "conv_hr", width, width, 0.1) | _convolution(
        random, "conv_last", out_channels, width, 0.1
    )
    for name in found:
        if name.endswith("weight") and name.startswith(("conv_first", "conv_up", "conv_hr", "conv_last")):
            found[name][:3, :3, 1, 1] += torch.eye(3)[: out_channels if name.startswith("conv_last") else 3]
    return found


def _convolution(random: torch.Generator, name: str, out: int, of: int, gain: float = 1.0) -> Tensors:
    weight = torch.randn((out, of, 3, 3), generator=random) * gain / (of * 9) ** 0.5
    return {f"{name}.weight": weight, f"{name}.bias": torch.zeros(out)}
