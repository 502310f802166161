"""Sampling methods and schedule types. Adding one is a row in a table: sigmas are ours, the solver is diffusers'.

`sigma` is the noise scale of Karras et al. (arXiv 2206.00364): a picture x0 under noise e is x0 + sigma e, and
sigma = sqrt((1 - a) / a) for a training timestep of cumulative alpha a.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
import torch
from diffusers.schedulers.scheduling_ddpm import DDPMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from diffusers.schedulers.scheduling_euler_ancestral_discrete import EulerAncestralDiscreteScheduler
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from diffusers.schedulers.scheduling_unipc_multistep import UniPCMultistepScheduler
from numpy.typing import NDArray

Sigmas = NDArray[np.float64]
KARRAS_RHO: Final = 7.0


@dataclass(frozen=True)
class NoiseScale:
    """A model's training schedule: sigma of each of its T timesteps, rising; between timesteps log sigma is linear."""

    sigmas: Sigmas

    @classmethod
    def of(cls, config: Mapping[str, Any]) -> NoiseScale:
        """The scale of a diffusers scheduler configuration, with whatever betas it holds."""
        scheduler: Any = DDPMScheduler.from_config(dict(config))
        alphas = np.asarray(scheduler.alphas_cumprod, np.float64).copy()
        # Exact zero terminal SNR is an infinite sigma; the bound is the one that diffusers' own schedulers use.
        alphas[-1] = max(alphas[-1], 2.0**-24)
        return cls(np.sqrt((1 - alphas) / alphas))

    @property
    def steps(self) -> int:
        """T, the number of training timesteps."""
        return len(self.sigmas)

    def sigma(self, timestep: NDArray[np.float64] | float) -> Sigmas:
        """Sigma at timesteps in 0..T-1, whole or between."""
        return np.exp(np.interp(timestep, np.arange(self.steps), np.log(self.sigmas)))

    def timestep(self, sigma: Sigmas | float) -> NDArray[np.float64]:
        """The timestep, 0..T-1, at which the schedule has that sigma."""
        return np.interp(np.log(sigma), np.log(self.sigmas), np.arange(self.steps))

    def start(self, strength: float) -> float:
        """Where `strength` in 0..1 starts: timestep s T counted from 1, so 1 is the last one, pure noise."""
        return max(0.0, strength * self.steps - 1)

    def fraction(self, sigma: float) -> float:
        """What is left of the noise scale at that sigma: 1 at pure noise, 0 at sigma 0; the inverse of `start`."""
        return 0.0 if sigma == 0 else (float(self.timestep(sigma)) + 1) / self.steps


Schedule = Callable[[NoiseScale, float, int], Sigmas]
"""(scale, first timestep, number of steps n) -> n falling sigmas above 0; the solver adds the last, 0."""


def karras(scale: NoiseScale, start: float, count: int) -> Sigmas:
    """Karras et al. 2022 (arXiv 2206.00364), eq. 5, with rho 7, from the start's sigma to the schedule's least."""
    high, low = (float(scale.sigma(t)) ** (1 / KARRAS_RHO) for t in (start, 0.0))
    return (high + np.linspace(0, 1, count) * (low - high)) ** KARRAS_RHO


def uniform(scale: NoiseScale, start: float, count: int) -> Sigmas:
    """Timesteps at equal distances down to timestep 0 itself: k-diffusion's and AUTOMATIC1111's "Uniform"."""
    return scale.sigma(np.linspace(start, 0, count))


def sgm_uniform(scale: NoiseScale, start: float, count: int) -> Sigmas:
    """Timesteps at equal distances, the last one step above 0: Stability's generative-models, "trailing" spacing
    (Lin et al., arXiv 2305.08891, table 2); what models of zero terminal SNR want."""
    return scale.sigma(np.linspace(start, 0, count + 1)[:-1])


SCHEDULES: Final[Mapping[str, Schedule]] = {"Karras": karras, "Uniform": uniform, "SGM Uniform": sgm_uniform}
AUTOMATIC: Final = "Automatic"


@dataclass(frozen=True)
class Sampler:
    """One sampling method: the diffusers scheduler that solves it, its options, and its schedule under "Automatic".

    `variance_preserving` tells which of the two usual scalings its latents have: (x0 + sigma e) / sqrt(1 + sigma^2)
    when true, x0 + sigma e when false.
    """

    scheduler: type[Any]
    variance_preserving: bool
    automatic: str
    options: Mapping[str, Any] = field(default_factory=dict)


SAMPLERS: Final[Mapping[str, Sampler]] = {
    # Lu et al., arXiv 2211.01095.
    "DPM++ 2M": Sampler(
        DPMSolverMultistepScheduler, True, "Karras", {"solver_order": 2, "algorithm_type": "dpmsolver++"}
    ),
    # Karras et al., arXiv 2206.00364, algorithm 2 without churn.
    "Euler": Sampler(EulerDiscreteScheduler, False, "Uniform"),
    "Euler a": Sampler(EulerAncestralDiscreteScheduler, False, "Uniform"),
    # Song et al., arXiv 2010.02502, eta 0; the first-order DPM-Solver++ is the same update (arXiv 2211.01095, sec. 4),
    # and unlike diffusers' DDIMScheduler it takes steps of any length.
    "DDIM": Sampler(DPMSolverMultistepScheduler, True, "Uniform", {"solver_order": 1, "algorithm_type": "dpmsolver++"}),
    # Zhao et al., arXiv 2302.04867.
    "UniPC": Sampler(UniPCMultistepScheduler, True, "Uniform", {"solver_order": 2}),
}


def resolve_schedule(schedule: str, sampler: str, preferred: object = None) -> str:
    """The schedule that "Automatic" comes to: the model's preferred one, else AUTOMATIC1111's for the sampler."""
    if schedule != AUTOMATIC:
        return schedule
    return str(preferred) if preferred in SCHEDULES else SAMPLERS[sampler].automatic


def steps_to_run(steps: int, strength: float, min_steps: int) -> int:
    """How many of `steps` run at that strength: max(min(steps, min_steps), ceil(steps * strength))."""
    # 25 * 0.56 is 14.000000000000002 in binary: rounding to 9 places keeps such hairs from costing a step.
    return max(min(steps, min_steps), math.ceil(round(steps * strength, 9)))


@dataclass(frozen=True)
class Plan:
    """The way from noise to picture: `count` falling sigmas and a final 0, and the timestep of each but the last."""

    sampler: Sampler
    scale: NoiseScale
    sigmas: Sigmas
    from_noise: bool

    @property
    def count(self) -> int:
        return len(self.sigmas) - 1

    @property
    def timesteps(self) -> NDArray[np.float64]:
        return self.scale.timestep(self.sigmas[:-1])

    def amplitude(self, sigma: float) -> float:
        """What x0 + sigma e is multiplied by in this sampler's latents."""
        return 1 / math.sqrt(1 + sigma**2) if self.sampler.variance_preserving else 1.0

    def fractions(self) -> list[float]:
        """The remaining noise fraction before each step, and 0 after the last. The first is the strength."""
        return [self.scale.fraction(float(sigma)) for sigma in self.sigmas]


def make_plan(config: Mapping[str, Any], sampler: str, schedule: str, steps_run: int, strength: float) -> Plan:
    """The plan for `steps_run` steps from the place `strength` (above 0) on the model's noise scale.

    `config` is the model's own scheduler configuration, `schedule` a resolved name. At strength 1 the latents start
    from pure noise. Sigmas that fall together in floating point are dropped: a solver cannot step over no distance.
    """
    scale = NoiseScale.of(config)
    sigmas = SCHEDULES[schedule](scale, scale.start(strength), steps_run)
    falling = sigmas[np.concatenate([[True], np.diff(sigmas) < -1e-9])]
    return Plan(SAMPLERS[sampler], scale, np.append(falling, 0.0), strength == 1)


def scheduler_for(plan: Plan, config: Mapping[str, Any]) -> Any:
    """A fresh diffusers scheduler that walks the plan's sigmas, and keeps its latest estimate of x0 in `denoised`.

    diffusers lets no option of its schedulers set arbitrary sigmas for every method, so `set_timesteps` is overridden.
    """
    base = plan.sampler.scheduler

    class Planned(base):
        # Starting latents come scaled; what diffusers would multiply them by differs between its schedulers.
        init_noise_sigma = 1.0
        denoised: torch.Tensor | None = None

        def set_timesteps(self, num_inference_steps: int, device: Any = None, **_: Any) -> None:
            super().set_timesteps(num_inference_steps, device=device)
            self.sigmas = torch.tensor(plan.sigmas, dtype=torch.float32)
            self.timesteps = torch.tensor(plan.timesteps, dtype=torch.float32, device=device)
            self.num_inference_steps = plan.count
            self._step_index = None
            self._begin_index = 0

        # diffusers' pipelines read the signature to find out whether a scheduler draws noise from a generator.
        @functools.wraps(base.step)
        def step(
            self, model_output: torch.Tensor, timestep: Any, sample: torch.Tensor, *args: Any, **kwargs: Any
        ) -> Any:
            sigma = float(self.sigmas[self.step_index or 0])
            self.denoised = _denoised(self.config.prediction_type, model_output, sample / plan.amplitude(sigma), sigma)
            return super().step(model_output, timestep, sample, *args, **kwargs)

    flags = ("use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas")
    # steps_offset has no effect on given sigmas; other values than 1 make the pipeline warn.
    spared = {**dict.fromkeys(flags, False), "final_sigmas_type": "zero", "steps_offset": 1}
    kept = {key: value for key, value in dict(config).items() if key not in ("_class_name", "rescale_betas_zero_snr")}
    return Planned.from_config({**kept, **spared, **plan.sampler.options})


def _denoised(prediction: str, output: torch.Tensor, sample: torch.Tensor, sigma: float) -> torch.Tensor:
    """The estimate of x0 from the model's output; `sample` is x0 + sigma e."""
    if prediction == "v_prediction":
        return sample / (1 + sigma**2) - output * (sigma / math.sqrt(1 + sigma**2))
    if prediction == "epsilon":
        return sample - sigma * output
    return output
