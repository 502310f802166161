"""Pentimento in Krita: img2img and inpainting on this computer, each result a new layer."""

from __future__ import annotations

import sys
from pathlib import Path

VENDOR = Path(__file__).parent / "vendor"
# Last: what Krita or the user brings of requests comes before ours, and nothing of theirs is hidden.
if str(VENDOR) not in sys.path:
    sys.path.append(str(VENDOR))

from .start import start  # noqa: E402  needs the path above

start()
