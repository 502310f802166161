"""The setting `styles` as names, and styles written into the prompt: the same words as the backend makes of them."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from pentimento.engine.prompts.resolving import with_style, without_comments
from pentimento.engine.prompts.styles import Style, chosen
from pentimento.engine.prompts.tracing import Traced
from pentimento_shared.style_names import applied, names_in, text_of, toggled, written_out

NAMES = st.lists(st.text("abc,\" '#|", min_size=1, max_size=8).map(str.strip).filter(bool), max_size=4, unique=True)


@given(NAMES)
def test_names_come_back_and_are_what_the_backend_reads(names: list[str]) -> None:
    text = text_of(names)
    assert names_in(text) == tuple(names)
    styles = tuple(Style(name) for name in names)
    assert chosen(text, styles, Path("styles.csv")) == styles


def test_a_name_is_added_and_taken_away() -> None:
    assert toggled("", "Oil") == "Oil"
    assert toggled("Oil", "Noir, dark") == 'Oil, "Noir, dark"'
    assert toggled('Oil, "Noir, dark"', "Oil") == '"Noir, dark"'


@given(st.text("ab #\n(,", max_size=12), st.sampled_from(["", "oil", " oil, thick ", "an oil of {prompt}, thick"]))
def test_a_style_in_the_prompt_says_what_the_backend_would_make_of_it(prompt: str, words: str) -> None:
    asked = with_style(without_comments(Traced.of("prompt", prompt)), words).text
    written = without_comments(Traced.of("prompt", applied(prompt, words))).text
    assert " ".join(written.split()).replace(" ,", ",").lstrip(", ") == " ".join(asked.split()).replace(
        " ,", ","
    ).lstrip(", ")


def test_chosen_styles_are_written_out_and_an_unknown_name_stays() -> None:
    styles = [{"name": "Oil", "prompt": "oil", "negative_prompt": "photo"}, {"name": "Noir", "prompt": "of {prompt}"}]
    values = {"prompt": "a lake", "negative_prompt": "", "styles": "Oil, nonesuch, Noir"}
    assert written_out(styles, values) == {
        "prompt": "of a lake, oil",
        "negative_prompt": "photo",
        "styles": "nonesuch",
    }
