"""Samplers without noise on the way: solvers of the probability flow ODE dx/dsigma = (x - x0(x, sigma)) / sigma of
Karras et al. (arXiv 2206.00364, eq. 1 and 3). More steps bring all of them to one and the same picture.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import torch

from .walking import Course, Look, Walk, toward

HARDLY_ANYTHING_BUT_NOISE: Final = 20.0
"""Sigma above which a step is Euler's. Stable Diffusion ends at 14.6, models of nearly zero terminal SNR above 300. Up
there the estimate hardly changes, so that Euler's step, which keeps it, is all but exact; the slope goes as 1 / sigma,
and averages of slopes are far off over a step like that from 333 to 12."""
LMS_ORDER: Final = 4
DEIS_ORDER: Final = 3


def euler(x: torch.Tensor, course: Course) -> Walk:
    """Euler's method: Karras et al. (arXiv 2206.00364), algorithm 2 without churn and correction. On this scale DDIM
    with eta 0 (Song et al., arXiv 2010.02502, eq. 13) is the same update."""
    for step, sigma, target in course.steps():
        x, denoised = yield Look(x, sigma, step)
        x = toward(x, denoised, target / sigma)
    return x


def heun(x: torch.Tensor, course: Course) -> Walk:
    """Heun's method: Karras et al. (arXiv 2206.00364), algorithm 1. Two looks a step, one in the last."""
    for step, sigma, target in course.steps():
        x = yield from heun_step(x, sigma, target, step)
    return x


def heun_step(x: torch.Tensor, sigma: float, target: float, step: int) -> Walk:
    """One step of Heun's method; Euler's from above HARDLY_ANYTHING_BUT_NOISE, and to 0, which has no slope."""
    x, denoised = yield Look(x, sigma, step)
    ahead = toward(x, denoised, target / sigma)
    if target == 0 or sigma > HARDLY_ANYTHING_BUT_NOISE:
        return ahead
    slope = (x - denoised) / sigma
    ahead, denoised = yield Look(ahead, target, step)
    return x + (target - sigma) * (slope + (ahead - denoised) / target) / 2


def dpm_2(x: torch.Tensor, course: Course) -> Walk:
    """DPM-Solver-2: Lu et al. (arXiv 2206.00927), algorithm 1: the slope at the middle in log sigma, in the form of
    k-diffusion (inspired by Karras et al., algorithm 2). Two looks a step, one in the last."""
    for step, sigma, target in course.steps():
        x, denoised = yield Look(x, sigma, step)
        if target == 0 or sigma > HARDLY_ANYTHING_BUT_NOISE:
            x = toward(x, denoised, target / sigma)
            continue
        middle = math.sqrt(sigma * target)
        between, denoised = yield Look(toward(x, denoised, middle / sigma), middle, step)
        x = x + (target - sigma) * (between - denoised) / middle
    return x


def dpmpp_2m(x: torch.Tensor, course: Course) -> Walk:
    """DPM-Solver++(2M): Lu et al. (arXiv 2211.01095), algorithm 2."""
    before, length_before = None, 0.0
    for step, sigma, target in course.steps():
        x, denoised = yield Look(x, sigma, step)
        if target == 0:
            return denoised
        length = math.log(sigma / target)
        ahead = denoised
        if before is not None:
            ahead = denoised + (denoised - before) * (length / (2 * length_before))
        x = toward(x, ahead, target / sigma)
        before, length_before = denoised, length
    return x


def unipc(x: torch.Tensor, course: Course) -> Walk:
    """UniPC-2 with B(h) = e^h - 1 on the estimate of x0: Zhao et al. (arXiv 2302.04867).

    The corrector goes over a step once more when the estimate at its end is known; it costs no look of its own.
    """
    past: list[tuple[float, torch.Tensor]] = []  # (log sigma, estimate), the latest first
    begin = x
    for step, sigma, target in course.steps():
        ahead = x
        x, denoised = yield Look(ahead, sigma, step)
        if past:
            corrected = _unipc_update(begin, past, math.log(sigma), denoised)
            # A px that was put back since has no prediction that could be corrected.
            x = torch.where(x == ahead, corrected, x)
        if target == 0:
            return denoised
        past = [(math.log(sigma), denoised), *past][:2]
        begin, x = x, _unipc_update(x, past, math.log(target), None)
    return x


def _unipc_update(
    x: torch.Tensor, past: Sequence[tuple[float, torch.Tensor]], log_target: float, there: torch.Tensor | None
) -> torch.Tensor:
    """From the latest sigma in `past` to the target: the predictor, or with the estimate `there` the corrector."""
    log_sigma, denoised = past[0]
    length = log_target - log_sigma  # below 0: -h of the paper
    points = [((earlier - log_sigma) / length, estimate) for earlier, estimate in past[1:]]
    if there is not None:
        points.append((1.0, there))
    grown = math.expm1(length)
    result = toward(x, denoised, math.exp(length))
    if not points:
        return result
    # The paper sets the single weight to 1/2 where it would follow from the equations only to first order.
    weights = [0.5] if len(points) == 1 else _unipc_weights([place for place, _ in points], length)
    for weight, (place, estimate) in zip(weights, points, strict=True):
        result = result - grown * weight / place * (estimate - denoised)
    return result


def _unipc_weights(places: Sequence[float], length: float) -> list[float]:
    """The solution of the paper's equations R a = b, by which the update's first terms are those of the exact one."""
    grown = math.expm1(length)
    phi, factorial, right = grown / length - 1, 1.0, []
    for k in range(1, len(places) + 1):
        right.append(phi * factorial / grown)
        factorial *= k + 1
        phi = phi / length - 1 / factorial
    return np.linalg.solve(np.vander(places, increasing=True).T, right).tolist()


def plms(x: torch.Tensor, course: Course) -> Walk:
    """Pseudo linear multistep: Liu et al. (arXiv 2202.09778), with one improved Euler step (two looks) to begin with,
    as CompVis' Stable Diffusion does it; their transfer between timesteps is Euler's step on this scale."""
    weights = ((1.0,), (3 / 2, -1 / 2), (23 / 12, -16 / 12, 5 / 12), (55 / 24, -59 / 24, 37 / 24, -9 / 24))
    past: list[torch.Tensor] = []
    for step, sigma, target in course.steps():
        x, denoised = yield Look(x, sigma, step)
        if target == 0 or sigma > HARDLY_ANYTHING_BUT_NOISE:
            x = toward(x, denoised, target / sigma)
            continue
        past = [(x - denoised) / sigma, *past][:4]
        if len(past) == 1:
            ahead, denoised = yield Look(toward(x, denoised, target / sigma), target, step)
            slope = (past[0] + (ahead - denoised) / target) / 2
        else:
            slope = _combined(weights[len(past) - 1], past)
        x = x + (target - sigma) * slope
    return x


def lms(x: torch.Tensor, course: Course) -> Walk:
    """Linear multistep (Adams-Bashforth for steps of any length) of order 4 in sigma, as in k-diffusion; the same as
    the rho-AB method of Zhang and Chen (arXiv 2204.13902)."""
    return (yield from _multistep(x, course, LMS_ORDER, lambda sigma: sigma))


def deis(x: torch.Tensor, course: Course) -> Walk:
    """tAB-DEIS of order 3: Zhang and Chen (arXiv 2204.13902): the noise estimates of the last steps as a
    polynomial of the timestep."""
    return (yield from _multistep(x, course, DEIS_ORDER, course.scale.timestep))


def _multistep(x: torch.Tensor, course: Course, order: int, variable: Callable[[np.ndarray], np.ndarray]) -> Walk:
    """Steps with the slopes of the last `order` steps as a polynomial of `variable` (a function of sigma)."""
    sigmas: list[float] = []
    slopes: list[torch.Tensor] = []
    for step, sigma, target in course.steps():
        x, denoised = yield Look(x, sigma, step)
        if target == 0:
            return denoised
        sigmas, slopes = [sigma, *sigmas][:order], [(x - denoised) / sigma, *slopes][:order]
        x = x + _combined(_integrals(sigmas, target, variable), slopes)
    return x


def _integrals(sigmas: Sequence[float], target: float, variable: Callable[[np.ndarray], np.ndarray]) -> list[float]:
    """Over sigma from the first of `sigmas` to the target, the integral of each Lagrange polynomial whose nodes are
    `variable` of the sigmas."""
    nodes, weights = np.polynomial.legendre.leggauss(32)
    half = (target - sigmas[0]) / 2
    at = variable(sigmas[0] + half * (nodes + 1))
    places = variable(np.array(sigmas))
    integrals = []
    for j, place in enumerate(places):
        others = np.delete(places, j)
        polynomial = np.prod((at[:, None] - others) / (place - others), axis=1)
        integrals.append(float(half * weights @ polynomial))
    return integrals


def _combined(weights: Sequence[float], tensors: Sequence[torch.Tensor]) -> torch.Tensor:
    total = weights[0] * tensors[0]
    for weight, tensor in zip(weights[1:], tensors[1:], strict=True):
        total = total + weight * tensor
    return total
