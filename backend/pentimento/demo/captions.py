"""Captions for scenes from a small grammar: varied order, synonyms, and parts left out."""

from __future__ import annotations

from dataclasses import fields
from typing import Final

import numpy as np

from pentimento.demo.scene import USUAL_COLORS, Look, Scene, Subject

STYLE_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "photo": ("a photo", "a photograph", "a realistic photo", "a picture", "photo", "photorealistic"),
    "watercolor": (
        "a watercolor",
        "a watercolor painting",
        "a watercolour",
        "watercolor",
        "an aquarelle",
        "in watercolor",
    ),
    "oil": (
        "an oil painting",
        "an oil painting on canvas",
        "oil painting",
        "a painting in oils",
        "oil on canvas",
    ),
    "ink": (
        "an ink drawing",
        "a black ink drawing",
        "ink drawing",
        "pen and ink",
        "a black and white ink drawing",
    ),
    "pencil": ("a pencil drawing", "a pencil sketch", "pencil sketch", "a graphite drawing", "a sketch"),
    "flat": (
        "a flat illustration",
        "flat illustration",
        "a vector illustration",
        "a poster",
        "a flat design poster",
    ),
    "pixel": ("pixel art", "a pixel art picture", "8-bit pixel art", "a retro game screen"),
}
TIME_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "day": ("by day", "in daylight", "at noon", "during the day", "on a sunny day", "daytime"),
    "dawn": ("at dawn", "at sunrise", "in the early morning", "dawn", "morning light"),
    "sunset": (
        "at sunset",
        "at dusk",
        "in the evening",
        "sunset",
        "golden hour",
        "under an orange evening sky",
    ),
    "night": ("at night", "by night", "night", "under the moon", "on a starry night", "in the dark"),
    "overcast": (
        "on an overcast day",
        "under a grey sky",
        "overcast",
        "in dull light",
        "on a cloudy grey day",
    ),
}
SEASON_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "summer": ("in summer", "summer", "green"),
    "spring": ("in spring", "spring", "with flowers"),
    "autumn": ("in autumn", "autumn", "in fall", "with autumn colors"),
    "winter": ("in winter", "winter", "covered in snow", "snowy", "in the snow"),
}
WEATHER_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "clear": ("clear sky", "with a clear sky", "under a cloudless sky"),
    "clouds": ("with clouds", "cloudy sky", "white clouds"),
    "fog": ("in fog", "foggy", "misty", "in the mist", "with thick fog"),
    "rain": ("in the rain", "rainy", "raining", "rain"),
    "snowfall": ("snow is falling", "snowfall", "in falling snow"),
}
GROUND_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "meadow": (
        "a meadow",
        "a green field",
        "grassland",
        "hills and meadows",
        "the countryside",
        "a landscape",
    ),
    "desert": ("a desert", "sand dunes", "a sandy desert", "the desert", "a landscape"),
    "sea": ("the sea", "the ocean", "a seascape", "a coast", "open water", "a harbour", "a harbor"),
    "lake": ("a lake", "a mountain lake", "a calm lake", "a lake with reflections", "a landscape"),
    "mountains": ("mountains", "a mountain range", "high mountains", "the mountains", "a mountain landscape"),
}
SUBJECT_WORDS: Final[dict[str, tuple[str, ...]]] = {
    "house": ("house", "cottage", "house", "cabin"),
    "tree": ("tree", "tree", "big tree", "oak"),
    "pine": ("pine", "pine tree", "fir tree", "spruce"),
    "lighthouse": ("lighthouse", "lighthouse", "lighthouse tower"),
    "sailboat": ("sailboat", "boat", "sailing boat", "sailing ship"),
    "balloon": ("hot-air balloon", "hot air balloon", "balloon"),
    "rocks": ("rocks", "boulders", "big rocks", "stones"),
    "cactus": ("cactus", "cactus", "tall cactus"),
    "birds": ("birds", "flying birds", "a flock of birds"),
}
EXTRA_WORDS: Final = (
    "beautiful",
    "peaceful",
    "quiet",
    "lonely",
    "colorful",
    "detailed",
    "landscape",
    "scenery",
    "view",
    "sky",
    "with",
    "and",
    "no people",
    "high quality",
    "old",
    "small",
    "large",
    "huge",
    "tiny",
    "reflection",
    "waves",
    "hill",
    "hills",
    "forest",
    "snow",
    "sand",
    "grass",
    "water",
    "beach",
    "island",
    "village",
    "tower",
    "moon",
    "sun",
    "stars",
    "starry",
    "cloud",
    "light",
    "dark",
    "bright",
    "warm",
    "cold",
    "red",
    "white",
    "blue",
    "yellow",
    "orange",
    "green",
    "purple",
    "pink",
    "black",
    "gray",
    "blurry",
    "ugly",
    "text",
    "watermark",
    "low quality",
    "impressionist",
    "drawing",
    "painting",
    "illustration",
    "art",
    "style",
    "storm",
    "thunderstorm",
    "windy",
    "valley",
    "river",
    "road",
    "path",
    "bridge",
    "garden",
    "flowers",
    "spring",
    "meadow",
)
"""Words people type about such pictures, for the tokenizer's vocabulary; some never occur in captions."""


def subject_phrase(rng: np.random.Generator, subject: Subject, told: frozenset[str] = frozenset()) -> str:
    """One subject with its article and color: "a red house"; the color may be left out unless it is `told`."""
    noun = _pick(rng, SUBJECT_WORDS[subject.kind])
    if subject.color and ("color" in told or rng.random() < 0.6):
        noun = f"{subject.color} {noun}"
    if noun.startswith("a ") or subject.kind in ("rocks", "birds"):
        return noun
    if rng.random() < 0.08:
        return noun
    return ("an " if noun[0] in "aeiou" else "a ") + noun


def disc_words(scene: Scene) -> tuple[str, ...]:
    """What the sun or the moon may be called; empty where neither is to be seen."""
    look = scene.look
    if not scene.disc or look.weather not in ("clear", "clouds") or look.time == "overcast":
        return ()
    if look.time == "night":
        return ("the moon", "the full moon", "a bright moon")
    return ("the sun", "the sun in the sky", "a bright sun")


def sky_phrases(rng: np.random.Generator, scene: Scene) -> list[str]:
    """Phrases about the sun, the moon and the stars where they can be seen."""
    stars = (
        ("stars", "a starry sky") if scene.look.time == "night" and scene.look.weather in ("clear", "clouds") else ()
    )
    words = (*disc_words(scene), *stars)
    return [_pick(rng, words)] if words else []


def caption(
    scene: Scene,
    rng: np.random.Generator,
    short: float = 0.4,
    empty: float = 0.0,
    told: frozenset[str] = frozenset(),
) -> str:
    """A caption of a scene: with probability `short` one or two facts alone, with `empty` none, else most of them.

    `told` names what must not be left out: parts of the look (time, weather, season, style), or the subject's color;
    then the caption is never empty.
    """
    if not told and rng.random() < empty:
        return ""
    text = _short(scene, rng, told) if rng.random() < short else _long(scene, rng, told)
    return text[0].upper() + text[1:] if rng.random() < 0.12 else text


def unlike(look: Look, other: Look) -> frozenset[str]:
    """The parts of a look (time, weather, season, style) that are not those of another."""
    return frozenset(part.name for part in fields(Look) if getattr(look, part.name) != getattr(other, part.name))


def unusual(scene: Scene) -> frozenset[str]:
    """What one would not take for granted, as `told` names it: all but a photo, by day, in summer, clear, of a red
    house or a white sail."""
    thing = scene.subject
    odd = thing is not None and thing.color not in (None, USUAL_COLORS.get(thing.kind))
    return unlike(scene.look, Look()) | ({"color"} if odd else frozenset())


def look_caption(scene: Scene, rng: np.random.Generator, empty: float, told: frozenset[str]) -> str:
    """A caption of the look alone, for a window in which the subject may not be seen."""
    if not told and rng.random() < empty:
        return ""
    words, look = _words(scene, rng), scene.look
    odds = {
        "style": 0.75,
        "time": 0.75,
        "season": 0.7 * (look.season != "summer"),
        "weather": 0.7 * (look.weather != "clear"),
    }
    facts = [words[name] for name in words if name in told or rng.random() < odds[name]]
    return (" " if rng.random() < 0.6 else ", ").join(facts)


def _pick(rng: np.random.Generator, words: tuple[str, ...]) -> str:
    return words[int(rng.integers(len(words)))]


def _words(scene: Scene, rng: np.random.Generator) -> dict[str, str]:
    look = scene.look
    return {
        "style": _pick(rng, STYLE_WORDS[look.style]),
        "time": _pick(rng, TIME_WORDS[look.time]),
        "season": _pick(rng, SEASON_WORDS[look.season]),
        "weather": _pick(rng, WEATHER_WORDS[look.weather]),
    }


def _short(scene: Scene, rng: np.random.Generator, told: frozenset[str]) -> str:
    look, words = scene.look, _words(scene, rng)
    subject = subject_phrase(rng, scene.subject, told) if scene.subject else _pick(rng, GROUND_WORDS[scene.ground])
    if told:
        facts = [words[name] for name in ("style", "time", "season", "weather") if name in told]
        if "color" in told or rng.random() < 0.35:
            facts.insert(0, subject) if "style" not in told else facts.insert(1, "of " + subject)
        return (" " if rng.random() < 0.6 else ", ").join(facts)
    style, time = words["style"], words["time"]
    facts = [style, time, f"{style} {time}", subject, f"{subject} {time}", f"{style} of {subject}"]
    weights = [1.0 + 1.0 * (look.style != "photo"), 2.0, 1.5, 1.6, 1.0, 1.0]
    if look.season != "summer" or rng.random() < 0.15:
        facts += [words["season"], f"{style} {words['season']}"]
        weights += [1.6, 0.5]
    if look.weather != "clear" or rng.random() < 0.1:
        facts.append(words["weather"])
        weights.append(1.0)
    odds = np.cumsum(weights)
    return facts[int(np.searchsorted(odds, rng.random() * odds[-1]))]


def _long(scene: Scene, rng: np.random.Generator, told: frozenset[str]) -> str:
    look, words = scene.look, _words(scene, rng)
    head = _pick(rng, GROUND_WORDS[scene.ground])
    if scene.subject:
        link = {"sea": "on", "lake": "by"}.get(scene.ground, "in")
        if scene.subject.kind in ("balloon", "birds"):
            link = "over"
        phrase = subject_phrase(rng, scene.subject, told)
        head = f"{phrase} {link} {head}" if rng.random() < 0.75 else phrase
    elif scene.far == "mountains" and scene.ground != "mountains" and rng.random() < 0.4:
        head += _pick(rng, (" with mountains", " and mountains", " before a mountain range"))
    parts = []
    if "time" in told or rng.random() < (0.55 if look.time == "day" else 0.85):
        parts.append(words["time"])
    if "season" in told or ((look.season != "summer" or rng.random() < 0.15) and rng.random() < 0.8):
        parts.append(words["season"])
    if "weather" in told or ((look.weather != "clear" or rng.random() < 0.1) and rng.random() < 0.75):
        parts.append(words["weather"])
    if rng.random() < 0.2:
        parts += sky_phrases(rng, scene)
    if scene.extras and rng.random() < 0.35:
        parts.append("with " + subject_phrase(rng, scene.extras[-1]))
    parts = [parts[k] for k in rng.permutation(len(parts))]
    if look.style == "photo" and "style" not in told and rng.random() < 0.4:
        text = head
    elif rng.random() < 0.7:
        text = f"{words['style']} of {head}"
    else:
        text = head
        parts.insert(int(rng.integers(0, len(parts) + 1)), words["style"])
    return (", " if rng.random() < 0.6 else " ").join([text, *parts])
