"""From a model's folder to modules in memory: safetensors only, offline, and checked before anything is built."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any, Final

import torch

from .checkpoints import single_file
from .checkpoints.architecture import Config, load_config
from .checkpoints.hashes import Hashes
from .checkpoints.header import HeaderError, read_header
from .checkpoints.places import INDEX_FILE, PICKLE, PICKLES, ModelFile
from .checkpoints.reading import NoModel, read_checkpoint
from .families.registry import FAMILIES
from .loaded import LoadedModel
from .models import BrokenModel, ModelInfo, read_json
from .offload import offload
from .request import EngineError

UNUSABLE: Final = (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError)
"""What diffusers and transformers raise for files that do not fit."""
REMEDY: Final = "Put the model's original files there again."


def load(
    info: ModelInfo, device: torch.device, taking_turns: bool = False, hashes: Hashes | None = None
) -> LoadedModel:
    """The model of that folder or single file on `device`: float32 on a CPU, half precision elsewhere.

    `taking_turns`: its parts wait in the machine's memory, and each is on the device only while it computes. `hashes`
    knows the hashes of files that were loaded before.
    Raises BrokenModel for a file that is missing, truncated, a pickle, or of another shape than its configuration.
    """
    hashes = hashes or Hashes()
    if info.file is not None:
        return _load_file(info, info.file, device, taking_turns, hashes)
    family = FAMILIES[info.family]
    absent = _left_out(info)
    files = {part: check_weights(info, part) for part in family.weights if part not in absent}
    dtype = _dtype(info, device)
    variant = "fp16" if ".fp16." in files[family.denoiser][0].name else None
    try:
        pipeline = family.pipeline.from_pretrained(
            str(info.folder),
            dtype=dtype,
            variant=variant,
            use_safetensors=True,
            local_files_only=True,
            **{**_left_away(family.pipeline), **dict.fromkeys(absent)},
        )
    except UNUSABLE as error:
        raise BrokenModel(info.id, info.folder, f"does not hold a usable model ({error}).", REMEDY) from error
    return _loaded(info, pipeline, hashes.of(files[family.denoiser]), device, dtype, taking_turns)


def _load_file(info: ModelInfo, file: Path, device: torch.device, taking_turns: bool, hashes: Hashes) -> LoadedModel:
    dtype = _dtype(info, device)
    try:
        checkpoint, maker = read_checkpoint(file), FAMILIES[info.family].pipeline
        pipeline = single_file.load_pipeline(file, checkpoint.config, maker, dtype, checkpoint.without)
    except NoModel as error:
        raise BrokenModel(info.id, file, error.problem, REMEDY) from error
    except single_file.IncompleteFile as error:
        raise BrokenModel(info.id, file, f"lacks {error}.", REMEDY) from error
    except UNUSABLE as error:
        raise BrokenModel(info.id, file, f"does not hold a usable model ({error}).", REMEDY) from error
    return _loaded(info, pipeline, hashes.of([file]), device, dtype, taking_turns)


def load_vae(model: LoadedModel, file: ModelFile) -> Any:
    """The VAE in that file, for a model that is in memory, on its device.

    Raises EngineError about the setting `vae` for a file that holds none, or one for other latents.
    """
    own = _vae_config(model)
    try:
        vae: Any = single_file.load_vae(file.path, read_header(file.path), own, model.dtype)
    except HeaderError as error:
        raise _no_vae(file, error.problem) from error
    except (single_file.IncompleteFile, *UNUSABLE) as error:
        raise _no_vae(file, f"does not hold a VAE that can be used ({error}).") from error
    ours, theirs = own["latent_channels"], vae.config["latent_channels"]
    if ours != theirs:
        raise _no_vae(file, f"is a VAE of {theirs} latent channels; the model {model.info.id} has {ours}.")
    vae.to(model.device)
    return _spared(vae, model.dtype)


def _vae_config(model: LoadedModel) -> Config:
    """The configuration of the model's own VAE; of one that comes without, what its family's have."""
    own = model.components["vae"]
    return load_config(model.info.family)["vae"] if own is None else dict(own.config)


def _no_vae(file: ModelFile, problem: str) -> EngineError:
    return EngineError(f"vae is {file.name!r}, but {file.path.name} {problem}", "vae", file.name)


def _dtype(info: ModelInfo, device: torch.device) -> torch.dtype:
    # float16 and bfloat16 are slower than float32 on most CPUs, and not every CPU operator has them.
    return torch.float32 if device.type == "cpu" else FAMILIES[info.family].dtype


def _loaded(
    info: ModelInfo, pipeline: Any, digest: str, device: torch.device, dtype: torch.dtype, taking_turns: bool
) -> LoadedModel:
    components = dict(pipeline.components)
    if components["vae"] is not None:
        components["vae"] = _spared(components["vae"], dtype)
    if taking_turns:
        offload(components, device)
    else:
        pipeline.to(device)
    return LoadedModel(info, components, digest, device, dtype)


def _spared(vae: Any, dtype: torch.dtype) -> Any:
    """The VAE in full precision where it overflows in half, and says so."""
    return vae.to(torch.float32) if dtype == torch.float16 and vae.config.get("force_upcast") else vae


def _left_away(pipeline: type[Any]) -> dict[str, Any]:
    """What such a pipeline may come with and is not needed here."""
    unwanted = {"safety_checker": None, "feature_extractor": None, "image_encoder": None}
    unwanted = {**unwanted, "requires_safety_checker": False}
    known = inspect.signature(pipeline.__init__).parameters
    return {name: value for name, value in unwanted.items() if name in known}


def _left_out(info: ModelInfo) -> tuple[str, ...]:
    """What the model does without, as its folder's index says: the third text encoder of SD 3, for one."""
    index = read_json(info.folder, info.folder / INDEX_FILE)
    return tuple(part for part, kind in index.items() if kind == [None, None])


def check_weights(info: ModelInfo, component: str) -> tuple[Path, ...]:
    """The component's safetensors files, more than one where its weights are in shards; each one's header is read and
    its length compared. Raises BrokenModel."""
    folder = info.folder / component
    stem = "model" if component.startswith("text_encoder") else "diffusion_pytorch_model"
    for name in (f"{stem}.safetensors", f"{stem}.fp16.safetensors"):
        files = _files(info, folder, name)
        for file in files:
            try:
                read_header(file)
            except HeaderError as error:
                raise BrokenModel(info.id, file, error.problem, REMEDY) from error
        if files:
            return files
    pickles = sorted(path for path in folder.glob("*") if path.suffix in PICKLES)
    if pickles:
        raise BrokenModel(info.id, pickles[0], PICKLE, "")
    raise BrokenModel(info.id, folder / f"{stem}.safetensors", f"is missing from {folder}.", REMEDY)


def _files(info: ModelInfo, folder: Path, name: str) -> tuple[Path, ...]:
    """The file of that name, or the shards that its index names, none where there is neither."""
    if (folder / name).is_file():
        return (folder / name,)
    # model.safetensors.index.json, model.safetensors.index.fp16.json
    stem, *variant, suffix = name.split(".")
    index = folder / ".".join([stem, suffix, "index", *variant, "json"])
    if not index.is_file():
        return ()
    shards = read_json(folder, index).get("weight_map")
    names = sorted(set(shards.values())) if isinstance(shards, dict) else []
    if not names or any(Path(shard).name != shard for shard in names):
        raise BrokenModel(info.id, index, "does not name the files that hold the weights.", REMEDY)
    for shard in names:
        if not (folder / shard).is_file():
            raise BrokenModel(info.id, folder / shard, f"is missing from {folder}.", REMEDY)
    return tuple(folder / shard for shard in names)
