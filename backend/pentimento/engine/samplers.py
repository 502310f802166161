"""Sampling methods, and the plan of a run: which noise levels it goes through and where the model is asked.

Adding a method is a row in the table.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import torch

from pentimento_shared.sampler_names import AUTOMATIC

from . import solvers, stochastic
from .noise_scales import NoiseScale, Sigmas
from .schedules import KARRAS_RHO, SCHEDULES
from .walking import Course, Seen, Solver

RESTART_FROM: Final = 0.1
RESTART_AT: Final = 2.0
RESTART_LEAST_STEPS: Final = 5


@dataclass(frozen=True)
class Sampler:
    """One sampling method: what solves it, and its schedule under "Automatic" (AUTOMATIC1111's where it has one).

    `spares_least` lays the schedule one step finer and leaves its last sigma out, as AUTOMATIC1111 does: to go from the
    one before to the least is a long way in log sigma, over which these solvers overshoot. `restarts`: see `restarted`.
    """

    solver: Solver
    automatic: str = "Uniform"
    spares_least: bool = False
    restarts: bool = False


SAMPLERS: Final[Mapping[str, Sampler]] = {
    "DPM++ 2M": Sampler(solvers.dpmpp_2m, "Karras"),
    "DPM++ SDE": Sampler(stochastic.dpmpp_sde, "Karras"),
    "DPM++ 2M SDE": Sampler(stochastic.dpmpp_2m_sde, "Exponential"),
    "DPM++ 2S a": Sampler(stochastic.dpmpp_2s_ancestral, "Karras"),
    "DPM++ 3M SDE": Sampler(stochastic.dpmpp_3m_sde, "Exponential", spares_least=True),
    "Euler": Sampler(solvers.euler),
    "Euler a": Sampler(stochastic.euler_ancestral),
    "Heun": Sampler(solvers.heun),
    "LMS": Sampler(solvers.lms),
    "DPM2": Sampler(solvers.dpm_2, "Karras", spares_least=True),
    "DPM2 a": Sampler(stochastic.dpm_2_ancestral, "Karras", spares_least=True),
    "Restart": Sampler(stochastic.restart, "Karras", restarts=True),
    # With eta 0, DDIM's own default, it is Euler's method; its own schedule is what sets it apart.
    "DDIM": Sampler(solvers.euler, "DDIM"),
    "PLMS": Sampler(solvers.plms, "DDIM"),
    "UniPC": Sampler(solvers.unipc),
    "DEIS": Sampler(solvers.deis),
    "LCM": Sampler(stochastic.lcm, "Turbo"),
    "TCD": Sampler(stochastic.tcd, "Turbo"),
}


def resolve_schedule(schedule: str, sampler: str, preferred: object = None) -> str:
    """The schedule that "Automatic" comes to: the model's preferred one, else the sampler's own."""
    if schedule != AUTOMATIC:
        return schedule
    return str(preferred) if preferred in SCHEDULES else SAMPLERS[sampler].automatic


def steps_to_run(steps: int, strength: float, min_steps: int, exact: bool = False) -> int:
    """How many of `steps` run at that strength: max(min(steps, min_steps), ceil(steps * strength)); `exact`: all."""
    # 25 * 0.56 is 14.000000000000002 in binary: rounding to 9 places keeps such hairs from costing a step.
    return steps if exact else max(min(steps, min_steps), math.ceil(round(steps * strength, 9)))


class Evaluation(NamedTuple):
    """One look of the model at latents of that sigma. It belongs to `step` (0..), which began at `begin` (a sigma)."""

    sigma: float
    step: int
    begin: float


@dataclass(frozen=True)
class Plan:
    """The way from noise to picture: falling sigmas and a last 0 (Restart's rise in between).

    With `from_noise` the latents start from pure noise.
    """

    sampler: Sampler
    scale: NoiseScale
    sigmas: Sigmas
    from_noise: bool

    @property
    def count(self) -> int:
        """The number of steps."""
        return int((np.diff(self.sigmas) < 0).sum())

    @functools.cached_property
    def evaluations(self) -> tuple[Evaluation, ...]:
        """Every call of the model, found by walking the course with nothing on it."""
        nothing = torch.zeros(1)
        course = self.course(lambda: nothing)
        begins = [sigma for _, sigma, _ in course.steps()]
        walk = self.sampler.solver(nothing, course)
        looks = [next(walk)]
        try:
            while True:
                looks.append(walk.send(Seen(nothing, nothing)))
        except StopIteration:
            return tuple(Evaluation(look.sigma, look.step, begins[look.step]) for look in looks)

    def course(self, noise: Callable[[], torch.Tensor]) -> Course:
        return Course(tuple(map(float, self.sigmas)), self.scale, noise)


def make_plan(scale: NoiseScale, sampler: str, schedule: str, steps_run: int, strength: float) -> Plan:
    """The plan for `steps_run` steps from the place `strength` (above 0) on the model's noise scale.

    `schedule` is a resolved name. At strength 1 the latents start from pure noise. Sigmas that fall together in
    floating point are dropped: a solver cannot step over no distance.
    """
    method = SAMPLERS[sampler]
    start = scale.start(strength)

    def laid(count: int) -> Sigmas:
        sigmas = SCHEDULES[schedule](scale, start, count + method.spares_least)
        sigmas = np.concatenate([scale.sigma(start).reshape(1), sigmas[1:count]])
        return sigmas[np.concatenate([[True], np.diff(sigmas) < -1e-9])]

    sigmas = restarted(laid, steps_run) if method.restarts else laid(steps_run)
    return Plan(method, scale, np.append(sigmas, 0.0), strength == 1)


def restarted(laid: Callable[[int], Sigmas], count: int) -> Sigmas:
    """Sigmas of `count` steps, of which some go from about 2 to about 0.1 once more, from 36 steps on twice more: Xu et
    al. (arXiv 2306.14878), shared out as AUTOMATIC1111 does. Under 5 steps, or from a start near 0.1, there is no room
    for it. `laid(n)` lays the schedule over n steps.
    """
    times, again = (2, count // 4) if count >= 36 else (1, count * 9 // 20)
    main = laid(count - times * again)
    bottom = int(np.abs(main - RESTART_FROM).argmin())
    top = int(np.abs(main - RESTART_AT).argmin())
    if count < RESTART_LEAST_STEPS or top >= bottom:
        return laid(count)
    high, low = main[[top, bottom]] ** (1 / KARRAS_RHO)
    segment = np.linspace(high, low, again + 1) ** KARRAS_RHO
    segment[[0, -1]] = main[[top, bottom]]  # to the last bit
    return np.concatenate([main[: bottom + 1], *[segment] * times, main[bottom + 1 :]])
