"""One file of the layout of Stable Diffusion's first programs (LDM) -> a diffusers pipeline, offline.

diffusers' own converters do the renaming. Without a configuration of ours they would ask the network for one.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL
from transformers import CLIPTokenizer

from .architecture import VAE_PREFIX, Config, vae_config
from .clip_words import clip_words
from .header import Header

if TYPE_CHECKING:
    from diffusers.pipelines.pipeline_utils import DiffusionPipeline


class IncompleteFile(Exception):
    """A file that lacks tensors of the model that it holds; `str()` says which."""


def load_pipeline(
    path: Path, config: Config, pipeline: type[Any], dtype: torch.dtype, without: Sequence[str] = ()
) -> DiffusionPipeline:
    """A pipeline of that class from one safetensors file, on the CPU in `dtype`; components that are in `without` are
    None.

    `config` is `architecture.configuration` of the file. Raises IncompleteFile, and what diffusers raises (ValueError,
    KeyError, RuntimeError, ...) for tensors of other shapes.
    """
    tokenizers = {name: clip_tokenizer(padding) for name, padding in config["padding"].items()}
    with tempfile.TemporaryDirectory(prefix="pentimento-config-") as folder:
        _write(Path(folder), config, tokenizers)
        given = {**tokenizers, "safety_checker": None, **dict.fromkeys(without)}
        with _incomplete("the UNet or the VAE"):
            loaded: DiffusionPipeline = pipeline.from_single_file(
                str(path), config=folder, dtype=dtype, local_files_only=True, **given
            )
    for name, component in loaded.components.items():
        if isinstance(component, torch.nn.Module):
            _check_complete(name, component)
    return loaded


def load_vae(path: Path, header: Header, base: Config, dtype: torch.dtype) -> AutoencoderKL:
    """The VAE in a file of its own or in a checkpoint, in the names of LDM or of diffusers, on the CPU in `dtype`.

    `base` is the configuration of the model's own VAE: its scale of latents stays. Raises as `load_pipeline`.
    """
    prefix = VAE_PREFIX if any(name.startswith(VAE_PREFIX) for name in header.tensors) else ""
    with tempfile.TemporaryDirectory(prefix="pentimento-config-") as folder:
        _write_json(Path(folder) / "vae" / "config.json", vae_config(header, base, prefix))
        with _incomplete("the VAE"):
            vae = AutoencoderKL.from_single_file(
                str(path), config=folder, subfolder="vae", dtype=dtype, local_files_only=True
            )
    _check_complete("vae", vae)
    return vae


def clip_tokenizer(padding: str) -> CLIPTokenizer:
    """CLIP's tokenizer from the vocabulary that ships with us; `padding` is the token that fills up."""
    ids, merges = clip_words()
    # The annotation is narrower than what the constructor takes.
    arguments: dict[str, Any] = {"vocab": ids, "merges": merges, "pad_token": padding, "model_max_length": 77}
    return CLIPTokenizer(**arguments)


def _write(folder: Path, config: Config, tokenizers: Mapping[str, Any]) -> None:
    index: dict[str, Any] = {"_class_name": config["pipeline"]}
    for part, values in config.items():
        if isinstance(values, Mapping) and part != "padding":
            file = "scheduler_config.json" if part == "scheduler" else "config.json"
            _write_json(folder / part / file, values)
            library = "transformers" if "architectures" in values else "diffusers"
            index[part] = [library, values.get("_class_name") or values["architectures"][0]]
    index.update({name: ["transformers", "CLIPTokenizer"] for name in tokenizers})
    _write_json(folder / "model_index.json", index)


def _write_json(path: Path, values: Mapping[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(values)), "utf-8")


@contextmanager
def _incomplete(where: str) -> Iterator[None]:
    """diffusers converts its own modules' tensors before anybody can see which of them got no data."""
    try:
        yield
    except NotImplementedError as error:
        # torch's error for that, and for whatever else it cannot do.
        if "meta tensor" not in str(error):
            raise
        raise IncompleteFile(f"some tensors of {where}") from error


def _check_complete(name: str, module: torch.nn.Module) -> None:
    """diffusers leaves tensors that the file lacks without data, and says so to its log alone."""
    for tensor, value in module.state_dict().items():
        if value.is_meta:
            raise IncompleteFile(f"the {name.replace('_', ' ')}'s {tensor}")
