"""From the prompts as they were written to those of one picture: comments out, styles in, wildcards drawn."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from pentimento_shared.places import data_folder
from pentimento_shared.prompt_matrix import ALL
from pentimento_shared.prompt_matrix import chosen as chosen_parts
from pentimento_shared.settings import Value

from ..checkpoints.places import ModelFolders
from ..extras.files import Embedding, ExtraFiles, Lora
from .grammar import parse
from .networks import named_embeddings, take_calls
from .styles import FIELD, PLACE, Style, chosen, read_styles
from .tracing import Copy, Traced
from .tree import Nodes, Part
from .wildcard_files import WildcardFolder
from .wildcards import draw

PROMPTS: Final = ("prompt", "negative_prompt")
"""The settings that hold prompts."""
MATRIX: Final = "prompt_matrix"
"""The setting that makes the prompt's parts choices."""
WRITTEN: Final = (*PROMPTS, FIELD, MATRIX)
"""The settings that say what was written; a picture's own prompts come of them and its seed."""
_COMMENT: Final = re.compile(r"(?P<escape>\\[][(){}|:<>#_\\])|#[^\n]*")

_HALF: Final = re.compile("[\\ud800-\\udfff]")
"""What Python makes of bytes on the command line that are no UTF-8; no tokenizer reads it."""


@dataclass(frozen=True)
class PromptFiles:
    """Where the files lie that prompts may call for by name. `models` has LoRA files and embeddings."""

    wildcards: Path
    styles: Path
    models: ModelFolders

    @classmethod
    def standard(cls) -> PromptFiles:
        """Those in the user's data folder, and in the folders of models that the user has added."""
        return cls.below(data_folder(), ModelFolders.standard())

    @classmethod
    def below(cls, folder: Path, models: ModelFolders | None = None) -> PromptFiles:
        return cls(folder / "wildcards", folder / "styles.csv", models or ModelFolders((folder / "models",)))


class Prompts(NamedTuple):
    """The prompts of one picture. The texts make the same trees again, whatever becomes of wildcards and styles."""

    prompt: tuple[Part, ...]
    negative: Nodes
    prompt_text: str
    negative_text: str
    loras: tuple[Lora, ...] = ()
    embeddings: tuple[Embedding, ...] = ()

    def settings(self, written: Mapping[str, Value]) -> dict[str, Value]:
        """`written` with the texts of this picture, and the styles that are now part of them taken out."""
        own = {"prompt": self.prompt_text, "negative_prompt": self.negative_text, FIELD: "", MATRIX: False}
        return {**written, **own}


class Read(NamedTuple):
    """One of PROMPTS: its parts, its text with everything drawn, and what it calls for by name."""

    parts: tuple[Part, ...]
    text: str
    loras: tuple[Lora, ...]
    embeddings: tuple[Embedding, ...]


class PromptReader:
    """Reads the prompts of a job's settings for a model of that family, "" for any.

    Each file is read at most once, when it is called for.
    """

    def __init__(self, files: PromptFiles, family: str = "") -> None:
        self._files = files
        self._wildcards = WildcardFolder(files.wildcards)
        self._styles: tuple[Style, ...] | None = None
        self._extras = ExtraFiles(files.models, family)

    def read(self, settings: Mapping[str, Value], seed: int, combination: int = ALL) -> Prompts:
        """The prompts of the picture with that seed, and of that combination where the prompt is a matrix.

        Raises PromptError, or SettingError for a style.
        """
        prompt, negative = (self.field(settings, name, seed, combination) for name in PROMPTS)
        embeddings = tuple(dict.fromkeys((*prompt.embeddings, *negative.embeddings)))
        return Prompts(prompt.parts, negative.parts[0].content, prompt.text, negative.text, prompt.loras, embeddings)

    def field(self, settings: Mapping[str, Value], name: str, seed: int, combination: int = ALL) -> Read:
        """One of PROMPTS as it is read. Raises as `read` does."""
        styles = self._chosen(str(settings[FIELD]))
        added = [style.prompt if name == "prompt" else style.negative_prompt for style in styles]
        text = without_comments(Traced.of(name, str(settings[name])))
        if name == "prompt" and settings.get(MATRIX):
            text = with_choices(text, combination)
        text = self._resolved(text, added, seed)
        words, loras = take_calls(text, self._extras)
        parts = parse(words)
        if name == "negative_prompt" and len(parts) > 1:
            problem = 'AND joins prompts, and a negative prompt is only one. Write "and" for the word.'
            raise words.error(parts[1].at, problem, "one prompt")
        return Read(parts, text.text, loras, named_embeddings(words, self._extras))

    def _chosen(self, names: str) -> tuple[Style, ...]:
        if not names.strip():
            return ()
        if self._styles is None:
            self._styles = read_styles(self._files.styles)
        return chosen(names, self._styles, self._files.styles)

    def _resolved(self, text: Traced, styles: Sequence[str], seed: int) -> Traced:
        for words in styles:
            text = with_style(text, words)
        text = draw(text, seed, self._wildcards)
        if half := _HALF.search(text.text):
            raise text.error(half.start(), "half a surrogate pair is no character. Take it out.", "text")
        return text


def without_comments(source: Traced) -> Traced:
    """The text without what stands between a # and the end of its line."""
    comments = [found for found in _COMMENT.finditer(source.text) if not found["escape"]]
    if not comments:
        return source
    copy = Copy(source)
    last = 0
    for found in comments:
        copy.keep(last, found.start())
        last = found.end()
    copy.keep(last, len(source.text))
    return copy.done()


def with_choices(source: Traced, combination: int) -> Traced:
    """The text of one combination of a prompt matrix: its parts, a comma between them."""
    copy = Copy(source)
    for number, (first, end) in enumerate(chosen_parts(source.text, combination)):
        if number:
            copy.append(source.replaced(", ", min(first, len(source.text) - 1)))
        copy.keep(first, end)
    return copy.done()


def with_style(source: Traced, words: str) -> Traced:
    """The text with a style's words: around it where they have {prompt}, else behind it after a comma."""
    style = without_comments(Traced.of(source.field, words)).text
    if not style.strip():
        return source
    copy = Copy(source)
    if PLACE not in style:
        style = f"{PLACE}, {style.strip()}" if source.text.strip() else style.strip()
    for number, part in enumerate(style.split(PLACE)):
        if number:
            copy.append(source)
        # A style has no place of its own in what was written: an error in it points to the prompt's beginning.
        copy.append(source.replaced(part, 0))
    return copy.done()
