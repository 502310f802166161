"""What cannot be done is said in a sentence, cancel works everywhere, and the next request works."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from pentimento.engine.arrays import to_pixels
from pentimento.engine.engine import Engine
from pentimento.engine.models import BrokenModel, ModelLibrary, UnknownModel
from pentimento.engine.request import Cancelled, EngineError, Progress, Result
from pentimento_shared.settings import SettingError

UNET = "unet/diffusion_pytorch_model.safetensors"


@pytest.mark.parametrize("stage", ["load", "encode", "sample", "decode"])
def test_cancel_at_every_stage(studio, picture, stage):
    seen: list[str] = []
    request = studio.request("img2img", picture(64, 64))
    events = studio.engine.run(request, lambda: bool(seen) and seen[-1] == stage)

    def follow() -> None:
        for event in events:
            assert not isinstance(event, Result)
            if isinstance(event, Progress):
                seen.append(event.stage)

    with pytest.raises(Cancelled):
        follow()
    assert seen[-1] == stage
    assert studio.picture("img2img", picture(64, 64))


def test_a_closed_iterator_stops_the_work(studio, picture):
    events = studio.engine.run(studio.request("img2img", picture(64, 64), steps=150, strength=1), lambda: False)
    next(events)
    events.close()
    assert studio.picture("img2img", picture(64, 64))


def test_unknown_model(studio):
    with pytest.raises(UnknownModel, match=r"There is no model 'tinny'; installed: tiny. Did you mean tiny\?"):
        studio.engine.library.get("tinny")


def test_a_clip_skip_beyond_the_text_encoder(studio):
    with pytest.raises(SettingError, match="clip_skip is 3; allowed: at most 2 with the model tiny"):
        studio.events("txt2img", clip_skip=3)


def test_missing_image_and_mask(studio, picture):
    with pytest.raises(EngineError, match="img2img needs a picture"):
        studio.events("img2img")
    with pytest.raises(EngineError, match="inpaint needs a selection"):
        studio.events("inpaint", picture(64, 64))


def test_an_empty_selection(studio, picture):
    with pytest.raises(EngineError, match="The selection is empty"):
        studio.events("inpaint", picture(64, 64), to_pixels(np.zeros((64, 64, 1), np.uint8)))


def test_a_mask_of_another_size_or_kind(studio, picture):
    with pytest.raises(EngineError, match="The mask is 60x64 px, the image 64x64 px"):
        studio.events("inpaint", picture(64, 64), picture(60, 64, 1))
    with pytest.raises(EngineError, match="The mask has 3 channels; allowed: a grey picture"):
        studio.events("inpaint", picture(64, 64), picture(64, 64))


def run_on(home, model="tiny"):
    engine = Engine(ModelLibrary([home]), device="cpu")
    return engine.model(engine.library.get(model))


def test_a_truncated_weight_file_is_named(own_copy):
    path = own_copy / "tiny" / UNET
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(BrokenModel, match=r"diffusion_pytorch_model.safetensors has \d+ bytes .* truncated"):
        run_on(own_copy)


@pytest.mark.parametrize("content", [b"", b"\x00", b"\xff" * 100, (2**40).to_bytes(8, "little") + b"{}"])
def test_a_file_that_is_no_safetensors_file(own_copy, content):
    (own_copy / "tiny" / UNET).write_bytes(content)
    with pytest.raises(BrokenModel, match="is not a safetensors file"):
        run_on(own_copy)


def test_a_pickle_is_refused_and_never_opened(own_copy):
    path = own_copy / "tiny" / UNET
    path.rename(path.with_suffix(".bin"))
    with pytest.raises(BrokenModel, match=r"is a pickle, which can run any program .* safetensors"):
        run_on(own_copy)


def test_a_missing_file_is_named(own_copy):
    (own_copy / "tiny" / "vae" / "config.json").unlink()
    with pytest.raises(BrokenModel, match=r"config\.json is missing from .*vae"):
        run_on(own_copy)
    assert ModelLibrary([own_copy]).list() == ()


def test_weights_of_another_shape_than_the_configuration(own_copy):
    path = own_copy / "tiny" / "unet" / "config.json"
    config = json.loads(path.read_text())
    path.write_text(json.dumps({**config, "cross_attention_dim": 48}))
    with pytest.raises(BrokenModel, match="does not hold a usable model"):
        run_on(own_copy)


def test_a_model_of_another_architecture_names_what_is_supported(own_copy):
    path = own_copy / "tiny" / "model_index.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "_class_name": "KolorsPipeline"}))
    with pytest.raises(BrokenModel, match=r"names the pipeline KolorsPipeline. Supported: StableDiffusionPipeline"):
        run_on(own_copy)


def test_model_info_is_read_without_loading(studio, own_copy):
    info = studio.engine.library.get("tiny")
    assert (info.native_size, info.multiple, info.limits) == ((64, 64), 8, {"clip_skip": 2})
    own = {"id": "mine", "name": "Mine", "native_size": [96, 64], "defaults": {"steps": 9}, "min_steps": 3}
    own["task_defaults"] = {"inpaint": {"cfg_scale": 2}}
    (own_copy / "tiny" / "pentimento.json").write_text(json.dumps(own))
    mine = ModelLibrary([own_copy]).get("mine")
    assert (mine.name, mine.native_size, mine.defaults, mine.min_steps) == ("Mine", (96, 64), {"steps": 9}, 3)
    assert mine.defaults_of("inpaint") == {"steps": 9, "cfg_scale": 2}
    assert mine.defaults_of("img2img") == {"steps": 9}


def test_the_model_before_is_freed_when_another_is_asked_for(own_copy):
    engine = Engine(ModelLibrary([own_copy]), device="cpu")
    (own_copy / "tiny").rename(own_copy / "other")
    assert engine.loaded == ()
    engine.model(engine.library.get("other"))
    assert engine.loaded == ("other",)
    assert torch.get_num_threads() >= 1
