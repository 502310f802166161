"""What lies beside the models: files that a setting is given the names of."""

from __future__ import annotations

import shutil
from pathlib import Path

from pentimento.engine.models import demo_folder
from tests import upscalers


def put_files(models: Path) -> None:
    """Puts an upscaler, Mill_x4, and a VAE, Own, into a models folder."""
    upscalers.write(models / "upscalers" / "Mill_x4.safetensors", upscalers.compact(4))
    (models / "vae").mkdir(exist_ok=True)
    shutil.copy(demo_folder() / "vae" / "diffusion_pytorch_model.safetensors", models / "vae" / "Own.safetensors")
