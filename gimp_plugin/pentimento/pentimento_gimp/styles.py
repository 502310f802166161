"""The styles of a prompt: their names, a list to choose them from, and a way to write them into the prompts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gi.repository import Gdk, Gimp, GObject, Gtk

from pentimento_shared.style_names import names_in, toggled, written_out

from .window import SPACING

_NONE: Final = "No styles yet: `pentimento styles save NAME PROMPT` keeps one."
_BOTH: Final = GObject.BindingFlags.BIDIRECTIONAL | GObject.BindingFlags.SYNC_CREATE
_TEXTS: Final = ("prompt", "negative-prompt", "styles")


class StylesBox:
    """`widget`: names that can be typed, and a button with a menu that ticks them; they are in `config`."""

    def __init__(self, config: Gimp.ProcedureConfig) -> None:
        self._config = config
        self._styles: Sequence[Mapping[str, Any]] = ()
        entry = Gtk.Entry(hexpand=True, placeholder_text="None")
        config.bind_property("styles", entry, "text", _BOTH)
        button = Gtk.Button(label="Ch_oose", use_underline=True)
        button.set_tooltip_text("Choose styles by their names.")
        button.connect("clicked", self._open)
        self.widget = Gtk.Box(spacing=SPACING)
        self.widget.pack_start(entry, True, True, 0)
        self.widget.pack_end(button, False, False, 0)

    def offer(self, styles: Sequence[Mapping[str, Any]]) -> None:
        """The styles that there are, as the backend tells them."""
        self._styles = styles

    def menu(self) -> Gtk.Menu:
        """The styles, those that are chosen ticked."""
        menu = Gtk.Menu()
        chosen = names_in(self._config.get_property("styles") or "")
        for style in self._styles:
            name = str(style["name"])
            item = Gtk.CheckMenuItem(label=name, active=name in chosen)
            item.set_tooltip_text(_words(style))
            item.connect("toggled", lambda _, name=name: self._toggle(name))
            menu.append(item)
        if not self._styles:
            menu.append(Gtk.MenuItem(label=_NONE, sensitive=False))
        menu.append(Gtk.SeparatorMenuItem())
        write = Gtk.MenuItem(label="Write Them into the Prompts", sensitive=bool(chosen))
        write.set_tooltip_text("Puts the styles' words into the prompts, where they can be changed, and chooses none.")
        write.connect("activate", lambda _: self._write())
        menu.append(write)
        menu.show_all()
        return menu

    def _open(self, button: Gtk.Button) -> None:
        menu = self.menu()
        menu.attach_to_widget(button)
        menu.popup_at_widget(button, Gdk.Gravity.SOUTH_WEST, Gdk.Gravity.NORTH_WEST, None)

    def _toggle(self, name: str) -> None:
        self._config.set_property("styles", toggled(self._config.get_property("styles") or "", name))

    def _write(self) -> None:
        values = {name.replace("-", "_"): self._config.get_property(name) or "" for name in _TEXTS}
        for name, text in written_out(self._styles, values).items():
            self._config.set_property(name.replace("_", "-"), text)


def _words(style: Mapping[str, Any]) -> str:
    negative = style.get("negative_prompt")
    return f"{style.get('prompt', '')}" + (f"\nNot: {negative}" if negative else "")
