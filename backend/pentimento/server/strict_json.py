"""JSON from outside: what it may not hold is refused here, so that nothing behind needs to expect it."""

from __future__ import annotations

import json
from typing import Any, Final

from .problems import refuse

_MOST_DIGITS: Final = 18


def parse(text: bytes | str, what: str) -> dict[str, Any]:
    """The object in a JSON text; `what` names it in errors.

    Raises Refused: 400 for what is not JSON, is nested too deep, gives a name twice or holds NaN or Infinity;
    422 for another type, a NUL or half a surrogate pair in a text.
    """
    try:
        document = json.loads(text, parse_constant=_no_constant, parse_int=_number, object_pairs_hook=_no_twins)
        json.dumps(document, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError as error:
        raise refuse(422, f"The {what} holds half a surrogate pair, which is no text.", what) from error
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else str(error)
        raise refuse(400, f"The {what} is not usable JSON: {reason}.", what) from error
    if not isinstance(document, dict):
        raise refuse(422, f"The {what} is not a JSON object.", what, document, 'an object, {"task": ...}')
    if _holds_nul(document):
        raise refuse(422, f"The {what} holds a NUL character. Take it out.", what)
    return document


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not a number in JSON")


def _number(digits: str) -> float:
    """A whole number; as float when it has more digits than anything here counts: those overflow somewhere else."""
    return int(digits) if len(digits) <= _MOST_DIGITS else float(digits)


def _no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) < len(pairs):
        names = [name for name, _ in pairs]
        twin = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the name {twin[:80]!r} is given twice")
    return result


def _holds_nul(value: object) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(map(_holds_nul, (*value.keys(), *value.values())))
    return isinstance(value, list) and any(map(_holds_nul, value))
