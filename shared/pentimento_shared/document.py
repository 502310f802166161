"""What an editor does for the controller: one document, its pixels, and new layers.

An editor's adapter implements `Document` and is the only file that imports that editor's API. Everything here belongs
to the editor's UI thread. Coordinates are canvas px, origin top left, y down; layers may lie partly or wholly outside.

Pixels cross this line in the document's own primaries with a perceptual (sRGB-like) tone curve, alpha not
premultiplied: grey documents as 1 or 2 channels, colour ones as 3 or 4; 8 bits a sample from 8-bit documents, 16 from
all deeper ones.
What was read and is inserted unchanged gives the same levels: to 1 level of the document's depth where it is deeper or
linear, exactly where it is not.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass
from typing import Final, Protocol, TypeVar

from .geometry import Rect, Size
from .pixels import Pixels

T = TypeVar("T")

WAIT: Final = True
"""Yielded when there is nothing to do until the editor's next tick; None is between two pieces of work."""
Steps = Generator[bool | None, None, T]
"""Work for the UI thread in pieces, each up to the next `yield` and under 50 ms; what it returns is the result."""


@dataclass(frozen=True)
class Strips:
    """A picture as it was read: whole rows in pieces, from top to bottom; else as Pixels.

    Putting the pieces of a large picture together takes longer than a piece of work on the UI thread may; `joined` is
    for another thread.
    """

    size: Size
    channels: int
    depth: int
    pieces: tuple[bytes, ...]

    def joined(self) -> Pixels:
        """The picture in one. Raises PixelsError when the pieces do not make up the size."""
        return Pixels(self.size, self.channels, self.depth, b"".join(self.pieces))


Picture = Pixels | Strips
"""What reading gives; a large picture comes as Strips."""


class DocumentError(Exception):
    """The document cannot do what was asked; the message is a sentence for the artist. Nothing was changed."""


class DocumentChanged(DocumentError):
    """The document was closed or resized, or its layer deleted, since the job began: the result has no place there."""


@dataclass(frozen=True)
class Layer:
    """A layer as it is now.

    `id` stays the same through saving and loading. `bounds` encloses its painted pixels; empty when nothing is painted.
    `problem` is a sentence that says why its pixels cannot be a source (a group, a vector layer, ...), or empty.
    """

    id: str
    name: str
    bounds: Rect
    problem: str = ""


@dataclass(frozen=True)
class NewLayer:
    """One result on its way into the document.

    `pixels` fill `place`. `mask` (1 channel, 8 or 16 bit, of place's size) becomes an editable mask that hides
    everything beyond `place`; None: no mask. `record` is a LayerRecord as JSON, kept on the layer and saved with it.
    """

    name: str
    pixels: Pixels
    place: Rect
    mask: Pixels | None
    record: str


@dataclass(frozen=True)
class Insertion:
    """New layers that appear together, in one undo step, right above the layer `above`.

    Several lie in one new group called `group`, the first on top and the only visible one. The first becomes the active
    layer. `above` None: above the active layer, or on top of all. `canvas`: the document's size when the job began.
    """

    layers: tuple[NewLayer, ...]
    above: str | None
    canvas: Size
    group: str = ""


class Document(Protocol):
    """One open document of an editor. Methods raise DocumentError, DocumentChanged once it is closed.

    Reading changes nothing: not the selection, the clipboard, the active layer, the colours or the undo history.
    """

    @property
    def id(self) -> str:
        """Tells open documents apart as long as the editor runs."""
        ...

    @property
    def name(self) -> str:
        """What the artist calls it."""
        ...

    def is_open(self) -> bool: ...

    def size(self) -> Size: ...

    def problem(self) -> str:
        """A sentence that says why this document cannot be worked on (CMYK, ...) and what to do, or nothing."""
        ...

    def active_layer(self) -> Layer | None: ...

    def layer(self, id: str) -> Layer | None:
        """The layer with that id, None when there is none any more."""
        ...

    def selection(self) -> Rect | None:
        """The box of all px that are selected at all, inside the canvas; None when there is no selection."""
        ...

    def read_layer(self, id: str, rect: Rect, *, bare: bool) -> Steps[Picture]:
        """A layer's pixels in `rect`, transparent where it has none: as it looks by itself, with its masks.

        `bare`: its own painted pixels instead, whatever its masks hide.
        """
        ...

    def read_canvas(self, rect: Rect) -> Steps[Picture]:
        """What the artist sees of all layers in `rect`, which lies inside the canvas."""
        ...

    def read_selection(self, rect: Rect) -> Steps[Picture]:
        """The selection in `rect`, 1 channel, 8 or 16 bit as the editor keeps it; 0 beyond the canvas."""
        ...

    def read_mask(self, id: str, rect: Rect) -> Steps[Picture | None]:
        """A layer's own editable mask in `rect`, 1 channel; None when it has none."""
        ...

    def idle(self) -> bool:
        """Whether layers can be inserted now: the artist is not in the middle of a stroke."""
        ...

    def insert(self, insertion: Insertion) -> Steps[tuple[str, ...]]:
        """Inserts and returns the new layers' ids, in the order of `insertion.layers`.

        The change to the document itself happens in one piece, in one undo step. Raises DocumentChanged, with nothing
        inserted, when `above` is gone or the canvas has another size.
        """
        ...

    def records(self) -> Mapping[str, str]:
        """The records of the layers that are there now, by layer id."""
        ...
