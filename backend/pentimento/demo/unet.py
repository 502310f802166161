"""The denoiser's UNet, and how one that learnt on small pictures grows a level for pictures of twice the side."""

from __future__ import annotations

from typing import Final, cast

import torch
import torch.nn.functional as F
from diffusers.models.unets.unet_2d_condition import UNet2DConditionModel
from torch import nn

from pentimento.demo.text import WIDTH

WIDTHS: Final = (48, 48, 96, 192)
"""Channels of the levels; below the full picture size the inner three are trained alone."""
SIDE: Final = 256
"""Side of the pictures that the whole UNet is made for."""
HEADS: Final = 6


def build_unet(side: int = SIDE) -> UNet2DConditionModel:
    """A new UNet: attention (to itself and to the text) only at the lowest resolution, where it is cheap.

    For a `side` in pixels below `SIDE` it lacks the outermost level, which `grow` adds.

    A summary of the text also scales and shifts every block beside the time (as in DeepFloyd IF): a style or a time
    of day is about the whole picture, and attention alone was slow to carry it up to the finest resolution.
    """
    widths = WIDTHS if side == SIDE else WIDTHS[1:]
    plain = len(widths) - 1
    return UNet2DConditionModel(
        sample_size=SIDE // 4,
        in_channels=4,
        out_channels=4,
        block_out_channels=widths,
        layers_per_block=1,
        cross_attention_dim=WIDTH,
        attention_head_dim=HEADS,  # The number of heads, whatever its name says; 32 small ones took half of the time.
        addition_embed_type="text",
        addition_embed_type_num_heads=4,
        resnet_time_scale_shift="scale_shift",
        norm_num_groups=16,
        down_block_types=("DownBlock2D",) * plain + ("CrossAttnDownBlock2D",),
        up_block_types=("CrossAttnUpBlock2D",) + ("UpBlock2D",) * plain,
    )


def grow(inner: dict[str, torch.Tensor], latents: torch.Tensor) -> dict[str, torch.Tensor]:
    """The weights of a whole UNet that starts by doing what `inner` (a state dict of one without its outermost level)
    does on the latents at half their size, enlarged again.

    `latents`: some noisy ones, (N, 4, h, w) float32 on the CPU, at full size; the way down is fitted to them by least
    squares. Growing a network from coarse to fine: Karras et al., arXiv 1710.10196.
    """
    unet = build_unet()
    last = len(WIDTHS) - 1
    moved = dict(inner)
    # From the innermost outwards: a name that is moved never meets one that is not.
    for level in reversed(range(last)):
        old, new = f"down_blocks.{level}.", f"down_blocks.{level + 1}."
        moved = {name.replace(old, new) if name.startswith(old) else name: value for name, value in moved.items()}
    del moved["conv_in.weight"], moved["conv_in.bias"]
    unet.load_state_dict(unet.state_dict() | moved)
    finest = f"up_blocks.{last}.resnets"
    for name in ("down_blocks.0.resnets.0", f"{finest}.0", f"{finest}.1"):
        nn.init.zeros_(_conv(unet, f"{name}.conv2").weight)
        nn.init.zeros_(cast("torch.Tensor", _conv(unet, f"{name}.conv2").bias))
    for name in (f"up_blocks.{last - 1}.upsamplers.0.conv", f"{finest}.0.conv_shortcut", f"{finest}.1.conv_shortcut"):
        _pass_on(_conv(unet, name))
    with torch.no_grad():
        wanted = F.conv2d(F.avg_pool2d(latents, 2), inner["conv_in.weight"], inner["conv_in.bias"], padding=1)
        _fit(_conv(unet, "down_blocks.0.downsamplers.0.conv"), unet.conv_in(latents), wanted)
    return unet.state_dict()


def _conv(unet: nn.Module, name: str) -> nn.Conv2d:
    return cast("nn.Conv2d", unet.get_submodule(name))


def _pass_on(conv: nn.Conv2d) -> None:
    """Let each channel that comes out be the one of its number that goes in."""
    nn.init.dirac_(conv.weight)
    nn.init.zeros_(cast("torch.Tensor", conv.bias))


def _fit(conv: nn.Conv2d, given: torch.Tensor, wanted: torch.Tensor) -> None:
    """Make a convolution of 3 x 3 in steps of 2 give what comes nearest to `wanted` (least squares)."""
    windows = F.unfold(given, 3, padding=1, stride=2).transpose(1, 2).flatten(0, 1)
    windows = torch.cat([windows, torch.ones(len(windows), 1)], dim=1)
    found = torch.linalg.lstsq(windows, wanted.flatten(2).transpose(1, 2).flatten(0, 1), driver="gelsd").solution
    conv.weight.copy_(found[:-1].T.reshape(conv.weight.shape))
    cast("torch.Tensor", conv.bias).copy_(found[-1])
