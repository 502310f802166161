"""Upscalers in memory: from a safetensors file to a network, whose architecture spandrel knows by its keys."""

from __future__ import annotations

import sys
import textwrap
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

import torch
from safetensors.torch import load_file

from .checkpoints.header import HeaderError, read_header
from .checkpoints.places import ModelFile
from .loading import UNUSABLE
from .request import EngineError

FIELD: Final = "upscale_first"
_WRAPPERS: Final = ("params_ema.", "params-ema.", "params.")
"""What trainers put a network's keys below; spandrel takes away the others."""
_LEFT_OUT: Final = ("LaMa", "RestoreFormer", "GFPGAN", "AuraSR")
"""Architectures that spandrel knows and that are not for this: one fills holes, two paint faces, one draws noise of its
own. The first two are the only ones that call torchvision."""
_TORCHVISION: Final = ("torchvision", "torchvision.transforms", "torchvision.transforms.functional")
_UNEXPECTED: Final = (AssertionError, IndexError, ArithmeticError)
"""What spandrel raises beside the usual for a file whose keys are an architecture's and whose shapes are not."""
_LONGEST_REASON: Final = 200


@dataclass(frozen=True)
class Upscaler:
    """A network that makes a picture `scale` times as wide and high; 1 where it only cleans it.

    `network` takes [1, `channels`, h, w] in 0..1, float32 on `device`, and gives [1, `channels`, scale h, scale w].
    """

    name: str
    network: Any
    scale: int
    channels: int
    device: torch.device


class Upscalers:
    """Loads upscalers, and keeps the one that was used last for as long as its file stays as it is."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._key: tuple[object, ...] = ()
        self._last: Upscaler | None = None

    def get(self, file: ModelFile) -> Upscaler:
        """The upscaler in that file. Raises EngineError about the setting `upscale_first`."""
        state = file.path.stat()
        key = file.path, state.st_mtime_ns, state.st_size
        if self._last is None or key != self._key:
            # The old one goes first: there need not be room for both.
            self._last = None
            self._last, self._key = load_upscaler(file, self._device), key
        return self._last

    def free(self) -> None:
        """Lets go of the one that is kept."""
        self._last = None


def load_upscaler(file: ModelFile, device: torch.device) -> Upscaler:
    """The upscaler in that safetensors file, on `device`. Raises EngineError about the setting `upscale_first`."""
    library = _spandrel()
    try:
        read_header(file.path)
        tensors = _unwrapped(load_file(file.path))
        found = _architectures(library).load(tensors)
    except HeaderError as error:
        raise _unusable(file, error.problem) from error
    except library.UnsupportedModelError as error:
        raise _unusable(file, "is no upscaler of an architecture that is known here.") from error
    except (*UNUSABLE, *_UNEXPECTED) as error:
        said = " ".join(str(error).split()) or type(error).__name__
        said = textwrap.shorten(said, _LONGEST_REASON, placeholder="...")
        raise _unusable(file, f"does not hold an upscaler that can be used ({said}).") from error
    channels = found.input_channels
    if channels not in (1, 3) or found.output_channels != channels:
        took = f"makes {found.output_channels} channels of {channels}"
        raise _unusable(file, f"{took}; an upscaler of pictures makes 3 of 3, or 1 of 1.")
    # In full precision, whatever the file has: half of it has fewer levels than a 16-bit picture.
    found.to(device, torch.float32).eval()
    return Upscaler(file.name, found, found.scale, channels, device)


def _unusable(file: ModelFile, problem: str) -> EngineError:
    return EngineError(f"{FIELD} is {file.name!r}, but {file.path.name} {problem}", FIELD, file.name)


def _unwrapped(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    for wrapper in _WRAPPERS:
        if tensors and all(name.startswith(wrapper) for name in tensors):
            return {name.removeprefix(wrapper): tensor for name, tensor in tensors.items()}
    return tensors


def _architectures(library: Any) -> Any:
    """The registry of those architectures that upscalers have."""
    known = library.ArchRegistry()
    for support in library.MAIN_REGISTRY.architectures():
        if support.architecture.id not in _LEFT_OUT:
            known.add(support)
    return known


def _spandrel() -> Any:
    """The library, imported without torchvision. Raises EngineError where it is not installed.

    Two of its architectures, which are not used here, import torchvision, and with them all the others would need it:
    a build of it that goes with just this torch, which a machine may not have. They are given an empty one meanwhile.
    """
    empty = [name for name in _TORCHVISION if name not in sys.modules]
    sys.modules.update((name, _Empty(name)) for name in empty)
    try:
        import spandrel
    except ModuleNotFoundError as error:
        remedy = "Start the backend with `python3 launch.py`, which installs it, or choose Lanczos."
        raise EngineError(
            f"Upscalers need the package {error.name}, which is not installed. {remedy}", FIELD
        ) from error
    finally:
        for name in empty:
            del sys.modules[name]
    return spandrel


class _Empty(ModuleType):
    """A module that has whatever is imported from it, and none of it of any use."""

    def __getattr__(self, name: str) -> None:
        if name.startswith("__"):
            raise AttributeError(name)
