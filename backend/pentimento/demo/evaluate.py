"""Measures the demo model on seeds and prompts it never saw, and draws the grids of its model card."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import click
import numpy as np
import platformdirs
from PIL import Image

from pentimento.demo import MODEL_FOLDER, autoencoder
from pentimento.demo.data import HELD_OUT
from pentimento.demo.judge import SEASONAL, Judge, own_accuracy, train_judge, verdicts
from pentimento.demo.noise import blur
from pentimento.demo.render import render, render_scene
from pentimento.demo.studio import Studio

STYLE_PROMPTS: Final = {
    "photo": "a photo",
    "watercolor": "a watercolor",
    "oil": "an oil painting",
    "ink": "an ink drawing",
    "pencil": "a pencil drawing",
    "flat": "a flat illustration",
    "pixel": "pixel art",
}
TIME_PROMPTS: Final = {
    "day": "by day",
    "dawn": "at dawn",
    "sunset": "at sunset",
    "night": "at night",
    "overcast": "on an overcast day",
}
SEASON_PROMPTS: Final = {"autumn": "in autumn", "winter": "in winter"}
SUBJECT_PROMPTS: Final = {
    "house": ("a red house", "a meadow"),
    "tree": ("a big tree", "a meadow"),
    "lighthouse": ("a lighthouse", "the sea"),
    "sailboat": ("a white sailboat", "the sea"),
    "balloon": ("a hot-air balloon", "a meadow"),
    "cactus": ("a cactus", "a desert"),
}
INPAINTS: Final = (("a red house", "house"), ("the moon", "moon"), ("a sailboat", "sailboat"))


def reconstruction(studio: Studio, count: int) -> dict[str, float]:
    """PSNR in dB of the autoencoder on held-out renders, and on scikit-image's photographs where it is installed."""
    vae = studio.text.vae
    figures = {
        "renders": float(np.mean([autoencoder.psnr(vae, render(HELD_OUT + 100 + k).picture) for k in range(count)]))
    }
    if find_spec("skimage"):
        from skimage import data as photographs  # pyright: ignore[reportMissingImports, reportMissingModuleSource]

        for name in ("astronaut", "chelsea", "coffee"):
            photo = Image.fromarray(getattr(photographs, name)())
            scale = 256 / min(photo.size)
            size = (round(photo.width * scale) // 4 * 4, round(photo.height * scale) // 4 * 4)
            figures[name] = autoencoder.psnr(vae, np.asarray(photo.resize(size, Image.Resampling.LANCZOS)))
    return figures


def text_obedience(studio: Studio, judge: Judge, count: int) -> dict[str, float]:
    """Share of text-to-image results in which the asked style, time of day and subject are recognised."""
    rng, hits = np.random.default_rng(9), {"style": [], "time": [], "subject": []}
    for k in range(count):
        style, moment, kind = (str(rng.choice(list(names))) for names in (STYLE_PROMPTS, TIME_PROMPTS, SUBJECT_PROMPTS))
        if style in ("ink", "pencil") and k % 2:
            style = "photo"
        subject, ground = SUBJECT_PROMPTS[kind]
        prompt = f"{STYLE_PROMPTS[style]} of {subject}, {ground}, {TIME_PROMPTS[moment]}"
        seen = verdicts(judge, [studio.txt2img(prompt, k)])[0]
        hits["style"].append(seen.style == style)
        hits["subject"].append(seen.subjects[kind] > 0.5)
        if style not in ("ink", "pencil"):
            hits["time"].append(seen.time == moment)
    return {name: float(np.mean(found)) for name, found in hits.items()}


def restyling(studio: Studio, judge: Judge, count: int, strengths: Sequence[float]) -> dict[str, dict[str, float]]:
    """Per strength: share of held-out photographs of a summer's day that take on the asked style, time of day or
    season. Where no season is to be seen, on the sea and in the desert, none is asked for."""
    figures: dict[str, dict[str, float]] = {}
    styles = [s for s in STYLE_PROMPTS if s != "photo"]
    times = [t for t in TIME_PROMPTS if t != "day"]
    seasons = list(SEASON_PROMPTS)
    for strength in strengths:
        hits: dict[str, list[bool]] = {"style": [], "time": [], "season": []}
        for k in range(count):
            source = render(HELD_OUT + 300 + k, time="day", weather="clear", season="summer", style="photo")
            style, moment, season = (names[k % len(names)] for names in (styles, times, seasons))
            asked = {"style": (style, STYLE_PROMPTS[style]), "time": (moment, f"a photo {TIME_PROMPTS[moment]}")}
            if source.scene.ground in SEASONAL:
                asked["season"] = season, f"a photo {SEASON_PROMPTS[season]}"
            for name, (wanted, prompt) in asked.items():
                seen = verdicts(judge, [studio.img2img(source.picture, prompt, strength, k)])[0]
                hits[name].append(getattr(seen, name) == wanted)
        figures[f"{strength:g}"] = {name: float(np.mean(found)) for name, found in hits.items()}
    return figures


def contours(picture: np.ndarray) -> np.ndarray:
    """Strength of the edges (H, W) of a picture, blurred to a few pixels."""
    tone = blur(picture.astype(np.float32).mean(axis=-1), picture.shape[0] / 128)
    rows, cols = np.gradient(tone)
    return blur(np.sqrt(np.hypot(rows, cols)), picture.shape[0] / 64)


def layout_curve(studio: Studio, count: int, strengths: Sequence[float]) -> dict[str, float]:
    """Correlation of the result's contours with the source's, per strength, for a change of the time of day."""
    curve = {}
    for strength in strengths:
        found = []
        for k in range(count):
            source = render(HELD_OUT + 500 + k, time="day", weather="clear", style="photo").picture
            made = studio.img2img(source, f"a photo {TIME_PROMPTS[('sunset', 'dawn')[k % 2]]}", strength, k)
            found.append(np.corrcoef(contours(source).ravel(), contours(made).ravel())[0, 1])
        curve[f"{strength:g}"] = float(np.mean(found))
    return curve


def round_mask(side: int, x: float, y: float, radius: float) -> np.ndarray:
    """A disc with a 4 px soft edge (side, side) uint8."""
    rows, cols = np.mgrid[0:side, 0:side] + 0.5
    away = np.hypot(cols - x * side, rows - y * side)
    return (np.clip((radius * side - away) / 4 + 0.5, 0, 1) * 255).astype(np.uint8)


def seam(picture: np.ndarray, mask: np.ndarray) -> float:
    """The gradient along the mask's edge (a ring of 4 px) relative to that of the rest of the picture."""
    slope = np.hypot(*np.gradient(picture.astype(np.float32).mean(axis=-1)))
    wide = blur((mask > 127).astype(np.float32), 2)
    ring = (wide > 0.02) & (wide < 0.98)
    return float(slope[ring].mean() / max(slope[~ring].mean(), 1e-3))


def moonlit(pixels: np.ndarray) -> bool:
    """Whether pixels (N, 3) uint8 of a place are a bright moon in a sky that is dark for the most part."""
    tones = pixels.astype(np.float32).mean(axis=-1)
    return bool(np.quantile(tones, 0.97) > 170 and np.median(tones) < 90)


def inpainting(studio: Studio, judge: Judge, count: int) -> dict[str, float]:
    """Share of inpainted subjects that are recognised in the picture; the seam, and the same figure of the
    untouched pictures: above 1, since the masks lie across the horizon, where most of the contours are."""
    hits: dict[str, list[bool]] = {kind: [] for _, kind in INPAINTS}
    seams, untouched = [], []
    for k in range(count):
        prompt, kind = INPAINTS[k % len(INPAINTS)]
        look = {"time": "night" if kind == "moon" else "day", "weather": "clear", "style": "photo"}
        ground = {"house": "meadow", "sailboat": "sea"}.get(kind)
        seed = next(
            s
            for s in range(HELD_OUT + 700 + 40 * k, HELD_OUT + 800 + 40 * k)
            if ground in (None, render(s, 16).scene.ground)
        )
        scene = render(seed, 16, **look).scene.without_subject()
        # A sky that has its moon is no place for another one.
        picture = render_scene(replace(scene, disc=0.0) if kind == "moon" else scene).picture
        mask = round_mask(
            256,
            0.5,
            0.25 if kind == "moon" else min(scene.horizon + 0.12, 0.68),
            0.17 if kind == "moon" else 0.27,
        )
        made = studio.inpaint(picture, mask, prompt, k)
        if kind == "moon":
            hits[kind].append(moonlit(made[mask > 200]))
        else:
            hits[kind].append(verdicts(judge, [made])[0].subjects[kind] > 0.5)
        seams.append(seam(made, mask))
        untouched.append(seam(picture, mask))
    found = {kind: float(np.mean(one)) for kind, one in hits.items()}
    return {**found, "seam": float(np.mean(seams)), "untouched": float(np.mean(untouched))}


def speed(folder: Path, cfg_scale: float) -> dict[str, float]:
    """Seconds to load and to run img2img at 256 px (20 steps, strength 0.6), and the peak memory, in a
    process of its own."""
    call = [
        sys.executable,
        "-m",
        "pentimento.demo.evaluate",
        "--model",
        str(folder),
        "--cfg-scale",
        str(cfg_scale),
        "speed",
    ]
    return json.loads(
        subprocess.run(call, check=True, capture_output=True, text=True, env=os.environ).stdout.splitlines()[-1]
    )


def measure_speed(folder: Path, cfg_scale: float) -> dict[str, float]:
    """What `speed` measures, in this process."""
    start = time.perf_counter()
    studio = Studio(folder, cfg_scale)
    load = time.perf_counter() - start
    source = render(HELD_OUT).picture
    runs = []
    for k in range(4):
        start = time.perf_counter()
        studio.img2img(source, "a watercolor at sunset", 0.6, k)
        runs.append(time.perf_counter() - start)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"load_s": load, "img2img_s": min(runs[1:]), "peak_MB": memory}


@click.group()
@click.option("--model", type=click.Path(file_okay=False, path_type=Path), default=MODEL_FOLDER)
@click.option("--cfg-scale", default=3.0, show_default=True)
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=platformdirs.user_cache_path("pentimento") / "demo-train",
    show_default="the user's cache folder",
    help="The training folder: the judge learns from its renders.",
)
@click.pass_context
def main(context: click.Context, model: Path, cfg_scale: float, folder: Path) -> None:
    """Measure the demo model and draw its grids."""
    context.obj = (model, cfg_scale, folder)


@main.command("judge")
@click.option("--minutes", default=5.0, show_default=True)
@click.pass_obj
def judge_command(obj: tuple[Path, float, Path], minutes: float) -> None:
    """Train the classifier that judges the results."""
    click.echo(json.dumps(own_accuracy(train_judge(obj[2], minutes), 240)))


@main.command("speed")
@click.pass_obj
def speed_command(obj: tuple[Path, float, Path]) -> None:
    """Measure loading time, img2img time and memory."""
    click.echo(json.dumps(measure_speed(obj[0], obj[1])))


PARTS: Final = ("autoencoder", "judge", "speed", "txt2img", "img2img", "layout", "inpaint")


@main.command("figures")
@click.option("--count", default=60, show_default=True, help="Prompts per figure.")
@click.option("--part", type=click.Choice(PARTS), multiple=True, help="Only these figures; can be repeated.")
@click.pass_obj
def figures_command(obj: tuple[Path, float, Path], count: int, part: tuple[str, ...]) -> None:
    """Print the figures as JSON, one line each."""
    model, cfg_scale, folder = obj
    studio, judge = Studio(model, cfg_scale), train_judge(folder, 0)
    measures: dict[str, Callable[[], object]] = {
        "autoencoder": lambda: reconstruction(studio, count),
        "judge": lambda: own_accuracy(judge, 4 * count),
        "speed": lambda: speed(model, cfg_scale),
        "txt2img": lambda: text_obedience(studio, judge, count),
        "img2img": lambda: restyling(studio, judge, -(-count // 2), (0.6, 0.75)),
        "layout": lambda: layout_curve(studio, -(-count // 6), (0.2, 0.4, 0.6, 0.8, 1.0)),
        "inpaint": lambda: inpainting(studio, judge, -(-count // 2)),
    }
    for name in part or PARTS:
        click.echo(json.dumps({name: measures[name]()}))


@main.command("grids")
@click.argument("target", type=click.Path(file_okay=False, path_type=Path))
@click.option("--only", type=click.Choice(["text", "image", "inpaint"]), default=None)
@click.pass_obj
def grids_command(obj: tuple[Path, float, Path], target: Path, only: str | None) -> None:
    """Draw the grids of the model card into a folder."""
    from pentimento.demo import gallery

    studio = Studio(obj[0], obj[1])
    target.mkdir(parents=True, exist_ok=True)
    draws = {"text": gallery.text_grid, "image": gallery.image_grid, "inpaint": gallery.inpaint_grid}
    for name, draw in draws.items():
        if only in (None, name):
            draw(studio).save(target / f"{name}.webp", quality=82, method=6)


if __name__ == "__main__":
    main()
