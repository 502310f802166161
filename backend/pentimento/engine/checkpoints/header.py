"""The header of a safetensors file, read and checked without its tensors. The files are strangers'.

Format: 8 bytes header length (little-endian), a JSON header of at most 100 MB, the data. The header maps each tensor's
name to its dtype, shape and place in the data, and `__metadata__` to a map of texts.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

LENGTH_BYTES: Final = 8
MAX_HEADER: Final = 100_000_000
"""Longest header, bytes: the format's own limit."""


class HeaderError(Exception):
    """A file that is no whole safetensors file. `problem` goes on where a sentence has named the file."""

    def __init__(self, path: Path, problem: str) -> None:
        super().__init__(f"{path.name} {problem}")
        self.path = path
        self.problem = problem


class Tensor(NamedTuple):
    """What a header says of one tensor. `size` is in bytes as stored."""

    dtype: str
    shape: tuple[int, ...]
    size: int

    @property
    def values(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Header:
    """All that a safetensors file says without its data."""

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]

    @property
    def values(self) -> int:
        """How many numbers all tensors hold."""
        return sum(tensor.values for tensor in self.tensors.values())

    def shape(self, name: str) -> tuple[int, ...]:
        """That tensor's shape; () where there is none of that name."""
        tensor = self.tensors.get(name)
        return () if tensor is None else tensor.shape


def read_header(path: Path) -> Header:
    """The header of the safetensors file at `path`, whose length must be what the header says.

    Raises HeaderError for a file that is damaged or something else, OSError for one that cannot be read.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(LENGTH_BYTES), "little")
        if not 2 <= length <= size - LENGTH_BYTES:
            raise HeaderError(path, "is not a safetensors file, or only its beginning.")
        if length > MAX_HEADER:
            raise HeaderError(path, f"is not a safetensors file: its header would have {length} bytes.")
        raw = file.read(length)
    try:
        header = _parse(json.loads(raw))
    except (ValueError, AttributeError, KeyError, TypeError, RecursionError) as error:
        raise HeaderError(path, "is not a safetensors file: its header is damaged.") from error
    # As written by the library itself, the data have no holes and do not overlap.
    expected = LENGTH_BYTES + length + sum(tensor.size for tensor in header.tensors.values())
    if size != expected:
        what = "truncated" if size < expected else "damaged"
        raise HeaderError(path, f"has {size} bytes where its header says {expected}: it is {what}.")
    return header


def _parse(data: dict[str, Any]) -> Header:
    metadata = data.pop("__metadata__", {})
    if not all(isinstance(value, str) for value in metadata.values()):
        raise ValueError
    return Header({name: _tensor(entry) for name, entry in data.items()}, metadata)


def _tensor(entry: dict[str, Any]) -> Tensor:
    begin, end = entry["data_offsets"]
    shape = tuple(entry["shape"])
    if not all(isinstance(number, int) and number >= 0 for number in (begin, end - begin, *shape)):
        raise ValueError
    return Tensor(str(entry["dtype"]), shape, end - begin)
