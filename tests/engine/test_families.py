"""Every family keeps the same promises: strength, seeds, soft selections, replay; and is asked as diffusers asks it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_inpaint import StableDiffusionInpaintPipeline
from diffusers.pipelines.stable_diffusion_xl.pipeline_stable_diffusion_xl_inpaint import (
    StableDiffusionXLInpaintPipeline,
)
from diffusers.schedulers.scheduling_euler_discrete import EulerDiscreteScheduler
from diffusers.schedulers.scheduling_flow_match_euler_discrete import FlowMatchEulerDiscreteScheduler
from hypothesis import given
from hypothesis import strategies as st

from pentimento.engine.arrays import to_array, to_pixels
from pentimento.engine.coding import latent_factor
from pentimento.engine.compose import composite
from pentimento.engine.conditioning import is_inpainting
from pentimento.engine.denoise import Source, denoise
from pentimento.engine.engine import Engine
from pentimento.engine.families.family import Told
from pentimento.engine.families.flux import packed, unpacked
from pentimento.engine.families.info import FLOW_CHOICES
from pentimento.engine.families.registry import family_of
from pentimento.engine.loaded import LoadedModel
from pentimento.engine.models import ModelLibrary
from pentimento.engine.noise import Seed, noise_for
from pentimento.engine.noise_scales import FlowScale
from pentimento.engine.prompts.checking import check_prompts
from pentimento.engine.prompts.guidance import Encoder
from pentimento.engine.prompts.resolving import PromptFiles, PromptReader
from pentimento.engine.prompts.vocabulary import Vocabularies
from pentimento.engine.request import EngineError, Request, Result
from pentimento.engine.samplers import make_plan
from pentimento_shared.geometry import Size
from pentimento_shared.recipe import Recipe
from pentimento_shared.settings import SettingError, validate
from tests.engine.conftest import Studio
from tests.family_models import MAKERS, build

NAMES = tuple(MAKERS)
PROMPT = "a lake, the sky and an old house"
SMALL = {"width": 64, "height": 64}
SIDE = 16
"""Latents of a picture of 64 px."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Studio]:
    """models(name) -> a studio with that model, which is made when it is first asked for."""
    home, made = tmp_path_factory.mktemp("families"), {}
    files = PromptFiles.below(tmp_path_factory.mktemp("words"))
    torch.set_num_threads(1)

    def studio(name: str) -> Studio:
        if name not in made:
            folder = build(name, home / name)
            made[name] = Studio(Engine(ModelLibrary([folder]), device="cpu", prompt_files=files))
        return made[name]

    return studio


@pytest.fixture(params=NAMES)
def family(request, models) -> tuple[Studio, dict[str, Any]]:
    """A studio, and the settings that name its model."""
    return models(request.param), {"model": request.param, "prompt": PROMPT, "steps": 3, "sampler": "Euler"}


def loaded(studio: Studio, name: str) -> LoadedModel:
    return studio.engine.model(studio.engine.library.get(name))


def soft_mask(width: int, height: int):
    """A ramp from 0 to 255 over the columns, its outer thirds flat."""
    x = np.arange(width) / width
    ramp = ((x - 1 / 3) * 3).clip(0, 1)
    return to_pixels(np.tile(np.rint(ramp * 255).astype(np.uint8), (height, 1))[..., None])


def test_strength_0_is_the_source_and_strength_1_is_text_to_image(family, picture):
    studio, how = family
    source = picture(64, 64)
    assert to_array(studio.picture("img2img", source, strength=0, **how)).tobytes() == to_array(source).tobytes()
    plain = studio.picture("txt2img", **SMALL, **how)
    assert studio.picture("img2img", source, strength=1, **how) == plain
    everything = to_pixels(np.full((64, 64, 1), 255, np.uint8))
    assert studio.picture("inpaint", picture(64, 64, seed=4), everything, strength=1, **how) == plain
    assert to_array(plain).std() > 1


def test_outside_a_soft_selection_not_a_byte_changes_and_the_recipe_replays(family, picture):
    studio, how = family
    source, mask = picture(72, 48), soft_mask(72, 48)
    first = studio.results("inpaint", source, mask, strength=0.9, context="canvas", seeds=(3, 4), **how)[1]
    full = to_array(composite("full", source, first.pixels, first.mask, first.context))
    chosen = to_array(mask)[..., 0]
    assert np.array_equal(full[chosen == 0], to_array(source)[chosen == 0])
    assert (full[chosen == 255] != to_array(source)[chosen == 255]).any()
    recipe = Recipe.from_json(first.recipe.to_json())
    again = studio.engine.run(Request(recipe.task, recipe.settings, (recipe.seed,), source, mask), lambda: False)
    (second,) = (event for event in again if isinstance(event, Result))
    assert second.pixels == first.pixels


def ours(model: LoadedModel, files: PromptFiles, source: Source | None, **how: Any) -> torch.Tensor:
    """Latents [n, c, SIDE, SIDE] of the loop itself."""
    how = {
        "sampler": "Euler",
        "schedule": "Uniform",
        "strength": 1.0,
        "steps": 4,
        "cfg_scale": 3.0,
        "seeds": (7,),
        **how,
    }
    texts = {"prompt": how.get("prompt", PROMPT), "negative_prompt": how.get("negative", "fog"), "styles": ""}
    scale = family_of(model).scale(model.components["scheduler"].config, Size(SIDE, SIDE))
    plan = make_plan(scale, how["sampler"], how["schedule"], how["steps"], how["strength"])
    encoder = Encoder(model, how.get("clip_skip", 1), plan.count)
    conditions = encoder.conditions(PromptReader(files).read(texts, 0), how["cfg_scale"])
    channels = model.components["vae"].config.latent_channels
    # An inpainting model is shown that all is masked.
    unseen = torch.cat([torch.ones(1, 1, SIDE, SIDE), torch.zeros(1, channels, SIDE, SIDE)], dim=1)
    seen = how.get("seen", unseen if is_inpainting(model) else None)
    size = Size(SIDE * latent_factor(model), SIDE * latent_factor(model))
    return denoise(
        model,
        plan,
        conditions=[conditions] * len(how["seeds"]),
        told=Told(size, how["cfg_scale"], how.get("distilled", 0.0), seen),
        seeds=[Seed(seed) for seed in how["seeds"]],
        latent_shape=(channels, SIDE, SIDE),
        source=source,
        on_step=lambda step: None,
    )


@torch.inference_mode()
@pytest.mark.parametrize("name", ["sd15", "sd2", "sdxl"])
@pytest.mark.parametrize("negative", ["fog", None])
def test_diffusion_models_are_asked_as_diffusers_asks_them(models, name, negative):
    studio = models(name)
    model = loaded(studio, name)
    euler: Any = EulerDiscreteScheduler.from_config(model.components["scheduler"].config, timestep_spacing="linspace")
    pipeline = family_of(model).pipeline(**{**model.components, "scheduler": euler})
    noise = noise_for((Seed(7),), (4, SIDE, SIDE))[0]
    euler.set_timesteps(4)
    sigma = float(euler.sigmas[0])
    theirs = pipeline(
        PROMPT,
        negative_prompt=negative,
        num_inference_steps=4,
        guidance_scale=3.0,
        height=SIDE * latent_factor(model),
        width=SIDE * latent_factor(model),
        # Their start has the variance of the noise alone, ours that of the noise and a picture.
        latents=noise * (1 + sigma**2) ** 0.5 / sigma,
        output_type="latent",
    ).images
    mine = ours(model, studio.engine.prompt_files, None, negative=negative or "")
    assert (mine - theirs).abs().max() < 1e-3 * theirs.std()


def some_latents(model) -> torch.Tensor:
    """[1, c, SIDE, SIDE], the same each time."""
    channels = model.components["vae"].config.latent_channels
    return torch.randn((1, channels, SIDE, SIDE), generator=torch.Generator().manual_seed(3))


@torch.inference_mode()
@pytest.mark.parametrize("name", NAMES)
def test_picture_k_of_a_batch_is_its_seeds_own(models, name):
    studio = models(name)
    model = loaded(studio, name)
    source = Source(some_latents(model))
    how = {"strength": 0.8, "steps": 3, "cfg_scale": 1.0}
    together = ours(model, studio.engine.prompt_files, source, seeds=(5, 6), **how)
    for index, seed in enumerate((5, 6)):
        alone = ours(model, studio.engine.prompt_files, source, seeds=(seed,), **how)
        assert torch.allclose(together[index], alone[0], atol=1e-4)
    assert not torch.allclose(together[0], together[1], atol=0.1)


@torch.inference_mode()
@pytest.mark.parametrize("name", NAMES)
def test_soft_px_are_held_until_their_turn(models, name):
    """Columns of rising mask value change more and more; those that are never free are the source to the last bit."""
    studio = models(name)
    model = loaded(studio, name)
    latents = some_latents(model)
    selection = torch.tensor([0.0, 0.3, 0.6, 1.0]).repeat_interleave(4).expand(1, 1, SIDE, SIDE).contiguous()
    how = {"steps": 8, "cfg_scale": 1.0, "seeds": (1, 2)}
    result = ours(model, studio.engine.prompt_files, Source(latents, selection), **how)
    change = (result - latents).abs().mean(dim=(0, 1, 2))
    levels = [change[first : first + 4].mean().item() for first in range(0, SIDE, 4)]
    assert levels[0] == 0
    assert levels == sorted(levels)


@torch.inference_mode()
@pytest.mark.parametrize("name", NAMES)
def test_more_strength_is_more_change(models, name):
    studio = models(name)
    model = loaded(studio, name)
    latents = some_latents(model)
    changes = [
        (ours(model, studio.engine.prompt_files, Source(latents), strength=strength, cfg_scale=1.0) - latents)
        .abs()
        .mean()
        for strength in (0.02, 0.2, 0.5, 0.8)
    ]
    assert changes == sorted(changes)


@pytest.mark.parametrize("name", ["sd15-inpaint", "sdxl-inpaint"])
def test_an_inpainting_model_sees_what_is_kept_and_the_mask(models, picture, name):
    studio, how = models(name), {"model": name, "prompt": PROMPT, "steps": 2, "context": "canvas", "cfg_scale": 1}
    model = loaded(studio, name)
    mask = np.zeros((64, 64, 1), np.uint8)
    mask[:, 32:] = 255
    source = to_array(picture(64, 64))
    seen: list[torch.Tensor] = []
    hook = model.components["unet"].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))

    def shown(changed: np.ndarray, **more: object) -> torch.Tensor:
        seen.clear()
        studio.results("inpaint", to_pixels(changed), to_pixels(mask), strength=0.9, **how, **more)
        return seen[0][:, 4:]

    try:
        plain = shown(source)
        hidden = source.copy()
        hidden[:, 32:] = 7
        assert torch.equal(shown(hidden), plain)
        assert not torch.equal(shown(255 - source), plain)
        assert (plain[0, 0, :, :8] == 0).all()
        assert (plain[0, 0, :, 8:] == 1).all()
        # At 0 it sees everything; in between, something between.
        assert not torch.equal(shown(hidden, inpainting_mask_weight=0), shown(source, inpainting_mask_weight=0))
        halves = [shown(source, inpainting_mask_weight=weight)[0, 1:] for weight in (0, 0.5, 1)]
        assert not torch.equal(halves[1], halves[0])
        assert not torch.equal(halves[1], halves[2])
    finally:
        hook.remove()


@pytest.mark.parametrize(("name", "without"), [("sd15", True), ("sdxl", True), ("sd15-inpaint", False)])
def test_what_does_nothing_with_a_model_is_said(models, name, without):
    info = models(name).engine.library.get(name)
    assert ("inpainting_mask_weight" in info.without) == without
    assert info.to_json()["without"] == list(info.without)


@torch.inference_mode()
@pytest.mark.parametrize("name", ["sd15-inpaint", "sdxl-inpaint"])
def test_inpainting_models_are_asked_as_diffusers_asks_them(models, picture, name):
    studio = models(name)
    model = loaded(studio, name)
    euler: Any = EulerDiscreteScheduler.from_config(model.components["scheduler"].config, timestep_spacing="linspace")
    cls = {"sd15-inpaint": StableDiffusionInpaintPipeline, "sdxl-inpaint": StableDiffusionXLInpaintPipeline}[name]
    pipeline = cls(**{**model.components, "scheduler": euler})
    noise = noise_for([Seed(7)], (4, SIDE, SIDE))[0]
    image = torch.from_numpy(to_array(picture(64, 64)).copy()).permute(2, 0, 1)[None] / 255
    mask = torch.zeros((1, 1, 64, 64))
    mask[..., 32:] = 1
    masked = image * 2 - 1
    masked = model.components["vae"].encode(masked * (1 - mask)).latent_dist.mode()
    masked = masked * model.components["vae"].config.scaling_factor
    euler.set_timesteps(4)
    sigma = float(euler.sigmas[0])
    theirs = pipeline(
        PROMPT,
        negative_prompt="fog",
        image=image,
        mask_image=mask,
        masked_image_latents=masked,
        strength=1.0,
        num_inference_steps=4,
        guidance_scale=3.0,
        height=64,
        width=64,
        latents=noise * (1 + sigma**2) ** 0.5 / sigma,
        output_type="latent",
    ).images
    seen = torch.cat([mask[..., ::4, ::4], masked], dim=1)
    mine = ours(model, studio.engine.prompt_files, None, seen=seen)
    assert (mine - theirs).abs().max() < 1e-3 * theirs.std()


@torch.inference_mode()
@pytest.mark.parametrize(
    ("name", "cfg_scale"), [("flux-dev", 1.0), ("flux-schnell", 1.0), ("flux-dev", 3.0), ("sd3", 3.0)]
)
def test_flow_models_are_asked_as_diffusers_asks_them(models, name, cfg_scale):
    studio = models(name)
    model = loaded(studio, name)
    scheduler = FlowMatchEulerDiscreteScheduler.from_config(model.components["scheduler"].config)
    pipeline = family_of(model).pipeline(**{**model.components, "scheduler": scheduler})
    noise = noise_for([Seed(7)], (16, SIDE, SIDE))[0]
    flux = name.startswith("flux")
    how: dict[str, Any] = {"guidance_scale": cfg_scale}
    if flux:
        tokens = 512 if name == "flux-dev" else 256
        how = {"guidance_scale": 2.5, "true_cfg_scale": cfg_scale, "max_sequence_length": tokens}
    theirs = pipeline(
        PROMPT,
        negative_prompt="fog" if cfg_scale > 1 else None,
        num_inference_steps=4,
        sigmas=np.linspace(1, 1 / 4, 4).tolist(),
        height=64,
        width=64,
        latents=packed(noise) if flux else noise,
        output_type="latent",
        **how,
    ).images
    theirs = unpacked(theirs, SIDE, SIDE) if flux else theirs
    mine = ours(model, studio.engine.prompt_files, None, schedule="Simple", cfg_scale=cfg_scale, distilled=2.5)
    assert (mine - theirs).abs().max() < 1e-3 * theirs.std()


@pytest.fixture(scope="module")
def right(models) -> torch.Tensor:
    """What many steps of Euler's method come to."""
    studio = models("sd3")
    with torch.inference_mode():
        return ours(loaded(studio, "sd3"), studio.engine.prompt_files, None, cfg_scale=1.0, schedule="Simple", steps=60)


@torch.inference_mode()
@pytest.mark.parametrize("sampler", FLOW_CHOICES["sampler"])
def test_all_samplers_of_flow_models_come_to_the_same_or_to_a_picture(models, right, sampler):
    """Solvers without noise come to what Euler's method comes to; those with noise, to latents of the same spread."""
    studio = models("sd3")
    how = {"cfg_scale": 1.0, "schedule": "Simple", "steps": 12}
    found = ours(loaded(studio, "sd3"), studio.engine.prompt_files, None, **how, sampler=sampler)
    assert found.isfinite().all()
    if sampler in ("DPM++ 2M", "Heun", "LMS", "DPM2", "UniPC", "DEIS"):
        assert (found - right).abs().mean() < 0.1 * right.std()
    assert 0.5 < found.std() / right.std() < 2


@pytest.mark.parametrize(
    ("setting", "value", "allowed"),
    [
        ("sampler", "DDIM", "DPM\\+\\+ 2M, .* with the model sd3"),
        ("schedule", "Karras", "Automatic, Uniform, .* with the model sd3"),
    ],
)
def test_what_means_nothing_for_a_flow_model_is_refused(models, setting, value, allowed):
    with pytest.raises(SettingError, match=f"{setting} is '{value}'; allowed: {allowed}"):
        models("sd3").events("txt2img", model="sd3", **{setting: value})


def test_a_flow_models_automatic_schedule_is_its_own(models):
    result = models("flux-schnell").results(
        "txt2img", model="flux-schnell", schedule="Automatic", sampler="DPM++ 2M", **SMALL
    )
    assert result[0].recipe.schedule == "Simple"


def test_a_prompt_that_is_too_long_for_t5_is_refused(models):
    with pytest.raises(EngineError, match=r"comes to 300 tokens of the T5 text encoder; .* at most 255. Shorten it"):
        models("flux-schnell").events("txt2img", model="flux-schnell", prompt="a" * 299, **SMALL)


def test_the_distilled_scale_guides_flux_dev_and_no_other(models):
    for name, differs in (("flux-dev", True), ("flux-schnell", False)):
        one, two = (
            models(name).picture("txt2img", model=name, distilled_cfg_scale=scale, steps=2, cfg_scale=1, **SMALL)
            for scale in (1.0, 30.0)
        )
        assert (one != two) == differs


@given(st.floats(0, 1), st.floats(0.3, 8))
def test_strength_is_the_share_of_noise_of_a_flow_model(strength, shift):
    scale = FlowScale.shifted(shift)
    start, least = float(scale.sigma(scale.start(strength))), scale.fraction(float(scale.sigma(0)))
    assert scale.fraction(start) == pytest.approx(max(strength, least), abs=1e-5)
    assert scale.told(start) == pytest.approx(1000 * max(strength, least), abs=1e-2)
    assert scale.timestep(start) == pytest.approx(scale.start(strength), abs=2e-3)


def test_the_tokens_of_a_t5_prompt_are_counted_and_too_many_are_told(models):
    studio = models("flux-schnell")
    info, files = studio.engine.library.get("flux-schnell"), studio.engine.prompt_files
    tokenizer = loaded(studio, "flux-schnell").components["tokenizer_2"]
    vocabulary = Vocabularies().of(info)

    def check(prompt: str) -> dict[str, Any]:
        settings = validate("txt2img", {"prompt": prompt})
        return check_prompts(settings, 1, info, vocabulary, files)["prompt"]

    told = check(PROMPT)
    assert (told["tokens"], told["limit"], told["chunks"]) == (
        len(tokenizer(PROMPT, add_special_tokens=False).input_ids),
        255,
        1,
    )
    assert told["error"] is None
    assert check("a" * 254)["error"] is None
    told = check("a" * 255)
    assert told["tokens"] == 256
    assert "comes to 256 tokens, and the model flux-schnell reads at most 255" in told["error"]["detail"]


def test_sd3_does_without_t5(models, tmp_path):
    folder = build("sd3", tmp_path)
    index = json.loads((folder / "model_index.json").read_text())
    (folder / "model_index.json").write_text(
        json.dumps({**index, "text_encoder_3": [None, None], "tokenizer_3": [None, None]})
    )
    for part in ("text_encoder_3", "tokenizer_3"):
        shutil.rmtree(folder / part)
    studio = Studio(Engine(ModelLibrary([folder]), device="cpu", prompt_files=models("sd3").engine.prompt_files))
    how = {"model": "sd3", "steps": 2, "cfg_scale": 1, **SMALL}
    assert studio.picture("txt2img", **how) != models("sd3").picture("txt2img", **how)


def test_clip_skip_of_sdxl_counts_from_the_layer_before_the_last(models):
    how = {"model": "sdxl", "steps": 2, **SMALL}
    one, two, three = (models("sdxl").picture("txt2img", clip_skip=skip, **how) for skip in (1, 2, 3))
    assert one == two
    assert two != three


@pytest.mark.parametrize("name", ["sdxl", "flux-dev", "sd3"])
def test_the_prompt_language_is_the_same_for_all(models, name):
    """Weights, edits, BREAK, AND and what is longer than a chunk; each changes the picture, the same one each time."""
    how = {"model": name, "steps": 2, "cfg_scale": 3, **SMALL}
    texts = ("a lake", "a (lake:1.4)", "a [lake:hill:0.5]", "a BREAK lake", "a lake AND a hill", "a lake, " * 20)
    pictures = [models(name).picture("txt2img", prompt=text, **how) for text in texts]
    assert models(name).picture("txt2img", prompt="a (lake:1.4)", **how) == pictures[1]
    different = [picture for k, picture in enumerate(pictures) if picture not in pictures[:k]]
    assert len(different) == len(texts)
