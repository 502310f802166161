"""Presets: every value is one that the table allows for a source, and the three plain ones differ in strength alone."""

from __future__ import annotations

import pytest

from pentimento_shared.presets import PRESETS, Preset
from pentimento_shared.settings import validate


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_a_preset_holds_settings_that_can_be_sent(preset: Preset) -> None:
    settings = validate("inpaint", preset.settings)
    assert preset.settings.items() <= settings.items()
    assert 0 < float(preset.settings["strength"]) < 1


def test_the_plain_presets_rise_in_strength_and_touch_nothing_else() -> None:
    plain = {preset.name: preset.settings for preset in PRESETS if set(preset.settings) == {"strength"}}
    assert list(plain) == ["Subtle", "Medium", "Strong"]
    strengths = [float(settings["strength"]) for settings in plain.values()]
    assert strengths == sorted(set(strengths))
