"""The routes of the API, one blueprint per subject, all under /api/v1."""

from __future__ import annotations

from typing import Final

PREFIX: Final = "/api/v1"
