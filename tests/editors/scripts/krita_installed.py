"""Played inside Krita: whether it takes the plugin as it was installed, and the zip by its own importer."""

import sys
from pathlib import Path

import krita


def case_krita_loads_the_installed_plugin(stage):
    plugin = sys.modules.get("pentimento")
    actions = {action.objectName() for action in krita.Krita.instance().actions()}
    return {
        "file": getattr(plugin, "__file__", None),
        "actions": sorted(name for name in actions if name.startswith("pentimento_")),
    }


def case_krita_imports_the_zip(stage):
    from plugin_importer.plugin_importer import PluginImporter

    resources = stage.folder / "resources"
    resources.mkdir()
    asked = []
    importer = PluginImporter(stage.given["zip"], str(resources), lambda plugin: asked.append(plugin) or True)
    first = importer.import_all()
    second = importer.import_all()
    assert Path(resources, "pykrita", "pentimento.desktop").exists()
    return {"imported": [len(first), len(second)], "asked": len(asked)}
