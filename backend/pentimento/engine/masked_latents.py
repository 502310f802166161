"""Masked content that is made in the latents: noise, or nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from pentimento_shared.settings import MASKED_CONTENTS

from .denoise import Source
from .noise import Seed, noise_for

_NOISE: Final = MASKED_CONTENTS[2]
_OTHER: Final = 0x9E3779B9
"""What a seed is changed by: torch's CPU generator takes 32 bits, so there are none to spare beyond the seeds."""
IN_LATENTS: Final = MASKED_CONTENTS[2:]
"""The masked contents that `masked_content` makes; the others are made of the picture before it is encoded."""


def masked_content(source: Source, content: str, seeds: Sequence[Seed]) -> Source:
    """The source with what lies under its selection replaced, as far as it is selected; one picture per seed.

    The noise is each picture's own, and never that of its sampling.
    """
    if content not in IN_LATENTS or source.selection is None:
        return source
    kept = source.latents * (1 - source.selection)
    if content != _NOISE:
        return replace(source, latents=kept)
    own = [Seed(seed.seed ^ _OTHER, seed.variation ^ _OTHER, seed.strength) for seed in seeds]
    noise, _ = noise_for(own, tuple(source.latents.shape[1:]))
    return replace(source, latents=kept + source.selection * noise.to(kept.device))
