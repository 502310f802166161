"""`pentimento plugins`: where the editors look, what is put there, and that nothing else is touched."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

from pentimento import doctor
from pentimento.cli import main
from pentimento.plugins import PluginError, kritarc
from pentimento.plugins.bundle import VENDORED, Bundle, gimp_bundle, krita_bundle, krita_zip
from pentimento.plugins.installing import examine, install, uninstall
from pentimento.plugins.places import Place, System, gimp_places, gimps_to_start, krita_places, usual_krita_place
from pentimento_shared.backend_start import remembered_command

ROOT = Path(__file__).resolve().parents[2]


def system_at(folder: Path, platform: str, **environ: str) -> System:
    home = folder / "home"
    home.mkdir(exist_ok=True)
    return System(platform, {"PATH": str(folder / "bin"), **environ}, home, folder)


def make(folder: Path, *paths: str) -> None:
    """Makes folders below a folder."""
    for path in paths:
        (folder / path).mkdir(parents=True, exist_ok=True)


def files_below(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def krita_source(tmp_path: Path) -> Path:
    """A plugin's sources of three files."""
    source = tmp_path / "krita_plugin"
    make(source, "pentimento/__pycache__", "actions")
    (source / "pentimento.desktop").write_text("[Desktop Entry]\nX-KDE-Library=pentimento\nName=Pentimento\n")
    (source / "pentimento" / "__init__.py").write_text("first = True\n")
    (source / "pentimento" / "__pycache__" / "__init__.cpython-311.pyc").write_bytes(b"old")
    (source / "actions" / "pentimento.action").write_text("<ActionCollection/>\n")
    return source


@pytest.fixture
def gimp_source(tmp_path: Path) -> Path:
    source = tmp_path / "gimp_plugin"
    make(source, "pentimento")
    (source / "pentimento" / "pentimento.py").write_text("#!/usr/bin/env python3\n")
    return source


@pytest.fixture
def krita(tmp_path: Path) -> Place:
    """Krita as it lies there after some use: another plugin, and settings with all that a parser could break."""
    folder, settings = tmp_path / "krita", tmp_path / "config" / "kritarc"
    make(folder, "pykrita/other", "actions")
    (folder / "pykrita" / "other" / "__init__.py").write_text("mine = True\n")
    settings.parent.mkdir()
    settings.write_bytes(
        b"Theme=dark\nname=\xff\xfe not utf-8\n\n[python]\nenable_other=true\n\n[Window]\n; comment\n a = b\n"
    )
    return Place("krita", "Krita", folder, settings)


# --- where the editors look ------------------------------------------------------------------------------------

KRITA_PLACES = {
    "linux": ("linux", "home/.local/share/krita", "home/.config/kritarc"),
    "flatpak": (
        "linux",
        "home/.var/app/org.kde.krita/data/krita",
        "home/.var/app/org.kde.krita/config/kritarc",
    ),
    "snap": ("linux", "home/snap/krita/current/.local/share/krita", "home/snap/krita/current/.config/kritarc"),
    "windows": ("win32", "home/AppData/Roaming/krita", "home/AppData/Local/kritarc"),
    "store": (
        "win32",
        "home/AppData/Local/Packages/49800Krita_x/LocalCache/Roaming/krita",
        "home/AppData/Local/Packages/49800Krita_x/LocalCache/Local/kritarc",
    ),
    "macos": ("darwin", "home/Library/Application Support/krita", "home/Library/Preferences/kritarc"),
}


@pytest.mark.parametrize("name", KRITA_PLACES)
def test_krita_is_found_where_it_was_used(tmp_path: Path, name: str) -> None:
    platform, folder, settings = KRITA_PLACES[name]
    system = system_at(tmp_path, platform)
    assert krita_places(system) == []
    make(tmp_path, folder)
    (place,) = krita_places(system)
    assert place.folder == tmp_path / folder
    assert place.settings == tmp_path / settings


@pytest.mark.parametrize(
    ("platform", "sign", "folder"),
    [
        ("linux", "bin/krita", "home/.local/share/krita"),
        ("linux", "var/lib/flatpak/app/org.kde.krita", "home/.var/app/org.kde.krita/data/krita"),
        ("linux", "snap/krita", "home/snap/krita/current/.local/share/krita"),
        ("darwin", "Applications/krita.app", "home/Library/Application Support/krita"),
        ("win32", "programs/Krita (x64)", "home/AppData/Roaming/krita"),
    ],
)
def test_krita_is_found_before_its_first_start(tmp_path: Path, platform: str, sign: str, folder: str) -> None:
    if sign == "bin/krita":
        make(tmp_path, "bin")
        (tmp_path / sign).write_text("#!/bin/sh\n")
        (tmp_path / sign).chmod(0o755)
    else:
        make(tmp_path, sign)
    (place,) = krita_places(system_at(tmp_path, platform, PROGRAMFILES=str(tmp_path / "programs")))
    assert place.folder == tmp_path / folder


def test_krita_is_found_in_all_its_packagings_at_once(tmp_path: Path) -> None:
    make(tmp_path, *(folder for platform, folder, _ in KRITA_PLACES.values() if platform == "linux"))
    labels = [place.label for place in krita_places(system_at(tmp_path, "linux"))]
    assert labels == ["Krita", "Krita (Flatpak)", "Krita (Snap)"]


def test_xdg_folders_count_when_they_are_absolute(tmp_path: Path) -> None:
    system = system_at(tmp_path, "linux", XDG_DATA_HOME=str(tmp_path / "data"), XDG_CONFIG_HOME="relative")
    place = usual_krita_place(system)
    assert place.folder == tmp_path / "data/krita"
    assert place.settings == tmp_path / "home/.config/kritarc"


def test_a_resource_folder_that_the_user_moved_is_followed(tmp_path: Path) -> None:
    make(tmp_path, "home/.config", "home/.local/share/krita")
    (tmp_path / "home/.config/kritarc").write_text(f"ResourceDirectory={tmp_path}/my\\sbrushes\n[python]\n")
    (place,) = krita_places(system_at(tmp_path, "linux"))
    assert place.folder == tmp_path / "my brushes"


@pytest.mark.parametrize(
    ("platform", "folder", "label"),
    [
        ("linux", "home/.config/GIMP/3.0", "GIMP 3.0"),
        ("linux", "home/.config/GIMP/3.2", "GIMP 3.2"),
        ("linux", "home/.var/app/org.gimp.GIMP/config/GIMP/3.0", "GIMP 3.0 (Flatpak)"),
        ("linux", "home/snap/gimp/current/.config/GIMP/3.0", "GIMP 3.0 (Snap)"),
        ("win32", "home/AppData/Roaming/GIMP/3.0", "GIMP 3.0"),
        ("win32", "home/AppData/Local/Packages/GIMP.x/LocalCache/Roaming/GIMP/3.2", "GIMP 3.2 (Microsoft Store)"),
        ("darwin", "home/Library/Application Support/GIMP/3.0", "GIMP 3.0"),
    ],
)
def test_gimp_is_found_where_it_was_used(tmp_path: Path, platform: str, folder: str, label: str) -> None:
    system = system_at(tmp_path, platform)
    assert gimp_places(system) == []
    make(tmp_path, folder)
    assert gimp_places(system) == [Place("gimp", label, tmp_path / folder / "plug-ins")]


def test_every_gimp_3_is_served_and_gimp_2_is_not(tmp_path: Path) -> None:
    make(tmp_path, *(f"home/.config/GIMP/{version}" for version in ("2.10", "3.0", "3.2", "3.10")))
    labels = [place.label for place in gimp_places(system_at(tmp_path, "linux"))]
    assert labels == ["GIMP 3.0", "GIMP 3.2", "GIMP 3.10"]


def gimp_program(folder: Path, name: str, says: str = "") -> None:
    make(folder, "bin")
    (folder / "bin" / name).write_text(f"#!/bin/sh\necho '{says}'\n")
    (folder / "bin" / name).chmod(0o755)


@pytest.mark.parametrize(
    ("name", "says", "versions"),
    [
        ("gimp-3.2", "", ["3.2"]),
        ("gimp", "GNU Image Manipulation Program version 3.0.4", ["3.0"]),
        ("gimp", "GNU Image Manipulation Program version 2.10.36", []),
    ],
)
def test_a_gimp_that_never_ran_is_found_by_its_program(
    tmp_path: Path, name: str, says: str, versions: list[str]
) -> None:
    gimp_program(tmp_path, name, says)
    system = system_at(tmp_path, "linux")
    folders = [tmp_path / f"home/.config/GIMP/{version}/plug-ins" for version in versions]
    assert [place.folder for place in gimp_places(system)] == folders
    assert gimps_to_start(system) == []


def test_a_new_gimp_is_let_take_over_the_old_ones_settings_first(tmp_path: Path) -> None:
    gimp_program(tmp_path, "gimp-3.2")
    make(tmp_path, "home/.config/GIMP/2.10", "home/.config/GIMP/3.0")
    system = system_at(tmp_path, "linux")
    assert [place.label for place in gimp_places(system)] == ["GIMP 3.0"]
    assert gimps_to_start(system) == ["GIMP 3.2"]


def test_a_packaged_gimp_has_to_be_started_once(tmp_path: Path) -> None:
    make(tmp_path, "home/.local/share/flatpak/app/org.gimp.GIMP")
    assert gimps_to_start(system_at(tmp_path, "linux")) == ["GIMP (Flatpak)"]


# --- Krita's settings ------------------------------------------------------------------------------------------

SETTINGS = {
    "none": b"",
    "no group": b"Theme=dark\n\n[Window]\nw=1\n",
    "an empty group": b"[python]\n\n[Window]\nw=1\n",
    "other plugins": b"[a]\nb=c\n\n[python]\nenable_other=true\nenable_more=false\n\n[z]\nenable_pentimento=no\n",
    "Windows": b"Theme=dark\r\n\r\n[python]\r\nenable_other=true\r\n\r\n[z]\r\ny=1\r\n",
    "other encodings": b"[python]\nenable_other=true\n[x]\nname=\xff\xfe\n",
}


@pytest.mark.parametrize("text", SETTINGS.values(), ids=SETTINGS.keys())
def test_switching_on_adds_a_line_and_off_takes_it_away(text: bytes) -> None:
    assert not kritarc.is_enabled(text)
    switched_on = kritarc.enable(text)
    assert kritarc.is_enabled(switched_on)
    assert kritarc.enable(switched_on) == switched_on
    left = iter(switched_on.splitlines())
    assert all(line in left for line in text.splitlines()), "a line is gone or elsewhere"
    if text != SETTINGS["an empty group"]:
        assert kritarc.disable(switched_on) == text


def test_line_ends_stay_what_they_are() -> None:
    assert kritarc.enable(SETTINGS["Windows"]).count(b"\n") == kritarc.enable(SETTINGS["Windows"]).count(b"\r\n")


def test_switching_on_turns_an_off_around() -> None:
    text = b"[python]\nenable_pentimento=false\nenable_other=true\n"
    assert kritarc.enable(text) == b"[python]\nenable_pentimento=true\nenable_other=true\n"


# --- in, over, out ---------------------------------------------------------------------------------------------


def test_a_plugin_comes_whole_and_is_switched_on(krita: Place, krita_source: Path) -> None:
    before, settings = files_below(krita.folder), (krita.settings or Path()).read_bytes()
    bundle = krita_bundle(krita_source)
    assert install(krita, bundle).state == "absent"
    assert files_below(krita.folder) == {**before, **bundle.files}
    assert (krita.settings or Path()).read_bytes() == settings.replace(
        b"[python]\n", b"[python]\nenable_pentimento=true\n"
    )
    found = examine(krita, bundle)
    assert (found.state, found.enabled, found.version) == ("current", True, bundle.version)


def test_doing_it_again_touches_no_file(krita: Place, krita_source: Path) -> None:
    bundle = krita_bundle(krita_source)
    install(krita, bundle)
    times = {path: path.stat().st_mtime_ns for path in krita.folder.rglob("*")}
    assert install(krita, bundle).state == "current"
    assert {path: path.stat().st_mtime_ns for path in krita.folder.rglob("*")} == times


def test_nothing_of_an_older_plugin_stays(krita: Place, krita_source: Path) -> None:
    (krita_source / "pentimento" / "gone.py").write_text("")
    install(krita, krita_bundle(krita_source))
    (krita_source / "pentimento" / "gone.py").unlink()
    newer = krita_bundle(krita_source)
    assert install(krita, newer).state == "outdated"
    assert not (krita.folder / "pykrita/pentimento/gone.py").exists()
    assert examine(krita, newer).state == "current"


def test_a_plugin_that_cannot_be_replaced_stays_as_it_was(krita: Place, krita_source: Path) -> None:
    old = krita_bundle(krita_source)
    install(krita, old)
    shutil.rmtree(krita.folder / "actions")
    (krita.folder / "actions").write_text("a file where a folder should be")
    there = files_below(krita.folder)
    (krita_source / "pentimento" / "new.py").write_text("")
    with pytest.raises(PluginError, match="could not be installed in"):
        install(krita, krita_bundle(krita_source))
    assert files_below(krita.folder) == there


def test_what_a_killed_installation_left_is_cleared_away(krita: Place, krita_source: Path) -> None:
    make(krita.folder, ".pentimento-abc/new/pykrita")
    bundle = krita_bundle(krita_source)
    install(krita, bundle)
    assert not list(krita.folder.glob(".pentimento-*"))


def test_removing_leaves_everything_as_it_was_before(krita: Place, krita_source: Path) -> None:
    before, settings = files_below(krita.folder), (krita.settings or Path()).read_bytes()
    install(krita, krita_bundle(krita_source))
    make(krita.folder, "pykrita/pentimento/__pycache__")
    (krita.folder / "pykrita/pentimento/__pycache__/start.pyc").write_bytes(b"made by Python")
    assert uninstall(krita)
    assert files_below(krita.folder) == before
    assert not (krita.folder / "pykrita/pentimento").exists()
    assert (krita.settings or Path()).read_bytes() == settings
    assert not uninstall(krita)


def test_removing_spares_what_others_put_there(krita: Place, krita_source: Path) -> None:
    install(krita, krita_bundle(krita_source))
    note = krita.folder / "pykrita/pentimento/note.txt"
    note.write_text("mine")
    assert uninstall(krita)
    assert list(files_below(krita.folder / "pykrita/pentimento")) == ["note.txt"]


@pytest.mark.parametrize("path", ["../../precious", "/etc/precious", "C:/precious", "..\\precious"])
def test_a_manifest_that_names_files_elsewhere_is_not_followed(krita: Place, krita_source: Path, path: str) -> None:
    install(krita, krita_bundle(krita_source))
    manifest = krita.folder / "pykrita/pentimento/manifest.json"
    manifest.write_text(json.dumps({"version": "1", "files": {path: "0"}}))
    with pytest.raises(PluginError, match="remove the folder by hand"):
        uninstall(krita)


def test_an_edited_or_incomplete_plugin_is_noticed_and_mended(krita: Place, krita_source: Path) -> None:
    bundle = krita_bundle(krita_source)
    install(krita, bundle)
    (krita.folder / "pykrita/pentimento/__init__.py").write_text("changed = True\n")
    assert examine(krita, bundle).state == "changed"
    assert install(krita, bundle).state == "changed"
    (krita.folder / "actions/pentimento.action").unlink()
    assert examine(krita, bundle).state == "changed"
    install(krita, bundle)
    assert examine(krita, bundle).state == "current"


def test_a_developers_link_is_replaced_and_its_goal_spared(krita: Place, krita_source: Path) -> None:
    (krita.folder / "pykrita/pentimento").symlink_to(krita_source / "pentimento")
    sources = files_below(krita_source)
    install(krita, krita_bundle(krita_source))
    assert files_below(krita_source) == sources
    assert not (krita.folder / "pykrita/pentimento").is_symlink()


def test_settings_keep_their_permissions_and_their_link(krita: Place, krita_source: Path, tmp_path: Path) -> None:
    settings = krita.settings or Path()
    real = tmp_path / "dotfiles"
    settings.rename(real)
    settings.symlink_to(real)
    real.chmod(0o600)
    install(krita, krita_bundle(krita_source))
    assert settings.is_symlink()
    assert kritarc.is_enabled(real.read_bytes())
    assert real.stat().st_mode & 0o777 == 0o600


def test_gimps_plug_in_can_be_run(tmp_path: Path, gimp_source: Path) -> None:
    place = Place("gimp", "GIMP 3.0", tmp_path / "GIMP/3.0/plug-ins")
    install(place, gimp_bundle(gimp_source))
    assert os.access(place.folder / "pentimento/pentimento.py", os.X_OK)
    assert not os.access(place.folder / "pentimento/vendor/requests/api.py", os.X_OK)
    assert uninstall(place)
    assert list(place.folder.iterdir()) == []


# --- what travels along ----------------------------------------------------------------------------------------


@pytest.fixture(params=["krita", "gimp"])
def real_bundle(request: pytest.FixtureRequest) -> Bundle:
    return krita_bundle() if request.param == "krita" else gimp_bundle()


def test_a_bare_python_can_import_all_that_the_plugins_need(tmp_path: Path, real_bundle: Bundle) -> None:
    place = Place(real_bundle.editor, "", tmp_path / "plugins")
    install(place, real_bundle)
    (vendor,) = place.folder.rglob("vendor")
    code = (
        "import sys; sys.path.append(sys.argv[1]); import pkgutil, importlib, requests, pentimento_shared;"
        "names = [m.name for m in pkgutil.iter_modules(pentimento_shared.__path__)];"
        "[importlib.import_module('pentimento_shared.' + name) for name in names];"
        "files = [str(getattr(module, '__file__', '')) for module in sys.modules.values()];"
        "foreign = [file for file in files if 'site-packages' in file];"
        "print(requests.__file__, foreign)"
    )
    bare = [sys.executable, "-I", "-S", "-B", "-c", code, str(vendor)]
    answer = subprocess.run(bare, check=False, capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() == f"{vendor}/requests/__init__.py []"


def test_only_pure_python_travels_with_its_licences(real_bundle: Bundle) -> None:
    suffixes = {Path(path).suffix for path in real_bundle.files}
    assert not suffixes & {".so", ".pyd", ".pyc", ".dll", ".dylib"}
    assert not [path for path in real_bundle.files if "__pycache__" in path]
    for name in VENDORED:
        assert [path for path in real_bundle.files if f"vendor/{name}/LICENSE" in path], name


@pytest.mark.parametrize("name", VENDORED)
def test_what_travels_runs_on_the_oldest_python_of_an_editor(name: str) -> None:
    assert SpecifierSet(distribution(name).metadata["Requires-Python"]).contains("3.10")


def test_the_zip_is_what_krita_takes(tmp_path: Path, krita_source: Path) -> None:
    bundle = krita_bundle(krita_source)
    assert krita_zip(bundle) == krita_zip(bundle)
    (tmp_path / "plugin.zip").write_bytes(krita_zip(bundle))
    with zipfile.ZipFile(tmp_path / "plugin.zip") as archive:
        names = archive.namelist()
        # Krita looks for the folder's own entry, and for an __init__.py in it.
        assert {"pentimento/", "pentimento/__init__.py", "pentimento.desktop", "actions/pentimento.action"} <= set(
            names
        )
        contents = {name: archive.read(name) for name in names if not name.endswith("/")}
    assert contents == {path.removeprefix("pykrita/"): data for path, data in bundle.files.items()}


def test_a_wheel_carries_the_plugins(tmp_path: Path) -> None:
    project = tmp_path / "project"
    ignore = shutil.ignore_patterns("__pycache__", "*.egg-info", "demo")
    for name in ("backend", "shared", "krita_plugin", "gimp_plugin"):
        shutil.copytree(ROOT / name, project / name, ignore=ignore)
    for name in ("pyproject.toml", "setup.py", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, project)
    build = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*build, str(project), "-w", str(tmp_path)], check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = "from pentimento.plugins.bundle import *; print(len(krita_bundle().files), len(gimp_bundle().files))"
    found = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    answer = subprocess.run([sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True, env=found)
    assert answer.stdout.split() == [str(len(krita_bundle().files)), str(len(gimp_bundle().files))]


# --- the command -----------------------------------------------------------------------------------------------


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user of their own, without any editor."""
    home = tmp_path / "user"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PENTIMENTO_HOME", str(tmp_path / "pentimento"))
    monkeypatch.setenv("PATH", str(home / "bin"))
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME", "GIMP3_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)
    return home


def test_the_command_installs_says_so_and_removes(user: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(user, ".local/share/krita", ".config/GIMP/3.0")
    assert main(["plugins", "install"]) == 0
    said = capsys.readouterr().out
    assert f"was installed, in {user}/.local/share/krita." in said
    assert f"was installed, in {user}/.config/GIMP/3.0/plug-ins." in said
    assert remembered_command(os.environ)[0] == sys.executable, "the editors can start the backend"
    assert main(["plugins", "status"]) == 0
    assert capsys.readouterr().out.count("up to date") == 2
    assert main(["plugins", "uninstall", "gimp"]) == 0
    assert "removed" in capsys.readouterr().out
    assert main(["plugins", "status"]) == 0
    said = capsys.readouterr().out
    assert "GIMP 3.0: no plugin installed" in said
    assert said.count("up to date") == 1


def test_the_command_says_when_there_is_no_editor(user: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "install"]) == 1
    captured = capsys.readouterr()
    assert "Krita: not found here." in captured.out
    assert "no GIMP 3 was found here" in captured.out
    assert captured.err == "No plugin was installed.\n"
    assert not list(user.iterdir())


def test_krita_asked_for_by_name_gets_its_plugin_though_it_is_not_seen(
    user: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plugins", "install", "krita"]) == 0
    assert (user / ".local/share/krita/pykrita/pentimento.desktop").exists()
    assert (user / ".config/kritarc").read_text() == "[python]\nenable_pentimento=true\n"
    assert main(["plugins", "uninstall", "krita"]) == 0
    assert not (user / ".config/kritarc").exists()


def test_the_doctor_tells_of_each_editor(user: Path) -> None:
    assert [(finding.mark, finding.subject) for finding in doctor.plugins()] == [("-", "Krita"), ("-", "GIMP")]
    make(user, ".local/share/krita", ".config/GIMP/3.0", ".config/GIMP/3.2")
    assert main(["plugins", "install"]) == 0
    (user / ".config/GIMP/3.2/plug-ins/pentimento/pentimento.py").unlink()
    marks = {finding.subject: finding.mark for finding in doctor.plugins()}
    assert marks == {"Krita": "ok", "GIMP 3.0": "ok", "GIMP 3.2": "warn"}


def test_the_zip_goes_where_it_is_asked_to(user: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugins", "zip", "-o", str(user)]) == 0
    assert zipfile.is_zipfile(user / "pentimento-krita.zip")
    assert main(["plugins", "zip", "-o", str(user / "no" / "x.zip")]) == 2
    assert "there is no such folder" in capsys.readouterr().err
