"""What a procedural landscape consists of: the layout (drawn from a seed) and the look (time, weather,
season, style)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

import numpy as np

TIMES: Final = ("day", "dawn", "sunset", "night", "overcast")
SEASONS: Final = ("summer", "spring", "autumn", "winter")
WEATHERS: Final = ("clear", "clouds", "fog", "rain", "snowfall")
STYLES: Final = ("photo", "watercolor", "oil", "ink", "pencil", "flat", "pixel")
GROUNDS: Final = ("meadow", "desert", "sea", "lake", "mountains")
COLORS: Final[dict[str, tuple[float, float, float]]] = {
    "red": (0.80, 0.16, 0.12),
    "white": (0.93, 0.92, 0.88),
    "blue": (0.16, 0.36, 0.75),
    "yellow": (0.95, 0.77, 0.16),
    "purple": (0.48, 0.24, 0.60),
}
COLORS_OF: Final[dict[str, tuple[str, ...]]] = {
    "house": ("red", "white", "blue", "yellow"),
    "lighthouse": ("red", "white", "blue"),
    "sailboat": ("red", "white", "blue", "yellow"),
    "balloon": ("red", "yellow", "blue", "purple"),
}
"""Subjects whose color the caption may name."""
USUAL_COLORS: Final = {"house": "red", "lighthouse": "red", "sailboat": "white", "balloon": "red"}
"""Those that they have when nothing is said of it."""
SUBJECTS: Final[dict[str, tuple[str, ...]]] = {
    "meadow": ("house", "tree", "balloon"),
    "desert": ("cactus", "balloon"),
    "sea": ("sailboat", "lighthouse"),
    "lake": ("sailboat", "house", "tree", "balloon"),
    "mountains": ("house", "tree", "balloon"),
}
"""What a landscape is about: few things, and large ones, since a small model must learn each from what it sees."""
EXTRAS: Final[dict[str, tuple[str, ...]]] = {
    "meadow": ("pine", "birds", "rocks"),
    "desert": ("rocks", "birds"),
    "sea": ("birds", "rocks"),
    "lake": ("pine", "birds"),
    "mountains": ("pine", "birds", "rocks"),
}
"""What may stand small in the distance."""
FLYING: Final = ("balloon", "birds")
SMALLER: Final = 0.35
"""Share of scenes whose main subject is small enough to stand whole in a mask, with its surroundings."""
POSED: Final[dict[str, tuple[float, float]]] = {
    "house": (0.87, 0.46),
    "tree": (0.87, 0.56),
    "lighthouse": (0.88, 0.7),
    "sailboat": (0.77, 0.56),
    "balloon": (0.64, 0.54),
    "cactus": (0.87, 0.54),
}
"""Foot and height of the main subjects of posed scenes, as fractions of the picture's height."""
MAIN_SUBJECTS: Final = ("house", "tree", "lighthouse", "sailboat", "balloon", "cactus")


@dataclass(frozen=True)
class Subject:
    """One thing in the landscape. `x` is the centre (0..1 of the width), `y` the foot (0..1 of the height, down)."""

    kind: str
    x: float
    y: float
    size: float
    """Height as a fraction of the picture's height."""
    color: str | None = None


@dataclass(frozen=True)
class Look:
    """What a paired scene changes: the light, the weather, the season and the hand that draws it."""

    time: str = "day"
    weather: str = "clear"
    season: str = "summer"
    style: str = "photo"

    def __post_init__(self) -> None:
        allowed = {"time": TIMES, "weather": WEATHERS, "season": SEASONS, "style": STYLES}
        for name, names in allowed.items():
            if getattr(self, name) not in names:
                raise ValueError(f"unknown {name} {getattr(self, name)!r}: allowed are {', '.join(names)}")


@dataclass(frozen=True)
class Scene:
    """A landscape: the layout never depends on the look, so scenes that differ in `look` share depth and masks."""

    seed: int
    ground: str
    horizon: float
    """Height of the horizon, 0..1 of the picture's height, down."""
    far: str
    """What stands on the horizon: mountains, hills or nothing."""
    shore: float
    """Where land in front of the water begins, 0..1 of the height; 1: nowhere."""
    disc_x: float
    disc_y: float
    """Place of the sun or the moon, 0..1."""
    disc: float
    """Radius of the sun or the moon as a fraction of the height; 0: hidden outside the picture."""
    subject: Subject | None
    extras: tuple[Subject, ...]
    look: Look

    def with_look(self, **changes: str) -> Scene:
        """The same layout with another time, weather, season or style."""
        return replace(self, look=replace(self.look, **changes))

    def without_subject(self) -> Scene:
        """The same landscape with its main subject taken away."""
        return replace(self, subject=None)


def draw_look(rng: np.random.Generator) -> Look:
    """A random look whose parts go together (no snowfall in summer)."""
    time = str(rng.choice(TIMES, p=(0.26, 0.16, 0.22, 0.22, 0.14)))
    season = str(rng.choice(SEASONS, p=(0.46, 0.10, 0.20, 0.24)))
    wet = "snowfall" if season == "winter" else "rain"
    weather = str(rng.choice(("clear", "clouds", "fog", wet), p=(0.52, 0.34, 0.07, 0.07)))
    style = str(rng.choice(STYLES))
    return Look(time=time, weather=weather, season=season, style=style)


def draw_subject(rng: np.random.Generator, kind: str, horizon: float, main: bool, scale: float = 1.0) -> Subject:
    """A subject of a kind, put where such a thing can stand or fly; `scale` makes it smaller than usual."""
    tall = {"lighthouse": 1.25, "pine": 1.15, "tree": 1.05, "rocks": 0.5, "birds": 0.5, "house": 0.9}.get(kind, 1.0)
    size = float(rng.uniform(0.46, 0.62) if main else rng.uniform(0.12, 0.26)) * tall * scale
    x = float(rng.uniform(0.3, 0.7) if main else rng.uniform(0.05, 0.95))
    if kind in FLYING:
        y = float(rng.uniform(size + 0.02, max(horizon + 0.12, size + 0.06)))
    elif kind == "sailboat":
        y = float(rng.uniform(horizon + 0.06, horizon + (0.3 if main else 0.12)))
    else:
        y = float(rng.uniform(horizon + 0.14, 0.95) if main else rng.uniform(horizon + 0.05, horizon + 0.2))
    if main:
        y = max(y, size + 0.04)
    color = str(rng.choice(COLORS_OF[kind])) if kind in COLORS_OF else None
    return Subject(kind, x, min(y, 0.97), min(size, 0.85), color)


def draw_shore(rng: np.random.Generator, ground: str, horizon: float, subject: Subject | None) -> float:
    """Where the land in front of the water begins: behind what stands on it, before what floats."""
    wanted = ground == "lake" or rng.random() < 0.35
    if subject is None or subject.kind in FLYING:
        return float(rng.uniform(0.8, 0.9)) if wanted else 1.0
    if subject.kind == "sailboat":
        return subject.y + 0.1 if wanted and subject.y < 0.84 else 1.0
    return min(0.86, max(subject.y - 0.07, horizon + 0.1))


def draw_scene(seed: int, smaller: float = SMALLER) -> Scene:
    """The scene of a seed: the same for every picture size. `smaller` is the odds that its main subject is small."""
    rng = np.random.default_rng([seed, 1])
    ground = str(rng.choice(GROUNDS, p=(0.28, 0.14, 0.22, 0.18, 0.18)))
    horizon = float(rng.uniform(0.48, 0.62))
    far = str(rng.choice(("mountains", "hills", "none"), p=(0.45, 0.4, 0.15)))
    if ground == "mountains":
        far = "mountains"
    elif ground == "sea":
        far = str(rng.choice(("hills", "mountains", "none"), p=(0.4, 0.15, 0.45)))
    subject = None
    if rng.random() < 0.82:
        kind = str(rng.choice(SUBJECTS[ground]))
        sizes = np.random.default_rng([seed, 2])  # Its own stream: all else stays as it was drawn before.
        scale = 1.0 if sizes.random() >= smaller else float(sizes.uniform(0.48, 0.72))
        subject = draw_subject(rng, kind, horizon, main=True, scale=scale)
    extras = tuple(
        draw_subject(rng, str(rng.choice(EXTRAS[ground])), horizon, main=False)
        for _ in range(int(rng.choice((0, 1, 2), p=(0.75, 0.2, 0.05))))
    )
    shore = draw_shore(rng, ground, horizon, subject)
    return Scene(
        seed=seed,
        ground=ground,
        horizon=horizon,
        far=far,
        shore=shore,
        disc_x=float(rng.uniform(0.12, 0.88)),
        disc_y=float(rng.uniform(0.13, horizon - 0.2)),
        disc=float(rng.uniform(0.06, 0.1)) if rng.random() < 0.75 else 0.0,
        subject=subject,
        extras=tuple(sorted(extras, key=lambda s: s.y)),
        look=draw_look(rng),
    )


def posed_scene(seed: int) -> Scene:
    """A scene as one would pose it for a postcard: each kind of landscape with its one skyline, the thing it is about
    and the sun where they stand best. The seed chooses what is shown, and in which look.

    What is asked for in words alone is learnt from these: the fewer the places, the sooner a small model is sure of
    them, and what it is not sure of is a blur.
    """
    rng = np.random.default_rng([seed, 3])
    ground = str(rng.choice(GROUNDS))
    subject = None
    if rng.random() < 0.75:
        kind = str(rng.choice(SUBJECTS[ground]))
        foot, size = POSED[kind]
        color = str(rng.choice(COLORS_OF[kind])) if kind in COLORS_OF else None
        subject = Subject(kind, 0.42, foot, size, color)
    stands = subject is not None and subject.kind not in (*FLYING, "sailboat")
    # A skyline with one great peak, all of it to be seen.
    seed_of_skyline, horizon = (6, 0.62) if ground == "mountains" else (0, 0.55)
    return Scene(
        seed=seed_of_skyline,
        ground=ground,
        horizon=horizon,
        far={"lake": "mountains", "mountains": "mountains", "sea": "none"}.get(ground, "hills"),
        shore=0.79 if stands else 0.84 if ground == "lake" else 1.0,
        disc_x=0.78,
        disc_y=0.2,
        disc=0.085,
        subject=subject,
        extras=(),
        look=draw_look(rng),
    )
