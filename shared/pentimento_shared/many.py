"""How many pictures a job makes, and what sets each of them apart: seeds, variations, combinations, loops."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from .prompt_matrix import combinations
from .settings import AGGRESSIVE, LAZY, LINEAR, SEED_END, SettingError, Value

MAX_PICTURES: Final = 800
"""Pictures of one job: the largest batch size times the largest batch count."""
_CURVES: Final[Mapping[str, Callable[[float], float]]] = {
    # AUTOMATIC1111's, scripts/loopback.py.
    LINEAR: lambda way: way,
    AGGRESSIVE: lambda way: math.sin(way * math.pi / 2),
    LAZY: lambda way: 1 - math.cos(way * math.pi / 2),
}


class Apart(NamedTuple):
    """What picture `index` of a job has of its own beside its seed.

    `variation_seed` is -1 where nothing varies. `combination` counts those of a prompt matrix from 0, the first part
    alone. `loop` counts from 1, and is 0 without a loopback.
    """

    variation_seed: int
    combination: int
    loop: int


def loops_to_run(settings: Mapping[str, Value]) -> int:
    """How many pictures a loopback makes one from another; 1 without one. Raises SettingError."""
    loops, last = int(settings.get("loops", 1)), int(settings.get("last_loop", 0))
    if last > loops:
        detail = f"last_loop is {last} and there are {loops} loops; allowed: 0 for all of them, or up to {loops}."
        raise SettingError("last_loop", last, f"a whole number from 0 to {loops}", detail)
    return last or loops


def seeds_of(settings: Mapping[str, Value]) -> tuple[int, ...]:
    """The seed of each picture, in order. `settings` are complete, and their seed is drawn (0 or more).

    A batch counts the seed up; while its variation is above 0 the seed stays, and the variation seed counts up. Each
    combination of a prompt matrix is made with the same seeds, and a loopback counts them up. Raises SettingError for
    settings that cannot go together.
    """
    seed, batch = int(settings["seed"]), int(settings["batch_size"]) * int(settings["batch_count"])
    loops, matrix = loops_to_run(settings), combinations(settings)
    if int(settings.get("loops", 1)) > 1:
        _check_alone(settings, batch, matrix)
        return tuple((seed + k) % SEED_END for k in range(loops))
    if batch * matrix > MAX_PICTURES:
        detail = (
            f"The prompt matrix has {matrix} combinations and the batch {batch} pictures of each, "
            f"{batch * matrix} in all; at most {MAX_PICTURES} are allowed. Leave parts of the prompt out."
        )
        raise SettingError("prompt_matrix", True, f"at most {MAX_PICTURES} pictures", detail)
    varied = float(settings["variation_strength"]) > 0
    return tuple(seed if varied else (seed + k) % SEED_END for k in range(batch) for _ in range(matrix))


def apart(settings: Mapping[str, Value], index: int) -> Apart:
    """What sets picture `index` apart; `settings` as for `seeds_of`, the variation seed drawn where it counts."""
    looping, matrix = int(settings.get("loops", 1)) > 1, combinations(settings)
    variation = int(settings["variation_seed"])
    if float(settings["variation_strength"]) > 0 and not looping:
        variation = (variation + index // matrix) % SEED_END
    return Apart(variation, index % matrix, index + 1 if looping else 0)


def loop_strength(settings: Mapping[str, Value], loop: int) -> float:
    """The strength of a loop (1..): from `strength` in the first along the curve to `final_strength` in the last."""
    first, final, loops = float(settings["strength"]), float(settings["final_strength"]), int(settings["loops"])
    if loop in (1, loops):
        return first if loop == 1 else final
    way = _CURVES[str(settings["loopback_curve"])]((loop - 1) / (loops - 1))
    return first + (final - first) * way


def _check_alone(settings: Mapping[str, Value], batch: int, matrix: int) -> None:
    """A loopback makes one picture from another, and nothing beside them. Raises SettingError."""
    for name, more in (("batch_size", batch > 1), ("prompt_matrix", matrix > 1)):
        if more:
            detail = (
                f"loops is {settings['loops']}: a loopback makes one picture from another, with one seed and one "
                "prompt at a time. Leave batch size and batch count at 1 and the prompt matrix off, or loops at 1."
            )
            raise SettingError(name, settings[name], "1 picture at a time with a loopback", detail)
