"""What a LoRA's file tells beside its tensors. Free of torch."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from .keys import DENOISER

MAX_TRIGGERS: Final = 8
"""Words that a LoRA is listed with."""
_LONGEST_TRIGGER: Final = 60


def trigger_words(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The words that a LoRA was trained with most often, as kohya's scripts note them; none where they did not."""
    counts: Counter[str] = Counter()
    for tags in _json(metadata.get("ss_tag_frequency", "")).values():
        for tag, count in (tags if isinstance(tags, dict) else {}).items():
            if isinstance(count, (int, float)) and tag.strip():
                counts[tag.strip()[:_LONGEST_TRIGGER]] += int(count)
    return tuple(tag for tag, _ in counts.most_common(MAX_TRIGGERS))


def adapter_alpha(metadata: Mapping[str, str], component: str) -> float | None:
    """The alpha that peft's settings state for a component, where the file has them and no tensor says it."""
    settings = _json(metadata.get("lora_adapter_metadata", ""))
    names = ("unet", "transformer") if component == DENOISER else (component,)
    for name in names:
        alpha, rank = settings.get(f"{name}.lora_alpha"), settings.get(f"{name}.r")
        if isinstance(alpha, (int, float)) and isinstance(rank, int) and rank > 0:
            # Rank-stabilised: the scale is alpha / sqrt(rank), and ours divides by the rank.
            return alpha * math.sqrt(rank) if settings.get(f"{name}.use_rslora") else float(alpha)
    return None


def _json(text: str) -> dict[str, Any]:
    try:
        data = json.loads(text) if text else {}
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}
