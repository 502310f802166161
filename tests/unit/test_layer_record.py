"""What a layer remembers, written and read; what a stranger's document may hold instead."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pentimento_shared.geometry import Rect, Size
from pentimento_shared.layer_record import LayerRecord
from pentimento_shared.pixels import Pixels, encode_png
from pentimento_shared.recipe import Recipe, RecipeError
from pentimento_shared.settings import validate

PLACE = Rect(-5, 12, 16, 8)


def mask_of(size: Size, channels: int = 1) -> bytes:
    return encode_png(Pixels(size, channels, 8, bytes(k % 256 for k in range(size.area * channels))))


RECIPE = Recipe(
    id="b5f0",
    task="inpaint",
    settings=validate("inpaint", {"prompt": "a hut, ünï\n“quoted”", "seed": 12}),
    model={"id": "demo", "name": "Demo", "hash": "12ab"},
    sampler="Euler",
    schedule="Karras",
    steps_run=12,
    start=0.6,
    size=PLACE.size,
    work_size=Size(64, 32),
    canvas=PLACE.size,
    context=Rect.of(PLACE.size),
    source="aa",
    mask="bb",
)
RECORD = LayerRecord(RECIPE, "layer 7", True, PLACE, mask_of(PLACE.size), "job-1")


def altered(**changes: Any) -> str:
    """The record's JSON with other values in "layer"."""
    data = json.loads(RECORD.to_json())
    data["layer"].update(changes)
    return json.dumps(data)


@pytest.mark.parametrize("mask", [None, RECORD.mask])
@pytest.mark.parametrize("source", [None, "layer 7"])
def test_it_comes_back_as_it_was(source: str | None, mask: bytes | None) -> None:
    record = LayerRecord(RECIPE, source, source is None, PLACE, mask, "job-1")
    assert LayerRecord.from_json(record.to_json()) == record


def test_without_its_own_key_it_is_the_recipe() -> None:
    data = json.loads(RECORD.to_json())
    del data["layer"]
    assert Recipe.from_dict(data) == RECIPE


def test_a_16_bit_mask_stays_16_bit() -> None:
    png = encode_png(Pixels(PLACE.size, 1, 16, bytes(range(256))))
    record = LayerRecord(RECIPE, None, False, PLACE, png, "")
    assert LayerRecord.from_json(record.to_json()).mask == png


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"place": None}, "place"),
        ({"place": []}, "place"),
        ({"place": [0, 0, 16]}, "place"),
        ({"place": [0, 0, 16, 8, 1]}, "place"),
        ({"place": [0, 0.5, 16, 8]}, "place"),
        ({"place": [0, "0", 16, 8]}, "place"),
        ({"place": [0, 0, 8, 16]}, "place.*16 x 8"),
        ({"place": [0, 2**40, 16, 8]}, "place"),
        ({"source": 3}, "source"),
        ({"bare": 1}, "bare"),
        ({"job": None}, "job"),
        ({"mask": 5}, "mask"),
        ({"mask": "***"}, "mask"),
        ({"mask": base64.b64encode(b"not a PNG").decode()}, "mask"),
        ({"mask": base64.b64encode(mask_of(Size(8, 16))).decode()}, "mask"),
        ({"mask": base64.b64encode(mask_of(PLACE.size, 3)).decode()}, "mask"),
        ({"more": 1}, "where its picture came from"),
    ],
)
def test_what_does_not_fit_is_refused_by_name(changes: dict[str, Any], word: str) -> None:
    with pytest.raises(RecipeError, match=word):
        LayerRecord.from_json(altered(**changes))


@pytest.mark.parametrize("text", ["", "null", "[]", "{}", "7", '{"layer": {}}', "[" * 100_000, RECIPE.to_json()])
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(RecipeError):
        LayerRecord.from_json(text)


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5))
def test_whatever_stands_in_the_layer_is_a_record_or_an_error(value: Any) -> None:
    for name in ("source", "bare", "place", "mask", "job"):
        text = altered(**{name: value})
        try:
            record = LayerRecord.from_json(text)
        except RecipeError:
            continue
        assert json.loads(record.to_json()) == json.loads(text)
