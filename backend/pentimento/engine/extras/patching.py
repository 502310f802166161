"""LoRA files laid over a loaded model for as long as its pictures need them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final

import torch
from safetensors import SafetensorError, safe_open

from ..checkpoints.header import Header, HeaderError, read_header
from ..checkpoints.recognise import FAMILY_NAMES, recognise
from ..families.registry import family_of
from ..loaded import LoadedModel
from ..request import EngineError
from .deltas import Misfit, delta
from .files import Lora
from .keys import DENOISER, ENCODERS, parse_key, weight_names
from .lora_files import adapter_alpha
from .overlay import Changes, Overlay

_UNDERSTOOD: Final = "LoRA, LoCon, LoHa, LoKr and DoRA can be used."


@dataclass(frozen=True)
class Patch:
    """LoRA files that fit a model, each weight's share found. Nothing of them is in memory yet.

    `what` tells one set of files and weights from another, and a file from the same one changed.
    """

    layers: tuple[_Layer, ...]
    what: tuple[object, ...]
    overlay: Overlay

    @contextmanager
    def over(self) -> Iterator[Callable[[], None]]:
        """Gives a function that lays the files over the model, in the place of those that lay there before.

        Each weight becomes W + sum(w * delta), summed in float32 in the order of the calls, and stays so until others
        are laid over the model, or none are. The function may be called again after it has failed on its way; it raises
        EngineError for a file that cannot be read. If it has not come to its end, the model's weights are its own.
        """
        try:
            yield lambda: self.overlay.lay(self.what, lambda: _sums([layer for layer in self.layers if layer.share]))
        finally:
            self.overlay.mend()


def fit(model: LoadedModel, loras: Sequence[Lora]) -> Patch:
    """How those LoRA files change that model, from their headers. Raises EngineError for one that does not fit."""
    names = _Names(model)
    # Before the files are read: one that is changed meanwhile is not taken for what it was.
    what = tuple(_identity(lora) for lora in loras)
    return Patch(tuple(layer for lora in loras for layer in _layers(names, lora)), what, model.overlay)


def _identity(lora: Lora) -> tuple[object, ...]:
    try:
        state = lora.file.path.stat()
    except OSError as error:
        raise _refusal(lora, f"cannot be read ({error.strerror}).") from error
    return lora.file.path, state.st_size, state.st_mtime_ns, lora.encoder, lora.denoiser


@dataclass(frozen=True)
class _Layer:
    """What one file has for one weight, or for several that lie one below the other in it: the names of its tensors.

    `alpha` is what the file's metadata say, where no tensor does.
    """

    lora: Lora
    component: str
    weights: tuple[torch.nn.Parameter, ...]
    parts: Mapping[str, str]
    alpha: float | None

    @property
    def share(self) -> float:
        """What the call makes it weigh."""
        return self.lora.encoder if self.component in ENCODERS else self.lora.denoiser

    def check(self, header: Header) -> None:
        """Raises Misfit for tensors of other shapes than the weights have."""
        empty = {part: torch.empty(header.shape(name), device="meta") for part, name in self.parts.items()}
        delta(empty, _joined([weight.data.to("meta") for weight in self.weights]))

    def changes(self, opened: Any) -> Changes:
        """What the file `opened` adds to each of the weights."""
        parts = {part: opened.get_tensor(name) for part, name in self.parts.items()}
        if self.alpha is not None:
            parts["alpha"] = torch.tensor(self.alpha)
        change = delta(parts, _joined([weight.data for weight in self.weights])).mul_(self.share)
        yield from zip(self.weights, change.split([len(weight) for weight in self.weights]), strict=True)


def _joined(weights: Sequence[torch.Tensor]) -> torch.Tensor:
    return weights[0] if len(weights) == 1 else torch.cat(list(weights))


def _sums(layers: Sequence[_Layer]) -> Changes:
    """Each weight that changes, once, with all that is added to it. Worked out from the weights as they are before."""
    left: dict[torch.nn.Parameter, int] = {}
    for layer in layers:
        for weight in layer.weights:
            left[weight] = left.get(weight, 0) + 1
    order = {weight: number for number, weight in enumerate(left)}
    sums: dict[torch.nn.Parameter, torch.Tensor] = {}
    with ExitStack() as stack:
        files = {layer.lora.file.path: layer.lora for layer in layers}
        opened = {path: stack.enter_context(_opened(lora)) for path, lora in files.items()}
        # One weight after the other: the sums of all together are as large as the model.
        for layer in sorted(layers, key=lambda layer: order[layer.weights[0]]):
            for weight, change in layer.changes(opened[layer.lora.file.path]):
                sums[weight] = sums[weight].add_(change) if weight in sums else change
                left[weight] -= 1
                if not left[weight]:
                    yield weight, sums.pop(weight)


def _opened(lora: Lora) -> Any:
    try:
        return safe_open(lora.file.path, framework="pt")
    except (OSError, SafetensorError) as error:
        raise _refusal(lora, f"cannot be read ({error}).") from error


class _Names:
    """The weights of a model that a LoRA may change, by component and flat name."""

    def __init__(self, model: LoadedModel) -> None:
        self.info = model.info
        self._components: dict[str, torch.nn.Module] = {
            name: model.components[name] for name in ENCODERS if model.components.get(name) is not None
        }
        self._components[DENOISER] = model.components[family_of(model).denoiser]
        self._weights: dict[str, dict[str, torch.nn.Parameter]] = {}
        self._tables: dict[str, dict[str, tuple[str, ...]]] = {}

    def find(self, component: str, name: str) -> tuple[torch.nn.Parameter, ...] | None:
        """The weights of that flat name, None where this model has none."""
        if component not in self._components:
            return None
        if component not in self._tables:
            self._read(component)
        names = self._tables[component].get(name)
        return None if names is None else tuple(self._weights[component][each] for each in names)

    def _read(self, component: str) -> None:
        root: Any = self._components[component]
        found = {name: getattr(module, "weight", None) for name, module in root.named_modules()}
        weights = {
            name: weight for name, weight in found.items() if isinstance(weight, torch.nn.Parameter) and weight.ndim > 1
        }
        layers = getattr(root.config, "layers_per_block", 2)
        self._weights[component] = weights
        self._tables[component] = weight_names(component, weights, layers if isinstance(layers, int) else layers[0])


def _layers(names: _Names, lora: Lora) -> Iterator[_Layer]:
    """Every layer of a file, checked against the model. Raises EngineError."""
    try:
        header = read_header(lora.file.path)
    except HeaderError as error:
        raise _refusal(lora, error.problem) from error
    except OSError as error:
        raise _refusal(lora, f"cannot be read ({error.strerror}).") from error
    places: dict[tuple[str, str], dict[str, str]] = {}
    for name in header.tensors:
        key = parse_key(name)
        if key is None:
            raise _refusal(lora, f"holds {name[:100]}, which is not understood. {_UNDERSTOOD}")
        places.setdefault((key.component, key.module), {})[key.part] = name
    if not places:
        raise _refusal(lora, "holds no tensors.")
    for (component, name), parts in places.items():
        weights = names.find(component, name)
        if weights is None:
            reason = f"{name} is no weight of that model's {component.replace('_', ' ')}"
            raise _foreign(names, lora, header, reason)
        alpha = None if "alpha" in parts else adapter_alpha(header.metadata, component)
        layer = _Layer(lora, component, weights, parts, alpha)
        try:
            layer.check(header)
        except Misfit as error:
            raise _foreign(names, lora, header, f"in {name} {error}") from error
        yield layer


def _foreign(names: _Names, lora: Lora, header: Header, reason: str) -> EngineError:
    family = FAMILY_NAMES.get(recognise(header).family)
    seems = f" It seems to be for {family}." if family else ""
    return _refusal(lora, f"does not fit the model {names.info.id}: {reason}.{seems} Take a model of its family.")


def _refusal(lora: Lora, problem: str) -> EngineError:
    return EngineError(f"The LoRA {lora.file.name} {problem}", "prompt", lora.file.name)
