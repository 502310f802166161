"""A model's noise scale: which noise each place on its training schedule has, and how the model sees latents there.

`sigma` is the noise scale of Karras et al. (arXiv 2206.00364): a picture x0 under noise e is x0 + sigma e. Solvers,
schedules and masks know nothing else; only here it becomes what a model was trained on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from numpy.typing import NDArray

Sigmas = NDArray[np.float64]
Timesteps = NDArray[np.float64]

ALL_BUT_PURE: Final = 1 - 2.0**-20
"""Share of noise that stands for pure noise on a flow model's scale, where sigma would be infinite. Steps from there
are Euler's in the model's own space to 1e-6."""


@dataclass(frozen=True)
class NoiseScale:
    """A diffusion model's training schedule: sigma of each of its T timesteps, rising; between timesteps log sigma is
    linear. `prediction` is what the model predicts: "epsilon", "v_prediction" or "sample"."""

    sigmas: Sigmas
    prediction: str = "epsilon"

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> NoiseScale:
        """The scale of a diffusers scheduler configuration, with whatever betas it holds."""
        scheduler: Any = DDPMScheduler.from_config(dict(config))
        alphas = np.asarray(scheduler.alphas_cumprod, np.float64).copy()
        # Exact zero terminal SNR is an infinite sigma; the bound is the one that diffusers' own schedulers use.
        alphas[-1] = max(alphas[-1], 2.0**-24)
        return cls(np.sqrt((1 - alphas) / alphas), str(config.get("prediction_type", "epsilon")))

    @property
    def steps(self) -> int:
        """T, the number of training timesteps."""
        return len(self.sigmas)

    def sigma(self, timestep: Timesteps | float) -> Sigmas:
        """Sigma at timesteps in 0..T-1, whole or between."""
        return np.exp(np.interp(timestep, np.arange(self.steps), np.log(self.sigmas)))

    def timestep(self, sigma: Sigmas | float) -> Timesteps:
        """The timestep, 0..T-1, at which the schedule has that sigma."""
        return np.interp(np.log(sigma), np.log(self.sigmas), np.arange(self.steps))

    def start(self, strength: float) -> float:
        """Where `strength` in 0..1 starts: timestep s T counted from 1, so 1 is the last one, pure noise."""
        return max(0.0, strength * self.steps - 1)

    def fraction(self, sigma: float) -> float:
        """What is left of the noise scale at that sigma: 1 at pure noise, 0 at sigma 0; the inverse of `start`."""
        return 0.0 if sigma == 0 else (float(self.timestep(sigma)) + 1) / self.steps

    def told(self, sigma: float) -> float:
        """The timestep that the model is told."""
        return float(self.timestep(sigma))

    def unit(self, sigma: float) -> float:
        """What latents x0 + sigma e are divided by for the model to see them: here to variance 1."""
        return math.sqrt(1 + sigma**2)

    def estimate(self, output: torch.Tensor, x: torch.Tensor, sigma: float) -> torch.Tensor:
        """The estimate of x0 from the model's output for latents `x` = x0 + sigma e."""
        if self.prediction == "v_prediction":
            return x / (1 + sigma**2) - output * (sigma / math.sqrt(1 + sigma**2))
        if self.prediction == "epsilon":
            return x - sigma * output
        return output


@dataclass(frozen=True)
class FlowScale(NoiseScale):
    """The scale of a rectified flow: the model sees (1 - r) x0 + r e and predicts e - x0 (Liu et al., arXiv
    2209.03003), so sigma is r / (1 - r) and r the share of noise.

    Timesteps are those before the model's `shift`, by which schedules are laid; the shift multiplies sigma (Esser et
    al., arXiv 2403.03206, sec. 5.3.2). Strength is the share of noise itself: a place after the shift.
    """

    shift: float = 1.0

    @classmethod
    def shifted(cls, shift: float, steps: int = 1000) -> FlowScale:
        """The scale of `steps` training timesteps with that shift, above 0."""
        return cls(_odds(np.arange(1, steps + 1) / steps) * shift, "flow", shift)

    def sigma(self, timestep: Timesteps | float) -> Sigmas:
        return _odds((np.asarray(timestep, np.float64) + 1) / self.steps) * self.shift

    def timestep(self, sigma: Sigmas | float) -> Timesteps:
        before = np.asarray(sigma, np.float64) / self.shift
        return self.steps * before / (1 + before) - 1

    def start(self, strength: float) -> float:
        # Written so that 1 comes to T - 1 to the last bit.
        before = strength / (strength + self.shift * (1 - strength)) if strength else 0.0
        return max(0.0, before * self.steps - 1)

    def fraction(self, sigma: float) -> float:
        return sigma / (1 + sigma)

    def told(self, sigma: float) -> float:
        return self.steps * self.fraction(sigma)

    def unit(self, sigma: float) -> float:
        return 1 + sigma

    def estimate(self, output: torch.Tensor, x: torch.Tensor, sigma: float) -> torch.Tensor:
        return (x - sigma * output) / (1 + sigma)


def _odds(share: Any) -> Sigmas:
    """r / (1 - r), finite at 1."""
    bounded = np.minimum(share, ALL_BUT_PURE)
    return bounded / (1 - bounded)


def flow_scale(config: Mapping[str, Any], patches: int) -> FlowScale:
    """The scale of a diffusers flow matching configuration for a picture of so many patches, on which a dynamic shift
    depends: larger pictures stay recognisable under more noise."""
    steps = int(config.get("num_train_timesteps", 1000))
    if not config.get("use_dynamic_shifting"):
        return FlowScale.shifted(float(config.get("shift", 1.0)), steps)
    short, long = int(config.get("base_image_seq_len", 256)), int(config.get("max_image_seq_len", 4096))
    least, most = float(config.get("base_shift", 0.5)), float(config.get("max_shift", 1.15))
    mu = least + (most - least) * (patches - short) / (long - short)
    exponential = config.get("time_shift_type", "exponential") == "exponential"
    return FlowScale.shifted(math.exp(mu) if exponential else mu, steps)
