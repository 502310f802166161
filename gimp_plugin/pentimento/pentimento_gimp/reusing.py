"""Takes the settings of a picture over into the dialog: of a PNG file, or of the layer that is worked on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from gi.repository import Gdk, GLib, Gtk

from pentimento_shared.settings import Value
from pentimento_shared.settings_file import NoSettings, read_settings_file

from .window import SPACING

Taker = Callable[[str], None]


def reuse_button(from_file: Callable[[], None], from_layer: Callable[[], None] | None) -> Gtk.Widget:
    """A button with both ways; `from_layer` None: the layer holds no settings."""
    menu = Gtk.Menu()
    file = Gtk.MenuItem(label="From _File...", use_underline=True)
    file.connect("activate", lambda _: from_file())
    layer = Gtk.MenuItem(label="From This _Layer", use_underline=True, sensitive=from_layer is not None)
    layer.set_tooltip_text("" if from_layer else "Pentimento did not make this layer.")
    layer.connect("activate", lambda _: from_layer() if from_layer else None)
    for item in (file, layer):
        menu.append(item)
    menu.show_all()
    button = Gtk.MenuButton(popup=menu)
    inside = Gtk.Box(spacing=SPACING)
    inside.add(Gtk.Label(label="R_euse Settings", use_underline=True, mnemonic_widget=button))
    inside.add(Gtk.Image.new_from_icon_name("pan-down-symbolic", Gtk.IconSize.BUTTON))
    button.add(inside)
    button.set_tooltip_text("Take over what a picture was made with. A PNG can also be dropped on the dialog.")
    return button


def asked_file(parent: Gtk.Window) -> str:
    """The PNG that the artist chooses; empty when there is none."""
    dialog = Gtk.FileChooserDialog(
        title="Pentimento: Reuse Settings from File", action=Gtk.FileChooserAction.OPEN, transient_for=parent
    )
    dialog.add_buttons("_Cancel", Gtk.ResponseType.CANCEL, "_Open", Gtk.ResponseType.OK)
    dialog.set_default_response(Gtk.ResponseType.OK)
    pictures = Gtk.FileFilter()
    pictures.set_name("PNG pictures")
    pictures.add_pattern("*.png")
    pictures.add_pattern("*.PNG")
    dialog.add_filter(pictures)
    dialog.set_current_folder(GLib.get_user_special_dir(GLib.UserDirectory.DIRECTORY_PICTURES) or GLib.get_home_dir())
    answer, chosen = dialog.run(), dialog.get_filename()
    dialog.destroy()
    return chosen if answer == Gtk.ResponseType.OK and chosen else ""


def take_drops(widget: Gtk.Widget, take: Taker) -> None:
    """Calls `take` with the path of a PNG on this computer that is dropped on the widget."""
    widget.drag_dest_set(Gtk.DestDefaults.ALL, [], Gdk.DragAction.COPY)
    widget.drag_dest_add_uri_targets()

    def received(_w: Gtk.Widget, _c: Gdk.DragContext, _x: int, _y: int, data: Gtk.SelectionData, *_: object) -> None:
        path = dropped_file(data.get_uris() or ())
        if path:
            take(path)

    widget.connect("drag-data-received", received)


def dropped_file(uris: list[str] | tuple[str, ...]) -> str:
    """The one PNG on this computer among what is dropped; empty when it is something else."""
    if len(uris) != 1 or not uris[0].lower().startswith("file:") or not uris[0].lower().endswith(".png"):
        return ""
    try:
        return GLib.filename_from_uri(uris[0])[0]
    except GLib.Error:
        return ""


def settings_of(path: str, models: tuple[Mapping[str, object], ...]) -> tuple[Mapping[str, Value], str]:
    """The settings inside a file, none when there are none, and the sentence about it."""
    try:
        found = read_settings_file(path, models)
    except NoSettings as reason:
        return {}, str(reason)
    return found.settings, found.sentence(Path(path).name)
