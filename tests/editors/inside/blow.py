"""How a script in an editor and the test outside agree on a death of the backend: by files in the run's folder."""

from __future__ import annotations

from pathlib import Path

PREPARED, STRUCK, RESTARTED = "prepared", "struck", "restarted"
"""What the test outside says: it waits for the moment; the backend is dead; there is a new one."""
WANTED, RESTART = "wanted", "restart"
"""What the script says."""


class Blow:
    """One death, in a moment that both sides know by its name."""

    def __init__(self, folder: Path, moment: str) -> None:
        self._folder, self.moment = folder, moment

    def tell(self, word: str, text: str = "yes") -> None:
        """Says a word to the other side, with what belongs to it."""
        draft = self._folder / f"{self.moment}.draft"
        draft.write_text(text, encoding="utf-8")
        draft.rename(self._file(word))

    def told(self, word: str) -> str | None:
        """What belongs to a word, once the other side has said it."""
        file = self._file(word)
        return file.read_text(encoding="utf-8") if file.exists() else None

    def _file(self, word: str) -> Path:
        return self._folder / f"{self.moment}.{word}"
