"""Between packed pixels, whole-number arrays and floats. Float to integer is round-and-clip, never truncation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from pentimento_shared.geometry import Rect, Size
from pentimento_shared.pixels import Pixels

Float = NDArray[np.float32]


def to_array(pixels: Pixels) -> NDArray[np.unsignedinteger]:
    """A read-only view [height, width, channels] of uint8, or of big-endian uint16 as PNG stores it."""
    dtype = np.dtype(np.uint8) if pixels.depth == 8 else np.dtype(">u2")
    shape = (pixels.size.height, pixels.size.width, pixels.channels)
    return np.frombuffer(pixels.data, dtype).reshape(shape)


def to_pixels(array: NDArray[np.unsignedinteger]) -> Pixels:
    """Pixels from [height, width, channels] of uint8 or uint16 (any byte order)."""
    depth = 8 if array.dtype.itemsize == 1 else 16
    packed = array.astype(np.uint8 if depth == 8 else ">u2", copy=False)
    height, width, channels = array.shape
    return Pixels(Size(width, height), channels, depth, packed.tobytes())


def to_float(pixels: Pixels) -> Float:
    """[height, width, channels] of float32 in 0..1; `from_float` gives back exactly these pixels."""
    return to_array(pixels).astype(np.float32) / np.float32(2**pixels.depth - 1)


def from_float(array: Float, depth: int) -> Pixels:
    """Pixels of 8 or 16 bit from [height, width, channels] in 0..1, rounded to the nearest level and clipped."""
    top = 2**depth - 1
    levels = np.rint(array.astype(np.float64) * top).clip(0, top)
    return to_pixels(levels.astype(np.uint8 if depth == 8 else np.uint16))


def to_rgb(array: Float) -> Float:
    """[height, width, 3] from 1 (grey) or 3 colour channels."""
    return np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array


def from_rgb(array: Float, channels: int) -> Float:
    """[height, width, channels] from RGB; 1 channel is the luma of ITU-R BT.709, the weights of sRGB's primaries."""
    if channels == 3:
        return array
    return (array @ np.array([0.2126, 0.7152, 0.0722], np.float32))[..., None]


def split_alpha(pixels: Pixels) -> tuple[Float, Float | None]:
    """(colour [h, w, 1 or 3], alpha [h, w] or None), both float32 in 0..1."""
    array = to_float(pixels)
    if pixels.channels in (1, 3):
        return array, None
    return array[..., :-1], array[..., -1]


def cropped(pixels: Pixels, rect: Rect) -> Pixels:
    """The px of `rect`, which lies inside."""
    if rect == Rect.of(pixels.size):
        return pixels
    return to_pixels(to_array(pixels)[rect.y : rect.bottom, rect.x : rect.right])
