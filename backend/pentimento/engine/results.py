"""What becomes of a picture once it is decoded: the source's depth and colours, its place, and its recipe."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping

import numpy as np

from pentimento_shared.extra import Extra
from pentimento_shared.pixels import Pixels
from pentimento_shared.recipe import Recipe

from .. import __version__
from .arrays import Float, to_pixels
from .canvas import Canvas
from .color import matched, ring_around
from .job import Job, alone
from .loaded import LoadedModel
from .models import ModelInfo
from .prompts.resolving import WRITTEN
from .request import Result
from .resample import to_context
from .samplers import Plan, resolve_schedule


def schedule_of(settings: Mapping[str, object], info: ModelInfo) -> str:
    """The schedule that runs: Automatic becomes what suits the model and the sampler."""
    return resolve_schedule(str(settings["schedule"]), str(settings["sampler"]), info.defaults.get("schedule"))


def unchanged(job: Job, index: int, pixels: Pixels) -> Result:
    """Strength 0: `pixels` are `Canvas.unchanged`, the same for all pictures."""
    canvas = job.canvas
    return Result(index, pixels, _mask_pixels(canvas), canvas.context, _recipe(job, index, "", 0))


def finished(job: Job, index: int, work: Float, model: LoadedModel, plan: Plan, extras: tuple[Extra, ...]) -> Result:
    """Picture `index` of the job from the decoded `work` picture [h, w, 3], in 0..1 or a little beyond."""
    canvas = job.canvas
    picture = to_context(work, job.layout)
    if canvas.source is not None and job.request.settings["color_match"]:
        mask = canvas.mask_crop()
        everywhere = np.ones(picture.shape[:2], bool)
        picture = matched(picture, canvas.rgb(), everywhere if mask is None else ring_around(mask))
    recipe = _recipe(job, index, model.hash, plan.count, extras)
    return Result(index, canvas.delivered(picture), _mask_pixels(canvas), canvas.context, recipe)


def _mask_pixels(canvas: Canvas) -> Pixels | None:
    return None if canvas.mask is None else to_pixels(canvas.mask[..., None])


def _recipe(job: Job, index: int, model_hash: str, steps_run: int, extras: tuple[Extra, ...] = ()) -> Recipe:
    request, canvas = job.request, job.canvas
    settings = {**job.prompts[index].settings(request.settings), **alone(request, index)}
    return Recipe(
        id=uuid.uuid4().hex,
        task=request.task,
        settings=settings,
        written={name: value for name in WRITTEN if (value := request.settings[name]) != settings[name]},
        model={"id": job.info.id, "name": job.info.name, "hash": model_hash},
        sampler=str(request.settings["sampler"]),
        schedule=schedule_of(request.settings, job.info),
        steps_run=steps_run,
        start=job.strength,
        size=canvas.size,
        work_size=job.layout.work,
        canvas=canvas.canvas,
        context=canvas.place,
        source=_sha256(request.image),
        mask=_sha256(request.mask),
        parent=request.parent,
        software=f"pentimento {__version__}",
        created=job.created,
        extras=extras,
    )


def _sha256(pixels: Pixels | None) -> str | None:
    return None if pixels is None else hashlib.sha256(pixels.data).hexdigest()
