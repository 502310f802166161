"""What is thrown away, and when: a day after a client has it, and never before."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from .blobs import Blobs
from .clock import RetentionClock
from .store import Store

_log = logging.getLogger(__name__)

KEPT_S: Final = 24 * 3600.0
"""Seconds for which a job is kept after its last picture was fetched, or after it failed or was cancelled."""
EVERY_S: Final = 3600.0
_SOON_S: Final = 30.0


@dataclass(frozen=True)
class Retention:
    """Prunes the store and sweeps the blobs. To be called only while the worker has no job (see
    `Blobs.sweep`)."""

    store: Store
    blobs: Blobs
    clock: RetentionClock

    def run(self) -> float:
        """One round. Returns after how many seconds the next is due."""
        self.clock.save()
        pruned = self.store.prune(before=self.clock.now() - KEPT_S)
        swept = self.blobs.sweep(self.store.blobs)
        if pruned or swept:
            _log.info("retention: %d jobs and %s blobs removed", pruned, swept)
        return _SOON_S if swept is None else EVERY_S
