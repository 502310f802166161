"""Bytes that are nearly right: good ones, cut, spliced and changed, as damage and malice do it."""

from __future__ import annotations

import os
import struct
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

TIMES: Final = int(os.environ.get("FUZZ_TIMES", "1"))
"""How many times as many examples as in CI: the environment variable FUZZ_TIMES."""
LONGEST_S: Final = 5.0
_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_EXTREMES: Final = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 2**63 - 1, 2**64 - 1)


def rounds(count: int) -> settings:
    """`count` examples in CI, the same ones each time; in a long run TIMES as many, and others each time."""
    return settings(
        max_examples=count * TIMES,
        derandomize=TIMES == 1,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
    )


@contextmanager
def bounded(memory: int, seconds: float = LONGEST_S) -> Iterator[None]:
    """Fails when what is done inside takes more than that many bytes at a time, or longer."""
    began = time.monotonic()
    tracemalloc.start()
    try:
        yield
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak <= memory, f"it took {peak} bytes"
    assert time.monotonic() - began <= seconds


@st.composite
def mutated(draw: st.DrawFn, seeds: Sequence[bytes], most: int = 6) -> bytes:
    """One of the seeds after up to `most` changes; none now and then."""
    data = draw(st.sampled_from(seeds))
    for _ in range(draw(st.integers(0, most))):
        change = draw(st.sampled_from(_CHANGES))
        data = change(draw, data, seeds)[: 1 << 20]
    return data


def mutated_text(seeds: Sequence[str], most: int = 6) -> st.SearchStrategy[str]:
    """The same of texts."""
    return mutated([seed.encode("utf-8") for seed in seeds], most).map(lambda data: data.decode("utf-8", "replace"))


def _place(draw: st.DrawFn, data: bytes) -> int:
    return draw(st.integers(0, len(data)))


def _flip(draw: st.DrawFn, data: bytes, seeds: Sequence[bytes]) -> bytes:
    at = _place(draw, data)
    return data[:at] + bytes(byte ^ draw(st.integers(1, 255)) for byte in data[at : at + 1]) + data[at + 1 :]


def _cut(draw: st.DrawFn, data: bytes, seeds: Sequence[bytes]) -> bytes:
    start, end = sorted((_place(draw, data), _place(draw, data)))
    return data[:start] + data[end:]


def _insert(draw: st.DrawFn, data: bytes, seeds: Sequence[bytes]) -> bytes:
    at = _place(draw, data)
    return data[:at] + draw(st.binary(max_size=40)) + data[at:]


def _repeat(draw: st.DrawFn, data: bytes, seeds: Sequence[bytes]) -> bytes:
    start, end = sorted((_place(draw, data), _place(draw, data)))
    return data[:end] + data[start:end] * draw(st.integers(1, 50)) + data[end:]


def _splice(draw: st.DrawFn, data: bytes, seeds: Sequence[bytes]) -> bytes:
    other = draw(st.sampled_from(seeds))
    return data[: _place(draw, data)] + other[_place(draw, other) :]


def _number(draw: st.DrawFn, data: bytes, seeds: Sequence[bytes]) -> bytes:
    at, form = _place(draw, data), draw(st.sampled_from([">I", "<I", ">H", "<Q", "text"]))
    value = draw(st.sampled_from(_EXTREMES))
    if form == "text":
        return data[:at] + str(value).encode() + data[at:]
    return (
        data[:at] + struct.pack(form, value & (256 ** struct.calcsize(form) - 1)) + data[at + struct.calcsize(form) :]
    )


def _marks(draw: st.DrawFn, data: bytes, seeds: Sequence[bytes]) -> bytes:
    at = _place(draw, data)
    mark = draw(
        st.sampled_from(['"', "{", "}", "[", "]", "(", ")", ",", ":", "\\", "\r\n", "\0", "\ud7ff", "|", "<", "--"])
    )
    return data[:at] + mark.encode("utf-8") * draw(st.sampled_from([1, 2, 3000])) + data[at:]


_Change = Callable[[st.DrawFn, bytes, Sequence[bytes]], bytes]
_CHANGES: Final[tuple[_Change, ...]] = (_flip, _cut, _insert, _repeat, _splice, _number, _marks)


def repaired(data: bytes) -> bytes:
    """A PNG with its checksums made right, chunk by chunk as far as there are any: what gets past the first door."""
    if not data.startswith(_SIGNATURE):
        data = _SIGNATURE + data
    parts, at = [_SIGNATURE], len(_SIGNATURE)
    while at + 12 <= len(data):
        length = min(int.from_bytes(data[at : at + 4], "big"), len(data) - at - 12)
        kind_and_body = data[at + 4 : at + 8 + length]
        parts += [struct.pack(">I", length), kind_and_body, struct.pack(">I", zlib.crc32(kind_and_body))]
        at += 12 + length
    return b"".join(parts)
