"""Played inside GIMP, without and with a window, where no backend runs."""

from gi.repository import Gimp
from pictures import call, new_image, raw


def case_a_script_is_told(stage):
    image, layer = new_image()
    before = raw(layer)
    status, layers, message = call("img2img", image=image, drawables=[layer])
    assert status == Gimp.PDBStatusType.EXECUTION_ERROR
    assert layers == []
    assert "not running" in message, message
    assert "launch.py" in message, message
    assert image.get_layers() == [layer]
    assert raw(layer) == before
    return message


def case_the_procedures_are_known(stage):
    """GIMP asked for them at its start, with no backend to ask."""
    found = Gimp.get_pdb().query_procedures("pentimento-.*", "", "", "", "", "", "", "")
    return sorted(found)
