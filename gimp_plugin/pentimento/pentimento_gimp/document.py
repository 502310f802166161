"""A GIMP image as the controller sees it. The only file here that reads or changes images and layers.

Layers are built whole (pixels, mask, record) before they enter the image: only the entering is an undo step, and
nothing is open while the artist paints.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from gi.repository import Gimp, GLib

from pentimento_shared.document import DocumentChanged, Insertion, Layer, NewLayer, Steps, Strips
from pentimento_shared.geometry import Rect, Size

from .pixel_transport import (
    Form,
    blend_space,
    depth_of,
    dimmed,
    extent,
    framed,
    mask_form,
    picture_form,
    profile,
    read,
    scaled,
    strips,
    thumbnail,
    with_alpha,
    write,
)

PARASITE: Final = "pentimento-recipe"
"""Name of the parasite that holds a layer's record; it is saved with the image."""

_CLOSED: Final = "The image was closed."
_ALPHA: Final = Form("A u8", 1, 8)


class GimpDocument:
    """One image. `layer` is the one to work on, None: the one that is selected. `busy` tells whether the artist is in
    the middle of a stroke."""

    def __init__(
        self, image: Gimp.Image, layer: Gimp.Layer | None = None, busy: Callable[[], bool] = lambda: False
    ) -> None:
        self._image = image
        self._layer = layer
        self._busy = busy

    @property
    def id(self) -> str:
        return str(self._image.get_id())

    @property
    def name(self) -> str:
        return self._open().get_name()

    def is_open(self) -> bool:
        return self._image.is_valid()

    def size(self) -> Size:
        image = self._open()
        return Size(image.get_width(), image.get_height())

    def problem(self) -> str:
        image = self._open()
        if image.get_base_type() == Gimp.ImageBaseType.INDEXED:
            return (
                "This image is indexed: it can hold only the colours of its palette, and a result has others. Choose "
                "Image > Mode > RGB first, and back to indexed at the end."
            )
        if image.get_floating_sel() is not None:
            return "This image has a floating selection. Anchor it or make a layer of it (Layer menu), and try again."
        return ""

    def active_layer(self) -> Layer | None:
        layer = self._active()
        return None if layer is None else _described(layer)

    def layer(self, id: str) -> Layer | None:
        layer = self._find(id)
        return None if layer is None else _described(layer)

    def selection(self) -> Rect | None:
        bounds = Gimp.Selection.bounds(self._open())
        if not bounds.non_empty:
            return None
        box = Rect(bounds.x1, bounds.y1, bounds.x2 - bounds.x1, bounds.y2 - bounds.y1)
        return None if box.empty else box

    def read_layer(self, id: str, rect: Rect, *, bare: bool) -> Steps[Strips]:
        with self._kept_open():
            layer = self._found(id)
            if bare or layer.get_mask() is None or not layer.get_apply_mask():
                return (yield from self._picture(layer, rect))
            if not layer.has_alpha():
                opaque = yield from self._picture(layer, rect)
                return with_alpha(opaque.joined(), (yield from self._mask(layer.get_mask(), rect)).joined())
            with _masked_copy(layer) as masked:
                return (yield from self._picture(masked, rect))

    def read_canvas(self, rect: Rect) -> Steps[Strips]:
        with self._kept_open(), _visible(self._open()) as visible:
            return (yield from self._picture(visible, rect))

    def read_selection(self, rect: Rect) -> Steps[Strips]:
        with self._kept_open():
            return (yield from self._mask(self._open().get_selection(), rect))

    def read_mask(self, id: str, rect: Rect) -> Steps[Strips | None]:
        with self._kept_open():
            mask = self._found(id).get_mask()
            return None if mask is None else (yield from self._mask(mask, rect))

    def idle(self) -> bool:
        return not self._busy() and self._open().get_floating_sel() is None

    def insert(self, insertion: Insertion) -> Steps[tuple[str, ...]]:
        built: list[Gimp.Layer] = []
        with self._kept_open():
            self._check(insertion)
            try:
                for new in insertion.layers:
                    built.append(self._new_layer(new))
                    yield from self._fill(built[-1], new)
                self._check(insertion)
                self._enter(built, insertion)
            finally:
                for layer in built:
                    if layer.is_valid() and not self._holds(layer):
                        layer.delete()
        return tuple(_id(layer) for layer in built)

    def records(self) -> Mapping[str, str]:
        found = {_id(layer): layer.get_parasite(PARASITE) for layer in _all(self._open().get_layers())}
        return {id: bytes(record.get_data()).decode("utf-8", "replace") for id, record in found.items() if record}

    # layers

    def profile(self) -> bytes:
        """The ICC profile of pixels as they are read."""
        return profile(self._open())

    def preview(self, side: int, *, canvas: bool) -> tuple[Size, bytes]:
        """A small picture (RGBA, 8 bit) of all that is visible, or of the active layer in its place; what is not
        selected is paler. No side is longer than `side` px."""
        image, layer = self._open(), self._active()
        scale = min(1.0, side / max(self.size()))
        selected = thumbnail(image.get_selection(), self.size(), scale, "Y u8") if self.selection() else None
        if layer is not None and not canvas:
            return scaled(self.size(), scale), dimmed(thumbnail(layer, self.size(), scale, "R'G'B'A u8"), selected)
        with _visible(image) as visible:
            return scaled(self.size(), scale), dimmed(thumbnail(visible, self.size(), scale, "R'G'B'A u8"), selected)

    def returned(self, ids: Sequence[str]) -> Gimp.ValueArray:
        """What a procedure returns: success, and the layers with these ids, which were just inserted."""
        # Python cannot make GIMP's arrays of objects, so one of GIMP's own answers is handed on.
        name, key, item = "gimp-image-get-selected-layers", "image", self._image
        if len(ids) > 1:
            name, key, item = "gimp-item-get-children", "item", self._found(ids[0]).get_parent()
        procedure = Gimp.get_pdb().lookup_procedure(name)
        config = procedure.create_config()
        config.set_property(key, item)
        return procedure.run(config)

    def _open(self) -> Gimp.Image:
        if not self._image.is_valid():
            raise DocumentChanged(_CLOSED)
        return self._image

    @contextmanager
    def _kept_open(self) -> Generator[None, None, None]:
        """Calls to GIMP that come to nothing because the artist closes the image meanwhile raise DocumentChanged."""
        try:
            yield
        except (AttributeError, TypeError, GLib.Error) as error:
            if self.is_open():
                raise
            raise DocumentChanged(_CLOSED) from error

    def _active(self) -> Gimp.Layer | None:
        if self._layer is not None and self._layer.is_valid():
            return self._layer
        selected = self._open().get_selected_layers()
        return selected[0] if selected else None

    def _find(self, id: str) -> Gimp.Layer | None:
        image = self._open()
        return image.get_layer_by_tattoo(int(id)) if id.isdecimal() else None

    def _found(self, id: str) -> Gimp.Layer:
        layer = self._find(id)
        if layer is None:
            raise DocumentChanged(f"The layer is no longer in {self.name}.")
        return layer

    def _holds(self, layer: Gimp.Layer) -> bool:
        """Whether the layer has entered the image."""
        return self._image.is_valid() and any(layer == other for other in _all(self._image.get_layers()))

    # reading

    def _picture(self, layer: Gimp.Layer, rect: Rect) -> Steps[Strips]:
        """A layer's pixels; with alpha where it has some or does not fill `rect`."""
        form, inside = picture_form(self._open(), layer), rect.intersect(extent(layer))
        if layer.has_alpha() or inside == rect:
            return (yield from read(layer, rect, form))
        if inside.empty:
            clear = bytes(rect.size.area * (form.channels + 1) * form.depth // 8)
            return Strips(rect.size, form.channels + 1, form.depth, (clear,))
        opaque = yield from read(layer, inside, form)
        return (yield from framed(opaque.joined(), inside, rect))

    def _mask(self, channel: Gimp.Channel, rect: Rect) -> Steps[Strips]:
        return (yield from read(channel, rect, mask_form(depth_of(self._open()))))

    # inserting

    def _check(self, insertion: Insertion) -> None:
        """Raises DocumentChanged when there is no place for the layers any more."""
        if self.size() != insertion.canvas:
            raise DocumentChanged(f"{self.name} has another size now than when the picture was asked for.")
        if insertion.above is not None and self._find(insertion.above) is None:
            raise DocumentChanged(f"The layer that the result belongs above is no longer in {self.name}.")
        if problem := self.problem():
            raise DocumentChanged(problem)

    def _new_layer(self, new: NewLayer) -> Gimp.Layer:
        """A transparent layer that is in no image's tree yet, with its mask and record."""
        image = self._open()
        grey = image.get_base_type() == Gimp.ImageBaseType.GRAY
        kind = Gimp.ImageType.GRAYA_IMAGE if grey else Gimp.ImageType.RGBA_IMAGE
        layer = Gimp.Layer.new(image, new.name, *new.place.size, kind, 100.0, image.get_default_new_layer_mode())
        layer.set_offsets(new.place.x, new.place.y)
        layer.set_composite_space(blend_space(image))
        layer.attach_parasite(Gimp.Parasite.new(PARASITE, Gimp.PARASITE_PERSISTENT, new.record.encode()))
        return layer

    def _fill(self, layer: Gimp.Layer, new: NewLayer) -> Steps[None]:
        yield from write(layer, new.pixels, picture_form(self._open(), layer))
        if new.mask is None:
            return
        # GIMP's own copy of the selection has all its bits, of which in float images not all cross.
        layer.add_mask(layer.create_mask(Gimp.AddMaskType.SELECTION))
        form = mask_form(new.mask.depth)
        if (yield from read(layer.get_mask(), new.place, form)).joined().data != new.mask.data:
            yield from write(layer.get_mask(), new.mask, form)

    def _enter(self, built: Sequence[Gimp.Layer], insertion: Insertion) -> None:
        """The change to the image: one undo step."""
        image = self._image
        above = self._active() if insertion.above is None else self._find(insertion.above)
        parent = above.get_parent() if above else None
        place = image.get_item_position(above) if above else 0
        if not insertion.group:
            image.insert_layer(built[0], parent, place)
        else:
            for layer in built[1:]:
                layer.set_visible(False)
            image.undo_group_start()
            group = Gimp.GroupLayer.new(image, insertion.group)
            group.set_composite_space(blend_space(image))
            image.insert_layer(group, parent, place)
            for layer in reversed(built):
                image.insert_layer(layer, group, 0)
            image.undo_group_end()
        image.set_selected_layers([built[0]])
        Gimp.displays_flush()


def open_images() -> list[Gimp.Image]:
    """Every image that GIMP has open."""
    return list(Gimp.get_images())


def _id(layer: Gimp.Layer) -> str:
    return str(layer.get_tattoo())


def _all(layers: Sequence[Gimp.Layer]) -> Generator[Gimp.Layer, None, None]:
    """The layers and, below groups, theirs."""
    for layer in layers:
        yield layer
        if layer.is_group():
            yield from _all(layer.get_children())


def _described(layer: Gimp.Layer) -> Layer:
    problem = _problem(layer)
    bounds = Rect(0, 0, 0, 0) if not problem and _is_blank(layer) else extent(layer)
    return Layer(_id(layer), layer.get_name(), bounds, problem)


def _problem(layer: Gimp.Layer) -> str:
    name, instead = layer.get_name(), "or choose the visible canvas as source"
    if layer.is_floating_sel():
        return "This is a floating selection. Anchor it or make a layer of it (Layer menu), and try again."
    if layer.is_group():
        return f"{name} is a layer group. Click a single layer in it, {instead}."
    if layer.is_text_layer():
        return f"{name} is a text layer. Choose Layer > Discard Text Information in a copy of it, {instead}."
    if getattr(layer, "is_vector_layer", bool)() or getattr(layer, "is_link_layer", bool)():  # both since GIMP 3.2
        return f"{name} is a vector or link layer. Rasterize a copy of it (Layer menu), {instead}."
    if layer.get_lock_content():
        return f"The pixels of {name} are locked. Unlock them in the Layers dialog, {instead}."
    return ""


def _is_blank(layer: Gimp.Layer) -> bool:
    """Whether every pixel is fully transparent. A painted layer is known by its first strips."""
    return layer.has_alpha() and not any(strip.strip(b"\0") for strip in strips(layer, extent(layer), _ALPHA))


@contextmanager
def _visible(image: Gimp.Image) -> Generator[Gimp.Layer, None, None]:
    """All that is visible, as a layer that belongs to no image's tree."""
    layer = Gimp.Layer.new_from_visible(image, image, "pentimento")
    try:
        yield layer
    finally:
        if layer is not None and layer.is_valid():
            layer.delete()


@contextmanager
def _masked_copy(layer: Gimp.Layer) -> Generator[Gimp.Layer, None, None]:
    """A copy of the layer with its mask applied, in an image of its own: GIMP applies masks only inside one."""
    image = layer.get_image()
    scratch = Gimp.Image.new_with_precision(1, 1, image.get_base_type(), image.get_precision())
    try:
        scratch.set_color_profile(image.get_effective_color_profile())
        copy = Gimp.Layer.new_from_drawable(layer, scratch)
        scratch.insert_layer(copy, None, 0)
        copy.remove_mask(Gimp.MaskApplyMode.APPLY)
        yield copy
    finally:
        scratch.delete()
