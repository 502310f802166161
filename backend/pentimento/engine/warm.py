"""The models in memory: as many as fit, and those that were used last."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import psutil
import torch

from .checkpoints.hashes import Hashes
from .checkpoints.places import ModelFile
from .footprint import too_little, weight_bytes
from .loaded import LoadedModel
from .loading import load, load_vae
from .memory import free_unused
from .models import ModelInfo
from .offload import DEVICES

ROOM_TO_WORK: Final = 1_500_000_000
"""Bytes that stay free beside the models where a model that is not used now can be freed for them."""


@dataclass
class _Entry:
    model: LoadedModel
    vaes: dict[Path, Any] = field(default_factory=dict)


class WarmModels:
    """Loads models and keeps them. One that does not fit makes those go that were not used for longest.

    `free` says how many bytes the device has left; without it the device is asked. `hashes` knows those of files that
    were loaded before.
    """

    def __init__(
        self, device: torch.device, free: Callable[[], int] | None = None, hashes: Hashes | None = None
    ) -> None:
        self._device = device
        self._hashes = hashes or Hashes()
        self._free = free or (lambda: free_memory(device))
        self._entries: list[_Entry] = []
        self._last: LoadedModel | None = None
        self._turns = False

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the models in memory, the one used last at the end."""
        return tuple(entry.model.info.id for entry in self._entries)

    @property
    def last(self) -> LoadedModel | None:
        """The model that was asked for last; None while it is being loaded."""
        return self._last

    def get(self, info: ModelInfo, vae: ModelFile | None = None) -> LoadedModel:
        """The model, loaded when it is not there yet, with the VAE of that file in the place of its own.

        Raises BrokenModel, and OutOfMemory where it does not fit with all others freed.
        """
        self._last = None
        entry = next((entry for entry in self._entries if entry.model.info == info), None)
        if entry is None:
            entry = self._load(info)
        else:
            self._entries.remove(entry)
        self._entries.append(entry)
        self._last = entry.model
        if vae is not None:
            if vae.path not in entry.vaes:
                entry.vaes[vae.path] = load_vae(entry.model, vae)
            # Its latents look otherwise: the model's own map to RGB does not hold for it.
            info = replace(info, preview=())
            self._last = replace(
                entry.model, info=info, components={**entry.model.components, "vae": entry.vaes[vae.path]}
            )
        return self._last

    def _load(self, info: ModelInfo) -> _Entry:
        # One that was there under other terms (its configuration was changed) is of no use any more.
        self._entries = [entry for entry in self._entries if entry.model.info.id != info.id]
        needed = weight_bytes(info, 4 if self._device.type == "cpu" else 2)
        while self._entries and self._free() < needed + ROOM_TO_WORK:
            del self._entries[0]
            free_unused()
        if (self._turns or self._free() < needed) and self._turns_possible(needed):
            self._turns = False
            return _Entry(load(info, self._device, taking_turns=True, hashes=self._hashes))
        if self._free() < needed:
            what = "memory" if self._device.type == "cpu" else f"the memory of the device {self._device}"
            raise too_little(info, needed, self._free(), what)
        return _Entry(load(info, self._device, hashes=self._hashes))

    def take_turns(self) -> bool:
        """Lets the parts of the model that is loaded next take turns on the device. False where that is no help."""
        before, self._turns = self._turns, self._device.type in DEVICES
        return self._turns and not before

    def _turns_possible(self, needed: int) -> bool:
        return self._device.type in DEVICES and psutil.virtual_memory().available >= needed

    def free_others(self) -> None:
        """Frees all but the model that was asked for last; that one too where it is still being loaded."""
        kept = None if self._last is None else self._last.info.id
        self._entries = [entry for entry in self._entries if entry.model.info.id == kept]


def free_memory(device: torch.device) -> int:
    """Bytes that can be had on that device."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available
