"""LoRA files and embeddings over HTTP: listed, counted, refused with a place, and what a job's recipe says of them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from tests.server.serving import PATIENCE_S, ServerProcess

QUERY = "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
INK = {f"{QUERY}.lora_A.weight": torch.ones(4, 32), f"{QUERY}.lora_B.weight": torch.ones(32, 4)}
FOR_XL = {"lora_te2_text_model_encoder_layers_0_mlp_fc1.lora_up.weight": torch.ones(4, 4)}
TAGS = {"ss_tag_frequency": json.dumps({"10_ink": {"ink wash": 30, "trees": 4}, "5_more": {"trees": 3}})}


def checked(server: ServerProcess, **values: Any) -> dict[str, Any]:
    url = f"{server.url}/api/v1/prompts/check"
    return server.session.post(url, json={"model": "tiny", **values}, timeout=PATIENCE_S).json()


@pytest.fixture(scope="module")
def files(server: ServerProcess) -> Iterator[Path]:
    """The server's folder of models with two LoRA files, two embeddings, and files that are neither."""
    home = server.data / "models"
    written = {
        "loras/styles/Ink.safetensors": (INK, TAGS),
        "loras/xl.safetensors": (FOR_XL, {}),
        "embeddings/easynegative.safetensors": ({"emb_params": torch.ones(5, 32)}, {}),
        "embeddings/wide.safetensors": ({"clip_l": torch.ones(2, 768), "clip_g": torch.ones(2, 1280)}, {}),
    }
    for name, (tensors, metadata) in written.items():
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, home / name, metadata=metadata)
    (home / "loras" / "broken.safetensors").write_bytes(b"\0" * 20)
    (home / "embeddings" / "old.pt").write_bytes(b"\x80\x04K\x01.")
    yield home
    for name in (*written, "loras/broken.safetensors", "embeddings/old.pt"):
        (home / name).unlink()


def test_what_prompts_may_call_for_is_listed(server: ServerProcess, files: Path) -> None:
    found = server.get("/models").json()
    assert found["loras"] == [
        {"name": "xl", "family": "sdxl", "triggers": []},
        {"name": "styles/Ink", "family": "", "triggers": ["ink wash", "trees"]},
    ]
    assert found["embeddings"] == [
        {"name": "easynegative", "family": "", "vectors": 5},
        {"name": "wide", "family": "sdxl", "vectors": 2},
    ]


def test_a_check_counts_vectors_and_not_calls(server: ServerProcess, files: Path) -> None:
    found = checked(server, prompt="<lora:ink:0.8> ab", negative_prompt="fog, (EasyNegative:1.2)")
    assert found["prompt"]["tokens"] == 2
    assert found["prompt"]["resolved"] == "<lora:ink:0.8> ab"
    assert found["negative_prompt"]["tokens"] == 4 + 5


@pytest.mark.parametrize(
    ("prompt", "position", "problem"),
    [
        ("a <lora:Inc:1>", 3, "Did you mean ink?"),
        ("a <lora:xl:1>", 3, "the LoRA xl is for Stable Diffusion XL, and the model is one of Stable Diffusion 1.x"),
        ("a <lora:broken:1>", 3, "the LoRA broken.safetensors is not a safetensors file"),
        ("(a, old:1.2)", 5, "the embedding old.pt is a pickle"),
        ("a embedding:none", 3, "there is no embedding"),
    ],
)
def test_what_cannot_be_used_is_told_with_its_place(
    server: ServerProcess, files: Path, prompt: str, position: int, problem: str
) -> None:
    error = checked(server, prompt=prompt)["prompt"]["error"]
    assert error["position"] == position
    assert problem in error["detail"]
    settings = {"model": "tiny", "width": 64, "height": 64, "steps": 1, "prompt": prompt}
    answer = server.post({"task": "txt2img", "settings": settings})
    assert (answer.status_code, answer.json()["field"]) == (422, "prompt")
    assert problem in answer.json()["detail"]


def test_a_job_with_both(server: ServerProcess, files: Path) -> None:
    settings = {"model": "tiny", "width": 64, "height": 64, "steps": 1, "negative_prompt": "easynegative"}
    job = server.finish(server.submit({"task": "txt2img", "settings": {**settings, "prompt": "<lora:ink:1> a"}}))
    assert [(extra["kind"], extra["name"]) for extra in job["recipe"]["extras"]] == [
        ("lora", "styles/Ink"),
        ("embedding", "easynegative"),
    ]


def test_an_embedding_of_another_width_fails_the_job_with_the_reason(server: ServerProcess, files: Path) -> None:
    settings = {"model": "tiny", "width": 64, "height": 64, "steps": 1, "prompt": "a wide sea"}
    job = server.finish(server.submit({"task": "txt2img", "settings": settings}))
    assert job["state"] == "failed"
    assert "width 768 and 1280, and the model tiny reads words of width 32" in job["problem"]["detail"]
