"""What `pentimento plugins install` and `plugins zip` make is what real editors take."""

from __future__ import annotations

from pathlib import Path

from pentimento.plugins.bundle import krita_bundle, krita_zip
from pentimento.plugins.installing import examine
from pentimento.plugins.places import Place
from tests.editors.conftest import Play


def test_krita_loads_the_plugin_and_imports_the_zip(krita: Play, tmp_path: Path) -> None:
    bundle = krita_bundle()
    archive = tmp_path / "pentimento-krita.zip"
    archive.write_bytes(krita_zip(bundle))
    run = krita("krita_installed.py", given={"zip": str(archive)})
    loaded = run.check("krita_loads_the_installed_plugin")
    assert loaded["file"] == str(run.home / ".local/share/krita/pykrita/pentimento/__init__.py")
    names = ("cancel", "generate", "img2img", "inpaint", "redo", "refine")
    assert {f"pentimento_{name}" for name in names} <= set(loaded["actions"])
    assert run.check("krita_imports_the_zip") == {"imported": [1, 1], "asked": 1}
    assert examine(Place("krita", "Krita", run.folder / "resources"), bundle).state == "current"


def test_gimp_knows_the_procedures(gimp: Play) -> None:
    procedures = gimp("gimp_installed.py").check("gimp_knows_the_installed_plug_ins_procedures")
    names = ("generate", "img2img", "inpaint", "redo", "refine")
    assert {f"pentimento-{name}" for name in names} <= set(procedures)
