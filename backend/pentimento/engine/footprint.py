"""How much memory a model takes, said before it is loaded. Free of torch: the command line asks, too."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from .checkpoints.header import Header, HeaderError, read_header
from .models import ModelInfo
from .request import OutOfMemory

_NOT_LOADED: Final = (".non_ema.", ".fp16.")


def too_little(info: ModelInfo, needed: int, free: int, what: str) -> OutOfMemory:
    """The refusal of a model that the device cannot hold."""
    remedy = "Close other programs, or choose a smaller model."
    detail = f"The model {info.id} takes {amount(needed)} of {what}, and {amount(free)} are free. {remedy}"
    return OutOfMemory(detail, "model", info.id)


def amount(size: int) -> str:
    """Bytes for people: "1.7 GB", "34 MB"."""
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{max(1, round(size / 1e6))} MB"


def weight_bytes(info: ModelInfo, each: int) -> int:
    """What the model's weights take in memory at `each` bytes a number, by the headers of its files; 0 where none can
    be read. A picture takes more on top, by its size."""
    return each * sum(header.values for header in _headers(info))


def _headers(info: ModelInfo) -> Iterator[Header]:
    files = [info.file] if info.file else _weights(info.folder)
    for file in files:
        try:
            yield read_header(file)
        except (HeaderError, OSError):
            # What is wrong with it is said when it is loaded.
            continue


def _weights(folder: Path) -> list[Path]:
    """Each component's weights once: the plain files, and those in half precision where there are no others."""
    found: list[Path] = []
    for part in sorted(path for path in folder.iterdir() if path.is_dir()):
        files = sorted(part.glob("*.safetensors"))
        plain = [file for file in files if not any(mark in file.name for mark in _NOT_LOADED)]
        found.extend(plain or [file for file in files if ".fp16." in file.name])
    return found
