"""A job: a request with all that is known of its pictures before a model is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import groupby

from pentimento_shared.geometry import Layout, Rect
from pentimento_shared.many import apart, loop_strength
from pentimento_shared.pixels import Pixels
from pentimento_shared.settings import LANCZOS, Value

from .arrays import to_pixels
from .canvas import Canvas, prepare
from .compose import composite
from .extras.files import Embedding
from .models import ModelInfo, ModelLibrary
from .noise import Seed
from .prompts.resolving import PromptFiles, PromptReader, Prompts
from .request import Request, Result


@dataclass(frozen=True)
class Job:
    """A request with everything that is known before the first picture. `prompts` are each picture's own.

    `pictures` are those that are made from `canvas` with `strength`: all of them, or one loop of a loopback. `sent` is
    the canvas's source before the first loop.
    """

    request: Request
    prompts: tuple[Prompts, ...]
    canvas: Canvas
    info: ModelInfo
    created: str
    strength: float
    pictures: range
    sent: Pixels | None

    @property
    def layout(self) -> Layout:
        return self.canvas.layout

    @property
    def together(self) -> int:
        """How many pictures may be sampled side by side."""
        return int(self.request.settings["batch_size"])

    @property
    def embeddings(self) -> tuple[Embedding, ...]:
        """Those that any picture's prompts name."""
        return tuple(dict.fromkeys(embedding for prompts in self.prompts for embedding in prompts.embeddings))

    @property
    def alike(self) -> Iterator[range]:
        """The pictures, those that follow one another under the same LoRA files together."""
        for _, group in groupby(self.pictures, key=lambda index: self.prompts[index].loras):
            indices = list(group)
            yield range(indices[0], indices[-1] + 1)


def plan_job(library: ModelLibrary, prompt_files: PromptFiles, request: Request) -> Job:
    """The job as it begins. Raises EngineError, PromptError, or SettingError for what the model does not take."""
    info = library.get(str(request.settings["model"]))
    info.check(request.settings)
    library.upscaler(str(request.settings.get("upscale_first", LANCZOS)))
    reader = PromptReader(prompt_files, info.family)
    settings, count = request.settings, len(request.seeds)
    prompts = tuple(
        reader.read(settings, seed, apart(settings, index).combination) for index, seed in enumerate(request.seeds)
    )
    canvas = prepare(request, info)
    strength = 1.0 if request.task == "txt2img" else float(settings["strength"])
    pictures = range(1 if int(settings.get("loops", 1)) > 1 else count)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    return Job(request, prompts, canvas, info, created, strength, pictures, canvas.source)


def next_loop(job: Job, last: Result) -> Job:
    """The next loop of a loopback: from what the artist sees of the last, over the untouched source."""
    index, canvas = job.pictures.stop, job.canvas
    crop = canvas.mask_crop()
    mask = None if crop is None else to_pixels(crop[..., None])
    seen = composite("full", job.sent, last.pixels, mask, Rect.of(canvas.context.size))
    strength = loop_strength(job.request.settings, index + 1)
    return replace(job, canvas=canvas.going_on(seen), strength=strength, pictures=range(index, index + 1))


def seed_of(request: Request, index: int) -> Seed:
    """Where picture `index` has its noise from. Raises ValueError for a variation whose seed was never drawn."""
    strength = float(request.settings["variation_strength"])
    variation = apart(request.settings, index).variation_seed
    if strength > 0 and variation < 0:
        raise ValueError("a variation needs a seed that is drawn")
    return Seed(request.seeds[index], variation, strength)


def alone(request: Request, index: int) -> dict[str, Value]:
    """The settings that make picture `index` alone; a loop comes with those before it."""
    own = apart(request.settings, index)
    if own.loop:
        return {"seed": request.seeds[0], "last_loop": own.loop}
    return {
        "seed": request.seeds[index],
        "batch_size": 1,
        "batch_count": 1,
        "variation_seed": own.variation_seed,
    }
