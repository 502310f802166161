"""What prompts do to pictures and embeddings: real encoders and UNets, of random weights."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pentimento.engine.engine import Engine
from pentimento.engine.families.family import Embeds
from pentimento.engine.models import ModelLibrary, demo_folder, read_info
from pentimento.engine.prompts.encoding import encode_chunks, vocabulary_of, weighted
from pentimento.engine.prompts.flattening import flatten
from pentimento.engine.prompts.guidance import Condition, Conditions, guided
from pentimento.engine.prompts.resolving import PromptReader
from pentimento.engine.prompts.tokens import chunks
from pentimento.engine.prompts.tracing import PromptError
from pentimento.engine.prompts.vocabulary import Vocabularies
from pentimento.engine.request import Notice, Request, Result
from pentimento_shared.recipe import Recipe
from pentimento_shared.settings import SettingError

SIZE = {"width": 64, "height": 64}


@pytest.fixture
def painted(studio):
    """painted(prompt, **settings) -> the picture."""

    def paint(prompt: str, **more: object):
        return studio.picture("txt2img", prompt=prompt, **{**SIZE, **more})

    return paint


@pytest.mark.parametrize(
    ("prompt", "same"),
    [
        ("(a harbour:1.0)", "a harbour"),
        ("a ([harbour])", "a harbour"),
        ("[a lake:a harbour:0]", "a harbour"),
        ("[a harbour:a lake:1.0]", "a harbour"),
        ("[a harbour:a lake:4]", "a harbour"),
        ("[a harbour|a harbour]", "a harbour"),
        ("a harbour # a lake", "a harbour"),
        (r"a \(harbour\)", "a (harbour)".replace("(", r"\(").replace(")", r"\)")),
        ("[a harbour::1.0]", "a harbour"),
        ("a harbour BREAK", "a harbour"),
    ],
)
def test_prompts_that_say_the_same_paint_the_same(painted, prompt, same):
    assert painted(prompt) == painted(same)


@pytest.mark.parametrize(
    "prompt",
    [
        "a (harbour:1.5)",
        "a [harbour]",
        "(a harbour:0)",
        "[a harbour:a lake:0.5]",
        "[a harbour|a lake]",
        "a BREAK harbour",
        "a harbour AND a lake",
        "a harbour AND a harbour:0.5",
    ],
)
def test_every_mark_changes_the_picture(painted, prompt):
    assert painted(prompt) != painted("a harbour")


def test_words_of_each_chunk_count(painted):
    """70 letters are 70 tokens of the tiny model: the third chunk begins behind the second."""
    long = "a" * 75 + " " + "b" * 75 + " harbour"
    assert painted(long) != painted(long.replace("harbour", "meadow"))
    assert painted("(" + long + ":1.2)") != painted(long)
    assert painted(long, negative_prompt="fog") != painted(long)
    assert painted("a harbour", negative_prompt=long) != painted("a harbour")


def test_nothing_is_said_of_long_prompts_for_nothing_is_cut(studio):
    events = studio.events("txt2img", prompt="tree " * 500, steps=1, **SIZE)
    assert not [event for event in events if isinstance(event, Notice)]


def test_edits_count_the_steps_that_run(studio, picture):
    """At strength 0.5 four of eight steps run, and half of those are two."""
    source = picture(64, 64)
    how = {"strength": 0.5, "steps": 8, "sampler": "Euler"}
    halves, second, first = (
        studio.results("img2img", source, prompt=prompt, **how)[0]
        for prompt in ("[a harbour:a lake:0.5]", "[a harbour:a lake:2]", "a harbour")
    )
    assert halves.recipe.steps_run == 4
    assert halves.pixels == second.pixels
    assert halves.pixels != first.pixels


@pytest.mark.parametrize("sampler", ["Heun", "DPM2", "DPM++ SDE", "Restart"])
def test_edits_count_steps_where_a_sampler_asks_the_model_twice_a_step(painted, sampler):
    how = {"sampler": sampler, "steps": 6}
    assert painted("[a harbour:a lake:0.5]", **how) == painted("[a harbour:a lake:3]", **how)
    assert painted("[a harbour:a lake:5]", **how) != painted("a harbour", **how)
    assert painted("[a harbour:a lake:6]", **how) == painted("a harbour", **how)


def test_one_step_and_all_steps_are_told_apart_in_one_prompt(painted):
    """[a:b:1] and [a:b:1.0] have equal numbers."""
    assert painted("[a:b:1] AND [a:b:1.0]") == painted("[a:b:1] AND a")
    assert painted("[a:b:1.0] AND [a:b:1]") == painted("a AND [a:b:1]")


def test_joined_prompts_are_summed(painted):
    """Of weights that sum to 1 at CFG scale 1 the negative prompt cancels out; of others it does not."""
    assert painted("a lake AND a harbour", cfg_scale=1) != painted("a lake", cfg_scale=1)
    halves = "a lake:0.5 AND a harbour:0.5"
    assert painted(halves, cfg_scale=1, negative_prompt="fog") == painted(halves, cfg_scale=1)
    assert painted("a lake AND a harbour", cfg_scale=1, negative_prompt="fog") != painted(
        "a lake AND a harbour", cfg_scale=1
    )


def test_guidance_is_the_sum_that_it_is_said_to_be():
    """n + s * sum(w * (p - n)), worked out by hand for a model that answers with its embeddings' sum."""
    latents = torch.zeros(2, 1, 1, 1)
    short, long = Embeds(torch.full((1, 2, 1), 1.0)), Embeds(torch.full((1, 4, 1), 2.0))
    asked: list[tuple[int, int]] = []

    def predict(pictures: torch.Tensor, embeds: Embeds) -> torch.Tensor:
        asked.append((len(pictures), embeds.tokens.shape[1]))
        return pictures + embeds.tokens.sum(dim=(1, 2)).reshape(-1, 1, 1, 1)

    one = Conditions((Condition(1.0, [long]), Condition(-0.5, [short])), [short])
    two = Conditions((Condition(1.0, [short]),), [short])
    # short answers 2, long 8: 2 + 7 * (1 * (8 - 2) - 0.5 * (2 - 2)) = 44, and 2 + 7 * (2 - 2) = 2.
    assert guided(predict, latents, [one, two], 7, 0).flatten().tolist() == [44, 2]
    assert asked == [(4, 2), (1, 4)]


def test_clip_skip_and_weights_together(painted):
    assert painted("(a:1.4) harbour", clip_skip=2) != painted("(a:1.4) harbour")
    assert painted("(a:1.0) harbour", clip_skip=2) == painted("a harbour", clip_skip=2)


def test_weighted_states_keep_their_mean():
    states = torch.randn((1, 77, 32), generator=torch.Generator().manual_seed(1)) + 0.2
    weights = [1.0] * 77
    weights[3:6] = [1.5, 0.5, 2.0]
    after = weighted(states, weights)
    assert torch.isclose(after.mean(), states.mean())
    ratio = after / states
    assert torch.allclose(ratio[0, 3] / ratio[0, 0], torch.tensor(1.5))
    assert weighted(states, [1.0] * 77) is states
    # Without a mean of its own the weights stand alone.
    centred = states - states.mean()
    assert torch.allclose(weighted(centred, weights)[0, 5], 2 * centred[0, 5])
    assert torch.equal(weighted(centred, weights)[0, 0], centred[0, 0])


def demo_or_tiny(studio, which: str):
    if which == "tiny":
        return studio.engine.model(studio.engine.library.get("tiny"))
    engine = Engine(ModelLibrary([demo_folder()]), device="cpu")
    return engine.model(engine.library.get("demo"))


@pytest.mark.parametrize("which", ["tiny", "demo"])
def test_plain_words_are_encoded_as_diffusers_encodes_them(studio, which):
    model = demo_or_tiny(studio, which)
    tokenizer, encoder = model.components["tokenizer"], model.components["text_encoder"]
    vocabulary = vocabulary_of(model)
    marks = "()[]{}|:<>#_\\"

    @settings(max_examples=40)
    @given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters=marks), max_size=70))
    @torch.inference_mode()
    def same(text: str) -> None:
        if "AND" in text or "BREAK" in text or len(vocabulary.encode(text)) > vocabulary.room:
            return
        reader = PromptReader(studio.engine.prompt_files)
        (part,) = reader.read({"prompt": text, "negative_prompt": "", "styles": ""}, 0).prompt
        ours = encode_chunks(model, chunks(flatten(part.content, 0, 1), vocabulary), 1).tokens
        ids = tokenizer(text, padding="max_length", truncation=True, max_length=77, return_tensors="pt").input_ids
        assert torch.equal(ours, encoder(ids)[0])

    same()


@pytest.mark.parametrize("which", ["tiny", "demo"])
def test_tokens_are_counted_as_transformers_counts_them(studio, which):
    model = demo_or_tiny(studio, which)
    theirs = vocabulary_of(model)
    ours = Vocabularies().of(model.info)
    assert ours.room == theirs.room == 75
    assert ours.comma == theirs.comma is not None

    @settings(max_examples=300)
    @given(st.one_of(st.text(max_size=60), st.sampled_from(["<|endoftext|> x", "don't  WE'LL", "é e\u0301 ß", "٣4½"])))
    def same(text: str) -> None:
        assert list(ours.encode(text)) == list(theirs.encode(text))

    same()


def test_a_tokenizer_that_is_missing_or_broken_is_told(own_copy):
    info = read_info(own_copy / "tiny")
    (own_copy / "tiny" / "tokenizer" / "tokenizer.json").write_text("{}")
    with pytest.raises(Exception, match=r"'tiny' cannot be loaded: tokenizer does not hold a CLIP tokenizer"):
        Vocabularies().of(info)
    (own_copy / "tiny" / "tokenizer" / "tokenizer_config.json").unlink()
    with pytest.raises(Exception, match="tokenizer does not hold a CLIP tokenizer"):
        Vocabularies().of(info)


@pytest.fixture
def words(studio):
    """The studio's folder of prompt files, with wildcards and styles while the test runs."""
    files = studio.engine.prompt_files
    files.wildcards.mkdir(exist_ok=True)
    (files.wildcards / "place.txt").write_text("\n".join(f"place {k}" for k in range(50)), "utf-8")
    files.styles.write_text('name,prompt,negative_prompt\noil,"{prompt}, oil",photo\n', "utf-8")
    yield files
    (files.wildcards / "place.txt").unlink(missing_ok=True)
    files.styles.unlink(missing_ok=True)


def test_each_picture_draws_its_own_and_its_recipe_replays_without_the_files(studio, words):
    written = {"prompt": "# mine\n{a|an old} harbour, __place__", "negative_prompt": "{fog|rain}", "styles": "oil"}
    batch = studio.results("txt2img", seeds=(5, 6, 7), batch_size=3, **written, **SIZE)
    texts = [result.recipe.settings["prompt"] for result in batch]
    assert len(set(texts)) == 3
    assert all(text.endswith(", oil") and "place" in text and "#" not in text for text in texts)
    assert all(result.recipe.settings["styles"] == "" for result in batch)
    assert all(dict(result.recipe.written) == written for result in batch)
    alone = studio.results("txt2img", seeds=(6,), **written, **SIZE)[0]
    assert (alone.pixels, alone.recipe.settings["prompt"]) == (batch[1].pixels, texts[1])
    (words.wildcards / "place.txt").unlink()
    words.styles.unlink()
    for result in batch:
        recipe = Recipe.from_json(result.recipe.to_json())
        assert dict(recipe.written) == written
        again = studio.engine.run(Request(recipe.task, recipe.settings, (recipe.seed,)), lambda: False)
        (second,) = (event for event in again if isinstance(event, Result))
        assert second.pixels == result.pixels
        assert second.recipe.written == {}


def test_prompts_that_are_as_written_stand_in_the_recipe_once(studio):
    result = studio.results("txt2img", prompt="a (red:1.2) [harbour:lake:0.5]", **SIZE)[0]
    assert result.recipe.settings["prompt"] == "a (red:1.2) [harbour:lake:0.5]"
    assert result.recipe.written == {}


def test_what_cannot_be_read_is_refused_before_anything_is_loaded(tiny_model, studio, words):
    engine = Engine(ModelLibrary([tiny_model.parent]), device="cpu", prompt_files=words)
    for wrong, error in (
        ({"prompt": "a (harbour"}, PromptError),
        ({"prompt": "a <lora:x:1>"}, PromptError),
        ({"negative_prompt": "__nope__"}, PromptError),
        ({"styles": "pencil"}, SettingError),
    ):
        with pytest.raises(error):
            list(engine.run(studio.request("txt2img", **wrong), lambda: False))
    assert engine.loaded == ()


def test_a_line_that_cannot_be_read_stops_the_batch_before_its_first_picture(studio, words):
    (words.wildcards / "place.txt").write_text("fine\nfine\nfine\n(open\n", "utf-8")
    events = studio.engine.run(
        studio.request("txt2img", prompt="__place__", seeds=tuple(range(20)), **SIZE), lambda: False
    )
    with pytest.raises(PromptError, match="never closed"):
        next(iter(events))


def test_strength_0_has_its_prompt_in_the_recipe_too(studio, picture, words):
    result = studio.results("img2img", picture(64, 64), strength=0, prompt="{a|a} harbour")[0]
    assert result.recipe.settings["prompt"] == "a harbour"
    assert result.recipe.written == {"prompt": "{a|a} harbour"}
