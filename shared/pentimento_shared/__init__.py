"""What the plugins and the backend share. Python 3.10, the standard library and requests: nothing else."""

from __future__ import annotations

from typing import Final

VERSION: Final = "0.1.0"
"""The version of all of Pentimento: the backend and both plugins."""
