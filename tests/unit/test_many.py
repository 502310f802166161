"""How many pictures a job makes and with which seeds, and what a prompt matrix says."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pentimento_shared.many import apart, loop_strength, loops_to_run, seeds_of
from pentimento_shared.prompt_matrix import ALL, chosen, parts
from pentimento_shared.settings import CURVES, SEED_END, SettingError, validate


def settings(**values: object):
    return validate("img2img", {"seed": 7, **values})


def test_a_batch_counts_the_seed_up_and_starts_over_at_its_end():
    assert seeds_of(settings(batch_size=2, batch_count=2)) == (7, 8, 9, 10)
    assert seeds_of(settings(seed=SEED_END - 1, batch_count=2)) == (SEED_END - 1, 0)
    assert apart(settings(), 3) == (-1, 0, 0)


def test_with_a_variation_the_seed_stays_and_the_variation_seed_counts_up():
    varied = settings(batch_count=3, variation_seed=SEED_END - 2, variation_strength=0.1)
    assert seeds_of(varied) == (7, 7, 7)
    assert [apart(varied, k).variation_seed for k in range(3)] == [SEED_END - 2, SEED_END - 1, 0]


def test_each_combination_of_a_matrix_has_the_same_seed():
    matrix = settings(prompt="a lake | snow, | fog", prompt_matrix=True, batch_count=2)
    assert seeds_of(matrix) == (7, 7, 7, 7, 8, 8, 8, 8)
    assert [apart(matrix, k).combination for k in range(8)] == [0, 1, 2, 3, 0, 1, 2, 3]
    assert seeds_of(settings(prompt="a lake | snow")) == (7,)


def words(prompt: str, combination: int = ALL) -> list[str]:
    return [prompt[first:end] for first, end in chosen(prompt, combination)]


def test_a_matrix_is_cut_outside_all_brackets_only():
    prompt = r"[a|b] {c|d} (e|f:1.2) \| # g | h" + "\n, |snow,| <lora:x|y:1> , || fog"
    whole = r"[a|b] {c|d} (e|f:1.2) \| # g | h"
    assert words(prompt) == [whole, "snow", "<lora:x|y:1>", "fog"]
    assert words(prompt, 0) == [whole]
    assert words(prompt, 0b0001) == [whole, "snow"]
    assert len(parts(prompt)) == 5


@given(st.text("ab|, ([{}])\\#\n<:>"), st.integers(-1, 300))
def test_any_text_has_parts_that_stand_in_it(prompt: str, combination: int):
    spans = parts(prompt)
    assert all(0 <= first <= end <= len(prompt) for first, end in spans)
    assert all(spans[k][1] <= spans[k + 1][0] for k in range(len(spans) - 1))
    assert set(chosen(prompt, combination)) <= set(spans)


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"prompt": "|".join("abcdefghij"), "prompt_matrix": True}, "prompt_matrix"),
        ({"prompt": "|".join("abcdefghi"), "prompt_matrix": True, "batch_count": 4}, "prompt_matrix"),
        ({"loops": 3, "batch_size": 2}, "batch_size"),
        ({"loops": 3, "batch_count": 2}, "batch_size"),
        ({"loops": 3, "prompt": "a|b", "prompt_matrix": True}, "prompt_matrix"),
        ({"loops": 3, "last_loop": 4}, "last_loop"),
        ({"last_loop": 2}, "last_loop"),
    ],
)
def test_what_cannot_go_together_is_refused_by_name(values, field):
    with pytest.raises(SettingError) as refused:
        seeds_of(settings(**values))
    assert refused.value.field == field
    assert refused.value.allowed


def test_a_loopback_counts_the_seed_up_and_may_end_before_its_end():
    assert seeds_of(settings(loops=4)) == (7, 8, 9, 10)
    assert seeds_of(settings(loops=4, last_loop=2)) == (7, 8)
    assert [apart(settings(loops=4), k).loop for k in range(4)] == [1, 2, 3, 4]
    assert loops_to_run(settings()) == 1


def test_the_curves_are_those_of_automatic1111():
    """Its calculate_denoising_strength, at the third loop of five: way 0.5 from 0.8 to 0.2."""
    ways = {"Linear": 0.5, "Aggressive": math.sin(math.pi / 4), "Lazy": 1 - math.cos(math.pi / 4)}
    for curve, way in ways.items():
        looped = settings(loops=5, strength=0.8, final_strength=0.2, loopback_curve=curve)
        assert loop_strength(looped, 3) == pytest.approx(0.8 - 0.6 * way, abs=1e-12)


@given(st.sampled_from(CURVES), st.integers(2, 32), st.floats(0, 1), st.floats(0, 1))
def test_the_ends_of_a_loopback_are_exact_and_what_is_between_lies_between(curve, loops, first, final):
    looped = settings(loops=loops, strength=first, final_strength=final, loopback_curve=curve)
    strengths = [loop_strength(looped, loop) for loop in range(1, loops + 1)]
    assert (strengths[0], strengths[-1]) == (first, final)
    assert strengths in (sorted(strengths), sorted(strengths, reverse=True))
