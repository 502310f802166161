"""A small classifier, trained on renders only, that says which style, time, season and subject a picture shows."""

from __future__ import annotations

import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import nn

from pentimento.demo.data import HELD_OUT, LOOKS, group_scenes
from pentimento.demo.render import render_scene
from pentimento.demo.scene import MAIN_SUBJECTS, SEASONS, STYLES, TIMES, Scene
from pentimento.demo.team import half

SIDE: Final = 128
KINDS: Final = ("none", *MAIN_SUBJECTS)
COLORLESS: Final = ("ink", "pencil")
"""Styles in which time of day and season cannot be told with certainty; they are left out of those figures."""
SEASONAL: Final = ("meadow", "lake", "mountains")
"""Grounds on which a season is to be seen."""
HEADS: Final = (len(STYLES), len(TIMES), len(SEASONS), len(KINDS))


class Verdict(NamedTuple):
    """The likeliest style, time of day and season, and the probability of each kind of subject being there."""

    style: str
    time: str
    season: str
    subjects: dict[str, float]


class Judge(nn.Module):
    """Convolutions over a 128 px picture with four heads."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 24, 48, 96, 128)
        body: list[nn.Module] = []
        for a, b in pairwise(widths):
            body += [
                nn.Conv2d(a, b, 3, stride=2, padding=1),
                nn.GroupNorm(8, b),
                nn.ReLU(),
                nn.Conv2d(b, b, 3, padding=1),
                nn.ReLU(),
            ]
        self.body = nn.Sequential(*body)
        self.head = nn.Linear(2 * widths[-1], sum(HEADS))

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Logits of style, time, season and subjects (present or not, each on its own) of (N, 3, 128, 128) in -1..1."""
        y = self.body(x)
        return self.head(torch.cat([y.mean(dim=(2, 3)), y.amax(dim=(2, 3))], dim=1)).split(HEADS, dim=1)


def tensor_of(pictures: list[np.ndarray]) -> torch.Tensor:
    """Pictures (H, W, 3) uint8 as the judge sees them."""
    small = [np.asarray(Image.fromarray(p).resize((SIDE, SIDE), Image.Resampling.BOX)) for p in pictures]
    return torch.from_numpy(np.stack(small)).permute(0, 3, 1, 2).float() / 127.5 - 1


def labels(scene: Scene) -> tuple[int, int, int, list[float]]:
    """Style, time, season and which kinds are there (large or small)."""
    there = {s.kind for s in (*scene.extras, *((scene.subject,) if scene.subject else ()))} or {"none"}
    look = scene.look
    places = STYLES.index(look.style), TIMES.index(look.time), SEASONS.index(look.season)
    return (*places, [float(k in there) for k in KINDS])


def colored(scene: Scene) -> bool:
    """Whether the time of day can be told."""
    return scene.look.style not in COLORLESS


def seasonal(scene: Scene) -> bool:
    """Whether the season can be told."""
    return colored(scene) and scene.ground in SEASONAL


def _batches(folder: Path, rng: np.random.Generator, size: int) -> Iterator[tuple[torch.Tensor, list[Scene]]]:
    pictures = np.load(folder / "pictures.npy", mmap_mode="r")
    while True:
        picks = [(int(rng.integers(len(pictures))), int(rng.integers(LOOKS))) for _ in range(size)]
        x = tensor_of([pictures[p] for p in picks])
        if rng.random() < 0.5:
            x = x.flip(-1)
        x = x + 0.04 * torch.randn_like(x) * rng.random()
        yield x, [group_scenes(group)[look] for group, look in picks]


def train_judge(folder: Path, minutes: float) -> Judge:
    """Train on the training set's renders, resumed from FOLDER/judge.pt; what was learnt is saved there."""
    judge, path = Judge(), folder / "judge.pt"
    if path.exists():
        judge.load_state_dict(torch.load(path))
    adam = torch.optim.AdamW(judge.parameters(), lr=2e-3, weight_decay=0.01)
    batches, start = _batches(folder, np.random.default_rng(3), 48), time.time()
    while minutes > 0 and (part := (time.time() - start) / 60 / minutes) < 1:
        for group in adam.param_groups:
            group["lr"] = 2e-3 * min(1.0, 1.5 * (1 - part)) + 2e-5
        x, scenes = next(batches)
        style, moment, season, kinds = (torch.tensor(column) for column in zip(*map(labels, scenes), strict=True))
        with half(torch.device("cpu")):
            a, b, c, d = (logits.float() for logits in judge(x))
        loss = F.cross_entropy(a, style) + F.binary_cross_entropy_with_logits(d, kinds) * 12
        for logits, wanted, told in ((b, moment, colored), (c, season, seasonal)):
            counts = torch.tensor([float(told(s)) for s in scenes])
            loss = loss + (F.cross_entropy(logits, wanted, reduction="none") * counts).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    if minutes > 0:
        torch.save(judge.state_dict(), path.with_suffix(".tmp"))
        path.with_suffix(".tmp").rename(path)
    return judge.eval()


def verdicts(judge: Judge, pictures: list[np.ndarray]) -> list[Verdict]:
    """What the judge sees in each picture."""
    with torch.no_grad():
        style, moment, season, kinds = judge(tensor_of(pictures))
    likeliest = (logits.argmax(1).tolist() for logits in (style, moment, season))
    found = zip(*likeliest, kinds.sigmoid().tolist(), strict=True)
    return [Verdict(STYLES[s], TIMES[t], SEASONS[y], dict(zip(KINDS, k, strict=True))) for s, t, y, k in found]


def own_accuracy(judge: Judge, count: int) -> dict[str, float]:
    """The judge's accuracy on renders of seeds that were never trained on."""
    scenes = [s for k in range(-(-count // LOOKS)) for s in group_scenes(HELD_OUT + k)][:count]
    found = verdicts(judge, [render_scene(s).picture for s in scenes])
    pairs = list(zip(scenes, found, strict=True))
    named = [(s.subject.kind, v) for s, v in pairs if s.subject]
    return {
        "style": float(np.mean([s.look.style == v.style for s, v in pairs])),
        "time": float(np.mean([s.look.time == v.time for s, v in pairs if colored(s)])),
        "season": float(np.mean([s.look.season == v.season for s, v in pairs if seasonal(s)])),
        "subject": float(np.mean([v.subjects[kind] > 0.5 for kind, v in named])),
    }
