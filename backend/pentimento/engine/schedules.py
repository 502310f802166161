"""Schedule types: how the noise levels are spread over the steps. One short function each, adding one is one row.

`sigma` is the noise scale of Karras et al. (arXiv 2206.00364): a picture x0 under noise e is x0 + sigma e.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from diffusers.schedulers.scheduling_utils import AysSchedules
from numpy.typing import NDArray

from .noise_scales import NoiseScale, Sigmas, Timesteps

KARRAS_RHO: Final = 7.0
POLYEXPONENTIAL_RHO: Final = 1.0
"""AUTOMATIC1111's default, at which Polyexponential is Exponential."""
BETA_SHAPE: Final = 0.6


Schedule = Callable[[NoiseScale, float, int], Sigmas]
"""(scale, first timestep, number of steps n) -> n sigmas above 0 that fall from the first timestep's own. The solver
goes on to 0 from the last. What other programs lay over the whole noise scale is laid from the first timestep down."""


def uniform(scale: NoiseScale, start: float, count: int) -> Sigmas:
    """Timesteps at equal distances down to timestep 0 itself: k-diffusion's own, "Uniform" and "Normal"."""
    return scale.sigma(np.linspace(start, 0, count))


def sgm_uniform(scale: NoiseScale, start: float, count: int) -> Sigmas:
    """Timesteps at equal distances, the last one step above 0: Stability's generative-models; what models of zero
    terminal SNR want (Lin et al., arXiv 2305.08891)."""
    return scale.sigma(np.linspace(start, 0, count + 1)[:-1])


def turbo(scale: NoiseScale, start: float, count: int) -> Sigmas:
    """Whole timesteps at equal distances counted from T: "trailing" in Lin et al. (arXiv 2305.08891), table 2. Turbo
    models (Sauer et al., arXiv 2311.17042) were distilled at four of them."""
    return _counted(scale, start, count, np.round)


def simple(scale: NoiseScale, start: float, count: int) -> Sigmas:
    """Every (T/n)-th of the training sigmas from the last down, as ComfyUI picks them: `turbo`, rounded the other
    way."""
    return _counted(scale, start, count, np.floor)


def _counted(scale: NoiseScale, start: float, count: int, rounding: Callable[[Timesteps], Timesteps]) -> Sigmas:
    if count > start:  # more steps than whole timesteps
        return uniform(scale, start, count)
    return scale.sigma(start - rounding(np.arange(count) * (start + 1) / count))


def ddim(scale: NoiseScale, start: float, count: int) -> Sigmas:
    """Timesteps 1, 1 + T/n, 1 + 2 T/n, ...: Song et al. (arXiv 2010.02502), "leading" in Lin et al. Their last falls
    short of T by T/n; here the first step begins at the start all the same, and is that much longer."""
    if count > start:
        return uniform(scale, start, count)
    return scale.sigma(np.append(start, 1 + np.arange(count - 1)[::-1] * (start + 1) / count))


def karras(scale: NoiseScale, start: float, count: int) -> Sigmas:
    """Karras et al. (arXiv 2206.00364), eq. 5, with rho 7, from the start's sigma to the schedule's least."""
    high, low = (sigma ** (1 / KARRAS_RHO) for sigma in _bounds(scale, start))
    return np.linspace(high, low, count) ** KARRAS_RHO


def exponential(scale: NoiseScale, start: float, count: int) -> Sigmas:
    """Log sigma at equal distances: the uniform steps in lambda of Lu et al. (arXiv 2206.00927, sec. 3.2)."""
    return np.geomspace(*_bounds(scale, start), count)


def polyexponential(scale: NoiseScale, start: float, count: int) -> Sigmas:
    """Log sigma along a power of a line, after k-diffusion; with AUTOMATIC1111's default, 1, it is `exponential`."""
    high, low = np.log(_bounds(scale, start))
    return np.exp(low + (high - low) * np.linspace(1, 0, count) ** POLYEXPONENTIAL_RHO)


def kl_optimal(scale: NoiseScale, start: float, count: int) -> Sigmas:
    """The arc tangent of sigma at equal distances: least KL divergence on Gaussian data, Sabour et al. (arXiv
    2404.14507), theorem 3.1."""
    high, low = np.arctan(_bounds(scale, start))
    return np.tan(np.linspace(high, low, count))


def align_your_steps(scale: NoiseScale, start: float, count: int) -> Sigmas:
    """Sabour et al. (arXiv 2404.14507): 11 noise levels optimised for Stable Diffusion 1.5, log-linear between them.

    10 steps from pure noise take the published levels themselves, of which the last gives way to 0 (as in the authors'
    own code). A lower start cuts into the curve.
    """
    high, low = _bounds(scale, start)
    # diffusers has already put 0 in the place of the last.
    published = np.log([*AysSchedules["StableDiffusionSigmas"][:-1], low])
    first = float(np.interp(-math.log(high), -published, np.arange(len(published))))
    places = np.linspace(first, len(published) - 1, count + 1)[:-1]
    return np.append(high, np.exp(np.interp(places[1:], np.arange(len(published)), published)))


def beta(scale: NoiseScale, start: float, count: int) -> Sigmas:
    """Timesteps at equal quantiles of a Beta(0.6, 0.6) distribution, dense at both ends: Lee et al. (arXiv 2407.12173).

    The paper and ComfyUI spread timesteps so; AUTOMATIC1111 and diffusers spread sigma itself, which all but leaves out
    the lower noise levels.
    """
    return scale.sigma(start * beta_quantile(1 - np.arange(count) / count))


def beta_quantile(share: NDArray[np.float64], shape: float = BETA_SHAPE) -> NDArray[np.float64]:
    """Where in 0..1 the Beta(shape, shape) distribution has reached `share` of its mass; exact to 1e-12."""
    lower = np.minimum(share, 1 - share)  # by symmetry only the half below 0.5, where the series converges fast
    low, high = np.zeros_like(lower), np.full_like(lower, 0.5)
    for _ in range(60):
        middle = (low + high) / 2
        below = _beta_mass(middle, shape) < lower
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.where(share <= 0.5, low, 1 - low)


def _beta_mass(x: NDArray[np.float64], shape: float) -> NDArray[np.float64]:
    """The regularised incomplete beta function I_x(shape, shape) for x up to 0.5, by its power series in x."""
    total, factor = np.full_like(x, 1 / shape), np.ones_like(x)
    for n in range(1, 50):
        factor = factor * (n - shape) / n * x
        total = total + factor / (shape + n)
    return x**shape * total * math.gamma(2 * shape) / math.gamma(shape) ** 2


def _bounds(scale: NoiseScale, start: float) -> tuple[float, float]:
    return float(scale.sigma(start)), float(scale.sigma(0.0))


SCHEDULES: Final[Mapping[str, Schedule]] = {
    "Uniform": uniform,
    "Karras": karras,
    "Exponential": exponential,
    "Polyexponential": polyexponential,
    "SGM Uniform": sgm_uniform,
    "KL Optimal": kl_optimal,
    "Align Your Steps": align_your_steps,
    "Simple": simple,
    "Normal": uniform,
    "DDIM": ddim,
    "Beta": beta,
    "Turbo": turbo,
}
