"""A small honest editor in memory: what Krita and GIMP do for the controller, with layers that can be looked at."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from pentimento_shared.document import DocumentChanged, Insertion, Layer, NewLayer, Picture, Steps, Strips
from pentimento_shared.geometry import Rect, Size
from pentimento_shared.pixels import Pixels

Levels = NDArray[np.unsignedinteger]
PIECE_BYTES: Final = 1 << 21


@dataclass(frozen=True)
class Painted:
    """A layer: `levels` [h, w, colours + alpha] at `at`, `mask` [h, w] in 8 or 16 bit beside them or None."""

    id: str
    name: str
    at: tuple[int, int]
    levels: Levels
    mask: Levels | None = None
    visible: bool = True
    group: str = ""
    record: str | None = None
    problem: str = ""
    bounds: Rect | None = None

    @property
    def place(self) -> Rect:
        return Rect(*self.at, self.levels.shape[1], self.levels.shape[0])

    def shown(self) -> Levels:
        """The levels as they look by themselves: alpha with the mask in it."""
        if self.mask is None:
            return self.levels
        top, most = int(np.iinfo(self.levels.dtype).max), int(np.iinfo(self.mask.dtype).max)
        result = self.levels.copy()
        alpha = self.levels[..., -1].astype(np.uint64) * self.mask
        result[..., -1] = np.rint(alpha / most).clip(0, top)
        return result


@dataclass
class Canvas:
    """A document, lowest layer first. `history` holds the layers before each change, newest last."""

    extent: Size
    depth: int = 8
    grey: bool = False
    name: str = "harbour"
    id: str = field(default_factory=lambda: f"document {next(_NUMBERS)}")
    layers: tuple[Painted, ...] = ()
    history: list[tuple[Painted, ...]] = field(default_factory=list)
    selected: Levels | None = None
    active: str | None = None
    stroke: bool = False
    opened: bool = True
    complaint: str = ""

    # what the artist does

    def paint(self, levels: Levels, at: tuple[int, int] = (0, 0), **more: Any) -> str:
        """A new layer on top, active, with these levels [h, w, colours] or [h, w, colours + alpha]; its id."""
        if levels.shape[2] in (1, 3):
            opaque = np.full_like(levels[..., :1], np.iinfo(levels.dtype).max)
            levels = np.concatenate([levels, opaque], axis=2)
        layer = Painted(f"layer {next(_NUMBERS)}", "harbour", at, levels, **more)
        self._change((*self.layers, replace(layer, bounds=_painted_box(layer))))
        self.active = layer.id
        return layer.id

    def alter(self, id: str, **changes: Any) -> None:
        changed = replace(self.find(id), **changes)
        changed = replace(changed, bounds=_painted_box(changed))
        self._change(tuple(changed if layer.id == id else layer for layer in self.layers))

    def delete(self, id: str) -> None:
        self._change(tuple(layer for layer in self.layers if layer.id != id))

    def undo(self) -> None:
        self.layers = self.history.pop()

    def find(self, id: str) -> Painted:
        return next(layer for layer in self.layers if layer.id == id)

    def flat(self) -> Levels:
        """The whole canvas as it looks, [h, w, colours + alpha]."""
        channels, dtype = (2 if self.grey else 4), (np.uint8 if self.depth == 8 else np.uint16)
        result = np.zeros((self.extent.height, self.extent.width, channels), dtype)
        for layer in self.layers:
            if layer.visible:
                _lay_over(result, _cut(layer.shown(), layer.place, Rect.of(self.extent)))
        return result

    def _change(self, layers: tuple[Painted, ...]) -> None:
        self.history.append(self.layers)
        self.layers = layers

    # what the controller asks for

    def is_open(self) -> bool:
        return self.opened

    def size(self) -> Size:
        return self.extent

    def problem(self) -> str:
        return self.complaint

    def active_layer(self) -> Layer | None:
        return None if self.active is None else self.layer(self.active)

    def layer(self, id: str) -> Layer | None:
        for layer in self.layers:
            if layer.id == id:
                return Layer(id, layer.name, layer.bounds or layer.place, layer.problem)
        return None

    def selection(self) -> Rect | None:
        if self.selected is None or not self.selected.any():
            return None
        rows, columns = np.flatnonzero(self.selected.any(axis=1)), np.flatnonzero(self.selected.any(axis=0))
        x, y = int(columns[0]), int(rows[0])
        return Rect(x, y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1)

    def read_layer(self, id: str, rect: Rect, *, bare: bool) -> Steps[Picture]:
        self._must_be_open()
        layer = self.find(id)
        return (yield from _in_pieces(layer.levels if bare else layer.shown(), layer.place, rect))

    def read_canvas(self, rect: Rect) -> Steps[Picture]:
        self._must_be_open()
        assert Rect.of(self.extent).contains(rect)
        return (yield from _in_pieces(self.flat(), Rect.of(self.extent), rect))

    def read_selection(self, rect: Rect) -> Steps[Picture]:
        self._must_be_open()
        assert self.selected is not None
        return (yield from _in_pieces(self.selected[..., None], Rect.of(self.extent), rect))

    def read_mask(self, id: str, rect: Rect) -> Steps[Picture | None]:
        layer = self.find(id)
        if layer.mask is None:
            return None
        return (yield from _in_pieces(layer.mask[..., None], layer.place, rect))

    def idle(self) -> bool:
        return not self.stroke

    def insert(self, insertion: Insertion) -> Steps[tuple[str, ...]]:
        self._must_be_open()
        if insertion.canvas != self.extent or (insertion.above and self.layer(insertion.above) is None):
            raise DocumentChanged(f"{self.name} has changed.")
        made: list[Painted] = []
        for k, new in enumerate(insertion.layers):
            made.append((yield from self._built(new, insertion.group, visible=k == 0)))
        above = insertion.above or self.active
        place = next((k + 1 for k, layer in enumerate(self.layers) if layer.id == above), len(self.layers))
        # The first of several lies on top.
        self._change((*self.layers[:place], *reversed(made), *self.layers[place:]))
        self.active = made[0].id
        return tuple(layer.id for layer in made)

    def _built(self, new: NewLayer, group: str, visible: bool) -> Steps[Painted]:
        assert new.pixels.depth == self.depth
        assert (new.pixels.channels < 3) == self.grey
        assert new.pixels.size == new.place.size
        mask = None if new.mask is None else (yield from _levels(new.mask))[..., 0]
        levels = yield from _levels(new.pixels, opaque=new.pixels.channels in (1, 3))
        id = f"layer {next(_NUMBERS)}"
        at = new.place.x, new.place.y
        made = Painted(id, new.name, at, levels, mask, visible, group, new.record)
        return made if new.pixels.channels in (1, 3) else replace(made, bounds=_painted_box(made))

    def records(self) -> Mapping[str, str]:
        return {layer.id: layer.record for layer in self.layers if layer.record is not None}

    def _must_be_open(self) -> None:
        if not self.opened:
            raise DocumentChanged(f"{self.name} is closed.")


_NUMBERS: Final = itertools.count(1)


def _painted_box(layer: Painted) -> Rect:
    alpha = layer.levels[..., -1] > 0
    if alpha.all():
        return layer.place
    rows, columns = np.flatnonzero(alpha.any(axis=1)), np.flatnonzero(alpha.any(axis=0))
    if not rows.size:
        return Rect(0, 0, 0, 0)
    x, y = int(columns[0]), int(rows[0])
    return Rect(layer.at[0] + x, layer.at[1] + y, int(columns[-1]) - x + 1, int(rows[-1]) - y + 1)


def _levels(pixels: Pixels, opaque: bool = False) -> Steps[Levels]:
    """The pixels as an array, with an alpha of their own when `opaque`, some rows at a time."""
    width, height = pixels.size
    native, stored = (np.uint8, np.uint8) if pixels.depth == 8 else (np.uint16, np.dtype(">u2"))
    source = np.frombuffer(pixels.data, stored).reshape(height, width, pixels.channels)
    result = np.empty((height, width, pixels.channels + opaque), native)
    step = max(1, PIECE_BYTES // pixels.row_bytes)
    for row in range(0, height, step):
        result[row : row + step, :, : pixels.channels] = source[row : row + step]
        if opaque:
            result[row : row + step, :, -1] = np.iinfo(native).max
        yield
    return result


def _in_pieces(levels: Levels, place: Rect, rect: Rect) -> Steps[Picture]:
    """The px of `rect` of levels that lie at `place`; 0 beyond them."""
    pieces: list[bytes] = []
    step = max(1, PIECE_BYTES // (rect.width * levels.shape[2] * levels.itemsize))
    for row in range(rect.y, rect.bottom, step):
        strip = Rect(rect.x, row, rect.width, min(step, rect.bottom - row))
        cut = _cut(levels, place, strip)
        pieces.append((cut if cut.itemsize == 1 else cut.astype(">u2")).tobytes())
        yield
    return Strips(rect.size, levels.shape[2], 8 * levels.itemsize, tuple(pieces))


def _cut(levels: Levels, place: Rect, rect: Rect) -> Levels:
    result = np.zeros((rect.height, rect.width, levels.shape[2]), levels.dtype)
    both = place.intersect(rect)
    if not both.empty:
        to = slice(both.y - rect.y, both.bottom - rect.y), slice(both.x - rect.x, both.right - rect.x)
        by = slice(both.y - place.y, both.bottom - place.y), slice(both.x - place.x, both.right - place.x)
        result[to] = levels[by]
    return result


def _lay_over(below: Levels, above: Levels) -> None:
    """Porter and Duff's *over* with straight alpha, in place; exactly `below` where `above` is transparent."""
    top = float(np.iinfo(below.dtype).max)
    over, under = above[..., -1:] / top, below[..., -1:] / top
    alpha = over + under * (1 - over)
    mixed = above[..., :-1] * over + below[..., :-1] * under * (1 - over)
    colours = np.rint(mixed / np.where(alpha == 0, 1, alpha))
    merged = np.concatenate([colours, np.rint(alpha * top)], axis=2).astype(below.dtype)
    np.copyto(below, merged, where=above[..., -1:] > 0)
