"""What a prompt calls for by the name of a file: `<lora:name:0.8>`, and embeddings, whose names are words.

A LoRA acts on the whole picture wherever its call stands, also within brackets and edits, as in AUTOMATIC1111; the
calls are taken out before the rest is read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, NoReturn

from ..extras.files import Embedding, ExtraFiles, Lora, Unusable
from .tracing import Copy, Traced

MAX_WEIGHT: Final = 10.0
"""Largest weight of a LoRA, in either direction."""
MAX_LORAS: Final = 32
"""LoRA files for one picture."""
_ESCAPE: Final = re.compile(r"\\([][(){}|:<>#_\\])")
_TOKEN: Final = re.compile(
    r"(?P<escape>\\[][(){}|:<>#_\\])"
    r"|<(?P<kind>\w+):(?P<call>[^<>]*)(?P<end>>?)"
    r"|\bembedding:(?P<embedding>[\w.-]+)"
)
_NUMBER: Final = re.compile(r"\s*[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)\s*")
_WEIGHT: Final = f"a number from -{MAX_WEIGHT:g} to {MAX_WEIGHT:g}"
_FORM: Final = "<lora:name>, <lora:name:weight>, <lora:name:weight in the text encoder:weight in the denoiser>"
_LORAS: Final = ("lora", "lyco")
_PARTS: Final = ("te", "unet")


def take_calls(source: Traced, files: ExtraFiles) -> tuple[Traced, tuple[Lora, ...]]:
    """The text without its calls, and the LoRA files that they call for. `embedding:name` becomes the bare name.

    Raises PromptError.
    """
    calls = [found for found in _TOKEN.finditer(source.text) if not found["escape"]]
    if not calls:
        return source, ()
    copy, last = Copy(source), 0
    loras: list[Lora] = []
    for found in calls:
        copy.keep(last, found.start())
        last = found.end()
        if found["embedding"]:
            last = found.start("embedding")
            _embedding(source, found["embedding"], found.start(), files)
        else:
            loras.append(_lora(source, found, files))
    if len(loras) > MAX_LORAS:
        raise source.error(calls[-1].start(), f"{len(loras)} LoRA files are called for.", f"at most {MAX_LORAS}")
    copy.keep(last, len(source.text))
    return copy.done(), tuple(loras)


def named_embeddings(source: Traced, files: ExtraFiles) -> tuple[Embedding, ...]:
    """The embeddings whose names stand in a text that has no calls any more, each once. Raises PromptError."""
    if not files.embeddings:
        return ()
    text = _without_backslashes(source)
    found: dict[str, Embedding] = {}
    for name in names_pattern(files.embeddings).finditer(text.text):
        if name[0].lower() not in found:
            found[name[0].lower()] = _embedding(text, name[0], name.start(), files)
    return tuple(found.values())


def names_pattern(names: Iterable[str]) -> re.Pattern[str]:
    """Finds names, in any case, where they stand as whole words; of two that begin alike the longer."""
    longest = sorted(names, key=len, reverse=True)
    return re.compile(rf"(?<![\w-])(?:{'|'.join(map(re.escape, longest))})(?![\w-])", re.IGNORECASE)


def _embedding(source: Traced, name: str, index: int, files: ExtraFiles) -> Embedding:
    try:
        return files.embedding(name)
    except Unusable as error:
        raise source.error(index, error.problem, error.allowed) from error


def _lora(source: Traced, found: re.Match[str], files: ExtraFiles) -> Lora:
    kind, index = found["kind"].lower(), found.start()
    if kind not in _LORAS:
        kinds = {"hypernet": "hypernetworks"}
        what = kinds.get(kind, f'networks of the kind "{kind[:40]}"')
        problem = f"{what} cannot be used. Take {found[0][:60]} out, or write \\< for the mark itself."
        raise source.error(index, problem, _FORM)
    if source.field != "prompt":
        problem = (
            "a LoRA acts on the whole picture and is called for in the prompt; a negative weight does its opposite."
        )
        raise source.error(index, problem, "words")
    if not found["end"]:
        raise source.error(index, 'this "<" is never closed. Write \\< for the mark itself.', ">")
    name, *weights = found["call"].split(":")
    name = _ESCAPE.sub(r"\1", name).strip()
    encoder, denoiser = _weights(source, weights, index)
    if not name:
        raise source.error(index, "this LoRA has no name.", _FORM)
    try:
        return Lora(files.lora(name), encoder, denoiser, source.origins[index] + 1)
    except Unusable as error:
        raise source.error(index, error.problem, error.allowed) from error


def _weights(source: Traced, weights: list[str], index: int) -> tuple[float, float]:
    """What a LoRA weighs in the text encoders and in the denoiser: by place or by name, 1 where nothing is said."""
    said: dict[str, float] = {}
    places = iter(_PARTS)
    for text in weights:
        name, equals, number = text.partition("=")
        if not equals:
            name, number = next(places, ""), text
        name = name.strip().lower()
        if name not in _PARTS:
            _refuse_part(source, text, index)
        if not _NUMBER.fullmatch(number) or abs(float(number)) > MAX_WEIGHT:
            problem = f'"{number.strip()[:40]}" is no weight of a LoRA; allowed: {_WEIGHT}.'
            raise source.error(index, problem, _WEIGHT)
        said[name] = float(number)
    encoder = said.get("te", 1.0)
    return encoder, said.get("unet", encoder)


def _refuse_part(source: Traced, text: str, index: int) -> NoReturn:
    problem = f'"{text.strip()[:40]}" is not understood in a LoRA\'s call. Take it out.'
    raise source.error(index, problem, f"{_FORM}; also te=WEIGHT and unet=WEIGHT")


def _without_backslashes(source: Traced) -> Traced:
    """The text as the text encoder will see it."""
    copy, last = Copy(source), 0
    for found in _ESCAPE.finditer(source.text):
        copy.keep(last, found.start())
        last = found.start(1)
    copy.keep(last, len(source.text))
    return copy.done()
