"""`pentimento plugins`: into the editors, out of them, and what is there."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from .failures import Failure, wrong

if TYPE_CHECKING:
    from pentimento.plugins import Editor
    from pentimento.plugins.installing import Installed
    from pentimento.plugins.places import Place, System

ZIP = "pentimento-krita.zip"

_one_editor = click.argument("editor", type=click.Choice(["krita", "gimp"]), required=False, metavar="[krita|gimp]")


@click.group()
def plugins() -> None:
    """Put the plugins into Krita and GIMP 3."""


@plugins.command()
@_one_editor
def install(editor: Editor | None) -> None:
    """Install the plugins for Krita and GIMP 3, or for one of them.

    Every copy of the editors on this machine gets its plugin, also those from Flatpak and Snap. Doing it again brings
    the plugins up to date.
    """
    from pentimento import start_command
    from pentimento.plugins import PluginError
    from pentimento.plugins.bundle import bundle_of
    from pentimento.plugins.installing import install as put
    from pentimento.plugins.places import System

    system, done = System(), 0
    changed: list[Editor] = []
    for name in _chosen(editor):
        places = _places(name, system, asked_for=editor is not None)
        _tell_what_is_missing(name, system, places)
        try:
            bundle = bundle_of(name)
            for place in places:
                before = put(place, bundle)
                click.echo(_installed(place, before, bundle.version))
                done += 1
                if name not in changed and (before.state != "current" or not before.enabled):
                    changed.append(name)
        except PluginError as error:
            raise Failure(str(error)) from error
    for name in changed:
        when = "restart it, and the plugin is there" if _is_running(name) else "the plugin is there when it starts next"
        click.echo(f"{_name(name)}: {when}.")
    if not done:
        raise Failure("No plugin was installed.")
    start_command.remember()


@plugins.command()
def status() -> None:
    """Say which plugins are installed where, and whether they are up to date."""
    from pentimento.plugins import EDITORS, PluginError
    from pentimento.plugins.bundle import bundle_of
    from pentimento.plugins.installing import describe, examine
    from pentimento.plugins.places import System, places

    system = System()
    for name in EDITORS:
        found = places(name, system)
        _tell_what_is_missing(name, system, found)
        try:
            bundle = bundle_of(name)
        except PluginError as error:
            raise Failure(str(error)) from error
        for place in found:
            click.echo(f"{place.label}: {describe(examine(place, bundle))}.")


@plugins.command()
@_one_editor
def uninstall(editor: Editor | None) -> None:
    """Remove the plugins: exactly what was installed, and nothing else."""
    from pentimento.plugins import PluginError
    from pentimento.plugins.installing import uninstall as remove
    from pentimento.plugins.places import System

    system = System()
    for name in _chosen(editor):
        try:
            removed = [place for place in _places(name, system, asked_for=True) if remove(place)]
        except PluginError as error:
            raise Failure(str(error)) from error
        for place in removed:
            click.echo(f"{place.label}: the plugin was removed from {place.folder}.")
        if not removed:
            click.echo(f"{_name(name)}: no plugin was installed.")


@plugins.command("zip")
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path(ZIP), help=f"File or folder; else {ZIP}.")
def make_zip(output: Path) -> None:
    """Write Krita's plugin as a zip.

    Krita takes it itself: Tools > Scripts > Import Python Plugin from File. For GIMP use `plugins install`.
    """
    from pentimento.plugins import PluginError
    from pentimento.plugins.bundle import krita_bundle, krita_zip

    goal = output / ZIP if output.is_dir() else output
    if not goal.parent.is_dir():
        raise wrong(f"{goal.parent}: there is no such folder to write the zip to.")
    try:
        bundle = krita_bundle()
    except PluginError as error:
        raise Failure(str(error)) from error
    part = goal.with_name(f".{goal.name}.part")
    try:
        part.write_bytes(krita_zip(bundle))
        part.replace(goal)
    finally:
        part.unlink(missing_ok=True)
    click.echo(f"{goal}: Pentimento {bundle.version} for Krita (Tools > Scripts > Import Python Plugin from File).")


# --- sentences ---------------------------------------------------------------------------------------------


def _installed(place: Place, before: Installed, version: str) -> str:
    if before.state == "current":
        what = f"plugin {version} is up to date" if before.enabled else f"plugin {version} was switched on"
    elif before.state == "absent":
        what = f"plugin {version} was installed"
    elif before.state == "outdated":
        what = (
            f"plugin {before.version} was replaced by {version}"
            if before.version != version
            else (f"plugin {version} was brought up to date")
        )
    else:
        what = f"plugin {version} replaced files that were not as it was made"
    sentence = f"{place.label}: {what}, in {place.folder}."
    if "(Snap)" in place.label:
        sentence += (
            "\n  An editor from Snap may not read hidden folders, where the backend's token lies; if it does not find"
            " the backend, use the editor's Flatpak or its own download."
        )
    return sentence


def _tell_what_is_missing(editor: Editor, system: System, found: Sequence[Place]) -> None:
    """Says which editors get no plugin yet, and what to do about it."""
    from pentimento.plugins.places import gimps_to_start

    waiting = gimps_to_start(system) if editor == "gimp" else []
    for label in waiting:
        click.echo(f"{label}: never started so far. Start it once, so that it makes its folders, then do this again.")
    if editor == "krita" and not found:
        click.echo("Krita: not found here. `plugins install krita` installs the plugin for it all the same.")
    elif not found and not waiting:
        click.echo("GIMP: no GIMP 3 was found here. If there is one, start it once, then do this again.")


def _places(editor: Editor, system: System, asked_for: bool) -> list[Place]:
    """The editor's places; Krita's usual one too when it was asked for by name, because an AppImage shows nowhere."""
    from pentimento.plugins.places import places, usual_krita_place

    found = places(editor, system)
    return [usual_krita_place(system)] if not found and editor == "krita" and asked_for else found


def _chosen(editor: Editor | None) -> tuple[Editor, ...]:
    from pentimento.plugins import EDITORS

    return (editor,) if editor else EDITORS


def _name(editor: Editor) -> str:
    from pentimento.plugins import NAMES

    return NAMES[editor]


def _is_running(editor: Editor) -> bool:
    import psutil

    names = (process.info["name"] or "" for process in psutil.process_iter(["name"]))
    return any(name.lower().startswith(editor) for name in names)
