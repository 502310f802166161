"""One diffusers scheduler for every sampler: it walks a plan's course inside whichever pipeline's loop."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from diffusers.configuration_utils import FrozenDict

from .samplers import Plan
from .walking import Look, Seen, Walk


class Stepper:
    """What a diffusers pipeline expects of a scheduler, for one run of one plan.

    Latents are x0 + sigma e in float32 from the first step to the last, whatever the model computes in. There is one
    `timestep` per evaluation of the model, of which some solvers make two a step. `denoised` is the latest estimate of
    x0. `noise()` draws standard normal noise of the latents' shape for stochastic samplers.
    """

    order = 1
    init_noise_sigma = 1.0

    def __init__(
        self, plan: Plan, config: Mapping[str, Any], dtype: torch.dtype, noise: Callable[[], torch.Tensor]
    ) -> None:
        # steps_offset and clip_sample have no effect here; other values make the pipeline warn.
        self.config = FrozenDict({**config, "steps_offset": 1, "clip_sample": False})
        self.timesteps = torch.empty(0)
        self.denoised = torch.empty(0)
        self._plan = plan
        self._dtype = dtype
        self._noise = noise
        self._walk: Walk | None = None
        self._done = 0

    def set_timesteps(self, num_inference_steps: int, device: Any = None) -> None:
        """Goes back to the start. The plan has its own number of steps; the argument is diffusers'."""
        self.timesteps = torch.tensor(self._plan.timesteps, dtype=torch.float32, device=device)
        self._walk, self._done = None, 0

    def scale_model_input(self, sample: torch.Tensor, timestep: Any = None) -> torch.Tensor:
        """The latents as the model takes them: of variance 1, in its own precision."""
        return (sample / math.sqrt(1 + self._sigma**2)).to(self._dtype)

    def step(
        self, model_output: torch.Tensor, timestep: Any, sample: torch.Tensor, return_dict: bool = False
    ) -> tuple[torch.Tensor]:
        """The latents at which the model is to be asked next; after the last evaluation, the picture's."""
        self.denoised = estimate(self.config["prediction_type"], model_output.float(), sample, self._sigma)
        self._done += 1
        try:
            if self._walk is None:
                self._walk = self._plan.sampler.solver(sample, self._plan.course(self._noise))
                next(self._walk)
            look: Look = self._walk.send(Seen(sample, self.denoised))
        except StopIteration as end:
            return (end.value,)
        return (look.x,)

    @property
    def _sigma(self) -> float:
        return self._plan.evaluations[self._done].sigma


def estimate(prediction: str, output: torch.Tensor, sample: torch.Tensor, sigma: float) -> torch.Tensor:
    """The estimate of x0 from the model's output; `sample` is x0 + sigma e."""
    if prediction == "v_prediction":
        return sample / (1 + sigma**2) - output * (sigma / math.sqrt(1 + sigma**2))
    if prediction == "epsilon":
        return sample - sigma * output
    return output
