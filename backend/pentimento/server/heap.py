"""The memory that the C library keeps for the server's threads."""

from __future__ import annotations

import ctypes
import sys
from typing import Final

HEAPS: Final = 2
_M_ARENA_MAX: Final = -8
"""mallopt's parameter, from glibc's malloc.h."""


def share_heaps() -> None:
    """Lets all threads of this process share `HEAPS` heaps; to be called before threads are started.

    By itself glibc gives up to eight heaps to each core, and each keeps what the largest picture on it took: 40 MB more
    after a thousand jobs (tests/torture/soak.py). Other C libraries have no such heaps and no such call.
    """
    if sys.platform == "linux":
        mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
        if mallopt is not None:
            mallopt(_M_ARENA_MAX, HEAPS)
