"""Played inside GIMP without a window: the grid as a script asks for it."""

from gi.repository import Gimp
from pictures import call, made, names, new_image, projection, raw, record

FAST = {"steps": 2, "prompt": "a lake", "seed": 5}
AXES = {"x_axis": "Denoising", "x_values": "0.5, 0.9", "y_axis": "sampler", "y_values": "Euler, Heun"}


def case_a_grid_is_one_group_of_named_layers(stage):
    image, layer = new_image()
    image.select_ellipse(Gimp.ChannelOps.REPLACE, 25, 15, 40, 30)
    Gimp.Selection.feather(image, 9)
    before, selection, pixels = projection(image), raw(image.get_selection()), raw(layer)
    layers = made("grid", image=image, drawables=[layer], **AXES, **FAST)
    wanted = ["strength 0.5, Euler", "strength 0.9, Euler", "strength 0.5, Heun", "strength 0.9, Heun"]
    assert names(layers) == wanted
    group = layers[0].get_parent()
    assert group.get_name() == "Grid: a lake (4 pictures)"
    assert names(group.get_children()) == wanted
    assert [each.get_visible() for each in layers] == [True, False, False, False]
    assert image.get_selected_layers() == [layers[0]]
    settings = [record(each)["settings"] for each in layers]
    assert [(each["strength"], each["sampler"]) for each in settings] == [
        (0.5, "Euler"),
        (0.9, "Euler"),
        (0.5, "Heun"),
        (0.9, "Heun"),
    ]
    assert {each["seed"] for each in settings} == {5}
    assert len({raw(each) for each in layers}) == 4
    assert raw(layer) == pixels
    assert raw(image.get_selection()) == selection
    after = projection(image)
    step, size = len(selection) // (96 * 64), len(after) // (96 * 64)
    outside = [at for at in range(96 * 64) if not any(selection[at * step : (at + 1) * step])]
    assert outside
    assert all(after[at * size : (at + 1) * size] == before[at * size : (at + 1) * size] for at in outside)
    (again,) = made("redo", image=image, drawables=[layers[2]])
    assert raw(again) == raw(layers[2])
    (refined,) = made("refine", image=image, drawables=[layers[3]], steps=1)
    assert record(refined)["parent"] == record(layers[3])["id"]
    return group.get_name()


def case_a_loopback_is_a_group_with_the_last_loop_on_top(stage):
    image, layer = new_image()
    how = {"loops": 2, "strength": 0.9, "final_strength": 0.5}
    layers = made("img2img", image=image, drawables=[layer], **how, **FAST)
    assert names(layers) == ["loop 2 of 2, strength 0.5 (6)", "loop 1 of 2, strength 0.9 (5)"]
    assert layers[0].get_parent().get_name() == "a lake (2 loops)"
    assert [each.get_visible() for each in layers] == [True, False]
    return names(layers)


def case_a_wrong_grid_is_told_with_its_place(stage):
    image, layer = new_image()
    before = projection(image)
    status, layers, said = call("grid", image=image, drawables=[layer], x_axis="strength", x_values="0.2, 1.4")
    assert status == Gimp.PDBStatusType.EXECUTION_ERROR
    assert 'Denoising strength, character 6, at "1.4"' in said
    status, layers, said = call("grid", image=image, drawables=[layer])
    assert "A grid has 1 to 3 axes, not 0." in said
    assert not layers
    assert len(image.get_layers()) == 1
    assert projection(image) == before
    return said
