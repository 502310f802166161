"""Small things that every window of ours needs. Imported only where somebody sits before a screen."""

from __future__ import annotations

import re
from pathlib import Path

from gi.repository import Gdk, GdkPixbuf, GimpUi, GLib, GObject, Gtk

SPACING = 6
"""px between widgets, as GIMP has it."""
_FRAME = 60
"""What a desktop puts around a window, at most, px."""
_CHECKS = (16, 0x999999, 0x666666)


def prepare() -> None:
    """Connects to the screen, in GIMP's own theme. May be called again."""
    GimpUi.init("pentimento")


def pointer_pressed() -> bool:
    """Whether a mouse button or a pen is down: the artist is in the middle of a stroke."""
    display = Gdk.Display.get_default()
    pointer = display.get_default_seat().get_pointer()
    state = display.get_default_screen().get_root_window().get_device_position(pointer)[3]
    return bool(state & Gdk.ModifierType.BUTTON1_MASK)


def screen_height(window: Gtk.Window) -> int:
    """The most that a window that is shown can have for its content on its screen, px."""
    shown = window.get_window()
    return shown.get_display().get_monitor_at_window(shown).get_workarea().height - _FRAME


def left(text: str, *, wrap: bool = False) -> Gtk.Label:
    """A label whose text begins at the left; a wrapping one may be selected and copied."""
    label = Gtk.Label(label=text, xalign=0.0)
    if wrap:
        label.set_line_wrap(True)
        label.set_selectable(True)
        label.set_max_width_chars(60)
    return label


def row(grid: Gtk.Grid, text: str, widget: Gtk.Widget, hint: Gtk.Widget | None = None) -> None:
    """Adds a row: a label (none when empty), its widget, and what is said beside it."""
    line = _next_line(grid)
    first = 1 if text else 0
    if text:
        label = left(text)
        widget.bind_property("sensitive", label, "sensitive", GObject.BindingFlags.SYNC_CREATE)
        grid.attach(label, 0, line, 1, 1)
    grid.attach(widget, first, line, 3 - first - bool(hint), 1)
    if hint:
        hint.get_style_context().add_class("dim-label")
        grid.attach(hint, 2, line, 1, 1)


def heading(grid: Gtk.Grid, text: str) -> None:
    """Adds a line with the title of the rows below it."""
    line = _next_line(grid)
    title = left("")
    title.set_markup(f"<b>{GLib.markup_escape_text(text)}</b>")
    title.set_margin_top(SPACING)
    grid.attach(title, 0, line, 3, 1)


def let_wheel_scroll(widget: Gtk.Widget) -> None:
    """The wheel over `widget` scrolls what it lies in, instead of changing a value by accident."""

    def passed_on(inner: Gtk.Widget, _: Gdk.EventScroll) -> bool:
        inner.stop_emission_by_name("scroll-event")
        return False

    if isinstance(widget, (Gtk.SpinButton, Gtk.ComboBox)):
        widget.connect("scroll-event", passed_on)
    if isinstance(widget, Gtk.Container):
        widget.forall(let_wheel_scroll)


def grid() -> Gtk.Grid:
    return Gtk.Grid(row_spacing=SPACING, column_spacing=2 * SPACING)


def _next_line(grid: Gtk.Grid) -> int:
    children = grid.get_children()
    return 1 + max((grid.child_get_property(child, "top-attach") for child in children), default=-1)


def checkered(width: int, height: int, rgba: bytes) -> GdkPixbuf.Pixbuf:
    """A picture (8-bit RGBA) over the usual checks."""
    data = GLib.Bytes.new(rgba)
    picture = GdkPixbuf.Pixbuf.new_from_bytes(data, GdkPixbuf.Colorspace.RGB, True, 8, width, height, width * 4)
    nearest = GdkPixbuf.InterpType.NEAREST
    return picture.composite_color_simple(width, height, nearest, 255, *_CHECKS)


def ask_where(title: str, name: str) -> Path | None:
    """The file to write, which may replace one after a question; None when the artist cancels."""
    prepare()
    dialog = Gtk.FileChooserDialog(title=title, action=Gtk.FileChooserAction.SAVE)
    dialog.add_buttons("_Cancel", Gtk.ResponseType.CANCEL, "_Save", Gtk.ResponseType.OK)
    dialog.set_default_response(Gtk.ResponseType.OK)
    dialog.set_do_overwrite_confirmation(True)
    dialog.set_current_name(re.sub(r'[\\/:*?"<>|]', "_", name))
    answer, chosen = dialog.run(), dialog.get_filename()
    dialog.destroy()
    return Path(chosen) if answer == Gtk.ResponseType.OK and chosen else None
