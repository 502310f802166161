"""Played inside GIMP without a window: the procedures, as a script calls them."""

from gi.repository import Gimp
from pictures import call, made, names, new_image, projection, raw

OK = Gimp.PDBStatusType.SUCCESS


def case_img2img_adds_a_layer_above(stage):
    image, layer = new_image()
    before = raw(layer)
    result = made("img2img", image=image, drawables=[layer], prompt="a lake", steps=2, seed=5.0)
    assert image.get_layers() == [*result, layer], names(image.get_layers())
    assert raw(layer) == before
    assert raw(result[0]) != before
    assert image.get_selected_layers() == result
    return names(result)


def case_strength_0_gives_the_levels_back(stage):
    image, layer = new_image()
    result = made("img2img", image=image, drawables=[layer], strength=0.0)
    assert raw(result[0]) == raw(layer)
    return names(result)
