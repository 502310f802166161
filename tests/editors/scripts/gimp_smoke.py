"""Played inside GIMP, with and without a window: the least that every other case stands on."""

import gi

gi.require_version("Gegl", "0.4")
from gi.repository import Gegl, Gimp  # noqa: E402


def new_image(width, height):
    image = Gimp.Image.new(width, height, Gimp.ImageBaseType.RGB)
    layer = Gimp.Layer.new(image, "paint", width, height, Gimp.ImageType.RGBA_IMAGE, 100.0, Gimp.LayerMode.NORMAL)
    image.insert_layer(layer, None, 0)
    return image, layer


def case_pixels_come_back_as_they_were_written(stage):
    image, layer = new_image(64, 48)
    rectangle = Gegl.Rectangle.new(0, 0, 64, 48)
    pixels = bytes(range(256)) * (64 * 48 * 4 // 256)
    buffer = layer.get_buffer()
    buffer.set(rectangle, "R'G'B'A u8", pixels)
    buffer.flush()
    layer.update(0, 0, 64, 48)
    read = layer.get_buffer().get(rectangle, 1.0, "R'G'B'A u8", Gegl.AbyssPolicy.NONE)
    return {"same": bytes(read) == pixels, "version": Gimp.version(), "size": [image.get_width(), image.get_height()]}


def case_each_case_begins_with_nothing_open(stage):
    return len(Gimp.get_images())
