"""Procedural landscapes with their captions, exact depth and subject masks; also draws the sample pictures.

`python -m pentimento.demo.render sheet sheet.png` draws a contact sheet, `... samples FOLDER` the
pictures of docs/samples.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import click
import numpy as np
from PIL import Image

from pentimento.demo.captions import caption
from pentimento.demo.paint import paint
from pentimento.demo.scene import STYLES, TIMES, Look, Scene, Subject, draw_look, draw_scene
from pentimento.demo.styles import apply_style


class Rendering(NamedTuple):
    """A rendered scene. All arrays have the picture's height and width."""

    picture: np.ndarray
    """(H, W, 3) uint8, sRGB."""
    caption: str
    depth: np.ndarray
    """(H, W) float32, 0 near .. 1 sky. The same for every look of a scene."""
    subject_mask: np.ndarray
    """(H, W) uint8: how much of each pixel the main subject covers (255 wholly), without its shadow,
    reflection or glow."""
    scene: Scene


def render_scene(scene: Scene, width: int = 256, height: int = 256, caption_seed: int | None = None) -> Rendering:
    """Render a scene at a size. The layout is the same at every size of one aspect ratio.

    Raises ValueError for a side below 16 pixels.
    """
    if min(width, height) < 16:
        raise ValueError(f"a rendering of {width}x{height} is too small: both sides must be at least 16 pixels")
    canvas = paint(scene, width, height)
    rng = np.random.default_rng([scene.seed, 60 if caption_seed is None else 61, caption_seed or 0])
    return Rendering(apply_style(scene, canvas), caption(scene, rng), canvas.depth, canvas.subject, scene)


def render(seed: int, size: int | tuple[int, int] = 256, **look: str) -> Rendering:
    """Render the scene of a seed at `size` (one number: square; else width, height).

    `look` overrides the scene's own `time`, `weather`, `season` or `style`: two calls with the same
    seed and other looks are a pair.
    Raises ValueError for an unknown look or too small a size.
    """
    width, height = (size, size) if isinstance(size, int) else size
    unknown = set(look) - set(Look.__dataclass_fields__)
    if unknown:
        raise ValueError(f"unknown look {sorted(unknown)}: allowed are {sorted(Look.__dataclass_fields__)}")
    return render_scene(draw_scene(seed).with_look(**look), width, height)


def other_look(scene: Scene, rng: np.random.Generator, plain: float = 0.5) -> Scene:
    """The same layout in another look: with probability `plain` only one thing changes (time, style or season)."""
    drawn = draw_look(rng)
    if rng.random() >= plain:
        return scene.with_look(time=drawn.time, weather=drawn.weather, season=drawn.season, style=drawn.style)
    kind = str(rng.choice(("time", "style", "season"), p=(0.35, 0.5, 0.15)))
    return scene.with_look(**{kind: str(getattr(drawn, kind))})


def sheet(seeds: range, columns: int, look: dict[str, str], size: int = 192) -> Image.Image:
    """A contact sheet of the scenes of some seeds."""
    rows = -(-len(seeds) // columns)
    board = Image.new("RGB", (columns * size, rows * size))
    for k, seed in enumerate(seeds):
        picture = Image.fromarray(render(seed, 256, **look).picture).resize((size, size), Image.Resampling.LANCZOS)
        board.paste(picture, (k % columns * size, k // columns * size))
    return board


HARBOUR = Scene(
    seed=20, ground="sea", horizon=0.52, far="hills", shore=0.86, disc_x=0.14, disc_y=0.16, disc=0.0,
    subject=Subject("sailboat", 0.46, 0.77, 0.46, "white"),
    extras=(
        Subject("sailboat", 0.66, 0.62, 0.19, "red"), Subject("lighthouse", 0.88, 0.93, 0.62, "red"),
        Subject("house", 0.13, 0.95, 0.24, "yellow"), Subject("birds", 0.3, 0.2, 0.1),
    ),
    look=Look(time="day", weather="clouds"),
)  # fmt: skip
MEADOW = Scene(
    seed=33, ground="meadow", horizon=0.5, far="mountains", shore=1.0, disc_x=0.8, disc_y=0.18, disc=0.0,
    subject=Subject("house", 0.3, 0.84, 0.36, "red"),
    extras=(Subject("tree", 0.74, 0.86, 0.5), Subject("pine", 0.07, 0.7, 0.24)),
    look=Look(time="day", weather="clouds"),
)  # fmt: skip


def sky_mask(depth: np.ndarray) -> np.ndarray:
    """A soft mask (H, W) uint8 of an oval piece of sky, for trying out inpainting."""
    height, width = depth.shape
    ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
    away = np.hypot((xs / width - 0.64) / 0.17, (ys / height - 0.24) / 0.2)
    return (np.clip((1.12 - away) / 0.24, 0, 1) * 255 + 0.5).astype(np.uint8)


@click.group()
def main() -> None:
    """Draw procedural landscapes."""


@main.command("sheet")
@click.argument("path", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--first", default=0, show_default=True, help="First seed.")
@click.option("--count", default=36, show_default=True, help="Number of scenes.")
@click.option("--columns", default=6, show_default=True)
@click.option("--time", type=click.Choice(TIMES), default=None, help="One time of day for all.")
@click.option("--style", type=click.Choice(STYLES), default=None, help="One style for all.")
def sheet_command(path: Path, first: int, count: int, columns: int, time: str | None, style: str | None) -> None:
    """Draw a contact sheet of scenes."""
    look = {name: value for name, value in (("time", time), ("style", style)) if value}
    sheet(range(first, first + count), columns, look).save(path)


@main.command("samples")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path))
def samples_command(folder: Path) -> None:
    """Draw harbour.png, meadow.png and harbour-mask.png (384 x 256)."""
    folder.mkdir(parents=True, exist_ok=True)
    harbour = render_scene(HARBOUR, 384, 256)
    Image.fromarray(harbour.picture).save(folder / "harbour.png", optimize=True)
    Image.fromarray(render_scene(MEADOW, 384, 256).picture).save(folder / "meadow.png", optimize=True)
    Image.fromarray(sky_mask(harbour.depth)).save(folder / "harbour-mask.png", optimize=True)


if __name__ == "__main__":
    main()
