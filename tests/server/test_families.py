"""What a model takes and what it does not is said to programs, and refused with the model's own reasons."""

from __future__ import annotations

from pathlib import Path

from tests.conftest import StartServer
from tests.family_models import build


def test_the_settings_of_a_flow_model_are_those_that_mean_something_for_it(
    start_server: StartServer, tmp_path: Path
) -> None:
    server = start_server(model=build("flux-schnell", tmp_path))
    rows = {row["name"]: row for row in server.get("/settings?model=flux-schnell").json()["settings"]}
    assert not {"DDIM", "PLMS", "TCD"} & set(rows["sampler"]["choices"])
    assert rows["schedule"]["choices"] == ["Automatic", "Uniform", "SGM Uniform", "Simple", "Normal", "Beta", "Turbo"]
    assert [rows[name]["default"] for name in ("sampler", "schedule", "steps", "cfg_scale")] == [
        "Euler",
        "Simple",
        4,
        1,
    ]
    silent = [name for name, row in rows.items() if not row["supported"]]
    assert silent == ["distilled_cfg_scale", "clip_skip", "inpainting_mask_weight"]
    refused = server.post({"task": "txt2img", "settings": {"model": "flux-schnell", "schedule": "Karras"}})
    assert (refused.status_code, refused.json()["field"]) == (422, "schedule")
    assert "SGM Uniform" in refused.json()["detail"]
    checked = server.session.post(
        f"{server.url}/api/v1/prompts/check", json={"model": "flux-schnell", "prompt": "a" * 255}, timeout=30
    )
    assert "comes to 256 tokens" in checked.json()["prompt"]["error"]["detail"]
