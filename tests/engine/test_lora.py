"""LoRA files in prompts: what they add to a model's weights, in every layout they come in, and that nothing stays."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from pentimento.engine.engine import Engine
from pentimento.engine.extras.deltas import Misfit, delta
from pentimento.engine.extras.files import ExtraFiles, Lora
from pentimento.engine.extras.patching import fit
from pentimento.engine.prompts.tracing import PromptError
from pentimento.engine.request import Cancelled, EngineError, Request, Result
from pentimento_shared.extra import Extra
from pentimento_shared.recipe import Recipe, settings_from_infotext

SIZE = {"width": 64, "height": 64, "steps": 2}
PARTS = ("unet", "text_encoder")
HALVED = {"r": 4, "lora_alpha": 2}
QUERY = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
CONV = "down_blocks.0.resnets.0.conv1"
WORDS = "encoder.layers.0.self_attn.q_proj"
Tensors = Mapping[str, torch.Tensor]
Write = Callable[..., Path]


def drawn(*shape: int, seed: int = 0, scale: float = 0.3) -> torch.Tensor:
    return scale * torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def kohya(seed: int = 0, rank: int = 4, alpha: float = 2.0) -> dict[str, torch.Tensor]:
    """A LoRA for the tiny model as kohya's scripts write it: one linear layer of each, and a convolution."""
    return {
        f"lora_unet_{QUERY.replace('.', '_')}.lora_down.weight": drawn(rank, 32, seed=seed),
        f"lora_unet_{QUERY.replace('.', '_')}.lora_up.weight": drawn(32, rank, seed=seed + 1),
        f"lora_unet_{QUERY.replace('.', '_')}.alpha": torch.tensor(alpha),
        f"lora_unet_{CONV.replace('.', '_')}.lora_down.weight": drawn(rank, 32, 3, 3, seed=seed + 2),
        f"lora_unet_{CONV.replace('.', '_')}.lora_up.weight": drawn(32, rank, 1, 1, seed=seed + 3),
        f"lora_unet_{CONV.replace('.', '_')}.alpha": torch.tensor(alpha),
        f"lora_te_text_model_{WORDS.replace('.', '_')}.lora_down.weight": drawn(rank, 32, seed=seed + 4),
        f"lora_te_text_model_{WORDS.replace('.', '_')}.lora_up.weight": drawn(32, rank, seed=seed + 5),
        f"lora_te_text_model_{WORDS.replace('.', '_')}.alpha": torch.tensor(alpha),
    }


@pytest.fixture
def loras(studio) -> Iterator[Write]:
    """loras(name, tensors, metadata): writes a LoRA where the studio's prompts find it, while the test runs."""
    folder = studio.engine.prompt_files.models.folders[0] / "loras"
    written: list[Path] = []

    def write(name: str, tensors: Tensors, metadata: Mapping[str, str] | None = None) -> Path:
        path = folder / f"{name}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(dict(tensors), path, metadata=dict(metadata or {}))
        written.append(path)
        return path

    yield write
    for path in written:
        path.unlink()


@pytest.fixture
def model(studio):
    return studio.engine.model(studio.engine.library.get("tiny"))


def weight(model, name: str) -> torch.Tensor:
    part = "text_encoder" if name == WORDS else "unet"
    return model.components[part].get_submodule(name).weight


def called(studio, name: str, encoder: float = 1.0, denoiser: float = 1.0) -> Lora:
    return Lora(ExtraFiles(studio.engine.prompt_files.models).lora(name), encoder, denoiser)


def painted(studio, prompt: str, **settings: object):
    return studio.picture("txt2img", prompt=prompt, **{**SIZE, **settings})


def patched(studio, model, *calls: Lora) -> dict[str, torch.Tensor]:
    with fit(model, calls).over() as lay:
        lay()
    return {name: weight(model, name).detach().clone() for name in (QUERY, CONV, WORDS)}


def test_a_weight_becomes_what_the_paper_says(studio, model, loras):
    """W + w * alpha / rank * up @ down, worked out here by hand."""
    tensors = kohya(rank=4, alpha=2.0)
    loras("detail", tensors)
    before = {name: weight(model, name).detach().clone() for name in (QUERY, CONV, WORDS)}
    after = patched(studio, model, called(studio, "detail", encoder=-0.5, denoiser=0.8))
    flat = {QUERY: f"lora_unet_{QUERY}", CONV: f"lora_unet_{CONV}", WORDS: f"lora_te_text_model_{WORDS}"}
    for name, share in ((QUERY, 0.8), (CONV, 0.8), (WORDS, -0.5)):
        up, down = (tensors[f"{flat[name].replace('.', '_')}.lora_{side}.weight"] for side in ("up", "down"))
        dense = torch.einsum("or,r...->o...", up.flatten(1), down)
        assert torch.allclose(after[name], before[name] + share * (2.0 / 4) * dense, atol=1e-6)
        assert not torch.equal(after[name], before[name])
    none = patched(studio, model)
    assert all(torch.equal(none[name], before[name]) for name in before)


def test_nothing_of_a_lora_stays(studio, loras):
    loras("detail", kohya())
    before = painted(studio, "a harbour")
    with_it = painted(studio, "a harbour <lora:detail:1>")
    assert with_it != before
    assert painted(studio, "a harbour") == before
    assert painted(studio, "a harbour <lora:detail:1>") == with_it
    assert painted(studio, "a harbour<lora:detail:0>") == before


def test_nothing_of_a_lora_stays_when_the_job_is_cancelled_while_it_is_laid_over(studio, model, loras):
    loras("detail", kohya())
    before = {name: part.clone() for name, part in model.components["unet"].state_dict().items()}
    changed: list[tuple[bool, ...]] = []

    def half_way() -> bool:
        changed.append(tuple(not torch.equal(weight(model, name), before[f"{name}.weight"]) for name in (QUERY, CONV)))
        return any(changed[-1])

    with pytest.raises(Cancelled):
        studio.events("txt2img", prompt="a <lora:detail:1>", cancelled=half_way, **SIZE)
    assert changed[-1] in ((True, False), (False, True))
    assert all(torch.equal(part, before[name]) for name, part in model.components["unet"].state_dict().items())


def own_weights(model) -> dict[str, torch.Tensor]:
    """All weights that a LoRA may change, as they are now."""
    return {f"{part}.{k}": v.clone() for part in PARTS for k, v in model.components[part].state_dict().items()}


def same(model, weights: Tensors) -> bool:
    return all(torch.equal(part, weights[name]) for name, part in own_weights(model).items())


def anew(studio, prompt: str):
    """The picture of an engine that has painted nothing before."""
    fresh = Engine(studio.engine.library, device="cpu", prompt_files=studio.engine.prompt_files)
    return painted(type(studio)(fresh), prompt)


def test_the_same_loras_stay_for_the_next_job_and_paint_as_if_laid_anew(studio, model, loras):
    loras("one", kohya())
    loras("other", kohya(10, rank=2))
    own, info = own_weights(model), model.info
    prompt = "a <lora:one:0.7> <lora:other:-0.4>"
    first = painted(studio, prompt)
    left = studio.engine.as_left(info)
    laid, places = own_weights(left), [weight(left, name).data_ptr() for name in (QUERY, CONV, WORDS)]
    assert not same(left, own)
    assert painted(studio, prompt) == first == anew(studio, prompt)
    assert [weight(left, name).data_ptr() for name in (QUERY, CONV, WORDS)] == places, "nothing was laid again"
    assert same(left, laid)
    assert painted(studio, "a ") == anew(studio, "a ")
    assert same(studio.engine.as_left(info), own)


@pytest.mark.parametrize(
    "after",
    [
        "a <lora:one:0.5>",
        "a <lora:one:0.7:0.6>",
        "a <lora:one:0.7><lora:one:0.7>",
        "a <lora:other:0.7>",
        "a <lora:one:0.7> <lora:other:0.7>",
        "a <lora:other:0.7> <lora:one:0.7>",
    ],
)
def test_other_loras_take_the_place_of_those_before(studio, loras, after):
    loras("one", kohya())
    loras("other", kohya(10, rank=2))
    first = painted(studio, "a <lora:one:0.7>")
    assert painted(studio, after) == anew(studio, after) != first
    assert painted(studio, "a <lora:one:0.7>") == first


def test_a_lora_that_was_changed_meanwhile_is_laid_anew(studio, loras):
    path = loras("one", kohya())
    first = painted(studio, "a <lora:one:1>")
    save_file(kohya(30), path)
    assert painted(studio, "a <lora:one:1>") == anew(studio, "a <lora:one:1>") != first


def test_nothing_of_either_stays_when_one_cannot_take_the_place_of_the_other(studio, model, loras):
    """The file goes away after it was looked at."""
    loras("one", kohya())
    path = loras("other", kohya(10, rank=2))
    own = own_weights(model)
    patched(studio, model, called(studio, "one"))
    patch = fit(model, [called(studio, "one"), called(studio, "other")])
    data = path.read_bytes()
    path.unlink()
    with pytest.raises(EngineError, match=r"The LoRA other cannot be read"), patch.over() as lay:
        lay()
    assert same(model, own)
    path.write_bytes(data)
    with patch.over() as lay:
        lay()
    again = own_weights(model)
    model.overlay.take_off()
    assert same(model, own)
    patched(studio, model, called(studio, "one"), called(studio, "other"))
    assert same(model, again)


def test_a_job_stopped_between_two_loras_leaves_the_models_own_weights(studio, model, loras):
    loras("one", kohya())
    loras("other", kohya(10))
    own = own_weights(model)
    first = painted(studio, "a <lora:one:1>")
    laid = own_weights(studio.engine.as_left(model.info))

    def exchanging() -> bool:
        return not same(model, laid)

    with pytest.raises(Cancelled):
        studio.events("txt2img", prompt="a <lora:other:1>", cancelled=exchanging, **SIZE)
    assert same(model, own)
    assert painted(studio, "a <lora:one:1>") == first


def same_layouts() -> Iterator[tuple[str, dict[str, torch.Tensor], dict[str, str]]]:
    """The same LoRA as kohya() with alpha = rank, in the other layouts that files have."""
    tensors = kohya(rank=4, alpha=4.0)
    groups = {QUERY: "unet", CONV: "unet", WORDS: "text_encoder.text_model"}

    def named(name: str, side: str) -> torch.Tensor:
        begin = "lora_te_text_model_" if name == WORDS else "lora_unet_"
        return tensors[f"{begin}{name.replace('.', '_')}.lora_{side}.weight"]

    sides = {"up": "lora_B", "down": "lora_A"}
    yield (
        "diffusers",
        {
            f"{groups[name]}.{name}.{theirs}.weight": named(name, side)
            for name in groups
            for side, theirs in sides.items()
        },
        {},
    )
    yield (
        "diffusers, halved by its metadata",
        {
            f"{groups[name]}.{name}.{theirs}.weight": named(name, side) * (1 if side == "down" else 2)
            for name in groups
            for side, theirs in sides.items()
        },
        {"lora_adapter_metadata": json.dumps({f"{part}.{key}": n for part in PARTS for key, n in HALVED.items()})},
    )
    yield (
        "old diffusers",
        {
            **{
                f"unet.{QUERY.removesuffix('.to_q')}.processor.to_q_lora.{side}.weight": named(QUERY, side)
                for side in sides
            },
            **{f"unet.{CONV}.lora.{side}.weight": named(CONV, side) for side in sides},
            **{
                f"text_encoder.text_model.{WORDS.replace('q_proj', 'to_q')}_lora.{side}.weight": named(WORDS, side)
                for side in sides
            },
        },
        {},
    )
    ldm = {QUERY: "input_blocks_1_1_transformer_blocks_0_attn1_to_q", CONV: "input_blocks_1_0_in_layers_2"}
    yield (
        "kohya with the published code's block names",
        {
            **{f"lora_unet_{ldm[name]}.lora_{side}.weight": named(name, side) for name in ldm for side in sides},
            **{
                f"lora_te1_text_model_{WORDS.replace('.', '_')}.lora_{side}.weight": named(WORDS, side)
                for side in sides
            },
        },
        {},
    )


@pytest.mark.parametrize(("tensors", "metadata"), [pytest.param(*case, id=name) for name, *case in same_layouts()])
def test_every_layout_gives_the_same_bytes(studio, loras, tensors, metadata):
    loras("one", kohya(rank=4, alpha=4.0))
    loras("other", tensors, metadata)
    assert painted(studio, "a <lora:other:0.7>") == painted(studio, "a <lora:one:0.7>") != painted(studio, "a ")


def test_weights_of_each_part_and_several_files(studio, loras):
    loras("one", kohya(0))
    loras("other", kohya(10, rank=2))
    both = painted(studio, "a <lora:one:0.7>")
    assert painted(studio, "a <lora:one:0.7:0.7>") == both
    assert painted(studio, "a <lyco:ONE:te=0.7>") == both
    assert painted(studio, "a <lora:one:unet=0.7:te=0.7>") == both
    assert painted(studio, "a <lora:one>") == painted(studio, "a <lora:one:1.0>") != both
    assert len({painted(studio, f"a {call}").data for call in ("<lora:one:0:1>", "<lora:one:1:0>", "")}) == 3
    two = painted(studio, "a <lora:one:0.7> <lora:other:-0.4>")
    assert two not in (both, painted(studio, "a <lora:other:-0.4>"))
    assert painted(studio, "a <lora:one:0.4><lora:one:0.4>") != painted(studio, "a <lora:one:0.4>")


def test_a_lora_acts_on_the_whole_picture_wherever_it_stands(studio, loras):
    loras("one", kohya())
    wanted = painted(studio, "a [b:c:0.5] <lora:one:0.7>")
    assert painted(studio, "a <lora:one:0.7>[b:c:0.5]") == wanted
    assert painted(studio, "a [b<lora:one:0.7>:c:0.5]") == wanted
    assert painted(studio, "a [b:c<lora:one:0.7>:0.5]") == wanted


@pytest.mark.parametrize("task", ["img2img", "inpaint"])
def test_the_promises_hold_with_a_lora(studio, loras, picture, task):
    """Picture k of a batch alone, the recipe replayed, strength 0 and 1."""
    loras("one", kohya())
    loras("other", kohya(20))
    source = picture(64, 64)
    mask = None if task == "img2img" else picture(64, 64, 1, seed=4)
    how = {"prompt": "a {b|c} <lora:{one|other}:0.9>", "steps": 2}
    batch = studio.results(task, source, mask, seeds=(1, 2, 3, 4, 5, 6), batch_size=6, **how)
    assert len({result.recipe.settings["prompt"].split("lora:")[1] for result in batch}) == 2
    for result in batch:
        alone = studio.results(task, source, mask, seeds=(result.recipe.seed,), **how)[0]
        assert alone.pixels == result.pixels
    recipe = Recipe.from_json(batch[1].recipe.to_json())
    again = studio.engine.run(Request(recipe.task, recipe.settings, (recipe.seed,), source, mask), lambda: False)
    assert next(event for event in again if isinstance(event, Result)).pixels == batch[1].pixels
    untouched = studio.picture(task, source, mask, strength=0, **how)
    assert untouched.data == source.data
    if task == "img2img":
        full = studio.picture(task, source, strength=1, **how)
        assert full == studio.picture("txt2img", width=64, height=64, **how)


def low_rank(kind: str) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """The tensors of a convolution's change [6, 4, 3, 3] in that form, and the change worked out plainly."""
    a, b, c, d = drawn(6, 2), drawn(2, 36, seed=1), drawn(6, 2, seed=2), drawn(2, 36, seed=3)
    core, other = drawn(2, 2, 3, 3, seed=4), drawn(2, 2, 3, 3, seed=5)
    alpha = torch.tensor(1.0)
    if kind == "loha":
        dense = ((a @ b) * (c @ d)).reshape(6, 4, 3, 3)
        return {"w1_a": a, "w1_b": b, "w2_a": c, "w2_b": d, "alpha": alpha}, dense / 2
    if kind == "loha with cores":
        inner, second = drawn(2, 4, seed=6), drawn(2, 4, seed=7)
        dense = torch.zeros(6, 4, 3, 3)
        for o, i in np.ndindex(6, 4):
            first = sum(a[o, n] * inner[m, i] * core[n, m] for n in range(2) for m in range(2))
            dense[o, i] = first * sum(c[o, n] * second[m, i] * other[n, m] for n in range(2) for m in range(2))
        parts = {
            "w1_a": a.T.contiguous(),
            "w1_b": inner,
            "t1": core,
            "w2_a": c.T.contiguous(),
            "w2_b": second,
            "t2": other,
        }
        return {**parts, "alpha": alpha}, dense / 2
    if kind == "lokr":
        small, large = drawn(2, 2), drawn(3, 2, 3, 3, seed=1)
        dense = torch.cat([torch.cat([small[o, i] * large for i in range(2)], dim=1) for o in range(2)])
        return {"k1": small, "k2": large, "alpha": torch.tensor(7.0)}, dense
    if kind == "lokr of low rank":
        small, up, down = drawn(2, 2), drawn(3, 2, seed=1), drawn(2, 18, seed=2)
        large = (up @ down).reshape(3, 2, 3, 3)
        dense = torch.cat([torch.cat([small[o, i] * large for i in range(2)], dim=1) for o in range(2)])
        return {"k1": small, "k2_a": up, "k2_b": down, "alpha": alpha}, dense / 2
    up, down = drawn(6, 2, 1, 1), drawn(2, 4, 1, 1, seed=1)
    dense = torch.zeros(6, 4, 3, 3)
    for o, i in np.ndindex(6, 4):
        dense[o, i] = sum(up[o, n, 0, 0] * core[n, m] * down[m, i, 0, 0] for n in range(2) for m in range(2))
    return {"up": up, "down": down, "mid": core, "alpha": alpha}, dense / 2


@pytest.mark.parametrize("kind", ["loha", "loha with cores", "lokr", "lokr of low rank", "locon with a core"])
def test_lycoris_forms_are_what_they_are_said_to_be(kind):
    parts, dense = low_rank(kind)
    assert torch.allclose(delta(parts, torch.zeros(6, 4, 3, 3)), dense, atol=1e-6)
    with pytest.raises(Misfit, match="do not make a weight of 5 x 4 x 3 x 3"):
        delta(parts, torch.zeros(5, 4, 3, 3))


def test_dora_gives_directions_their_own_lengths():
    base, up, down, magnitude = drawn(6, 4), drawn(6, 2, seed=1), drawn(2, 4, seed=2), drawn(6, 1, seed=3).abs()
    changed = base + up @ down
    rows = changed / changed.norm(dim=1, keepdim=True) * magnitude
    parts = {"up": up, "down": down}
    assert torch.allclose(delta({**parts, "magnitude": magnitude}, base), rows - base, atol=1e-6)
    inputs = drawn(1, 4, seed=3).abs()
    columns = changed / changed.norm(dim=0, keepdim=True) * inputs
    assert torch.allclose(delta({**parts, "magnitude": inputs}, base), columns - base, atol=1e-6)


@pytest.mark.parametrize(
    ("tensors", "problem"),
    [
        ({"lora_unet_nowhere_to_q.lora_up.weight": drawn(4, 4)}, "nowhere_to_q is no weight of that model's denoiser"),
        (
            {"lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": drawn(4, 4)},
            "the LoRA foreign is for Stable Diffusion XL, and the model is one of Stable Diffusion 1.x",
        ),
        ({"unet.mid.oft_blocks": drawn(4, 4)}, "LoRA, LoCon, LoHa, LoKr and DoRA can be used"),
        (
            {name: drawn(*(2 * side for side in tensor.shape)) for name, tensor in kohya().items() if tensor.ndim == 2},
            r"do not make a weight of 32 x 32\. Take a model of its family",
        ),
    ],
)
def test_a_lora_for_another_model_changes_nothing(studio, model, loras, tensors, problem):
    loras("fits", kohya())
    loras("foreign", {**kohya(), **tensors})
    before = {name: weight(model, name).detach().clone() for name in (QUERY, CONV, WORDS)}
    made: list[object] = []
    request = studio.request("txt2img", prompt="<lora:{fits|fits|fits|foreign}:1>", seeds=tuple(range(9)), **SIZE)
    with pytest.raises((EngineError, PromptError), match=problem) as raised:
        made.extend(event for event in studio.engine.run(request, lambda: False) if isinstance(event, Result))
    assert "foreign" in raised.value.detail
    assert raised.value.field == "prompt"
    assert made == []
    assert all(torch.equal(weight(model, name), part) for name, part in before.items())


def test_a_damaged_file_is_told(studio, loras):
    path = loras("cut", kohya())
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(PromptError, match=r"the LoRA cut\.safetensors has .* bytes .* truncated"):
        painted(studio, "<lora:cut:1>")


def test_names(studio, loras):
    loras("styles/ink", kohya())
    loras("styles/Water Colour_v1.2", kohya(9), {"ss_output_name": "Aquarell"})
    ink = painted(studio, "<lora:styles/ink:1>")
    assert painted(studio, "<lora:INK:1>") == painted(studio, "<lora:ink.safetensors:1>") == ink
    water = painted(studio, "<lora:water colour_v1.2:1>")
    assert water == painted(studio, "<lora:aquarell:1>") != ink
    loras("more/ink", kohya(3))
    with pytest.raises(PromptError, match="several LoRA files are called"):
        painted(studio, "<lora:ink:1>")
    assert painted(studio, "<lora:styles/ink:1>") == ink


def test_a_lora_does_not_stand_in_the_negative_prompt(studio, loras):
    loras("ink", kohya())
    with pytest.raises(PromptError, match=r"negative_prompt, character 5, .* called for in the prompt"):
        painted(studio, "a", negative_prompt="fog <lora:ink:1>")


def test_the_recipe_tells_which_files_took_part(studio, loras, picture):
    """The short hash is that of all behind the header, as AUTOMATIC1111 has it."""
    data = loras("ink", kohya()).read_bytes()
    how = {"prompt": "a {<lora:ink:0.5><lora:ink:0.5>|}", "batch_size": 6, "seeds": tuple(range(6))}
    recipes = [result.recipe for result in studio.results("txt2img", **how, **SIZE)]
    whole = hashlib.sha256(data).hexdigest()
    short = hashlib.sha256(data[8 + int.from_bytes(data[:8], "little") :]).hexdigest()[:12]
    for recipe in recipes:
        named = "lora" in str(recipe.settings["prompt"])
        assert recipe.extras == ((Extra("lora", "ink", whole, short),) if named else ())
        assert Recipe.from_json(recipe.to_json()) == recipe
    assert len({recipe.extras for recipe in recipes}) == 2
    kept = studio.results("img2img", picture(64, 64), prompt="a <lora:ink:1>", strength=0)[0].recipe
    assert kept.extras == ()


def test_an_infotext_has_the_hashes(studio, loras):
    loras("ink", kohya())
    loras("colour", kohya(5), {"sshs_model_hash": "ab" * 32})
    recipe = studio.results("txt2img", prompt="a <lora:ink:1> <lora:colour:1>", **SIZE)[0].recipe
    assert f'Lora hashes: "ink: {recipe.extras[0].hash}, colour: abababababab"' in recipe.to_infotext()
    assert settings_from_infotext(recipe.to_infotext())["prompt"] == "a <lora:ink:1> <lora:colour:1>"
    assert "hashes" not in studio.results("txt2img", prompt="a", **SIZE)[0].recipe.to_infotext()
