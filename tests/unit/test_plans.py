"""What of a result's settings goes on to its refinement."""

from __future__ import annotations

from dataclasses import replace

from pentimento_shared.result_plans import settings_to_refine
from tests.unit.test_recipe import recipe


def test_a_refinement_goes_on_with_what_was_written_but_for_what_has_had_its_effect() -> None:
    made = replace(recipe("a red house"), written={"prompt": "a {red|blue} house"})
    begun = settings_to_refine(made)
    assert begun["prompt"] == "a {red|blue} house"
    assert begun["cfg_scale"] == made.settings["cfg_scale"]
    assert {"seed", "feather", "grow", "mask_mode", "loops", "batch_size"}.isdisjoint(begun)


def test_one_of_a_prompt_matrix_goes_on_with_its_own_combination() -> None:
    made = replace(recipe("a house, red"), written={"prompt": "a house|red|blue", "prompt_matrix": True})
    assert settings_to_refine(made)["prompt"] == "a house, red"
