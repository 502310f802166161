"""Pictures and procedure calls for the cases that are played in GIMP."""

import json
import random

import gi

gi.require_version("Gegl", "0.4")
from gi.repository import Babl, Gegl, Gimp  # noqa: E402

RGB, GRAY = Gimp.ImageBaseType.RGB, Gimp.ImageBaseType.GRAY
U8 = Gimp.Precision.U8_NON_LINEAR


def new_image(width=96, height=64, precision=U8, base=RGB, profile=None, alpha=True):
    """An image with one layer of random levels."""
    image = Gimp.Image.new_with_precision(width, height, base, precision)
    if profile is not None:
        image.set_color_profile(profile)
    return image, add_layer(image, width, height, alpha=alpha)


def add_layer(image, width, height, x=0, y=0, alpha=True, parent=None, seed=1, name="paint"):
    """A layer of random levels, each between 1/8 and 7/8, opaque."""
    kinds = {
        (RGB, True): Gimp.ImageType.RGBA_IMAGE,
        (RGB, False): Gimp.ImageType.RGB_IMAGE,
        (GRAY, True): Gimp.ImageType.GRAYA_IMAGE,
        (GRAY, False): Gimp.ImageType.GRAY_IMAGE,
    }
    kind = kinds[image.get_base_type(), alpha]
    layer = Gimp.Layer.new(image, name, width, height, kind, 100.0, Gimp.LayerMode.NORMAL)
    image.insert_layer(layer, parent, 0)
    layer.set_offsets(x, y)
    paint(layer, seed)
    return layer


def paint(layer, seed=1):
    """Random levels, opaque."""
    width, height = layer.get_width(), layer.get_height()
    levels = bytes(32 + level * 3 // 4 for level in random.Random(seed).randbytes(width * height * 3))
    write(layer, "R'G'B' u8", levels)


def write(drawable, form, data):
    buffer = drawable.get_buffer()
    buffer.set(Gegl.Rectangle.new(0, 0, drawable.get_width(), drawable.get_height()), form, data)
    buffer.flush()
    drawable.update(0, 0, drawable.get_width(), drawable.get_height())


def raw(drawable, box=None):
    """The bytes that GIMP keeps, in the drawable or a box (x, y, width, height) of it."""
    box = box or (0, 0, drawable.get_width(), drawable.get_height())
    return bytes(drawable.get_buffer().get(Gegl.Rectangle.new(*box), 1.0, None, Gegl.AbyssPolicy.NONE))


def projection(image):
    """The bytes of what is visible."""
    visible = Gimp.Layer.new_from_visible(image, image, "visible")
    data = raw(visible)
    visible.delete()
    return data


def encoding(drawable):
    return Babl.format_get_encoding(drawable.get_format())


def call(name, mode=Gimp.RunMode.NONINTERACTIVE, **arguments):
    """Calls a procedure, without a screen unless `mode` says otherwise; (status, layers, message)."""
    procedure = Gimp.get_pdb().lookup_procedure(f"pentimento-{name}")
    config = procedure.create_config()
    for key, value in arguments.items():
        if key == "drawables":
            config.set_core_object_array("drawables", value)
        else:
            config.set_property(key.replace("_", "-"), value)
    config.set_property("run-mode", mode)
    values = procedure.run(config)
    status = values.index(0)
    if status != Gimp.PDBStatusType.SUCCESS:
        return status, [], Gimp.get_pdb().get_last_error()
    return status, values.get_core_object_array(1) if values.length() > 1 else [], ""


def made(name, mode=Gimp.RunMode.NONINTERACTIVE, **arguments):
    """The layers that a procedure made; it must succeed."""
    status, layers, message = call(name, mode, **arguments)
    assert status == Gimp.PDBStatusType.SUCCESS, f"{name} said: {message}"
    assert layers, f"{name} returned no layers"
    return layers


def names(layers):
    return [layer.get_name() for layer in layers]


def record(layer):
    """What the layer remembers, as JSON."""
    return json.loads(bytes(layer.get_parasite("pentimento-recipe").get_data()))
