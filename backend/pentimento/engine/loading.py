"""From a model's folder to modules in memory: safetensors only, offline, and checked before anything is built."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline

from .checkpoints.header import HeaderError, read_header
from .checkpoints.places import PICKLE, PICKLES
from .models import BrokenModel, ModelInfo

WEIGHTS: Final[Mapping[str, tuple[str, ...]]] = {
    "unet": ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors"),
    "vae": ("diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors"),
    "text_encoder": ("model.safetensors", "model.fp16.safetensors"),
}
"""Component -> names under which its weights may lie; the first that exists is taken."""
REMEDY: Final = "Put the model's original files there again."


@dataclass(frozen=True)
class LoadedModel:
    """A model in memory: the components of a diffusers pipeline by name, shared by all jobs and changed by none."""

    info: ModelInfo
    components: Mapping[str, Any]
    hash: str
    device: torch.device
    dtype: torch.dtype


def load(info: ModelInfo, device: torch.device) -> LoadedModel:
    """The model of that folder on `device`: float32 on a CPU, float16 elsewhere.

    Raises BrokenModel for a file that is missing, truncated, a pickle, or of another shape than its configuration.
    """
    files = {part: check_weights(info, part) for part in WEIGHTS}
    # float16 and bfloat16 are slower than float32 on most CPUs, and not every CPU operator has them.
    dtype = torch.float32 if device.type == "cpu" else torch.float16
    variant = "fp16" if files["unet"].name.endswith(".fp16.safetensors") else None
    try:
        pipeline = StableDiffusionPipeline.from_pretrained(
            str(info.folder),
            dtype=dtype,
            variant=variant,
            use_safetensors=True,
            local_files_only=True,
            safety_checker=None,
            feature_extractor=None,
            image_encoder=None,
            requires_safety_checker=False,
        )
    except (OSError, ValueError, RuntimeError, KeyError, TypeError, AttributeError) as error:
        raise BrokenModel(info.id, info.folder, f"does not hold a usable model ({error}).", REMEDY) from error
    pipeline.to(device)
    components = dict(pipeline.components)
    _restore_text_model(components["text_encoder"])
    return LoadedModel(info, components, _sha256(files["unet"]), device, dtype)


def _restore_text_model(text_encoder: Any) -> None:
    # transformers >= 5.6 flattened CLIPTextModel; diffusers' clip_skip still reaches for `.text_model`. Put past
    # nn.Module's __setattr__, which would register the module as its own child.
    if not hasattr(text_encoder, "text_model"):
        text_encoder.__dict__["text_model"] = text_encoder


def check_weights(info: ModelInfo, component: str) -> Path:
    """The component's safetensors file, its header read and its length compared. Raises BrokenModel."""
    folder = info.folder / component
    for name in WEIGHTS[component]:
        if (folder / name).is_file():
            try:
                read_header(folder / name)
            except HeaderError as error:
                raise BrokenModel(info.id, folder / name, error.problem, REMEDY) from error
            return folder / name
    pickles = sorted(path for path in folder.glob("*") if path.suffix in PICKLES)
    if pickles:
        raise BrokenModel(info.id, pickles[0], PICKLE, "")
    raise BrokenModel(info.id, folder / WEIGHTS[component][0], f"is missing from {folder}.", REMEDY)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
