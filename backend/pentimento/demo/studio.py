"""The demo model at work: what its figures and grids are made with."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion import StableDiffusionPipeline
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img import StableDiffusionImg2ImgPipeline
from PIL import Image

from pentimento.engine.arrays import to_array, to_pixels
from pentimento.engine.compose import composite
from pentimento.engine.engine import Engine
from pentimento.engine.models import ModelLibrary
from pentimento.engine.prompts.resolving import PromptFiles
from pentimento.engine.request import Request, Result
from pentimento_shared.settings import validate

STEPS: Final = 20


class Studio:
    """One set of weights in diffusers' stock pipelines, and in Pentimento's engine for selections.

    `cfg_scale` is the guidance of whole pictures.
    """

    def __init__(self, folder: Path, cfg_scale: float) -> None:
        self.text = StableDiffusionPipeline.from_pretrained(folder, dtype=torch.float32)
        self.image = StableDiffusionImg2ImgPipeline(**self.text.components, requires_safety_checker=False)
        words = PromptFiles.below(folder / "words")
        # By its folder's name: other weights beside it may have the same id.
        self._model = folder.resolve().name
        self._engine = Engine(ModelLibrary([folder.resolve().parent]), device="cpu", prompt_files=words)
        self.cfg_scale = cfg_scale
        for pipe in (self.text, self.image):
            pipe.set_progress_bar_config(disable=True)

    def _common(self, prompt: str, seed: int) -> dict[str, Any]:
        noise = torch.Generator().manual_seed(seed)
        return {
            "prompt": prompt,
            "guidance_scale": self.cfg_scale,
            "generator": noise,
            "output_type": "np",
            "return_dict": False,
            "num_inference_steps": STEPS,
        }

    def txt2img(self, prompt: str, seed: int, side: int = 256) -> np.ndarray:
        made = self.text(**self._common(prompt, seed), width=side, height=side)
        return to_bytes(made[0][0])

    def img2img(self, picture: np.ndarray, prompt: str, strength: float, seed: int) -> np.ndarray:
        """`strength` counts steps of the trailing spacing, which is the place on the noise scale to within one step."""
        made = self.image(
            **self._common(prompt, seed),
            image=Image.fromarray(picture),
            strength=strength,
        )
        return to_bytes(made[0][0])

    def inpaint(
        self,
        picture: np.ndarray,
        mask: np.ndarray,
        prompt: str,
        seed: int,
        *,
        strength: float = 1.0,
    ) -> np.ndarray:
        """A selection (H, W) uint8 of a picture repainted as the editors do it: the engine crops, scales and blends.

        Guidance is the model's own for selections.
        """
        asked = {"model": self._model, "prompt": prompt, "strength": strength, "steps": STEPS}
        settings = validate("inpaint", asked, self._engine.library.get(self._model).defaults_of("inpaint"))
        source, selected = to_pixels(picture), to_pixels(mask[..., None])
        request = Request("inpaint", settings, (seed,), source, selected)
        (made,) = (event for event in self._engine.run(request, lambda: False) if isinstance(event, Result))
        return to_array(composite("full", source, made.pixels, made.mask, made.context))


def to_bytes(picture: Any) -> np.ndarray:
    """A float picture 0..1 as uint8."""
    return (np.clip(picture, 0, 1) * 255 + 0.5).astype(np.uint8)
