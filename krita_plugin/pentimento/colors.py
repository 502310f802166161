"""From Krita's bytes to those that cross the controller's line, and back. Plain arithmetic, no editor.

Krita keeps B, G, R, A in 8 and 16 bit, R, G, B, A in floats and grey, alpha in grey documents, all in the machine's
byte order. What crosses is R, G, B, A or grey, alpha in 8 bit or 16 bit big-endian, with an sRGB-like tone curve in the
document's own primaries. Profiles with such a curve cross as they are. Linear ones go through the sRGB curve here:
exact, where Krita's own conversion misses by up to 5 levels of 65535 and takes longer. Floats are clipped
to 0..1, and what is not a number becomes 0.
"""

from __future__ import annotations

import struct
import sys
from array import array
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Final

_CODES: Final = {"U8": "B", "U16": "H", "F16": "H", "F32": "f"}
_ONE: Final = array("f", [1.0]).tobytes()
_KNEE: Final = 0.0031308
_A, _B, _G, _SLOPE = 65535 * 1.055, 65535 * 0.055 - 0.5, 1 / 2.4, 65535 * 12.92
"""The sRGB curve from light to 16-bit signal, rounding included: `_A * x**_G - _B` above the knee."""


@dataclass(frozen=True)
class ColorSpace:
    """How pixels are kept: Krita's names of model, depth and profile, and whether the profile's curve is linear."""

    model: str
    depth: str
    profile: str
    linear: bool = False

    @property
    def channels(self) -> int:
        """With alpha, as Krita always keeps it."""
        return 2 if self.model == "GRAYA" else 4

    def takes(self, channels: int, depth: int) -> bool:
        """Whether that many channels (1 or 2 grey, 3 or 4 colour) of that many bits are what crosses to here."""
        return depth == self.crossing_depth and channels in (self.channels - 1, self.channels)

    @property
    def crossing_depth(self) -> int:
        """Bits of a sample that crosses."""
        return 8 if self.depth == "U8" else 16

    @property
    def raw(self) -> bool:
        """Whether samples cross as they are: fast."""
        return self.depth in ("U8", "U16") and not self.linear


def prepare(space: ColorSpace) -> Generator[None, None, None]:
    """Makes the tables that the first pixels of a colour space need, one at each step: 10 to 30 ms."""
    if space.raw:
        return
    for linear in {space.linear, False}:
        _reader(space.depth, linear)
        yield
        _writer(space.depth, linear)
        yield


def outward(data: bytes, space: ColorSpace) -> bytes:
    """Krita's pixels as bytes that may cross, alpha included."""
    samples = array(_CODES[space.depth], data)
    if space.depth in ("U8", "U16"):
        _swap_red_and_blue(samples, space.channels)
    if not space.raw:
        samples = _mapped(samples, space.channels, _reader(space.depth, space.linear), _reader(space.depth, False))
    return _big_endian(samples)


def inward(data: bytes, channels: int, space: ColorSpace) -> bytes:
    """What came across, with (2 or 4 `channels`) or without alpha (1 or 3: opaque), as Krita's pixels."""
    samples = array("B" if space.depth == "U8" else "H", data)
    if samples.itemsize > 1 and sys.byteorder == "little":
        samples.byteswap()
    if channels in (1, 3):
        samples = _opaque(samples, channels)
    if not space.raw:
        samples = _mapped(samples, space.channels, _writer(space.depth, space.linear), _writer(space.depth, False))
    if space.depth in ("U8", "U16"):
        _swap_red_and_blue(samples, space.channels)
    return samples.tobytes()


def eight_bit(data: bytes) -> bytes:
    """16-bit samples, big-endian, as 8-bit ones: rounded."""
    samples = array("H", data)
    if sys.byteorder == "little":
        samples.byteswap()
    return bytes(map(_eighths().__getitem__, samples))


Transfer = Callable[[array], array]


def _swap_red_and_blue(samples: array, channels: int) -> None:
    if channels == 4:
        samples[0::4], samples[2::4] = samples[2::4], samples[0::4]


def _big_endian(samples: array) -> bytes:
    if samples.itemsize > 1 and sys.byteorder == "little":
        samples.byteswap()
    return samples.tobytes()


def _opaque(samples: array, channels: int) -> array:
    """The samples with an alpha channel of full opacity."""
    pixels = len(samples) // channels
    result = array(samples.typecode, (b"\xff" * samples.itemsize) * (pixels * (channels + 1)))
    for channel in range(channels):
        result[channel :: channels + 1] = samples[channel::channels]
    return result


def _mapped(samples: array, channels: int, color: Transfer, alpha: Transfer) -> array:
    """All samples through `color`, those of the last channel through `alpha`."""
    planes = [color(samples[channel::channels]) for channel in range(channels - 1)]
    planes.append(alpha(samples[channels - 1 :: channels]))
    result = array(planes[0].typecode, bytes(planes[0].itemsize * len(samples)))
    for channel, plane in enumerate(planes):
        result[channel::channels] = plane
    return result


def _reader(depth: str, linear: bool) -> Transfer:
    """From samples of Krita's to samples that cross."""
    if depth == "F32":
        return partial(_read_floats, linear=linear)
    return _through(_reading(depth, linear), "B" if depth == "U8" else "H")


def _writer(depth: str, linear: bool) -> Transfer:
    """From samples that crossed to samples of Krita's."""
    return _through(_writing(depth, linear), _CODES[depth])


def _through(table: Sequence[float], code: str) -> Transfer:
    return lambda samples: array(code, [table[sample] for sample in samples])


@cache
def _reading(depth: str, linear: bool) -> tuple[int, ...]:
    """For every 8-bit, 16-bit or half-float sample what crosses."""
    curve = _encoded if linear else _same
    if depth == "F16":
        halves = struct.unpack("=65536e", array("H", range(65536)).tobytes())
        # Neither comparison holds for what is not a number.
        return tuple(round(65535 * curve(x)) if 0.0 <= x <= 1.0 else 65535 * (x > 1.0) for x in halves)
    top = 255 if depth == "U8" else 65535
    return tuple(round(top * curve(level / top)) for level in range(top + 1))


def _read_floats(samples: array, linear: bool) -> array:
    # In one expression each: a call for every sample would take twice as long.
    if samples.tobytes() == _ONE * len(samples):  # an opaque alpha channel
        return array("H", b"\xff\xff" * len(samples))
    try:
        if not linear:
            return array("H", [int(65535.0 * x + 0.5) for x in samples])
        return array("H", [int(_A * x**_G - _B) if x > _KNEE else int(_SLOPE * x + 0.5) for x in samples])
    except (ValueError, OverflowError):  # what is not a number, beyond 0 to 1
        return _read_floats(array("f", [min(x, 1.0) if x > 0.0 else 0.0 for x in samples]), linear)


@cache
def _writing(depth: str, linear: bool) -> Sequence[float]:
    """For every 8-bit or 16-bit sample that crossed what Krita keeps."""
    curve = _decoded if linear else _same
    top = 255 if depth == "U8" else 65535
    values = [curve(level / top) for level in range(top + 1)]
    if depth == "F32":
        return values
    if depth == "F16":
        return array("H", struct.pack("=65536e", *values))
    return [round(top * value) for value in values]


@cache
def _eighths() -> tuple[int, ...]:
    return tuple((level + 128) // 257 for level in range(65536))


def _same(value: float) -> float:
    return value


def _encoded(light: float) -> float:
    """IEC 61966-2-1, from light to signal."""
    return 12.92 * light if light <= 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055


def _decoded(signal: float) -> float:
    return signal / 12.92 if signal <= 0.04045 else ((signal + 0.055) / 1.055) ** 2.4
