"""Played inside GIMP without a window: the procedures, as a script calls them, against a real backend."""

import array
import struct
from itertools import pairwise

from gi.repository import Gegl, Gimp, Gio
from pictures import (
    GRAY,
    RGB,
    add_layer,
    call,
    made,
    names,
    new_image,
    paint,
    projection,
    raw,
    record,
    write,
)

REPLACE = Gimp.ChannelOps.REPLACE
ERROR = Gimp.PDBStatusType.EXECUTION_ERROR
FAST = {"steps": 1, "prompt": "a lake"}


def select(image, kind):
    """A selection of that kind in an image of 96 x 64 px."""
    if kind == "hard":
        image.select_rectangle(REPLACE, 30, 20, 25, 17)
    elif kind == "feathered":
        image.select_ellipse(REPLACE, 25, 15, 40, 30)
        Gimp.Selection.feather(image, 9)
    elif kind == "one pixel":
        image.select_rectangle(REPLACE, 41, 23, 1, 1)
    elif kind == "at the border":
        image.select_rectangle(REPLACE, -20, 40, 60, 60)
    elif kind == "whole":
        Gimp.Selection.all(image)


SELECTIONS = ("hard", "feathered", "one pixel", "at the border", "whole")


def check_inpainted(image, source, result, before, selection, about=""):
    """What an inpainted layer must be, to the byte."""
    assert raw(image.get_selection()) == selection, "the selection changed"
    _, x, y = result.get_offsets()
    box = (x, y, result.get_width(), result.get_height())
    mask = result.get_mask()
    assert mask is not None, "there is no layer mask"
    assert raw(mask) == raw(image.get_selection(), box), "the layer mask is not the selection"
    assert image.get_selected_layers() == [result]
    assert image.get_item_position(result) + 1 == image.get_item_position(source)
    after = projection(image)
    pixel = len(after) // (image.get_width() * image.get_height())
    step = len(selection) // (image.get_width() * image.get_height())
    changed = 0
    for at in range(image.get_width() * image.get_height()):
        same = after[at * pixel : (at + 1) * pixel] == before[at * pixel : (at + 1) * pixel]
        if not any(selection[at * step : (at + 1) * step]):
            assert same, f"{about}: pixel {at} is outside of the selection and has changed"
        changed += not same
    return changed


FLOATS = (Gimp.Precision.HALF_LINEAR, Gimp.Precision.FLOAT_LINEAR, Gimp.Precision.FLOAT_NON_LINEAR)


def laid_over(image):
    """What is visible; with an empty layer on top in images where that alone changes it.

    GIMP lays layers over each other in 32-bit floats of three colours. That holds 24 bits of 32-bit integers, and
    greys in float do not come back to the last bit.
    """
    grey, precision = image.get_base_type() == GRAY, image.get_precision()
    if precision != Gimp.Precision.U32_LINEAR and not (grey and precision in FLOATS):
        return projection(image)
    kind = Gimp.ImageType.GRAYA_IMAGE if grey else Gimp.ImageType.RGBA_IMAGE
    empty = Gimp.Layer.new(image, "empty", 96, 64, kind, 100.0, Gimp.LayerMode.NORMAL)
    selected = image.get_selected_layers()
    image.insert_layer(empty, None, 0)
    shown = projection(image)
    image.remove_layer(empty)
    image.set_selected_layers(selected)
    return shown


def inpainted(image, layer, **arguments):
    before, selection, pixels = laid_over(image), raw(image.get_selection()), raw(layer)
    result = made("inpaint", image=image, drawables=[layer], strength=1.0, **{**FAST, **arguments})
    assert len(result) == 1
    changed = check_inpainted(image, layer, result[0], before, selection, image.get_precision().value_nick)
    assert raw(layer) == pixels, "the source changed"
    return changed


def case_inpaint_in_every_kind_of_selection(stage):
    facts = {}
    for kind in SELECTIONS:
        image, layer = new_image()
        select(image, kind)
        facts[kind] = inpainted(image, layer)
        assert facts[kind] > 0, f"nothing was painted in the selection {kind}"
        image.delete()
    return facts


def case_a_selection_beyond_the_layer_extends_the_picture(stage):
    """The canvas is larger than what is painted: the empty strip is selected, and painted; the rest stays."""
    image, layer = new_image(60, 64)
    image.resize(96, 64, 0, 0)
    image.select_rectangle(REPLACE, 60, 0, 36, 64)
    assert inpainted(image, layer, outpaint_fill="blur") == 36 * 64
    shown = projection(image)
    image.delete()
    return {"opaque": all(shown[4 * (64 * 96) - 1 :: -4][k] == 255 for k in range(36))}


def case_a_result_of_its_own_size_lies_at_the_layers_corner(stage):
    image, layer = new_image()
    layer.set_offsets(10, 5)
    how = {**FAST, "scale_by": 1.5, "resize_mode": "Crop and resize", "result_size": "as worked", "width": "automatic"}
    (result,) = made("img2img", image=image, drawables=[layer], **how)
    _, x, y = result.get_offsets()
    place = [x, y, result.get_width(), result.get_height()]
    image.delete()
    assert place == [10, 5, 144, 96], place
    return place


PRECISIONS = (
    "U8_LINEAR",
    "U8_PERCEPTUAL",
    "U16_NON_LINEAR",
    "U16_LINEAR",
    "U32_LINEAR",
    "HALF_LINEAR",
    "FLOAT_LINEAR",
    "FLOAT_NON_LINEAR",
)


def case_inpaint_in_every_precision(stage):
    greys = ("U8_LINEAR", "U16_NON_LINEAR", "FLOAT_LINEAR")
    for name, base in [*((name, RGB) for name in PRECISIONS), *((name, GRAY) for name in greys)]:
        image, layer = new_image(precision=getattr(Gimp.Precision, name), base=base, alpha=name != "U16_LINEAR")
        select(image, "feathered")
        assert inpainted(image, layer) > 0, name
        image.delete()


def case_inpaint_with_wide_gamut_profiles(stage):
    adobe, linear = Gimp.ColorProfile.new_rgb_adobe(), Gimp.ColorProfile.new_rgb_srgb_linear()
    for name, profile in (
        ("U8_NON_LINEAR", adobe),
        ("U16_NON_LINEAR", adobe),
        ("FLOAT_LINEAR", adobe),
        ("U16_NON_LINEAR", linear),
    ):
        image, layer = new_image(precision=getattr(Gimp.Precision, name), profile=profile)
        select(image, "feathered")
        assert inpainted(image, layer) > 0
        assert image.get_effective_color_profile().is_equal(profile)
        image.delete()


def case_inpaint_layers_beside_the_canvas_size(stage):
    """Offset, larger and smaller layers, in groups."""
    for width, height, x, y in ((40, 30, 28, 17), (150, 120, -20, -30), (96, 64, -50, 20), (20, 20, 2, 2)):
        image, _ = new_image()
        group = Gimp.GroupLayer.new(image, "group")
        image.insert_layer(group, None, 0)
        layer = add_layer(image, width, height, x, y, parent=group, seed=7, alpha=width != 40)
        select(image, "feathered")
        inpainted(image, layer)
        assert layer.get_parent() == group
        assert [child.get_parent() for child in group.get_children()] == [group, group]
        image.delete()


def case_grow_and_feather_show_in_the_layer_mask(stage):
    image, layer = new_image()
    select(image, "hard")
    result = made("inpaint", image=image, drawables=[layer], grow=6, feather=4, **FAST)[0]
    _, x, y = result.get_offsets()
    wider = raw(result.get_mask())
    plain = raw(image.get_selection(), (x, y, result.get_width(), result.get_height()))
    assert wider != plain
    assert all(a >= b for a, b in zip(wider, plain, strict=True))


def case_img2img_of_an_offset_layer(stage):
    image, _ = new_image()
    layer = add_layer(image, 70, 50, -13, 31, seed=3)
    before = raw(layer)
    result = made("img2img", image=image, drawables=[layer], seed=5.0, **FAST)
    assert result[0].get_offsets()[1:] == (-13, 31)
    assert (result[0].get_width(), result[0].get_height()) == (70, 50)
    assert raw(layer) == before
    assert raw(result[0]) != before
    assert result[0].get_mask() is None
    assert image.get_layers()[:2] == [result[0], layer]
    return names(result)


def case_img2img_shows_in_the_selection_only(stage):
    image, layer = new_image()
    select(image, "feathered")
    before, selection = projection(image), raw(image.get_selection())
    result = made("img2img", image=image, drawables=[layer], strength=1.0, **FAST)[0]
    assert check_inpainted(image, layer, result, before, selection) > 0


def case_strength_0_gives_the_levels_back(stage):
    facts = {}
    adobe = Gimp.ColorProfile.new_rgb_adobe()
    kinds = [(RGB, adobe, True), (RGB, None, False), (GRAY, None, True)]
    for name in ("U8_NON_LINEAR", "U8_LINEAR", "U16_NON_LINEAR", "U16_LINEAR", "HALF_LINEAR", "FLOAT_LINEAR"):
        for base, profile, alpha in [*kinds, *([(RGB, adobe, False)] if name == "U16_NON_LINEAR" else [])]:
            precision = getattr(Gimp.Precision, name)
            image, layer = new_image(precision=precision, base=base, profile=profile, alpha=alpha)
            result = made("img2img", image=image, drawables=[layer], strength=0.0)[0]
            facts[f"{name} {base.value_nick} {profile is not None} {alpha}"] = farthest(layer, result)
            image.delete()
    exact = ("U8_NON_LINEAR", "U16_NON_LINEAR")
    for about, levels in facts.items():
        assert levels == 0 if about.startswith(exact) else levels <= 1.25, f"{about}: {levels} levels off"
    return facts


def farthest(layer, result):
    """The largest difference of two layers' colours, in levels of 8 bits for 8-bit layers and of 16 for deeper."""
    codes = {1: ("B", 1), 2: ("H", 1), 4: ("f", 65535)}
    channels = (1 if layer.is_gray() else 3) + layer.has_alpha()
    kinds = layer.get_bpp() // channels
    half = layer.get_image().get_precision() == Gimp.Precision.HALF_LINEAR
    first, second = halves(raw(layer)) if half else None, halves(raw(result)) if half else None
    if first is None:
        code, factor = codes[kinds]
        first, second = array.array(code, raw(layer)), array.array(code, raw(result))
    else:
        factor = 65535
    wide = channels + (not layer.has_alpha())
    return max(
        abs(a - b) * factor for k in range(channels) for a, b in zip(first[k::channels], second[k::wide], strict=True)
    )


def halves(data):
    return struct.unpack(f"{len(data) // 2}e", data)


def case_layer_masks_are_read_and_kept(stage):
    image, layer = new_image()
    layer.add_mask(layer.create_mask(Gimp.AddMaskType.WHITE))
    write(layer.get_mask(), "Y u8", bytes([255] * 48 + [0] * 40 + [77] * 8) * 64)
    mask = raw(layer.get_mask())
    for alpha in (True, False):
        before = raw(layer)
        result = made("img2img", image=image, drawables=[layer.get_mask()], strength=0.0)[0]
        shown = raw(result)
        assert shown[3 : 96 * 4 : 4] == mask[:96], f"alpha is not the mask, {alpha}"
        assert raw(layer.get_mask()) == mask
        assert raw(layer) == before
        image.remove_layer(result)
        if alpha:
            layer.flatten()


def case_generate_fills_selection_or_canvas(stage):
    image, layer = new_image()
    whole = made("generate", image=image, drawables=[], **FAST)[0]
    assert (whole.get_width(), whole.get_height()) == (96, 64)
    image, layer = new_image(300, 200)
    image.select_ellipse(REPLACE, 100, 50, 120, 90)
    before, selection = projection(image), raw(image.get_selection())
    part = made("generate", image=image, drawables=[layer], **FAST)[0]
    assert part.get_offsets()[1:] == (100, 50)
    assert check_inpainted(image, layer, part, before, selection) > 0


def case_batch_of_4_is_one_group_and_one_undo_step(stage):
    image, layer = new_image()
    select(image, "feathered")
    before, selection = projection(image), raw(image.get_selection())
    layers = made(
        "inpaint", image=image, drawables=[layer], strength=1.0, batch_size=2, batch_count=2, seed=9.0, **FAST
    )
    assert len(layers) == 4
    group = layers[0].get_parent()
    assert group is not None
    assert image.get_layers() == [group, layer]
    assert [one.get_visible() for one in layers] == [True, False, False, False]
    assert [one.get_name() for one in layers] == [f"a lake ({seed})" for seed in (9, 10, 11, 12)]
    assert image.get_selected_layers() == [layers[0]]
    assert len({raw(one) for one in layers}) == 4
    for one in layers:
        _, x, y = one.get_offsets()
        assert raw(one.get_mask()) == raw(image.get_selection(), (x, y, one.get_width(), one.get_height()))
    after = projection(image)
    for at, selected in enumerate(selection):
        assert selected or after[at * 4 : at * 4 + 4] == before[at * 4 : at * 4 + 4]
    return names(layers)


def case_refine_three_times_and_redo_from_a_reopened_file(stage):
    image, layer = new_image()
    select(image, "feathered")
    chain = [made("inpaint", image=image, drawables=[layer], seed=3.0, prompt="a lake", steps=2)[0]]
    for _ in range(3):
        chain.append(made("refine", image=image, drawables=[chain[-1]])[0])
    records = [record(one) for one in chain]
    for parent, child in pairwise(records):
        assert child["parent"] == parent["id"]
        assert child["settings"]["seed"] != parent["settings"]["seed"]
        assert child["settings"]["prompt"] == "a lake"
    assert len({raw(one) for one in chain}) == 4
    file = Gio.File.new_for_path(str(stage.folder / "chain.xcf"))
    Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, image, file)
    again = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, file)
    reopened = {one.get_name(): one for one in again.get_layers()}
    for one in chain:
        copy = reopened[one.get_name()]
        repeated = made("redo", image=again, drawables=[copy])[0]
        assert raw(repeated) == raw(copy) == raw(one)
        assert raw(repeated.get_mask()) == raw(copy.get_mask()) == raw(one.get_mask())
        again.remove_layer(repeated)


def case_refine_with_changes(stage):
    image, layer = new_image()
    first = made("img2img", image=image, drawables=[layer], seed=3.0, **FAST)[0]
    second = made("refine", image=image, drawables=[first], strength=0.3, seed=11.0, prompt="a hill", cfg_scale=5.0)[0]
    settings = record(second)["settings"]
    assert (settings["strength"], settings["seed"], settings["prompt"], settings["cfg_scale"]) == (0.3, 11, "a hill", 5)
    assert settings["steps"] == 1


def case_redo_refuses_a_changed_source(stage):
    image, layer = new_image()
    first = made("img2img", image=image, drawables=[layer], **FAST)[0]
    paint(layer, seed=99)
    status, _, message = call("redo", image=image, drawables=[first])
    assert status == ERROR
    assert "changed" in message, message
    assert len(image.get_layers()) == 2
    return message


def case_colours_clipboard_channel_and_selection_stay(stage):
    image, layer = new_image()
    channel = Gimp.Channel.new(image, "mine", 96, 64, 50.0, Gegl.Color.new("red"))
    image.insert_channel(channel, None, 0)
    Gimp.context_set_foreground(Gegl.Color.new("rgb(0.1,0.2,0.3)"))
    image.select_rectangle(REPLACE, 1, 2, 30, 20)
    Gimp.edit_copy([layer])
    before = [Gimp.context_get_foreground().get_rgba(), raw(image.get_selection()), raw(channel), layer.get_name()]
    made("inpaint", image=image, drawables=[layer], **FAST)
    assert before == [
        Gimp.context_get_foreground().get_rgba(),
        raw(image.get_selection()),
        raw(channel),
        layer.get_name(),
    ]
    pasted = Gimp.edit_paste_as_new_image()
    assert (pasted.get_width(), pasted.get_height()) == (30, 20)


def case_what_cannot_be_done_is_a_sentence(stage):
    """Each: a message that says what to do, and nothing changed."""
    said = {}

    def refused(about, image, drawables, name="img2img", **arguments):
        count, selected = len(image.get_layers()), image.get_selected_layers()
        before = projection(image) if count else b""
        status, layers, message = call(name, image=image, drawables=drawables, **{**FAST, **arguments})
        assert status == ERROR, f"{about}: {status}"
        assert message.endswith((".", "!")), f"{about}: {message}"
        assert layers == []
        assert (len(image.get_layers()), image.get_selected_layers()) == (count, selected), about
        assert before == (projection(image) if count else b""), about
        said[about] = message

    image, layer = new_image()
    refused("nothing selected", image, [layer], "inpaint")
    refused("unknown model", image, [layer], model="nothing-like-it")
    refused("bad context", image, [layer], "inpaint", context="half")
    layer.set_lock_content(True)
    refused("locked", image, [layer])
    layer.set_lock_content(False)
    group = Gimp.GroupLayer.new(image, "group")
    image.insert_layer(group, None, 0)
    refused("group", image, [group])
    blank = Gimp.Layer.new(image, "blank", 96, 64, Gimp.ImageType.RGBA_IMAGE, 100.0, Gimp.LayerMode.NORMAL)
    image.insert_layer(blank, None, 0)
    refused("blank", image, [blank])
    refused("two layers", image, [layer, blank])
    refused("a layer of another image", image, [new_image()[1]])
    image.select_rectangle(REPLACE, 1, 2, 30, 20)
    outside = add_layer(image, 20, 20, 500, 500)
    refused("outside the canvas", image, [outside])
    Gimp.edit_copy([layer])
    Gimp.edit_paste(layer, False)
    refused("floating selection", image, [layer])
    empty = Gimp.Image.new(50, 50, Gimp.ImageBaseType.RGB)
    refused("no layer", empty, [])
    wide, layer = new_image(30000, 8)
    refused("30000 px", wide, [layer])
    indexed, layer = new_image()
    indexed.convert_indexed(Gimp.ConvertDitherType.NONE, Gimp.ConvertPaletteType.WEB, 0, False, False, "")
    refused("indexed", indexed, [layer])
    for name in ("refine", "redo", "save"):
        image, layer = new_image()
        status, _, message = call(name, image=image, drawables=[layer])
        assert status == ERROR
        assert message.endswith("."), message
        said[f"{name} of a painted layer"] = message
    return said


def case_the_visible_canvas_as_source(stage):
    image, below = new_image()
    above = add_layer(image, 30, 20, 10, 10, seed=5)
    shown = projection(image)
    result = made("img2img", image=image, drawables=[below, above], source="canvas", strength=0.0)[0]
    assert raw(result) == shown
    assert image.get_layers()[0] == result


def case_save_writes_a_png_with_the_recipe(stage):
    image, layer = new_image(profile=Gimp.ColorProfile.new_rgb_adobe())
    result = made("img2img", image=image, drawables=[layer], seed=3.0, **FAST)[0]
    path = stage.folder / "saved.png"
    status, _, message = call("save", image=image, drawables=[result], file=Gio.File.new_for_path(str(path)))
    assert status == Gimp.PDBStatusType.SUCCESS, message
    data = path.read_bytes()
    assert b"iTXtpentimento\0" in data
    assert b"iTXtparameters\0" in data
    loaded = Gimp.file_load(Gimp.RunMode.NONINTERACTIVE, Gio.File.new_for_path(str(path)))
    assert loaded.get_color_profile() is not None
    pixels = raw(result)
    if not loaded.get_layers()[0].has_alpha():
        pixels = bytes(level for k, level in enumerate(pixels) if k % 4 != 3)
    assert raw(loaded.get_layers()[0]) == pixels


def case_script_fu_calls_them_too(stage):
    image, layer = new_image()
    script = (
        f"(pentimento-img2img #:run-mode RUN-NONINTERACTIVE #:image {image.get_id()} "
        f'#:drawables (vector {layer.get_id()}) #:prompt "a lake" #:steps 1 #:cfg-scale 3.5 #:seed 4000000000)'
    )
    procedure = Gimp.get_pdb().lookup_procedure("plug-in-script-fu-eval")
    config = procedure.create_config()
    config.set_property("run-mode", Gimp.RunMode.NONINTERACTIVE)
    config.set_property("script", script)
    values = procedure.run(config)
    assert values.index(0) == Gimp.PDBStatusType.SUCCESS, Gimp.get_pdb().get_last_error()
    settings = record(image.get_layers()[0])["settings"]
    assert (settings["seed"], settings["cfg_scale"]) == (4_000_000_000, 3.5)


def case_arguments_that_are_left_out_are_the_models(stage):
    image, layer = new_image()
    settings = record(made("img2img", image=image, drawables=[layer], strength=0.1)[0])["settings"]
    assert (settings["cfg_scale"], settings["steps"]) == (3.0, 20)
