"""PNG in and out: every kind of file, checked against Pillow and against files written by hand."""

from __future__ import annotations

import io
import tracemalloc
import zlib
from collections.abc import Callable
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from pentimento_shared.geometry import Size
from pentimento_shared.pixels import (
    Pixels,
    PixelsError,
    decode_png,
    encode_png,
    read_png_header,
    read_png_text,
)
from tests.unit.handmade_png import SAMPLES, SIGNATURE, Drawing, Pixel, chunk, file_of, filtered, ihdr

MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
KINDS = [(0, 1), (0, 2), (0, 4), (0, 8), (0, 16), (2, 8), (2, 16), (3, 1), (3, 2), (3, 4), (3, 8)]
KINDS += [(4, 8), (4, 16), (6, 8), (6, 16)]


def random_pixels(width: int, height: int, channels: int, depth: int, seed: int = 1) -> Pixels:
    """A picture with flat, smooth and noisy parts."""
    length = width * channels * depth // 8
    noise = zlib.compress(bytes(str(seed), "ascii")) * (length // 8 + 1)
    rows = [
        bytes((x * y // 7 + (noise[(x + y) % len(noise)] if y % 3 else 0)) % 256 for x in range(length))
        for y in range(height)
    ]
    return Pixels(Size(width, height), channels, depth, b"".join(rows))


@st.composite
def any_pixels(draw: st.DrawFn) -> Pixels:
    width, height = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    channels, depth = draw(st.sampled_from([1, 2, 3, 4])), draw(st.sampled_from([8, 16]))
    length = width * height * channels * depth // 8
    pattern = draw(st.binary(min_size=1, max_size=300))
    return Pixels(Size(width, height), channels, depth, (pattern * (length // len(pattern) + 1))[:length])


@st.composite
def drawings(draw: st.DrawFn) -> Drawing:
    """A picture of any PNG kind, with or without transparency."""
    color_type, bit_depth = draw(st.sampled_from(KINDS))
    width, height = draw(st.integers(1, 19)), draw(st.integers(1, 12))
    random = draw(st.randoms(use_true_random=False))
    palette: tuple[Pixel, ...] = ()
    top = 2**bit_depth - 1
    if color_type == 3:
        top = draw(st.integers(0, top))
        palette = tuple(tuple(random.randbytes(3)) for _ in range(top + 1))

    def pixel() -> Pixel:
        # Few values, so that the transparent pixel and all branches of the filters occur.
        return tuple(random.choice((0, top, random.randint(0, top))) for _ in range(SAMPLES[color_type]))

    pixels = [[pixel() for _ in range(width)] for _ in range(height)]
    transparent: Pixel = ()
    if color_type in (0, 2, 3) and draw(st.booleans()):
        transparent = tuple(random.randbytes(1 + top // 2)) if palette else random.choice(pixels[0])
    return Drawing(color_type, bit_depth, pixels, palette, transparent)


@given(any_pixels(), st.sampled_from([0, 1, 6]))
def test_what_is_encoded_is_decoded_bit_for_bit(pixels: Pixels, level: int) -> None:
    assert decode_png(encode_png(pixels, level=level)) == pixels


@given(drawings(), st.lists(st.integers(0, 4), min_size=1, max_size=40), st.booleans())
@settings(max_examples=300)
def test_every_kind_of_file_is_decoded(drawing: Drawing, filters: list[int], interlaced: bool) -> None:
    data = drawing.png(lambda row: filters[row % len(filters)], interlaced)
    pixels = decode_png(data)
    assert pixels.size == (drawing.width, drawing.height)
    assert (pixels.channels, pixels.depth, pixels.data) == drawing.decoded()
    header = read_png_header(data)
    assert header.size == pixels.size
    assert (header.channels, header.depth) == (pixels.channels, pixels.depth)
    assert (header.color_type, header.bit_depth) == (drawing.color_type, drawing.bit_depth)
    assert header.interlaced == interlaced


@given(drawings(), st.integers(0, 4), st.booleans())
@settings(max_examples=60)
def test_the_handmade_files_mean_the_same_to_pillow(drawing: Drawing, kind: int, interlaced: bool) -> None:
    channels, depth, data = drawing.decoded()
    if depth == 16:
        return  # Pillow reads only the upper halves
    picture = Image.open(io.BytesIO(drawing.png(lambda row: kind, interlaced)))
    if drawing.color_type == 0 and drawing.transparent and drawing.bit_depth < 8:
        return  # Pillow compares the transparent grey after scaling
    assert picture.convert(MODES[channels]).tobytes() == data


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [(1, 1), (7, 5), (640, 900)])
def test_pillow_reads_what_we_write(channels: int, size: tuple[int, int]) -> None:
    pixels = random_pixels(*size, channels, 8)
    picture = Image.open(io.BytesIO(encode_png(pixels)))
    assert (picture.size, picture.mode) == (size, MODES[channels])
    assert picture.tobytes() == pixels.data


def test_pillow_reads_our_16_bit_grey() -> None:
    pixels = random_pixels(33, 21, 1, 16)
    picture = Image.open(io.BytesIO(encode_png(pixels)))
    values = [int.from_bytes(pixels.data[at : at + 2], "big") for at in range(0, len(pixels.data), 2)]
    assert list(picture.convert("I").get_flattened_data()) == values


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
@pytest.mark.parametrize("optimize", [False, True])
def test_we_read_what_pillow_writes(mode: str, optimize: bool) -> None:
    source = Image.frombytes("RGBA", (150, 90), random_pixels(150, 90, 4, 8).data).convert("RGB").convert(mode)
    file = io.BytesIO()
    source.save(file, "PNG", optimize=optimize)
    pixels = decode_png(file.getvalue())
    expected = source.convert({"1": "L", "P": "RGB"}.get(mode, mode))
    assert (pixels.size, pixels.data) == (source.size, expected.tobytes())


@given(st.integers(1, 90), st.integers(60, 140), st.sampled_from([1, 2, 3, 4]), st.integers(0, 10**6))
@settings(max_examples=25)
def test_rows_with_filters_of_all_kinds_in_any_mixture_are_decoded(
    width: int, height: int, channels: int, seed: int
) -> None:
    random = Random(seed)
    kinds = random.choices(range(5), [random.random() + 0.01 for _ in range(5)], k=height)
    stride = width * channels
    rows = [bytes(random.choices((0, 1, 127, 128, 254, 255, random.randrange(256)), k=stride)) for _ in kinds]
    above, stored = bytes(stride), b""
    for kind, row in zip(kinds, rows, strict=True):
        stored += bytes([kind]) + filtered(kind, row, above, channels)
        above = row
    color_type = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = chunk(b"IHDR", ihdr(width, height, color_type=color_type))
    assert decode_png(file_of(header, chunk(b"IDAT", zlib.compress(stored)))).data == b"".join(rows)


def test_large_pictures_are_the_same_bytes_every_time() -> None:
    pixels = random_pixels(400, 900, 4, 16)
    png = encode_png(pixels)
    assert png == encode_png(pixels)
    assert decode_png(png) == pixels


@pytest.mark.parametrize("value", [0, 255])
def test_a_flat_picture_takes_hardly_any_space(value: int) -> None:
    pixels = Pixels(Size(2048, 512), 4, 8, bytes([value]) * (2048 * 512 * 4))
    assert len(encode_png(pixels)) < len(pixels.data) // 150


def test_texts_come_back_and_other_programs_read_them() -> None:
    text = {"pentimento": '{"prompt": "ein Häuschen 🏠"}', "parameters": "a\nb\n", "empty": ""}
    png = encode_png(random_pixels(3, 2, 3, 8), text)
    assert read_png_text(png) == text
    picture = Image.open(io.BytesIO(png))
    assert isinstance(picture, PngImagePlugin.PngImageFile)
    assert dict(picture.text) == text


@pytest.mark.parametrize("compressed", [False, True])
def test_texts_of_other_programs_are_read(compressed: bool) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text("parameters", "café", zip=compressed)
    info.add_itxt("Description", "日本", "ja", "説明", zip=compressed)
    file = io.BytesIO()
    Image.new("L", (2, 2)).save(file, "PNG", pnginfo=info)
    assert read_png_text(file.getvalue()) == {"parameters": "café", "Description": "日本"}


def test_a_text_after_the_picture_is_read_and_broken_utf8_shows() -> None:
    late = chunk(b"iTXt", b"note\0\0\0\0\0caf\xe9")
    png = file_of(chunk(b"IHDR", ihdr(1, 1)), chunk(b"IDAT", zlib.compress(b"\0\7")), late)
    assert read_png_text(png) == {"note": "caf\ufffd"}


@pytest.mark.parametrize("keyword", ["", "x" * 80, "näme", " lead", "trail ", "a\0b", "a\nb"])
def test_a_keyword_that_png_does_not_allow_is_refused(keyword: str) -> None:
    with pytest.raises(PixelsError, match="1 to 79"):
        encode_png(random_pixels(1, 1, 1, 8), {keyword: "x"})


def test_a_text_with_a_nul_is_refused() -> None:
    with pytest.raises(PixelsError, match="NUL"):
        encode_png(random_pixels(1, 1, 1, 8), {"note": "a\0b"})


@pytest.mark.parametrize("level", [-1, 10, 1.5])
def test_an_unknown_level_is_refused(level: int) -> None:
    with pytest.raises(PixelsError, match="0 to 9"):
        encode_png(random_pixels(1, 1, 1, 8), level=level)


@pytest.mark.parametrize(
    ("size", "channels", "depth", "length", "message"),
    [
        ((0, 4), 1, 8, 0, "0 x 4"),
        ((4, -1), 1, 8, 4, "4 x -1"),
        ((2, 2), 5, 8, 20, "not 5"),
        ((2, 2), 3, 32, 48, "not 32"),
        ((2, 2), 3, 16, 23, "24 bytes, not 23"),
    ],
)
def test_pixels_that_do_not_fit_together_are_refused(
    size: tuple[int, int], channels: int, depth: int, length: int, message: str
) -> None:
    with pytest.raises(PixelsError, match=message):
        Pixels(Size(*size), channels, depth, bytes(length))


def small_png() -> bytes:
    return encode_png(random_pixels(9, 7, 3, 8), {"note": "hello"})


def test_a_file_cut_short_anywhere_is_an_error() -> None:
    png = small_png()
    for length in range(len(png)):
        with pytest.raises(PixelsError):
            decode_png(png[:length])


def test_a_changed_byte_anywhere_is_an_error() -> None:
    png = small_png()
    for place in range(len(png)):
        damaged = png[:place] + bytes([png[place] ^ 0x11]) + png[place + 1 :]
        with pytest.raises(PixelsError):
            decode_png(damaged)


@given(st.binary(max_size=200), st.booleans())
def test_noise_is_an_error_and_never_a_crash(noise: bytes, signed: bool) -> None:
    for read in (decode_png, read_png_header, read_png_text):
        with pytest.raises(PixelsError):
            read(SIGNATURE + noise if signed else noise)


@given(st.binary(max_size=60), drawings())
def test_a_damaged_stream_is_an_error_and_never_a_crash(noise: bytes, drawing: Drawing) -> None:
    header = chunk(b"IHDR", ihdr(drawing.width, drawing.height, drawing.bit_depth, drawing.color_type))
    palette = chunk(b"PLTE", bytes(3))
    with pytest.raises(PixelsError):
        decode_png(file_of(header, palette, chunk(b"IDAT", noise)))


def test_what_follows_the_end_is_ignored() -> None:
    png = small_png()
    assert decode_png(png + b"trailing garbage") == decode_png(png)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "empty: 0 bytes"),
        (b"\x89PNG", "cut short after 4 bytes"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "looks like a JPEG file. Save it as PNG"),
        (b"RIFF\0\0\0\0WEBP", "looks like a WebP file"),
        (b"<svg></svg>", "starts with the bytes 3c 73 76 67"),
        (file_of(), "its header is not where it belongs|no header"),
        (file_of(chunk(b"IHDR", ihdr(4, 4))), "no picture"),
        (file_of(chunk(b"IHDR", ihdr(0, 4))), "0 x 4 pixels"),
        (file_of(chunk(b"IHDR", ihdr(4, 0))), "4 x 0 pixels"),
        (file_of(chunk(b"IHDR", ihdr(4, 4)[:-1])), "12 bytes, not 13"),
        (file_of(chunk(b"IHDR", ihdr(4, 4, bit_depth=3))), "colour type 0 with 3 bits"),
        (file_of(chunk(b"IHDR", ihdr(4, 4, color_type=5))), "colour type 5 with 8 bits"),
        (file_of(chunk(b"IHDR", ihdr(4, 4)[:-1] + b"\2")), "interlace 2"),
        (file_of(chunk(b"IHDR", ihdr(4, 4)), chunk(b"IHDR", ihdr(4, 4))), "not where it belongs"),
        (file_of(chunk(b"IHDR", ihdr(4, 4, color_type=3)), chunk(b"IDAT", b"")), "palette has 0 bytes"),
        (
            file_of(chunk(b"IHDR", ihdr(4, 4)), chunk(b"tRNS", b"\0"), chunk(b"IDAT", b"")),
            "transparent colour has 1 bytes instead of 2",
        ),
    ],
)
def test_the_message_says_what_is_wrong_with_a_file(data: bytes, message: str) -> None:
    for read in (decode_png, read_png_header):
        with pytest.raises(PixelsError, match=message):
            read(data)


@pytest.mark.parametrize(
    ("stored", "message"),
    [
        (zlib.compress(b"\0abcd" * 3), "ends too early"),
        (zlib.compress(b"\0abcd" * 4)[:-4], "cut short at its end"),
        (zlib.compress(b"\0abcd" * 4)[:-1] + b"x", "data is damaged"),
        (zlib.compress(b"\0abcd" * 5), "more picture data than its size asks for"),
        (zlib.compress(b"\5abcd" * 4), "filter 5; 0 to 4 exist"),
        (b"not zlib at all", "data is damaged"),
    ],
)
def test_the_message_says_what_is_wrong_with_the_picture(stored: bytes, message: str) -> None:
    with pytest.raises(PixelsError, match=message):
        decode_png(file_of(chunk(b"IHDR", ihdr(4, 4)), chunk(b"IDAT", stored)))


def test_a_colour_beyond_the_palette_is_an_error() -> None:
    header, palette = chunk(b"IHDR", ihdr(2, 1, color_type=3)), chunk(b"PLTE", bytes(9))
    with pytest.raises(PixelsError, match="colour 3 of a palette of 3"):
        decode_png(file_of(header, palette, chunk(b"IDAT", zlib.compress(b"\0\2\3"))))


@pytest.mark.parametrize("size", [(20_000, 10), (10, 16_385), (16_384, 4_097)])
def test_a_picture_over_the_limits_is_refused_by_its_header_alone(size: tuple[int, int]) -> None:
    data = file_of(chunk(b"IHDR", ihdr(*size)), chunk(b"IDAT", b"never looked at"))
    with pytest.raises(PixelsError, match=rf"{size[0]} x {size[1]} pixels; at most 16384 on a side"):
        decode_png(data)
    assert read_png_header(data).size == size


def test_the_caller_may_set_tighter_limits() -> None:
    png = encode_png(random_pixels(30, 20, 1, 8))
    assert decode_png(png, max_pixels=600, max_side=30).size == (30, 20)
    with pytest.raises(PixelsError, match="599 in all"):
        decode_png(png, max_pixels=599)
    with pytest.raises(PixelsError, match="at most 29 on a side"):
        decode_png(png, max_side=29)


def picture_bomb(bomb: bytes) -> bytes:
    return file_of(chunk(b"IHDR", ihdr(8, 8)), chunk(b"IDAT", bomb))


def text_bomb(bomb: bytes) -> bytes:
    picture = chunk(b"IDAT", zlib.compress(bytes(72)))
    return file_of(chunk(b"IHDR", ihdr(8, 8)), chunk(b"zTXt", b"note\0\0" + bomb), picture)


@pytest.mark.parametrize(
    ("read", "write", "message"),
    [
        (decode_png, picture_bomb, "more picture data than its size asks for"),
        (read_png_text, text_bomb, "inflates to more than 16777216 bytes"),
    ],
)
def test_a_decompression_bomb_is_refused_in_little_memory(
    read: Callable[[bytes], object], write: Callable[[bytes], bytes], message: str
) -> None:
    bomb = write(zlib.compress(bytes(200 * 2**20), 1))
    tracemalloc.start()
    with pytest.raises(PixelsError, match=message):
        read(bomb)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 40 * 2**20
