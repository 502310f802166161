"""A world in which everything is known: pictures from a normal distribution, and their exact denoiser.

Every solver is linear there, so latents can be followed as coefficients of the noises they are made of, and the
variance of what comes out is exact: there is no drawing, and no tolerance for luck.
"""

from __future__ import annotations

import json
import math

import torch

from pentimento.engine.models import demo_folder
from pentimento.engine.samplers import Plan
from pentimento.engine.walking import Seen

CONFIG = {
    "num_train_timesteps": 1000,
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "prediction_type": "epsilon",
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
ZERO_SNR = {**CONFIG, "rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"}
DEMO = json.loads((demo_folder() / "scheduler" / "scheduler_config.json").read_text("utf-8"))
"""Nearly zero terminal SNR: from sigma 333."""
DEVIATION = 0.5
"""Standard deviation of the pictures."""


def denoised(x: torch.Tensor, sigma: float) -> torch.Tensor:
    """The mean of the pictures that x = x0 + sigma e may come from."""
    return x * DEVIATION**2 / (DEVIATION**2 + sigma**2)


def walk(plan: Plan, x: torch.Tensor, noise, model=denoised) -> torch.Tensor:
    """Where the plan's solver comes to from `x` with that denoiser."""
    solver = plan.sampler.solver(x, plan.course(noise))
    look = next(solver)
    try:
        while True:
            look = solver.send(Seen(look.x, model(look.x, look.sigma)))
    except StopIteration as end:
        return end.value


def relative_error(plan: Plan, draws: int = 400) -> float:
    """By how much the standard deviation of what comes out is wrong, as a share: -0.1 is 10 % too little.

    Right is what is left of the noise level before last, which every solver leaves in one step of Euler's.
    """
    units = iter(torch.eye(draws, dtype=torch.float64))
    first = math.hypot(DEVIATION, float(plan.sigmas[0]))
    came = walk(plan, first * next(units), lambda: next(units))
    least = float(plan.sigmas[-2])
    return float(came.square().sum().sqrt()) * math.hypot(DEVIATION, least) / DEVIATION**2 - 1
