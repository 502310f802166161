"""What went wrong with a request or a job, as a value (RFC 9457 problem details)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

LONGEST_VALUE: Final = 200
"""Characters of an offending value that are shown; the rest tells nobody more."""


@dataclass(frozen=True)
class Problem:
    """`detail` is a sentence for an artist; `field`, `value` and `allowed` say which input it is about, ""
    if none."""

    status: int
    detail: str
    title: str = ""
    field: str = ""
    value: object = None
    allowed: str = ""

    def to_json(self) -> dict[str, Any]:
        """The problem document: always type, title, status, detail; field, value, allowed where they
        apply."""
        document: dict[str, Any] = {
            "type": "about:blank",
            "title": self.title or HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.detail,
        }
        if self.field:
            document |= {"field": self.field, "value": shown(self.value)}
        if self.allowed:
            document["allowed"] = self.allowed
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Problem:
        """The reverse of `to_json`."""
        return cls(
            status=int(document["status"]),
            detail=str(document["detail"]),
            title=str(document["title"]),
            field=str(document.get("field", "")),
            value=document.get("value"),
            allowed=str(document.get("allowed", "")),
        )


def shown(value: object) -> Any:
    """`value` as it may stand in a JSON error: plain values as they are, long ones cut, others as text."""
    if value is None or isinstance(value, bool) or (isinstance(value, float) and math.isfinite(value)):
        return value
    if isinstance(value, int) and abs(value) < 2**63:
        return value
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= LONGEST_VALUE else text[: LONGEST_VALUE - 3] + "..."
