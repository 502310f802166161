"""A model's CLIP tokenizer from its files, for counting tokens where torch is not loaded.

Built as transformers builds it from the same library: `tokenizers` is imported in 50 ms, transformers in 3 s.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ..checkpoints.clip_words import END, MERGES_FILE, START, clip_words
from ..families.info import FLUX_TOKENS
from ..models import BrokenModel, ModelInfo
from .tokens import MARKS, Vocabulary

if TYPE_CHECKING:
    from tokenizers import Tokenizer
    from tokenizers.models import BPE

_WORDS: Final = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"
"""What CLIP takes for one word: Radford et al., arXiv 2103.00020, and OpenAI's simple_tokenizer.py (MIT)."""
_CONTEXT: Final = 77
"""Tokens that CLIP reads where a configuration does not say."""
_MARK_NAMES: Final = ("bos_token", "eos_token", "unk_token", "pad_token")


class Vocabularies:
    """The vocabularies of models, each read once for as long as its files stay as they are."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, int], Vocabulary] = {}

    def of(self, info: ModelInfo) -> Vocabulary:
        """The vocabulary of that model. Raises BrokenModel for files that are missing or no tokenizer's."""
        if info.file is not None:
            return self._of_clip()
        # FLUX.1 reads a prompt's words with T5; SD 3 reads them with CLIP as well, which counts in chunks.
        t5 = info.family == "flux"
        home = info.folder / ("tokenizer_2" if t5 else "tokenizer")
        try:
            config = home / "tokenizer_config.json"
            key = (home, config.stat().st_mtime_ns)
            if key not in self._known:
                other = info.folder / ("transformer" if t5 else "text_encoder") / "config.json"
                self._known[key] = _read_t5(home, other) if t5 else _read(home, other)
            return self._known[key]
        # The library behind `tokenizers` raises bare Exceptions of its own for files it cannot use.
        except Exception as error:
            problem = f"does not hold a {'T5' if t5 else 'CLIP'} tokenizer that can be read ({error})."
            raise BrokenModel(info.id, home, problem, "Put the model's original files there again.") from error

    def _of_clip(self) -> Vocabulary:
        """CLIP's own, which ships with us: a single file holds no vocabulary."""
        key = (MERGES_FILE, 0)
        if key not in self._known:
            self._known[key] = _clip()
        return self._known[key]


def _clip() -> Vocabulary:
    from tokenizers.models import BPE

    ids, merges = clip_words()
    tokenizer = _as_clip(BPE(ids, merges, unk_token=END, end_of_word_suffix="</w>"), [START, END])
    return Vocabulary(lambda words: tokenizer.encode(words, add_special_tokens=False).ids, _CONTEXT - MARKS)


def _read(home: Path, encoder: Path) -> Vocabulary:
    settings, text = (json.loads(path.read_text("utf-8")) for path in (home / "tokenizer_config.json", encoder))
    tokenizer = _tokenizer(home, settings)
    length = min(settings.get("model_max_length", _CONTEXT), text.get("max_position_embeddings", _CONTEXT))
    return Vocabulary(lambda words: tokenizer.encode(words, add_special_tokens=False).ids, int(length) - MARKS)


def _read_t5(home: Path, transformer: Path) -> Vocabulary:
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(home / "tokenizer.json"))
    most = FLUX_TOKENS[bool(json.loads(transformer.read_text("utf-8")).get("guidance_embeds"))]
    return Vocabulary(lambda words: tokenizer.encode(words.strip(), add_special_tokens=False).ids, most - 1, whole=True)


def _tokenizer(home: Path, settings: dict[str, Any]) -> Tokenizer:
    from tokenizers import Tokenizer
    from tokenizers.models import BPE

    if (home / "tokenizer.json").is_file():
        return Tokenizer.from_file(str(home / "tokenizer.json"))
    names = [value["content"] if isinstance(value := settings.get(name), dict) else value for name in _MARK_NAMES]
    marks = [name or "<|endoftext|>" for name in names]
    bpe = BPE.from_file(
        str(home / "vocab.json"), str(home / "merges.txt"), unk_token=marks[2], end_of_word_suffix="</w>"
    )
    return _as_clip(bpe, list(dict.fromkeys(marks)))


def _as_clip(bpe: BPE, marks: list[str]) -> Tokenizer:
    """A tokenizer with CLIP's way of taking a text apart."""
    from tokenizers import Regex, Tokenizer, normalizers, pre_tokenizers

    tokenizer = Tokenizer(bpe)
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()]
    )
    words = pre_tokenizers.Split(Regex(_WORDS), "removed", invert=True)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    tokenizer.add_special_tokens(marks)
    return tokenizer
