"""The prompt language, without a model: what each mark means, what is refused and where, and what the seed draws."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pentimento.engine.prompts.flattening import flatten
from pentimento.engine.prompts.resolving import PromptFiles, PromptReader, Prompts
from pentimento.engine.prompts.styles import Style, read_styles, remove_style, save_style
from pentimento.engine.prompts.tokens import Vocabulary, chunks, measure
from pentimento.engine.prompts.tracing import LONGEST, PromptError
from pentimento_shared.settings import SettingError

LETTERS = Vocabulary(lambda text: [ord(letter) for letter in text if not letter.isspace()], 75)
"""One token a letter: easy to count."""


def read(text: str, folder: Path = Path("/nowhere"), seed: int = 0, **more: str) -> Prompts:
    written = {"prompt": text, "negative_prompt": "", "styles": ""} | more
    return PromptReader(PromptFiles.below(folder)).read(written, seed)


def refused(text: str, folder: Path = Path("/nowhere"), **more: str) -> PromptError:
    with pytest.raises(PromptError) as caught:
        read(text, folder, 0, **more)
    return caught.value


def said(text: str, step: int = 0, steps: int = 10) -> str:
    """The words of a prompt at a step, weights other than 1 behind them, chunks apart."""
    (part,) = read(text).prompt
    flat = flatten(part.content, step, steps)
    shown = [
        "".join(piece.text if piece.weight == 1 else f"<{piece.text}*{piece.weight:.4g}>" for piece in pieces)
        for pieces in flat
    ]
    return " / ".join(shown)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("a red house", "a red house"),
        ("a (red) house", "a <red*1.1> house"),
        ("a ((red)) house", "a <red*1.21> house"),
        ("a [red] house", "a <red*0.9091> house"),
        ("([red])", "red"),
        ("(red:1.3)", "<red*1.3>"),
        ("(red: 1.3 )", "<red*1.3>"),
        ("(red:.5)", "<red*0.5>"),
        ("(red:-1)", "<red*-1>"),
        ("(red:1.0)", "red"),
        ("(a (red:1.3) house:2)", "<a *2><red*2.6>< house*2>"),
        ("(un)(necessary)", "<unnecessary*1.1>"),
        ("a (((house:1.3)) [on] a (hill:0.5)), sun", "a <house*1.573>< *1.1>on< a *1.1><hill*0.55>, sun"),
        (r"\(a\) \[b\] \{c\} d\|e f\:g \#1 \<h\> \_ \\", r"(a) [b] {c} d|e f:g #1 <h> _ \ ".rstrip()),
        (r"C:\temp and \n", r"C:\temp and \n"),
        (r"(\(red\):1.2)", "<(red)*1.2>"),
        ("(style: oil)", "<style: oil*1.1>"),
        ("12:30, 16:9", "12:30, 16:9"),
        ("a | b", "a | b"),
        ("(a|b)", "<a|b*1.1>"),
        ("i <3 you, a < b", "i <3 you, a < b"),
        ("one BREAK two", "one  /  two"),
        ("(one BREAK two:2)", "<one *2> / < two*2>"),
        ("BREAKING and BRANDY", "BREAKING and BRANDY"),
        ("snake_case __ name", "snake_case __ name"),
        ("red # not this\nhouse", "red \nhouse"),
        ("# not this", ""),
        ("", ""),
    ],
)
def test_what_a_prompt_says(text, wanted):
    assert said(text) == wanted


@pytest.mark.parametrize(
    ("text", "steps", "wanted"),
    [
        ("[a:b:0.5]", 4, "aabb"),
        ("[a:b:0.5]", 7, "aaabbbb"),
        ("[a:b:0.29]", 100, "a" * 29 + "b" * 71),
        ("[a:b:2]", 4, "aabb"),
        ("[a:b:1]", 4, "abbb"),
        ("[a:b:1.0]", 4, "aaaa"),
        ("[a:b:0]", 4, "bbbb"),
        ("[a:b:0.0]", 4, "bbbb"),
        ("[a:b:9]", 4, "aaaa"),
        ("[a:b:" + "9" * 400 + "]", 4, "aaaa"),
        ("[b:0.5]", 4, "  bb"),
        ("[a::0.5]", 4, "aa  "),
        ("[a::2]", 4, "aa  "),
        ("[a|b]", 5, "ababa"),
        ("[a|b|c]", 5, "abcab"),
        ("[a|]", 4, "a a "),
        ("[[a|b]:c:0.5]", 6, "abaccc"),
        ("[a:[b:c:0.75]:0.25]", 8, "aabbbbcc"),
    ],
)
def test_what_a_prompt_says_at_each_step_that_runs(text, steps, wanted):
    assert [said(text, step, steps) or " " for step in range(steps)] == list(wanted)


def test_edits_and_weights_within_each_other():
    assert [said("([a:b:0.5]:1.2)", step, 2) for step in (0, 1)] == ["<a*1.2>", "<b*1.2>"]
    assert [said("[(a:1.2)|b BREAK c]", step, 2) for step in (0, 1)] == ["<a*1.2>", "b  /  c"]
    assert said("sun[set|rise]s", 1) == "sunrises"


def test_prompts_that_are_joined():
    parts = read("a cat AND (a dog:1.2) :0.5 AND\nrain:-1").prompt
    assert [part.weight for part in parts] == [1, 0.5, -1]
    assert [flatten(part.content, 0, 1)[0][0].text for part in parts] == ["a cat ", " ", "\nrain"]
    assert [part.weight for part in read("ratio 16:9").prompt] == [1]


@pytest.mark.parametrize(
    ("text", "position", "expected"),
    [
        ("a (red house", 3, ")"),
        ("a ((red) house", 3, ")"),
        ("a [red house", 3, "]"),
        ("a red) house", 6, "opened before"),
        ("(red]", 5, ")"),
        ("[red:blue]", 5, "share of the steps"),
        ("[red:blue:1.5]", 10, "0.0 to 1.0"),
        ("[red:blue:-1]", 10, "whole number"),
        ("[red:blue:0,5]", 10, "share of the steps"),
        ("[red:blue:]", 10, "share of the steps"),
        ("[a:b:c:0.5]", 7, "]"),
        ("[a|b:0.5]", 5, "|"),
        ("(red:1,5)", 5, "from -10 to 10"),
        ("(red:1.2.3)", 5, "from -10 to 10"),
        ("(red:120%)", 5, "from -10 to 10"),
        ("(red:)", 5, "from -10 to 10"),
        ("(red:11)", 5, "from -10 to 10"),
        ("((red:5):5)", 2, "from -10 to 10"),
        ("(red:[1:2:0.5])", 5, "from -10 to 10"),
        ("a AND", 3, "both sides"),
        ("AND a", 1, "both sides"),
        ("a AND AND b", 3, "both sides"),
        ("(a AND b)", 4, "outside all brackets"),
        ("a AND b:1,5", 8, "from -10 to 10"),
        ("a <lora:detail:0.8> b", 3, "a LoRA's file in"),
        ("a <lora:detail:1,5> b", 3, "from -10 to 10"),
        ("a <lora:detail:11> b", 3, "from -10 to 10"),
        ("a <lora:detail:1:1:4> b", 3, "te=WEIGHT"),
        ("a <lora:detail:dyn=4> b", 3, "te=WEIGHT"),
        ("a <lora: :1> b", 3, "<lora:name>"),
        ("a <hypernet:x:1>", 3, "<lora:name>"),
        ("a <nonsense:x>", 3, "<lora:name>"),
        ("a <lora:detail", 3, ">"),
        ("embedding:easy", 1, "an embedding's file in"),
        ("{a|b", 1, "}"),
        ("a}", 2, "opened before"),
        ("{(a}", 4, ")"),
        ("{a)}", 3, "}"),
        ("{2$$a|b}", 2, "{one|another"),
        ("{a|0.5::b}", 4, "{one|another"),
        ("a __nope__", 3, "nope.txt"),
        ("(" * 65 + ")" * 65, 65, "at most 64"),
        ("a \udcff b", 3, "text"),
    ],
)
def test_what_cannot_be_read_is_shown_with_its_place(text, position, expected):
    error = refused(text)
    assert error.position == position
    assert expected in error.allowed
    assert f"prompt, character {position}" in error.detail
    assert error.field == "prompt"


def test_the_place_is_that_in_what_was_written(tmp_path):
    (tmp_path / "wildcards").mkdir()
    (tmp_path / "wildcards" / "odd.txt").write_text("fine\n", "utf-8")
    assert refused("# gone (\n__odd__ {x|x} (red", tmp_path).position == 24
    (tmp_path / "wildcards" / "odd.txt").write_text("(never closed\n", "utf-8")
    assert refused("words, __odd__", tmp_path).position == 8
    assert refused("a", negative_prompt="x)").field == "negative_prompt"
    assert refused("a", negative_prompt="fog AND rain").position == 5


SYNTAX = st.lists(
    st.sampled_from([*"()[]{}|:<>#\\_,.0123456789 \n\t-ab", "AND", "BREAK", "__", ":1.3)", ":0.5]", "<lora:", "é🏔️"]),
    max_size=60,
).map("".join)


@settings(max_examples=400)
@given(st.one_of(st.text(max_size=200), SYNTAX))
def test_any_text_is_read_or_refused_with_a_place_in_it(text):
    try:
        prompts = read(text)
    except PromptError as error:
        assert 1 <= error.position <= len(text)
        return
    again = read(prompts.prompt_text)
    assert again == prompts
    for part in prompts.prompt:
        assert flatten(part.content, 3, 7) == flatten(part.content, 3, 7)


WORDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="()[]{}|:<>#_\\"), max_size=100)


@given(WORDS.filter(lambda text: "AND" not in text and "BREAK" not in text))
def test_text_without_marks_is_one_piece_as_it_stands(text):
    prompts = read(text)
    assert prompts.prompt_text == text
    (part,) = prompts.prompt
    assert "".join(piece.text for piece in flatten(part.content, 0, 1)[0]) == text


LONG = (
    *("(" * 10_000, "(" * 10_000 + ")" * 10_000, "[" * 20_000, "{" * 10_000 + "}" * 10_000, "[a|" * 6000),
    *("__" * 10_000, "<a:" * 6000, "|" * 20_000, ":" * 20_000, " " * 20_000, "\\" * 20_000, "#" * 20_000),
    *("AND " * 5000, "BREAK " * 3000, "x AND " * 3000 + "y", "(a)" * 6000, "[a:b:0.5]" * 2000, "{a|b}" * 1000),
    *("[" + "a|" * 9000 + "]", "{" + "a|" * 9000 + "}", "(" + "a:" * 9000 + ")", "__a" * 6000, "_" * 20_000),
)


@pytest.mark.parametrize("text", LONG, ids=[text[:8] for text in LONG])
def test_nothing_takes_long(text):
    started = time.process_time()
    try:
        parts = read(text).prompt
        measure(parts, LETTERS, 20)
    except PromptError as error:
        assert 1 <= error.position <= len(text)
    assert time.process_time() - started < 5


def tokens_of(text: str) -> list[str]:
    """The letters of each chunk."""
    (part,) = read(text).prompt
    return ["".join(chr(token.id) for token in chunk) for chunk in chunks(flatten(part.content, 0, 1), LETTERS)]


def test_chunks_of_75():
    assert tokens_of("") == [""]
    assert tokens_of("a" * 75) == ["a" * 75]
    assert tokens_of("a" * 76) == ["a" * 75, "a"]
    assert tokens_of("a" * 160) == ["a" * 75, "a" * 75, "a" * 10]
    assert tokens_of("(" + "a" * 50 + ":1.2)" + "b" * 50) == ["a" * 50 + "b" * 25, "b" * 25]


def test_a_chunk_ends_behind_a_comma_that_is_near_its_end():
    assert tokens_of("a" * 60 + "," + "b" * 30) == ["a" * 60 + ",", "b" * 30]
    assert tokens_of("a" * 55 + "," + "b" * 30) == ["a" * 55 + ",", "b" * 30]
    assert tokens_of("a" * 54 + "," + "b" * 30) == ["a" * 54 + "," + "b" * 20, "b" * 10]
    assert tokens_of("a" * 75 + "," + "b" * 3) == ["a" * 75, ",bbb"]


def test_break_ends_a_chunk():
    assert tokens_of("a BREAK b") == ["a", "b"]
    assert tokens_of("a BREAK BREAK b") == ["a", "", "b"]
    assert tokens_of("BREAK b") == ["", "b"]
    assert tokens_of("a BREAK") == ["a"]


def test_the_most_that_any_step_takes_is_counted():
    assert measure(read("[a:bbbb:0.5] cc").prompt, LETTERS, 10) == (6, 1)
    assert measure(read("a AND " + "b" * 80).prompt, LETTERS, 1) == (80, 2)


@pytest.fixture
def words(tmp_path: Path) -> Path:
    """A data folder with some wildcards."""
    folder = tmp_path / "wildcards"
    (folder / "places").mkdir(parents=True)
    (folder / "color.txt").write_text("\ufeffred\n\n# a comment\nblue\n  green  \n", "utf-8")
    (folder / "places" / "city.txt").write_text("Ulm in __color__\n{Bonn|Trier}\n", "utf-8")
    (folder / "loop.txt").write_text("__loop__\n", "utf-8")
    (folder / "long.txt").write_text("y" * 3000, "utf-8")
    (folder / "empty.txt").write_text("# nothing\n\n", "utf-8")
    (folder / "latin.txt").write_bytes(b"caf\xe9\n")
    (folder / "folder.txt").mkdir()
    return tmp_path


def drawn(text: str, folder: Path, seed: int = 0) -> str:
    return read(text, folder, seed).prompt_text


def test_the_seed_draws(words):
    texts = [drawn("a {red|blue} {cat|dog}, __color__", words, seed) for seed in range(200)]
    assert texts == [drawn("a {red|blue} {cat|dog}, __color__", words, seed) for seed in range(200)]
    assert len(set(texts)) == 12
    reds = sum("a red" in text for text in texts)
    assert 70 < reds < 130


def test_what_is_drawn_does_not_change_between_versions(words):
    """The eighth byte of sha256("prompt:SEED:NUMBER"), modulo 4: a prompt and a seed in somebody's notes rest on it."""
    assert [drawn("{a|b|c|d}{a|b|c|d}{a|b|c|d}", words, seed) for seed in (0, 1, 2**32 - 1)] == ["bdc", "cba", "bda"]


def test_choices_within_choices_and_files(words):
    assert {drawn("{a|{b|c}}", words, seed) for seed in range(50)} == {"a", "b", "c"}
    cities = {drawn("__places/city__", words, seed) for seed in range(50)}
    assert cities == {"Ulm in red", "Ulm in blue", "Ulm in green", "Bonn", "Trier"}
    assert {drawn("{[a|b]|(c|d:1.2)}", words, seed) for seed in range(20)} == {"[a|b]", "(c|d:1.2)"}
    assert {drawn(r"{a\|b|c}", words, seed) for seed in range(20)} == {r"a\|b", "c"}
    assert {drawn("{|a}", words, seed) for seed in range(20)} == {"", "a"}
    assert drawn("{a}", words) == "a"


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("../secret", "outside"),
        ("places/../../secret", "outside"),
        ("/etc/passwd", "outside"),
        ("places//city", "outside"),
        ("./color", "outside"),
        ("..", "outside"),
        (r"..\secret", "outside"),
        ("C:/secret", "there is no wildcard file"),
        ("nul", "outside"),
        ("places/COM1.x", "outside"),
        ("colour", "Did you mean color?"),
        ("empty", "holds no choice"),
        ("latin", "not UTF-8"),
        ("folder", "cannot be read"),
    ],
)
def test_names_that_are_no_wildcard_file(words, name, problem):
    (words / "secret.txt").write_text("secret\n", "utf-8")
    error = refused(f"a __{name}__", words)
    assert error.position == 3
    assert problem in error.detail
    assert "secret\n" not in error.detail


@pytest.mark.skipif(os.name != "posix", reason="links and pipes of POSIX")
def test_links_that_lead_out_and_pipes_are_not_opened(words):
    (words / "secret.txt").write_text("secret\n", "utf-8")
    (words / "wildcards" / "link.txt").symlink_to(words / "secret.txt")
    (words / "wildcards" / "out").symlink_to(words)
    os.mkfifo(words / "wildcards" / "pipe.txt")
    (words / "wildcards" / "device.txt").symlink_to("/dev/zero")
    assert "leads out" in refused("__link__", words).detail
    assert "leads out" in refused("__out/secret__", words).detail
    assert "leads out" in refused("__device__", words).detail
    assert "not a plain file" in refused("__pipe__", words).detail


def test_draws_are_bounded(words):
    assert "nested deeper than 32" in refused("__loop__", words).detail
    assert "1000 choices" in refused("{a|b}" * 1001, words).detail
    assert f"{LONGEST} characters" in refused("__long__ " * 7, words).detail
    with (words / "wildcards" / "huge.txt").open("wb") as file:
        file.truncate((4 << 20) + 1)
    assert "4194305 bytes" in refused("__huge__", words).detail


def test_what_is_drawn_makes_no_new_marks(words):
    """Otherwise the recipe, which has the drawn text, would be drawn from once more."""
    error = refused("a _{_color__|_color__}", words)
    assert "new wildcard marks" in error.detail
    assert error.position == 3


def test_a_word_that_names_an_embedding_calls_for_it(tmp_path):
    (tmp_path / "models" / "embeddings").mkdir(parents=True)
    (tmp_path / "models" / "embeddings" / "easynegative.safetensors").touch()
    error = refused("a", tmp_path, negative_prompt="fog, EasyNegative")
    assert (error.field, error.position) == ("negative_prompt", 6)
    assert "easynegative.safetensors is not a safetensors file" in error.detail
    assert not read("not-easynegative, easynegatives", tmp_path).embeddings


A1111_STYLES = (
    '\ufeffname,prompt,negative_prompt\r\n"Oil, thick","{prompt}, (oil painting:1.2)",photo\r\n'
    'dusk,"at dusk\nand calm",\r\n---- OLD ----,,\r\n# off,never,\r\n'
)


@pytest.fixture
def styles(tmp_path: Path) -> Path:
    path = tmp_path / "styles.csv"
    path.write_text(A1111_STYLES, "utf-8", newline="")
    return path


def test_styles_are_read_as_automatic1111_writes_them(styles):
    assert read_styles(styles) == (
        Style("Oil, thick", "{prompt}, (oil painting:1.2)", "photo"),
        Style("dusk", "at dusk\nand calm"),
    )
    styles.write_text("name,text\nold,old words\n", "utf-8")
    assert read_styles(styles) == (Style("old", "old words"),)
    assert read_styles(styles.with_name("none.csv")) == ()


def test_styles_are_written_as_automatic1111_reads_them(styles):
    save_style(styles, Style("dusk", 'evening, "blue" hour', "noon"))
    save_style(styles, Style("new", "a, b"))
    text = styles.read_bytes().decode("utf-8")
    assert text == (
        '\ufeffname,prompt,negative_prompt\r\n"Oil, thick","{prompt}, (oil painting:1.2)",photo\r\n'
        'dusk,"evening, ""blue"" hour",noon\r\n---- OLD ----,,\r\n# off,never,\r\nnew,"a, b",\r\n'
    )
    remove_style(styles, "dusk")
    assert [style.name for style in read_styles(styles)] == ["Oil, thick", "new"]
    assert [path.name for path in styles.parent.iterdir()] == ["styles.csv"]


def test_styles_around_and_behind_a_prompt(styles):
    def both(names: str, prompt: str = "a lake", negative: str = "fog") -> tuple[str, str]:
        prompts = read(prompt, styles.parent, styles=names, negative_prompt=negative)
        return prompts.prompt_text, prompts.negative_text

    assert both('"Oil, thick"') == ("a lake, (oil painting:1.2)", "fog, photo")
    assert both("dusk") == ("a lake, at dusk\nand calm", "fog")
    assert both('dusk, "Oil, thick"') == ("a lake, at dusk\nand calm, (oil painting:1.2)", "fog, photo")
    assert both("dusk", "") == ("at dusk\nand calm", "fog")
    assert both("dusk", "a lake # deep", "") == ("a lake , at dusk\nand calm", "")


def test_styles_that_there_are_not(styles):
    with pytest.raises(SettingError, match="Did you mean dusk\\?") as caught:
        read("a", styles.parent, styles="dusc")
    assert caught.value.field == "styles"
    for name in ("", " ", "# x", "---- x ----", "two\nlines", " spaced "):
        with pytest.raises(SettingError, match="cannot name a style"):
            save_style(styles, Style(name, "x"))
    assert styles.read_bytes().decode("utf-8") == A1111_STYLES


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"just text\nmore", b'name,prompt\n"open', b"\0name,prompt\n\0"])
def test_a_styles_file_that_cannot_be_read_is_told_and_left_alone(styles, content):
    styles.write_bytes(content)
    try:
        found = read_styles(styles)
    except SettingError as error:
        assert "cannot be read" in error.detail
        with pytest.raises(SettingError):
            save_style(styles, Style("x", "y"))
        assert styles.read_bytes() == content
    else:
        assert all(style.name for style in found)


def test_prompts_are_read_without_torch():
    code = (
        "import sys, pentimento.engine.prompts.checking, pentimento.engine.prompts.vocabulary\n"
        "from pentimento.engine.models import ModelLibrary\n"
        "info = ModelLibrary.standard().get('demo')\n"
        "assert pentimento.engine.prompts.vocabulary.Vocabularies().of(info).encode('a lake')\n"
        "assert not {'torch', 'transformers', 'numpy'} & set(sys.modules), 'too much'"
    )
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=False, env=environ)
    assert done.returncode == 0, done.stderr
