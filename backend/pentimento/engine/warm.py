"""The models in memory: as many as fit, and those that were used last."""

from __future__ import annotations

import gc
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import psutil
import torch

from .checkpoints.places import ModelFile
from .loaded import LoadedModel
from .loading import load, load_vae_of
from .memory import TooLittleMemory, weight_bytes
from .models import ModelInfo

ROOM_TO_WORK: Final = 1_500_000_000
"""Bytes that stay free beside the models where a model that is not used now can be freed for them."""


@dataclass
class _Entry:
    model: LoadedModel
    vaes: dict[Path, Any] = field(default_factory=dict)


class WarmModels:
    """Loads models and keeps them. One that does not fit makes those go that were not used for longest.

    `free` says how many bytes the device has left; without it the device is asked.
    """

    def __init__(self, device: torch.device, free: Callable[[], int] | None = None) -> None:
        self._device = device
        self._free = free or (lambda: free_memory(device))
        self._entries: list[_Entry] = []

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the models in memory, the one used last at the end."""
        return tuple(entry.model.info.id for entry in self._entries)

    def get(self, info: ModelInfo, vae: ModelFile | None = None) -> LoadedModel:
        """The model, loaded when it is not there yet, with the VAE of that file in the place of its own.

        Raises BrokenModel, and TooLittleMemory where it does not fit with all others freed.
        """
        entry = next((entry for entry in self._entries if entry.model.info == info), None)
        if entry is None:
            entry = self._load(info)
        else:
            self._entries.remove(entry)
        self._entries.append(entry)
        if vae is None:
            return entry.model
        if vae.path not in entry.vaes:
            entry.vaes[vae.path] = load_vae_of(entry.model, vae)
        return replace(entry.model, components={**entry.model.components, "vae": entry.vaes[vae.path]})

    def _load(self, info: ModelInfo) -> _Entry:
        # One that was there under other terms (its configuration was changed) is of no use any more.
        self._entries = [entry for entry in self._entries if entry.model.info.id != info.id]
        needed = weight_bytes(info, 4 if self._device.type == "cpu" else 2)
        while self._entries and self._free() < needed + ROOM_TO_WORK:
            del self._entries[0]
            self._release()
        if self._free() < needed:
            what = "memory" if self._device.type == "cpu" else f"the memory of the device {self._device}"
            raise TooLittleMemory(info, needed, self._free(), what)
        return _Entry(load(info, self._device))

    def _release(self) -> None:
        gc.collect()
        if self._device.type == "cuda":
            torch.cuda.empty_cache()


def free_memory(device: torch.device) -> int:
    """Bytes that can be had on that device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available
