"""What a prompt called for by the name of a file, as a recipe remembers it: LoRA files and embeddings."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Literal, get_args

Kind = Literal["lora", "embedding"]

_WORDS: Final = {"lora": "LoRA", "embedding": "embedding"}
_INFOTEXT: Final = {"lora": "Lora hashes", "embedding": "TI hashes"}


@dataclass(frozen=True)
class Extra:
    """A file that took part in a picture: its `name` without suffix, SHA-256 (hex) and AUTOMATIC1111's short `hash`."""

    kind: Kind
    name: str
    sha256: str
    hash: str


def extras_to_json(extras: Iterable[Extra]) -> list[dict[str, str]]:
    return [asdict(extra) for extra in extras]


def extras_from_json(value: object) -> tuple[Extra, ...]:
    """What `extras_to_json` gave. Raises ValueError for anything else: recipes come from strangers' files."""
    if not isinstance(value, list):
        raise ValueError("not a list")
    return tuple(_extra(entry) for entry in value)


def _extra(entry: Any) -> Extra:
    names = {known.name for known in fields(Extra)}
    if (
        not isinstance(entry, dict)
        or entry.keys() != names
        or not all(isinstance(text, str) for text in entry.values())
    ):
        raise ValueError(f"not an object of the texts {', '.join(sorted(names))}")
    if entry["kind"] not in get_args(Kind):
        raise ValueError(f"of no kind that is known: {', '.join(get_args(Kind))}")
    return Extra(**entry)


def hash_pairs(extras: Sequence[Extra]) -> dict[str, str]:
    """The pairs of an infotext that name them, as AUTOMATIC1111 writes them; none where there are none."""
    found: dict[str, list[str]] = {}
    for extra in extras:
        name = extra.name.replace(":", "").replace(",", "")
        found.setdefault(_INFOTEXT[extra.kind], []).append(f"{name}: {extra.hash}")
    return {key: ", ".join(texts) for key, texts in found.items()}


def changes(before: Sequence[Extra], after: Sequence[Extra]) -> tuple[str, ...]:
    """A sentence for each file that is another one than it was: the same pixels cannot be expected."""
    known = {(extra.kind, extra.name): extra.sha256 for extra in before}
    changed = [extra for extra in after if known.get((extra.kind, extra.name), extra.sha256) != extra.sha256]
    return tuple(
        f"The file of the {_WORDS[extra.kind]} {extra.name} has changed since this picture was made first: its pixels "
        "may differ."
        for extra in changed
    )
