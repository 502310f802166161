"""Between Krita's bytes and those that cross to the controller: exact, and nothing lost on the way back."""

from __future__ import annotations

import importlib.util
import math
import struct
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest


def _load() -> ModuleType:
    # The package itself imports krita, which only Krita has.
    path = Path(__file__).parents[2] / "krita_plugin" / "pentimento" / "colors.py"
    spec = importlib.util.spec_from_file_location("krita_colors", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


colors = _load()
RAMP = np.arange(65536, dtype=np.uint16)


def space(model: str = "RGBA", depth: str = "U16", linear: bool = False) -> Any:
    return colors.ColorSpace(model, depth, "a profile", linear)


def pixels(levels: np.ndarray, alpha: float) -> bytes:
    """`levels` as blue, green and red (or red, green and blue) of opaque pixels."""
    plane = np.full_like(levels, alpha)
    return np.stack([levels, levels, levels, plane], axis=1).tobytes()


def srgb(light: np.ndarray) -> np.ndarray:
    return np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-9) ** (1 / 2.4) - 0.055)


def test_eight_bit_changes_nothing_but_the_order() -> None:
    assert colors.outward(bytes([1, 2, 3, 4, 5, 6, 7, 8]), space(depth="U8")) == bytes([3, 2, 1, 4, 7, 6, 5, 8])
    assert colors.inward(bytes([3, 2, 1, 4]), 4, space(depth="U8")) == bytes([1, 2, 3, 4])


def test_sixteen_bit_crosses_big_endian() -> None:
    kept = struct.pack("=4H", 0x0102, 0x0304, 0x0506, 0x0708)
    assert colors.outward(kept, space()) == bytes([5, 6, 3, 4, 1, 2, 7, 8])
    assert colors.inward(bytes([5, 6, 3, 4, 1, 2, 7, 8]), 4, space()) == kept


def test_grey_keeps_its_order() -> None:
    assert colors.outward(b"\x10\x20", space("GRAYA", "U8")) == b"\x10\x20"
    assert colors.inward(b"\x10", 1, space("GRAYA", "U8")) == b"\x10\xff"


@pytest.mark.parametrize("depth", ["U8", "U16", "F16", "F32"])
def test_without_alpha_is_opaque(depth: str) -> None:
    crossing = b"\x00\x00\x00" if depth == "U8" else bytes(6)
    kept = colors.inward(crossing, 3, space(depth=depth, linear=True))
    full = {"U8": b"\xff", "U16": b"\xff\xff", "F16": struct.pack("=e", 1), "F32": struct.pack("=f", 1)}[depth]
    assert kept == bytes(3 * len(full)) + full


def test_linear_sixteen_bit_takes_the_srgb_curve() -> None:
    crossed = np.frombuffer(colors.outward(pixels(RAMP, 12345), space(linear=True)), ">u2").reshape(-1, 4)
    assert np.array_equal(crossed[:, 0], np.rint(65535 * srgb(RAMP / 65535)))
    assert (crossed[:, 3] == 12345).all()


def test_linear_sixteen_bit_comes_back_within_one_level() -> None:
    kept = pixels(RAMP, 65535)
    back = colors.inward(colors.outward(kept, space(linear=True)), 4, space(linear=True))
    assert np.abs(np.frombuffer(back, "u2").astype(int) - np.frombuffer(kept, "u2")).max() == 1


def test_linear_eight_bit_comes_back_within_one_level() -> None:
    kept = bytes(level for level in range(256) for _ in range(4))
    back = colors.inward(colors.outward(kept, space(depth="U8", linear=True)), 4, space(depth="U8", linear=True))
    assert max(abs(a - b) for a, b in zip(back, kept, strict=True)) == 1


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("depth", ["F16", "F32"])
def test_what_crossed_into_floats_crosses_back_the_same(depth: str, linear: bool) -> None:
    crossing = np.stack([RAMP, RAMP, RAMP, RAMP], axis=1).astype(">u2").tobytes()
    kind = space(depth=depth, linear=linear)
    again = np.frombuffer(colors.outward(colors.inward(crossing, 4, kind), kind), ">u2").astype(int)
    # Half floats have 11 bits: coarser than 16-bit levels in the lights.
    allowed = 0 if depth == "F32" else 16
    assert np.abs(again - np.frombuffer(crossing, ">u2")).max() <= allowed


def test_linear_floats_are_rounded_not_cut() -> None:
    light = np.linspace(0, 1, 100_001, dtype=np.float32)
    crossed = np.frombuffer(colors.outward(pixels(light, 0.5), space(depth="F32", linear=True)), ">u2").reshape(-1, 4)
    assert np.abs(crossed[:, 0] - 65535 * srgb(light.astype(np.float64))).max() < 0.502
    assert (crossed[:, 3] == 32768).all()


@pytest.mark.parametrize("linear", [True, False])
@pytest.mark.parametrize("depth", ["F16", "F32"])
def test_floats_beyond_the_range_are_clipped(depth: str, linear: bool) -> None:
    values = [-0.0, -0.5, 1.0, 1.5, 60000.0, math.inf, -math.inf, math.nan]
    kept = struct.pack("=8e" if depth == "F16" else "=8f", *values)
    crossed = np.frombuffer(colors.outward(kept, space("GRAYA", depth, linear)), ">u2")
    assert crossed.tolist() == [0, 0, 65535, 65535, 65535, 65535, 0, 0]


def test_a_deep_mask_is_rounded() -> None:
    levels = RAMP.astype(">u2").tobytes()
    assert np.array_equal(np.frombuffer(colors.eight_bit(levels), "u1"), np.rint(RAMP / 257))


@pytest.mark.parametrize("depth", ["U8", "U16", "F16", "F32"])
def test_tables_are_made_beforehand(depth: str) -> None:
    kind = space(depth=depth, linear=True)
    assert len(list(colors.prepare(kind))) > 0
    made = colors._reading.cache_info().misses + colors._writing.cache_info().misses
    colors.inward(colors.outward(bytes(16), kind), 4, kind)
    assert colors._reading.cache_info().misses + colors._writing.cache_info().misses == made


def test_a_colour_space_takes_its_own_kind() -> None:
    assert all(space(depth="U8").takes(channels, 8) for channels in (3, 4))
    assert all(space("GRAYA", "F32").takes(channels, 16) for channels in (1, 2))
    assert not space(depth="U8").takes(4, 16)
    assert not space("GRAYA").takes(3, 16)
    assert not space().takes(2, 16)
