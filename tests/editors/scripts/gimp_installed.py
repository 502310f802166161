"""Played inside GIMP: whether it takes the plug-in as it was installed."""

from gi.repository import Gimp


def case_gimp_knows_the_installed_plug_ins_procedures(stage):
    # Name, blurb, help, help id, authors, copyright, date, type: an empty pattern is anything.
    return list(Gimp.get_pdb().query_procedures("^pentimento-", "", "", "", "", "", "", ""))
