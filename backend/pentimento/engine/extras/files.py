"""LoRA files and embeddings by the names that prompts call them by. Free of torch: the server reads prompts too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import PurePosixPath
from typing import Final

from pentimento_shared.settings import did_you_mean

from ..checkpoints.header import Header, HeaderError, read_header
from ..checkpoints.places import SUFFIX, ModelFile, ModelFolders
from ..checkpoints.recognise import FAMILY_NAMES, recognise

_ALIKE: Final = {"sd3", "flux"}
_LISTED: Final = 20
"""Names that an error lists."""
MAX_VECTORS: Final = 75
"""Vectors of an embedding: a chunk has no more room."""
_ALIAS: Final = "ss_output_name"
"""Where kohya's scripts keep the name that a LoRA was trained under; AUTOMATIC1111 writes that into prompts."""
ONE_ENCODER: Final = "text_encoder"
BOTH_ENCODERS: Final[Mapping[str, str]] = {"clip_l": "text_encoder", "clip_g": "text_encoder_2"}
"""Tensors of an embedding for two text encoders -> whose vectors they are."""


class Unusable(Exception):
    """A name that no file has, or a file that cannot be used: what is wrong, and what is allowed instead."""

    def __init__(self, problem: str, allowed: str) -> None:
        super().__init__(problem)
        self.problem, self.allowed = problem, allowed


@dataclass(frozen=True)
class Lora:
    """A LoRA as a prompt calls for it: its file and what it weighs in the text encoders and in the denoiser.

    `at` is the call's place in what was written, from 1.
    """

    file: ModelFile
    encoder: float
    denoiser: float
    at: int = field(default=0, compare=False)


@dataclass(frozen=True)
class Embedding:
    """An embedding as a prompt names it. `tensors` has, per text encoder, the tensor's name in the file, how many
    vectors it holds and how wide they are."""

    file: ModelFile
    name: str
    tensors: tuple[tuple[str, str, int, int], ...]

    @property
    def vectors(self) -> int:
        """How many tokens' room it takes."""
        return self.tensors[0][2]


class ExtraFiles:
    """What there is, looked up once; a new object looks anew. `family` is the model's, "" where there is none yet."""

    def __init__(self, folders: ModelFolders, family: str = "") -> None:
        self._folders, self._family = folders, family

    @cached_property
    def loras(self) -> tuple[ModelFile, ...]:
        return self._folders.files("lora")

    @cached_property
    def embeddings(self) -> Mapping[str, ModelFile]:
        """Bare name in lower case -> file. Of two with one name that which can be used counts, then the first."""
        found: dict[str, ModelFile] = {}
        for file in self._folders.files("embedding"):
            name = _bare(file)
            if name not in found or (found[name].refused and not file.refused):
                found[name] = file
        return found

    def lora(self, name: str) -> ModelFile:
        """The LoRA of that name: in any case, with or without folder and suffix, or the name that it was trained under.

        Raises Unusable for none, several, or one that is refused.
        """
        wanted = name.lower().removesuffix(SUFFIX)
        usable = [file for file in self.loras if not file.refused]
        found = [file for file in usable if file.name.lower() == wanted]
        found = found or [file for file in usable if _bare(file) == wanted]
        found = found or [file for file in usable if _alias(file) == wanted]
        if len(found) > 1:
            listed = ", ".join(file.name for file in found)
            raise Unusable(f'several LoRA files are called "{name}": {listed}. Write the folder too.', listed)
        if found:
            self._check_family(found[0])
            return found[0]
        refused = next((file for file in self.loras if _bare(file) == wanted), None)
        if refused is not None:
            raise Unusable(f"the LoRA {refused.path.name} {refused.refused}", "a LoRA in a safetensors file")
        names = [file.name for file in usable]
        listed = ", ".join(names[:_LISTED]) + (", ..." if len(names) > _LISTED else "")
        where = self._folders.folders[0] / "loras"
        problem = (
            f'there is no LoRA "{name}". Put its file into {where}.{did_you_mean(name, [*names, *map(_bare, usable)])}'
        )
        raise Unusable(problem, listed or f"a LoRA's file in {where}")

    def _check_family(self, file: ModelFile) -> None:
        """Raises Unusable for a LoRA that is surely for other models; whether it fits is seen when one is loaded."""
        header = _header(file, "LoRA")
        theirs, ours = recognise(header).family, self._family
        # What tells those apart that are alike is not sure enough to refuse a file for.
        if theirs and ours and theirs != ours and not {theirs, ours} <= _ALIKE:
            names = FAMILY_NAMES.get(theirs, theirs), FAMILY_NAMES.get(ours, ours)
            problem = f"the LoRA {file.name} is for {names[0]}, and the model is one of {names[1]}."
            raise Unusable(problem, f"a LoRA for {names[1]}, or a model of {names[0]}")

    def embedding(self, name: str) -> Embedding:
        """The embedding of that name. Raises Unusable."""
        names = self.embeddings
        if name.lower() not in names:
            where = self._folders.folders[0] / "embeddings"
            problem = f'there is no embedding "{name}". Put its file into {where}.{did_you_mean(name, list(names))}'
            raise Unusable(problem, ", ".join(list(names)[:_LISTED]) or f"an embedding's file in {where}")
        file = names[name.lower()]
        if file.refused:
            raise Unusable(f"the embedding {file.path.name} {file.refused}", "an embedding in a safetensors file")
        return embedding_of(file, _header(file, "embedding"))


def embedding_of(file: ModelFile, header: Header) -> Embedding:
    """The embedding that is that file. Raises Unusable for one of no known form."""
    return Embedding(file, _bare(file), tuple(_vectors(file, header)))


def _bare(file: ModelFile) -> str:
    """The file's own name in lower case, without folder and suffix."""
    name = PurePosixPath(file.name).name
    return (PurePosixPath(name).stem if file.refused and file.path.suffix else name).lower()


def _alias(file: ModelFile) -> str | None:
    try:
        return read_header(file.path).metadata.get(_ALIAS, "").lower()
    except (HeaderError, OSError):
        return None


def _header(file: ModelFile, what: str) -> Header:
    try:
        return read_header(file.path)
    except HeaderError as error:
        raise Unusable(f"the {what} {file.path.name} {error.problem}", "a whole safetensors file") from error
    except OSError as error:
        problem = f"the {what} {file.path.name} cannot be read ({error.strerror})."
        raise Unusable(problem, "a file that can be read") from error


def _vectors(file: ModelFile, header: Header) -> Sequence[tuple[str, str, int, int]]:
    """`Embedding.tensors` of a file: AUTOMATIC1111's `emb_params`, SDXL's pair, or one tensor under the token."""
    both = {encoder: name for name, encoder in BOTH_ENCODERS.items() if name in header.tensors}
    names = both or ({ONE_ENCODER: next(iter(header.tensors))} if len(header.tensors) == 1 else {})
    if not both and "emb_params" in header.tensors:
        names = {ONE_ENCODER: "emb_params"}
    shapes = {encoder: header.shape(name) for encoder, name in names.items()}
    counts = {shape[0] if len(shape) == 2 else 1 for shape in shapes.values()}
    if len(counts) != 1 or counts == {0} or any(len(shape) not in (1, 2) for shape in shapes.values()):
        problem = f"the embedding {file.path.name} has not the tensors of one ({', '.join(list(header.tensors)[:4])})."
        raise Unusable(problem, "emb_params, clip_l and clip_g, or one tensor under the embedding's token")
    (count,) = counts
    if count > MAX_VECTORS:
        problem = f"the embedding {file.path.name} has {count} vectors, and a chunk has room for {MAX_VECTORS}."
        raise Unusable(problem, f"embeddings of at most {MAX_VECTORS} vectors")
    return [(encoder, name, count, shapes[encoder][-1]) for encoder, name in names.items()]
