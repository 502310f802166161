"""What the house costs around the model: `python tests/bench/bench_overhead.py [--model demo] [--runs 7]`.

One picture, one strength, four ways, taken in turn: the plain diffusers img2img pipeline, our engine in the same
process, HTTP to a real backend, and the command line. Prints medians and the ratios of medians. All ways run 12 of 20
steps with the same solver. Not collected by pytest.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers.pipelines.stable_diffusion.pipeline_stable_diffusion_img2img import StableDiffusionImg2ImgPipeline
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from PIL import Image

from pentimento.background import start, stop
from pentimento.engine.arrays import to_pixels
from pentimento.engine.engine import Engine
from pentimento.engine.models import ModelLibrary
from pentimento.engine.request import Request
from pentimento_shared.client import Client
from pentimento_shared.pixels import encode_png
from pentimento_shared.settings import validate

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "a watercolor at sunset"
STEPS, STRENGTH, SEED, CFG_SCALE = 20, 0.6, 1, 7.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="demo")
    parser.add_argument("--runs", type=int, default=7)
    parser.add_argument("--side", type=int, default=256)
    options = parser.parse_args()
    picture = Image.open(ROOT / "docs" / "samples" / "harbour.png").convert("RGB").resize((options.side, options.side))
    with tempfile.TemporaryDirectory() as home, backend(Path(home)) as client:
        ways: dict[str, Callable[[], object]] = {
            "diffusers": plain_pipeline(options.model, picture),
            "engine": engine(options.model, picture),
            "HTTP": over_http(client, options.model, picture),
            "command line": command_line(Path(home), options.model, picture),
        }
        report(measure(ways, options.runs))


@contextmanager
def backend(home: Path) -> Iterator[Client]:
    """A backend of its own, with a home that nobody else has."""
    os.environ["PENTIMENTO_HOME"] = str(home)
    os.environ["PYTHONPATH"] = os.pathsep.join(str(ROOT / part) for part in ("backend", "shared"))
    start()
    try:
        with Client.discover() as client:
            yield client
    finally:
        stop()


def settings(model: str) -> dict[str, Any]:
    return {"prompt": PROMPT, "model": model, "steps": STEPS, "strength": STRENGTH, "cfg_scale": CFG_SCALE}


def plain_pipeline(model: str, picture: Image.Image) -> Callable[[], object]:
    folder = str(ModelLibrary.standard().get(model).folder)
    options: dict[str, Any] = {"dtype": torch.float32, "safety_checker": None, "feature_extractor": None}
    pipeline: Any = StableDiffusionImg2ImgPipeline.from_pretrained(folder, use_safetensors=True, **options)
    pipeline.scheduler = DPMSolverMultistepScheduler.from_config(pipeline.scheduler.config)
    pipeline.set_progress_bar_config(disable=True)

    def run() -> object:
        generator = torch.Generator().manual_seed(SEED)
        how = {"strength": STRENGTH, "num_inference_steps": STEPS, "guidance_scale": CFG_SCALE}
        with torch.inference_mode():
            return pipeline(PROMPT, image=picture, generator=generator, **how).images[0]

    return run


def engine(model: str, picture: Image.Image) -> Callable[[], object]:
    ours = Engine(ModelLibrary.standard(), device="cpu")
    values = validate("img2img", settings(model))
    request = Request("img2img", values, (SEED,), to_pixels(np.asarray(picture)))
    return lambda: list(ours.run(request, lambda: False))


def over_http(client: Client, model: str, picture: Image.Image) -> Callable[[], object]:
    png = encode_png(to_pixels(np.asarray(picture)))

    def run() -> object:
        job = client.submit({"task": "img2img", "settings": {**settings(model), "seed": SEED}}, image=png)
        for _ in client.follow(job.id):
            pass
        return client.image(job.id)

    return run


def command_line(home: Path, model: str, picture: Image.Image) -> Callable[[], object]:
    source, target = home / "in.png", home / "out.png"
    picture.save(source)
    values = {key.replace("_", "-"): value for key, value in settings(model).items() if key != "prompt"}
    options = [part for name, value in values.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "pentimento", "img2img", str(source), PROMPT, *options, "-o", str(target)]
    return lambda: subprocess.run([*command, "--seed", str(SEED)], check=True, capture_output=True)


def measure(ways: dict[str, Callable[[], object]], runs: int) -> dict[str, list[float]]:
    """Seconds of each way, `runs` times in turn after one warm-up each."""
    for run in ways.values():
        run()
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(runs):
        for name, run in ways.items():
            before = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - before)
    return seconds


def report(seconds: dict[str, list[float]]) -> None:
    base = statistics.median(seconds["diffusers"])
    print(f"{'way':14}{'median':>9}{'least':>9}{'most':>9}{'/ diffusers':>13}")
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"{name:14}{median:8.3f}s{min(times):8.3f}s{max(times):8.3f}s{median / base:13.3f}")


if __name__ == "__main__":
    main()
