"""What strangers' files may hold: each parser says in its own error what is wrong, soon, and with little memory."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pentimento.engine.checkpoints.header import HeaderError, read_header
from pentimento.engine.prompts.resolving import PromptFiles, PromptReader
from pentimento.engine.request import EngineError
from pentimento.jobs import protocol
from pentimento.jobs.blobs import Blobs
from pentimento.server import strict_json
from pentimento.server.problems import Refused
from pentimento.server.uploads import check_picture
from pentimento_shared.geometry import Rect
from pentimento_shared.layer_record import LayerRecord
from pentimento_shared.pixels import PixelsError, decode_png, encode_png
from pentimento_shared.png_file import read_png_header, read_png_text
from pentimento_shared.recipe import Recipe, RecipeError, settings_from_infotext
from pentimento_shared.settings import SettingError, validate
from tests.fuzz.mutations import bounded, mutated, mutated_text, repaired, rounds
from tests.server.pictures import chunk, mask, picture, png
from tests.unit.test_recipe import recipe

MIB = 1 << 20
RECIPE = recipe("a (red:1.2) house [by the sea:0.5]", "blurred").to_json()
TEXTS = {"pentimento": RECIPE, "parameters": recipe().to_infotext()}
PNGS = [
    picture(9, 8),
    picture(8, 8, channels=4, depth=16),
    mask(16, 8),
    encode_png(decode_png(picture(8, 8)), TEXTS),
    png(8, 8, b"\0" * (8 * 9)),
    png(8, 8, b"\0" * (1 << 20)),
    b"\x89PNG\r\n\x1a\n"
    + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 4, 3, 0, 0, 1))
    + chunk(b"PLTE", bytes(range(48)))
    + chunk(b"tRNS", b"\x80\x40")
    + chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"x" * 100_000))
    + chunk(b"IDAT", zlib.compress(bytes(60)))
    + chunk(b"IEND", b""),
]
BOMB = png(16_000, 16_000, b"\0" * (64 << 20))
PROMPTS = [
    "a (red:1.2) house, [by the sea:at night:0.5] [a|b] BREAK c AND d:0.7",
    "{one|two|{three|four}} __names__ <lora:x:0.8> \\( # comment",
    "((((deep))))",
    "a /* b */ c, [d:5] (e:)",
]
INFOTEXTS = [
    recipe().to_infotext(),
    'a cat\nNegative prompt: dog\nSteps: 20, Sampler: DPM++ 2M Karras, CFG scale: 7, Seed: 1, Size: 512x512, X: "a, b"',
]
HEADERS = [
    len(text).to_bytes(8, "little") + text + bytes(16)
    for text in (
        b'{"w":{"dtype":"F32","shape":[2,2],"data_offsets":[0,16]}}',
        b'{"__metadata__":{"format":"pt"},"a":{"dtype":"F16","shape":[8],"data_offsets":[0,16]}}',
    )
]
ERRORS = (PixelsError, RecipeError, SettingError, EngineError, Refused, HeaderError, protocol.ProtocolError)


def refuses_or_reads(read: Callable[[], object], memory: int = 48 * MIB) -> bool:
    """Whether it was read; what was not is told in an error of ours, as a sentence."""
    with bounded(memory):
        try:
            read()
        except ERRORS as error:
            assert str(error)
            return False
    return True


@rounds(150)
@given(st.one_of(mutated(PNGS), mutated(PNGS).map(repaired)))
def test_png(data: bytes) -> None:
    refuses_or_reads(lambda: read_png_header(data))
    if refuses_or_reads(lambda: read_png_text(data), 80 * MIB):
        read_png_header(data)


@rounds(150)
@given(st.one_of(mutated(PNGS), mutated(PNGS).map(repaired)))
def test_what_the_server_takes_the_worker_can_read(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    with Blobs(tmp_path_factory.getbasetemp() / "fuzz").draft() as draft:
        draft.write(data)
        taken = refuses_or_reads(lambda: check_picture("image", draft))
    if taken:
        pixels = decode_png(data)
        assert pixels.size == read_png_header(data).size


def test_a_bomb_is_refused_by_its_header_or_as_it_inflates(tmp_path: Path) -> None:
    inside = png(64, 64, b"\0" * (256 << 20))
    huge_text = chunk(b"zTXt", b"parameters\0\0" + zlib.compress(b"x" * (100 << 20)))
    small = picture(64, 64)
    with_text = small[:33] + huge_text + small[33:]
    for data in (BOMB, inside):
        with Blobs(tmp_path).draft() as draft:
            draft.write(data)
            assert not refuses_or_reads(lambda draft=draft: check_picture("image", draft), 4 * MIB)
    assert not refuses_or_reads(lambda: read_png_text(with_text), 40 * MIB)


@rounds(150)
@given(mutated_text([RECIPE, "[" * 5000, '{"pentimento": 1}']))
def test_recipe(text: str) -> None:
    refuses_or_reads(lambda: Recipe.from_json(text))


RECORD = LayerRecord(recipe(), "layer", True, Rect(10, 20, 100, 80), None, "job").to_json()


@rounds(100)
@given(mutated_text([RECORD, RECORD.replace("null", '"' + "A" * 200 + '"'), RECIPE]))
def test_layer_record(text: str) -> None:
    refuses_or_reads(lambda: LayerRecord.from_json(text))


@rounds(150)
@given(mutated_text(INFOTEXTS))
def test_infotext(text: str) -> None:
    refuses_or_reads(lambda: settings_from_infotext(text))


@rounds(150)
@given(mutated_text(PROMPTS), st.integers(0, 2**32 - 1))
def test_prompt(tmp_path_factory: pytest.TempPathFactory, text: str, seed: int) -> None:
    reader = PromptReader(PromptFiles.below(tmp_path_factory.getbasetemp()))

    def read() -> None:
        reader.read(validate("txt2img", {"prompt": text[:20_000], "negative_prompt": text[:50]}), seed)

    refuses_or_reads(read)


@rounds(100)
@given(mutated(HEADERS))
def test_safetensors_header(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "strange.safetensors"
    path.write_bytes(data)
    refuses_or_reads(lambda: read_header(path))


@rounds(150)
@given(mutated([RECIPE.encode(), b'{"task": "txt2img", "settings": {"steps": 1e999}}', b"[" * 9000, b'{"a":' * 3000]))
def test_json(data: bytes) -> None:
    refuses_or_reads(lambda: strict_json.parse(data, "request"))


@rounds(100)
@given(mutated([protocol.encode(protocol.Done("j", ("demo",))), protocol.encode(protocol.Previewed("j", 1, "AAEC"))]))
def test_lines_of_the_worker(data: bytes) -> None:
    refuses_or_reads(lambda: protocol.decode(data))
