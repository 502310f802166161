"""Played by GIMP's batch interpreter `python-fu-eval`: plays a script's cases inside a plug-in process of GIMP."""

import faulthandler
import os
import sys
import time

import gi

gi.require_version("Gimp", "3.0")
from gi.repository import Gimp, GLib  # noqa: E402

sys.path.insert(0, os.environ["PENTIMENTO_INSIDE"])
import stage  # noqa: E402


def pump() -> None:
    while GLib.MainContext.default().pending():
        GLib.MainContext.default().iteration(False)


def tidy() -> None:
    """Closes every image, so that each case begins with none. An image goes with its last window."""
    # GIMP does not tell an image's displays; their ids are small numbers that only grow.
    for number in range(1, 100):
        if Gimp.Display.id_is_valid(number):
            Gimp.Display.get_by_id(number).delete()
    for image in Gimp.get_images():
        image.delete()


def play() -> None:
    faulthandler.dump_traceback_later(float(os.environ["PENTIMENTO_PATIENCE"]))
    the_stage, cases = stage.load(pump)
    player = stage.Player(cases, the_stage, tidy)
    while player.step():
        pump()
        time.sleep(0.005)
    (the_stage.folder / "ended").touch()
    faulthandler.cancel_dump_traceback_later()


play()
