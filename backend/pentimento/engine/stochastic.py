"""Samplers that draw fresh noise on the way: solvers of the reverse SDE (ancestral sampling), and Restart, LCM and TCD.

With eta 1, as in k-diffusion and AUTOMATIC1111, a step from sigma to t keeps (t / sigma)^2 of the distance from the
estimate and adds noise of variance t^2 (1 - (t / sigma)^2). The noise is each picture's own (`Course.noise`).
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Final

import torch

from .solvers import HARDLY_ANYTHING_BUT_NOISE, heun_step
from .walking import Course, Look, Walk, toward

TCD_GAMMA: Final = 0.3


def fresh(sigma: float, target: float) -> float:
    """The standard deviation of the noise that a step of the reverse SDE from sigma to the target adds."""
    return target * math.sqrt(1 - (target / sigma) ** 2)


def euler_ancestral(x: torch.Tensor, course: Course) -> Walk:
    """Ancestral sampling with Euler's method: the variance of Ho et al. (arXiv 2006.11239), as DDIM with eta 1 (Song et
    al., arXiv 2010.02502, eq. 12 and 16) has it between any two steps."""
    for step, sigma, target in course.steps():
        x, denoised = yield Look(x, sigma, step)
        if target == 0:
            return denoised
        x = toward(x, denoised, (target / sigma) ** 2) + fresh(sigma, target) * course.noise()
    return x


def dpm_2_ancestral(x: torch.Tensor, course: Course) -> Walk:
    """Ancestral sampling with DPM-Solver-2 (Lu et al., arXiv 2206.00927): after k-diffusion. Two looks a step."""
    for step, sigma, target in course.steps():
        x, denoised = yield Look(x, sigma, step)
        if target == 0:
            return denoised
        if sigma > HARDLY_ANYTHING_BUT_NOISE:
            x = toward(x, denoised, (target / sigma) ** 2)
        else:
            # Down to target^2 / sigma and up again by noise; the target lies in the middle of the way down.
            ahead, denoised = yield Look(toward(x, denoised, target / sigma), target, step)
            x = x + (target**2 / sigma - sigma) * (ahead - denoised) / target
        x = x + fresh(sigma, target) * course.noise()
    return x


def dpmpp_2s_ancestral(x: torch.Tensor, course: Course) -> Walk:
    """Ancestral sampling with DPM-Solver++(2S): Lu et al. (arXiv 2211.01095), algorithm 1 with r = 1/2. Two looks a
    step."""
    for step, sigma, target in course.steps():
        x, denoised = yield Look(x, sigma, step)
        if target == 0:
            return denoised
        # As in dpm_2_ancestral the target lies in the middle of the way down.
        _, denoised = yield Look(toward(x, denoised, target / sigma), target, step)
        x = toward(x, denoised, (target / sigma) ** 2) + fresh(sigma, target) * course.noise()
    return x


def dpmpp_sde(x: torch.Tensor, course: Course) -> Walk:
    """DPM-Solver++ (SDE), singlestep with r = 1/2, after k-diffusion: Lu et al. (arXiv 2211.01095). Two looks a
    step; the noise of the half step is part of the whole step's, one Brownian path."""
    for step, sigma, target in course.steps():
        x, denoised = yield Look(x, sigma, step)
        if target == 0:
            return denoised
        middle = math.sqrt(sigma * target)
        first = fresh(sigma, middle) * course.noise()
        _, denoised = yield Look(toward(x, denoised, (middle / sigma) ** 2) + first, middle, step)
        noise = (target / middle) ** 2 * first + fresh(middle, target) * course.noise()
        x = toward(x, denoised, (target / sigma) ** 2) + noise
    return x


def dpmpp_2m_sde(x: torch.Tensor, course: Course) -> Walk:
    """SDE-DPM-Solver++(2M), the midpoint form: Lu et al. (arXiv 2211.01095)."""
    before, length_before = None, 0.0
    for step, sigma, target in course.steps():
        x, denoised = yield Look(x, sigma, step)
        if target == 0:
            return denoised
        length = math.log(sigma / target)
        ahead = denoised
        if before is not None:
            ahead = denoised + (denoised - before) * (length / (2 * length_before))
        x = toward(x, ahead, (target / sigma) ** 2) + fresh(sigma, target) * course.noise()
        before, length_before = denoised, length
    return x


def dpmpp_3m_sde(x: torch.Tensor, course: Course) -> Walk:
    """SDE-DPM-Solver++(3M): the exponential integrator of Lu et al. (arXiv 2211.01095) on the parabola through the last
    three estimates. k-diffusion, whose idea it is, takes half the parabola's bend, which is less exact."""
    past: list[tuple[float, torch.Tensor]] = []  # (lambda = -log sigma, estimate), the latest first
    for step, sigma, target in course.steps():
        x, denoised = yield Look(x, sigma, step)
        if target == 0:
            return denoised
        past = [(-math.log(sigma), denoised), *past][:3]
        length = math.log(sigma / target)
        slope, bend = _newton(past)
        decay = 2 * length
        # Integrals of e^(u - decay) u / decay and (u / decay)^2 over u in 0..decay.
        first = 1 + math.expm1(-decay) / decay
        second = 1 - 2 * first / decay
        x = toward(x, denoised, (target / sigma) ** 2)
        if slope is not None:
            x = x + first * length * slope
        if bend is not None:
            # Newton's parabola has its second root at the estimate before: u (u + h1).
            x = x + (second * length**2 + first * length * (past[0][0] - past[1][0])) * bend
        x = x + fresh(sigma, target) * course.noise()
    return x


def _newton(past: list[tuple[float, torch.Tensor]]) -> tuple[torch.Tensor | None, torch.Tensor | None]:
    """The divided differences of first and second order of the latest points, None where there are too few."""
    slopes = [(a - b) / (at - before) for (at, a), (before, b) in pairwise(past)]
    if len(slopes) < 2:
        return (slopes[0] if slopes else None), None
    return slopes[0], (slopes[0] - slopes[1]) / (past[0][0] - past[2][0])


def restart(x: torch.Tensor, course: Course) -> Walk:
    """Restart sampling: Xu et al. (arXiv 2306.14878): Heun's method, and where the course rises as much
    fresh noise as it takes. The errors made before shrink on the second way down."""
    step = 0
    for sigma, target in pairwise(course.sigmas):
        if target > sigma:
            x = x + math.sqrt(target**2 - sigma**2) * course.noise()
        else:
            x = yield from heun_step(x, sigma, target, step)
            step += 1
    return x


def lcm(x: torch.Tensor, course: Course) -> Walk:
    """Multistep consistency sampling for distilled models: Luo et al. (arXiv 2310.04378): the estimate
    itself, noised anew. (The boundary's skip weight, below 1e-4 from timestep 5 on, is left out.)"""
    for step, sigma, target in course.steps():
        x, denoised = yield Look(x, sigma, step)
        if target == 0:
            return denoised
        x = denoised + target * course.noise()
    return x


def tcd(x: torch.Tensor, course: Course) -> Walk:
    """Strategic stochastic sampling for distilled models: Zheng et al. (arXiv 2402.19159), with gamma 0.3:
    down past the target to timestep (1 - gamma) t, then up again by noise."""
    for step, sigma, target in course.steps():
        x, denoised = yield Look(x, sigma, step)
        if target == 0:
            return denoised
        below = float(course.scale.sigma((1 - TCD_GAMMA) * float(course.scale.timestep(target))))
        x = toward(x, denoised, below / sigma) + math.sqrt(max(0.0, target**2 - below**2)) * course.noise()
    return x
