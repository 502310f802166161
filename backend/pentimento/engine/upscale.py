"""Small pictures enlarged by a network before they are worked on: in overlapping tiles, and brought to size."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import torch

from pentimento_shared.framing import Framing
from pentimento_shared.geometry import Layout, Rect, Size

from .arrays import Float
from .resample import framed, to_work
from .upscalers import Upscaler

TILE: Final = 256
"""Largest side of what a tile adds to the picture, px of the source; it is given MARGIN more of it all around."""
LEAST_TILE: Final = 32
MARGIN: Final = 32
"""Px around a tile. The outer half is seen by the network and then thrown away, so that nobody sees where the tile
ended; over the inner half two neighbours blend."""
MOST_ROUNDS: Final = 3
"""How often a picture is enlarged, as in AUTOMATIC1111; what is missing then is done by resampling."""
_ALMOST: Final = 1e-6
"""No factor is so exact that this much of it matters."""


class Tiling:
    """How large a job's tiles are. They halve when memory runs out while a picture is enlarged."""

    def __init__(self) -> None:
        self.side = TILE
        self._working = False

    def begin(self) -> None:
        self._working = True

    def end(self) -> None:
        self._working = False

    def shrink(self) -> bool:
        """Halves the tiles. False when that is no help: nothing is being enlarged, or they are small already."""
        if not self._working or self.side <= LEAST_TILE:
            return False
        self.side //= 2
        return True


class _Tile(NamedTuple):
    """What is `seen` by the network and what is `kept` of that, in px of the source."""

    seen: Rect
    kept: Rect


def grows(framing: Framing, layout: Layout) -> bool:
    """Whether the work picture shows anything larger than the source does."""
    return _enlargement(framing, layout) > 1 + _ALMOST


def _enlargement(framing: Framing, layout: Layout) -> float:
    """How many times as large as in the source the work picture shows things, on the axis that grows more."""
    box, place = framing.box, framing.place
    return max(place.width / box.width, place.height / box.height) * layout.scale


def worked(source: Float, framing: Framing, layout: Layout) -> Float:
    """[h, w, 3] of the source -> the work picture, without an upscaler."""
    return to_work(framed(source, framing), layout)


def worked_large(
    upscaler: Upscaler,
    source: Float,
    framing: Framing,
    layout: Layout,
    tiling: Tiling,
    on_tile: Callable[[float], None],
) -> Float:
    """[h, w, 3] of the source in 0..1 -> the work picture, which `grows`, by the upscaler.

    `on_tile` gets the share (0..1) that is done, before each tile; it may raise.
    """
    tiling.begin()
    rounds = _rounds(_enlargement(framing, layout), upscaler.scale)
    picture = source
    for done in range(rounds):
        # Each round has as many times the tiles of the one before as the picture has grown.
        before, after = (_work_share(k, rounds, upscaler.scale) for k in (done, done + 1))
        picture = _enlarged(upscaler, picture, tiling.side, lambda t, b=before, a=after: on_tile(b + (a - b) * t))
    tiling.end()
    return _brought(picture, upscaler.scale**rounds, framing, layout)


def _rounds(wanted: float, scale: int) -> int:
    """How often a network of that scale is used. One that enlarges nothing cleans the picture once."""
    if scale == 1:
        return 1
    return min(MOST_ROUNDS, math.ceil(math.log(wanted) / math.log(scale) - _ALMOST))


def _work_share(done: int, rounds: int, scale: int) -> float:
    work = [scale ** (2 * k) for k in range(rounds)]
    return sum(work[:done]) / sum(work)


def _brought(large: Float, times: int, framing: Framing, layout: Layout) -> Float:
    """The work picture from a source that was enlarged `times`, with no detail thrown away on the way."""
    more = 1 if layout.scale <= 1 else math.ceil(layout.scale) if framing.scaled else times
    frame = Framing(_times(framing.size, more), _rect_times(framing.box, times), _rect_times(framing.place, more))
    return to_work(framed(large, frame), Layout(frame.size, layout.work, layout.scale / more))


def _times(size: Size, factor: int) -> Size:
    return Size(size.width * factor, size.height * factor)


def _rect_times(rect: Rect, factor: int) -> Rect:
    return Rect(*(factor * number for number in rect))


def _enlarged(upscaler: Upscaler, picture: Float, side: int, on_tile: Callable[[float], None]) -> Float:
    """[h, w, 3] -> [scale h, scale w, 3], in 0..1, float32."""
    height, width, channels = picture.shape
    scale = upscaler.scale
    total = np.zeros((height * scale, width * scale, channels), np.float32)
    weights = np.zeros((height * scale, width * scale, 1), np.float32)
    tiles = _tiles(Size(width, height), side)
    for number, tile in enumerate(tiles):
        on_tile(number / len(tiles))
        seen, kept = tile
        made = _through(upscaler, picture[seen.y : seen.bottom, seen.x : seen.right])
        inner = Rect(kept.x - seen.x, kept.y - seen.y, kept.width, kept.height)
        part, place = (_rect_times(rect, scale) for rect in (inner, kept))
        weight = _weight(kept, Size(width, height), scale)
        here = slice(place.y, place.bottom), slice(place.x, place.right)
        total[here] += made[part.y : part.bottom, part.x : part.right] * weight
        weights[here] += weight
    return total / weights


def _through(upscaler: Upscaler, picture: Float) -> Float:
    """One tile; a network of one channel takes the three one after the other."""
    planes = torch.from_numpy(np.ascontiguousarray(picture.clip(0, 1).transpose(2, 0, 1))).to(upscaler.device)
    made = torch.cat([upscaler.network(part[None])[0] for part in planes.split(upscaler.channels)])
    return made.float().cpu().numpy().transpose(1, 2, 0)


def _tiles(size: Size, side: int) -> list[_Tile]:
    whole = Rect.of(size)
    return [
        _Tile(core.grown(MARGIN).intersect(whole), core.grown(MARGIN // 2).intersect(whole))
        for core in itertools.starmap(_core, itertools.product(_parts(size.height, side), _parts(size.width, side)))
    ]


def _core(rows: tuple[int, int], columns: tuple[int, int]) -> Rect:
    return Rect(columns[0], rows[0], columns[1] - columns[0], rows[1] - rows[0])


def _parts(length: int, most: int) -> list[tuple[int, int]]:
    """`length` in as few parts as there may be, all of about the same size."""
    count = math.ceil(length / most)
    return list(itertools.pairwise(length * k // count for k in range(count + 1)))


def _weight(kept: Rect, size: Size, scale: int) -> Float:
    """[h, w, 1]: 1 within the tile, falling towards those sides behind which there is another."""
    across = _ramps(kept.width, kept.x > 0, kept.right < size.width, scale)
    down = _ramps(kept.height, kept.y > 0, kept.bottom < size.height, scale)
    return (down[:, None] * across[None, :])[..., None]


def _ramps(length: int, begins: bool, ends: bool, scale: int) -> Float:
    px = np.arange(length * scale, dtype=np.float32) + np.float32(0.5)
    ramp = np.ones_like(px)
    for needed, distance in ((begins, px), (ends, px[::-1])):
        if needed:
            ramp = np.minimum(ramp, distance / (MARGIN * scale))
    return ramp.astype(np.float32)
