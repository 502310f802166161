"""Embeddings by name: a vector in a word's place paints as the word, in every form that files have."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from pentimento.engine.engine import Engine
from pentimento.engine.models import ModelLibrary
from pentimento.engine.prompts.flattening import Piece
from pentimento.engine.prompts.resolving import PromptFiles
from pentimento.engine.prompts.tokens import NO_ID, Vocabulary, chunks
from pentimento.engine.prompts.tracing import PromptError
from pentimento.engine.request import EngineError, Request, Result
from pentimento_shared.recipe import Recipe
from tests.engine.conftest import Studio
from tests.family_models import build

SIZE = {"width": 64, "height": 64, "steps": 2}
Write = Callable[..., Path]


def folder_of(studio: Studio) -> Path:
    return studio.engine.prompt_files.models.folders[0] / "embeddings"


@pytest.fixture
def embeddings(studio) -> Iterator[Write]:
    """embeddings(name, tensors): writes one where the studio's prompts find it, for as long as the test runs."""
    written: list[Path] = []

    def write(name: str, tensors: dict[str, torch.Tensor], home: Path | None = None) -> Path:
        path = (home or folder_of(studio)) / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({key: tensor.contiguous() for key, tensor in tensors.items()}, path)
        written.append(path)
        return path

    yield write
    for path in written:
        path.unlink()


def vectors_of(studio: Studio, text: str, which: str = "", model: str = "tiny") -> torch.Tensor:
    """What a model's encoder reads for a text: [tokens, width]."""
    components = studio.engine.model(studio.engine.library.get(model)).components
    ids = components[f"tokenizer{which}"](text, add_special_tokens=False).input_ids
    return components[f"text_encoder{which}"].get_input_embeddings().weight[ids].detach().clone()


def painted(studio, prompt: str, **settings: object):
    return studio.picture("txt2img", prompt=prompt, **{**SIZE, **settings})


@pytest.mark.parametrize("form", ["emb_params", "<thing>", "*", "clip_l"])
def test_vectors_of_a_word_paint_as_the_word(studio, embeddings, form):
    embeddings("thing", {form: vectors_of(studio, "cat")})
    for words in ("a {} house", "{}", "a ({}:1.3), x", "(a {}:0.8) [b:{}:0.5]", "a AND {}:0.5", "[{}|b]"):
        with_name, with_word = words.replace("{}", "thing"), words.replace("{}", "cat")
        assert painted(studio, with_name) == painted(studio, with_word), words
    assert painted(studio, "a THING house") == painted(studio, "a cat house")
    assert painted(studio, "a embedding:thing house") == painted(studio, "a cat house")
    assert painted(studio, "a", negative_prompt="fog, thing") == painted(studio, "a", negative_prompt="fog, cat")
    assert painted(studio, "a thing", clip_skip=2) == painted(studio, "a cat", clip_skip=2) != painted(studio, "a dog")


def test_only_whole_words_name_an_embedding_and_the_longest_counts(studio, embeddings):
    words = painted(studio, "badly a-bad bad-")
    embeddings("bad", {"emb_params": vectors_of(studio, "cat")})
    embeddings("bad-hands (5)", {"emb_params": vectors_of(studio, "dog")})
    assert painted(studio, "badly a-bad bad-") == words
    assert painted(studio, "a bad hand") == painted(studio, "a cat hand")
    assert painted(studio, r"Bad-Hands \(5\), x") == painted(studio, "dog, x")


def test_a_single_vector_stands_for_its_name(studio, embeddings):
    """diffusers writes one vector without a dimension for how many."""
    vector = vectors_of(studio, "cat")
    embeddings("three", {"<three>": vector})
    embeddings("last", {"<last>": vector[-1]})
    embeddings("first", {"emb_params": vector[:2]})
    assert painted(studio, "first last") == painted(studio, "three")


LETTERS = Vocabulary(lambda text: [ord(letter) for letter in text if letter != " "], 75, {"ab": 3, "ab c": 30})


def cut(text: str) -> list[str]:
    """The letters of each chunk, # for a vector."""
    found = chunks(((Piece(text, 1.2),),), LETTERS)
    return ["".join("#" if token.id == NO_ID else chr(token.id) for token in chunk) for chunk in found]


def test_vectors_are_counted_and_never_parted():
    assert cut("x ab y AB") == ["x###y###"]
    assert cut("ab c") == ["#" * 30]
    assert cut("x" * 73 + " ab y") == ["x" * 73, "###y"]
    assert cut("x" * 72 + " ab y") == ["x" * 72 + "###", "y"]
    assert cut("x" * 60 + " ab c y") == ["x" * 60, "#" * 30 + "y"]
    assert cut("x" * 58 + ", ab c y") == ["x" * 58 + ",", "#" * 30 + "y"]
    assert cut(" ".join(["ab c"] * 6)) == ["#" * 60] * 3
    assert [token.vector for token in LETTERS.tokens(Piece("ab"))] == [0, 1, 2]


@pytest.mark.parametrize("task", ["img2img", "inpaint"])
def test_the_promises_hold_with_embeddings(studio, embeddings, picture, task):
    embeddings("thing", {"emb_params": 0.1 * torch.randn(3, 32, generator=torch.Generator().manual_seed(1))})
    source, mask = picture(64, 64), None if task == "img2img" else picture(64, 64, 1, seed=4)
    how = {"prompt": "a {thing|house}", "negative_prompt": "thing", "steps": 2}
    batch = studio.results(task, source, mask, seeds=(1, 2, 3), batch_size=3, **how)
    assert studio.results(task, source, mask, seeds=(2,), **how)[0].pixels == batch[1].pixels
    recipe = Recipe.from_json(batch[2].recipe.to_json())
    (extra,) = recipe.extras
    assert (extra.kind, extra.name, extra.hash) == ("embedding", "thing", extra.sha256[:10])
    assert f'TI hashes: "thing: {extra.hash}"' in recipe.to_infotext()
    again = studio.engine.run(Request(recipe.task, recipe.settings, (recipe.seed,), source, mask), lambda: False)
    assert next(event for event in again if isinstance(event, Result)).pixels == batch[2].pixels
    assert studio.picture(task, source, mask, strength=0, **how).data == source.data


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        ({"emb_params": torch.zeros(2, 48)}, "width 48, and the model tiny reads words of width 32"),
        ({"clip_l": torch.zeros(2, 32), "clip_g": torch.zeros(2, 64)}, "width 32 and 64, and the model tiny"),
    ],
)
def test_an_embedding_of_another_width_is_told_before_anything_is_made(studio, embeddings, tensors, problem):
    embeddings("thing", tensors)
    with pytest.raises(EngineError, match=problem) as raised:
        painted(studio, "a {thing|thing}")
    assert raised.value.field == "prompt"


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        ({"emb_params": torch.zeros(76, 32)}, "has 76 vectors, and a chunk has room for 75"),
        ({"clip_l": torch.zeros(2, 32), "clip_g": torch.zeros(3, 32)}, "has not the tensors of one"),
        ({"emb_params": torch.zeros(2, 3, 32)}, "has not the tensors of one"),
        ({"a": torch.zeros(2, 32), "b": torch.zeros(2, 32)}, "has not the tensors of one"),
    ],
)
def test_files_that_are_no_embedding(studio, embeddings, tensors, problem):
    embeddings("thing", tensors)
    with pytest.raises(PromptError, match=rf"prompt, character 4, .*{problem}"):
        painted(studio, "a (thing:1.2)")


def test_pickles_are_refused_with_the_reason(studio):
    path = folder_of(studio) / "easynegative.pt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x80\x04K\x01.")
    try:
        with pytest.raises(PromptError, match=r"character 6, .*easynegative\.pt is a pickle, .* Convert it"):
            painted(studio, "a", negative_prompt="fog, EasyNegative")
        with pytest.raises(PromptError, match=r"there is no embedding \"easynegativ\".* Did you mean easynegative"):
            painted(studio, "a embedding:easynegativ")
    finally:
        path.unlink()


def test_sdxl_reads_a_pair_of_vectors(tmp_path, embeddings):
    folder = build("sdxl", tmp_path / "models" / "sdxl")
    files = PromptFiles.below(tmp_path)
    studio = Studio(Engine(ModelLibrary([folder]), device="cpu", prompt_files=files))
    pair = {"clip_l": vectors_of(studio, "cat", model="sdxl"), "clip_g": vectors_of(studio, "cat", "_2", "sdxl")}
    embeddings("thing", pair, tmp_path / "models" / "embeddings")
    embeddings("lone", {"emb_params": pair["clip_l"]}, tmp_path / "models" / "embeddings")
    assert painted(studio, "a (thing:1.2)", model="sdxl") == painted(studio, "a (cat:1.2)", model="sdxl")
    with pytest.raises(EngineError, match="has vectors of width 32, and the model sdxl reads words of width 32 and"):
        painted(studio, "a lone", model="sdxl")
