"""The picture grids of the model card: text to image, one picture restyled at several strengths,
inpainting before and after."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from pentimento.demo.evaluate import round_mask
from pentimento.demo.render import HARBOUR, MEADOW, render_scene
from pentimento.demo.studio import Studio

TEXT_PROMPTS: Final = (
    "a photo of the sea at sunset",
    "mountains at dawn, a photo",
    "a watercolor of a lake in autumn",
    "an oil painting of a meadow by day",
    "a starry night over the mountains",
    "an ink drawing of a lighthouse on the sea",
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
    "a photo on an overcast day",
)
STRENGTHS: Final = (0.3, 0.45, 0.6, 0.75)


def board(
    rows: Sequence[Sequence[np.ndarray | None]],
    top: Sequence[str],
    left: Sequence[str],
    cell: tuple[int, int],
) -> Image.Image:
    """Pictures in a labelled table; `cell` is (width, height) in pixels."""
    margin, gap, width, height = 170 if any(left) else 4, 4, *cell
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
    """Six inpaintings before and after: four repaint what is inside the grey line, two fill a hole."""
    meadow = MEADOW.without_subject()
    jobs = (
        (HARBOUR, "a photo at night", 21, 0.5, (0.75, 0.6, 0.4)),
        (MEADOW, "a photo in winter", 22, 0.5, (0.5, 0.8, 0.45)),
        (MEADOW, "a pencil drawing", 25, 0.5, (0.45, 0.6, 0.36)),
        (HARBOUR, "an oil painting", 26, 0.45, (0.5, 0.6, 0.4)),
        (meadow, "a red house in a meadow by day", 28, 1.0, (0.3, 0.68, 0.25)),
        (meadow, "a hot-air balloon in the sky by day", 29, 1.0, (0.35, 0.25, 0.2)),
    )
    made: list[np.ndarray | None] = []
    labels = []
    for scene, prompt, seed, strength, (x, y, r) in jobs:
        picture = render_scene(scene).picture
        mask = round_mask(256, x, y, r)
        inner = round_mask(256, x, y, r - 0.012)
        ring = (mask > 127) & ((inner < 128) | (strength == 1.0))
        made += [np.where(ring[..., None], 128, picture).astype(np.uint8)]
        made += [studio.inpaint(picture, mask, prompt, seed, strength=strength)]
        labels += [f"{prompt}, {strength:g}", ""]
    return board([made[k : k + 4] for k in range(0, 12, 4)], labels, (), (224, 224))
