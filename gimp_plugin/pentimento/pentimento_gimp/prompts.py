"""A prompt as the dialog shows it: the text, how long it is, and what cannot be read in it."""

from __future__ import annotations

from gi.repository import Gtk, Pango

from pentimento_shared.prompt_check import Finding

from .widgets import Field
from .window import SPACING, left


class PromptArea:
    """A prompt's label, its text and what is known of it; `widget` holds them all."""

    def __init__(self, field: Field, *, grows: bool) -> None:
        view = field.widget.get_child()
        self._buffer: Gtk.TextBuffer = view.get_buffer()
        self._wavy = self._buffer.create_tag(None, underline=Pango.Underline.ERROR)
        self._marked = 0
        self.count = left("")
        self.count.set_tooltip_text("Tokens of the prompt, and of the chunks that the model reads them in.")
        self.count.get_style_context().add_class("dim-label")
        self.fault = left("", wrap=True)
        self.fault.set_no_show_all(True)
        title = left(field.argument.row.label)
        title.set_mnemonic_widget(view)
        head = Gtk.Box(spacing=SPACING)
        head.pack_start(title, True, True, 0)
        head.pack_end(self.count, False, False, 0)
        self.widget = Gtk.Box(orientation=Gtk.Orientation.VERTICAL, spacing=SPACING // 2)
        self.widget.pack_start(head, False, False, 0)
        self.widget.pack_start(field.widget, grows, True, 0)
        self.widget.pack_start(self.fault, False, False, 0)

    def show(self, finding: Finding) -> None:
        """Shows what is known of the prompt."""
        written = self._buffer.get_char_count() > 0
        self.count.set_text(finding.count if written else "")
        self.fault.set_text(finding.fault)
        self.fault.set_visible(bool(finding.fault))
        self._mark(finding.position)

    def _mark(self, position: int) -> None:
        """Underlines the character at `position` (from 1), as spelling checkers do; none when it is 0."""
        if position == self._marked:
            return
        self._marked = position
        self._buffer.remove_tag(self._wavy, *self._buffer.get_bounds())
        if 0 < position <= self._buffer.get_char_count():
            ends = (self._buffer.get_iter_at_offset(place) for place in (position - 1, position))
            self._buffer.apply_tag(self._wavy, *ends)
