"""The parts of a model take turns on the device: one computes, the others wait in the machine's memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import torch
from accelerate.hooks import ModelHook, add_hook_to_module

DEVICES: Final = frozenset({"cuda", "xpu"})
"""Kinds of devices with a memory of their own; elsewhere there is no other place to wait in."""


def takes_turns(components: Mapping[str, Any]) -> bool:
    """Whether the parts of a model take turns already."""
    return any(hasattr(part, "_hf_hook") for part in _modules(components))


def offload(components: Mapping[str, Any], device: torch.device) -> bool:
    """From now on a part of the model is on `device` only while it computes, or until another one does.

    The modules are changed where they are. Results stay the same. False when they take turns already.
    """
    modules = _modules(components)
    if takes_turns(components):
        return False
    for module in modules:
        module.to("cpu")
        add_hook_to_module(module, _Turn(device, [other for other in modules if other is not module]))
    return True


def _modules(components: Mapping[str, Any]) -> list[torch.nn.Module]:
    return [part for part in components.values() if isinstance(part, torch.nn.Module)]


class _Turn(ModelHook):
    """Before a module computes, the others make room for it. diffusers calls it before `encode` and `decode` too."""

    def __init__(self, device: torch.device, others: list[torch.nn.Module]) -> None:
        self.execution_device = device
        self._others = others

    def pre_forward(self, module: torch.nn.Module, *args: Any, **kwargs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        for other in self._others:
            other.to("cpu")
        module.to(self.execution_device)
        return args, kwargs
