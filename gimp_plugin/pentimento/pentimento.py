#!/usr/bin/env python3
"""Pentimento for GIMP 3: img2img and inpainting as native filters. GIMP starts this file; it asks nothing of the
network until a filter runs."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent / "vendor"))

import gi

for name, version in {"Babl": "0.1", "Gegl": "0.4", "Gimp": "3.0", "GimpUi": "3.0", "Gtk": "3.0", "Gdk": "3.0"}.items():
    gi.require_version(name, version)
from gi.repository import Gimp  # noqa: E402
from pentimento_gimp.procedures import PROCEDURES, create  # noqa: E402


class Pentimento(Gimp.PlugIn):
    """The procedures under Filters > Pentimento."""

    def do_set_i18n(self, procname: str) -> bool:
        return False

    def do_query_procedures(self) -> list[str]:
        return list(PROCEDURES)

    def do_create_procedure(self, name: str) -> Gimp.Procedure:
        return create(self, name)


Gimp.main(Pentimento.__gtype__, sys.argv)
