"""The picture grids of the model card: text to image, one picture restyled at several strengths,
inpainting before and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pentimento.demo.evaluate import Studio, round_mask
from pentimento.demo.render import HARBOUR, MEADOW, render_scene

TEXT_PROMPTS: Final = (
    "a photo of the sea at sunset",
    "mountains at dawn, a photo",
    "a watercolor of a lake in autumn",
    "an oil painting of a meadow by day",
    "a starry night over the mountains",
    "an ink drawing of mountains",
    "a flat illustration of the desert at sunset",
    "a lake in winter on an overcast day",
    "pixel art of the sea at night",
    "a pencil drawing of a landscape",
    "a red house in a meadow",
    "a white sailboat on the sea at sunset",
)
IMAGE_PROMPTS: Final = (
    "a watercolor at sunset",
    "a photo at night",
    "a photo at sunset",
    "an oil painting",
    "an ink drawing",
    "a pencil drawing",
    "pixel art",
    "in winter, a photo",
)
STRENGTHS: Final = (0.4, 0.6, 0.75, 0.9)


def board(
    rows: Sequence[Sequence[np.ndarray | None]],
    top: Sequence[str],
    left: Sequence[str],
    cell: tuple[int, int],
) -> Image.Image:
    """Pictures in a labelled table; `cell` is (width, height) in pixels."""
    margin, gap, width, height = 150 if any(left) else 4, 4, *cell
    image = Image.new("RGB", (margin + len(rows[0]) * (width + gap), len(rows) * (height + gap + 18) + 4), "white")
    draw, font = ImageDraw.Draw(image), ImageFont.load_default(12)
    for r, row in enumerate(rows):
        y = r * (height + gap + 18) + 20
        draw.text((4, y + height // 2 - 8), left[r] if r < len(left) else "", fill="black", font=font)
        for c, picture in enumerate(row):
            x = margin + c * (width + gap)
            label = top[r * len(row) + c] if len(top) > len(row) else (top[c] if r == 0 and c < len(top) else "")
            draw.text((x, y - 16), label, fill="black", font=font)
            if picture is not None:
                image.paste(Image.fromarray(picture).resize((width, height), Image.Resampling.LANCZOS), (x, y))
    return image


def text_grid(studio: Studio) -> Image.Image:
    """Twelve prompts."""
    made = [studio.txt2img(prompt, 10 + k) for k, prompt in enumerate(TEXT_PROMPTS)]
    return board([made[k : k + 4] for k in range(0, 12, 4)], TEXT_PROMPTS, (), (256, 256))


def image_grid(
    studio: Studio, prompts: Sequence[str] = IMAGE_PROMPTS, strengths: Sequence[float] = STRENGTHS
) -> Image.Image:
    """The harbour restyled: a row per prompt, a column per strength."""
    source = render_scene(HARBOUR, 384, 256).picture
    rows = [[source, *(studio.img2img(source, prompt, s, 3) for s in strengths)] for prompt in prompts]
    return board(rows, ("source", *(f"strength {s:g}" for s in strengths)), prompts, (288, 192))


def inpaint_grid(studio: Studio) -> Image.Image:
    """Six inpaintings: the picture with the hole shown in grey, and the result."""
    night = MEADOW.with_look(time="night", weather="clear").without_subject()
    meadow, winter = MEADOW.without_subject(), MEADOW.without_subject().with_look(season="winter")
    sea = HARBOUR.without_subject()
    jobs = (
        (sea, "white clouds in a blue sky", (0.5, 0.22, 0.2)),
        (night, "the moon, at night", (0.6, 0.22, 0.17)),
        (meadow, "a red house in a meadow", (0.3, 0.68, 0.25)),
        (sea, "a white sailboat on the sea", (0.5, 0.58, 0.26)),
        (meadow, "mountains", (0.5, 0.48, 0.22)),
        (winter, "a pine tree in the snow", (0.35, 0.62, 0.27)),
    )
    made: list[np.ndarray | None] = []
    labels = []
    for k, (scene, prompt, (x, y, r)) in enumerate(jobs):
        picture = render_scene(scene).picture
        mask = round_mask(256, x, y, r)
        shown = np.where(mask[..., None] > 127, 128, picture).astype(np.uint8)
        made += [shown, studio.inpaint(picture, mask, prompt, 20 + k)]
        labels += [prompt, ""]
    return board([made[k : k + 4] for k in range(0, 12, 4)], labels, (), (224, 224))
