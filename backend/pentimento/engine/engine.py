"""The engine: one frozen Request in, events out. Holds the models that are in memory and nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import torch

from pentimento_shared.geometry import Layout, Size
from pentimento_shared.settings import AUTOMATIC_VAE, LANCZOS

from .arrays import Float
from .canvas import FILL
from .checkpoints.hashes import Hashes
from .coding import decode_pictures, encode_picture, latent_factor
from .conditioning import tell
from .denoise import Source, Step, denoise
from .extras.digests import Digests
from .extras.patching import fit
from .extras.vectors import read_concepts
from .families.family import Told
from .families.registry import family_of
from .job import next_loop, plan_job, seed_of
from .loaded import LoadedModel
from .masked_latents import masked_content
from .masks import latent_selection
from .models import ModelInfo, ModelLibrary
from .preview import Map, preview_map, render_preview
from .prompts.guidance import Conditions, Encoder
from .prompts.resolving import PromptFiles
from .request import Cancelled, Event, Notice, Preview, Progress, Request, Result
from .resample import mask_to_work
from .results import finished, schedule_of, unchanged
from .samplers import Plan, make_plan, steps_to_run
from .streaming import stream
from .thrift import Thrift
from .upscale import grows, worked, worked_large
from .upscalers import Upscaler, Upscalers
from .warm import WarmModels

LOADED, ENCODED, SAMPLED = 0.1, 0.15, 0.92
"""Fractions of a job's whole progress at which loading, encoding and a picture's sampling end."""
ENLARGED = 0.67
"""From this factor between context and work picture down, the artist is told that detail is lost."""
PREVIEW_SECONDS = 0.4
"""Least time between two previews of one job."""

Emit = Callable[[Event], None]


class Engine:
    """Runs one request at a time. `device` is "auto" (CUDA, else Apple's MPS, else CPU) or a torch device's name.

    `prompt_files` are what prompts may call for by name; without it those in the user's data folder. `hashes` knows
    those of models that were loaded before.
    """

    def __init__(
        self,
        library: ModelLibrary,
        device: str = "auto",
        prompt_files: PromptFiles | None = None,
        hashes: Hashes | None = None,
    ) -> None:
        self.library = library
        self.prompt_files = prompt_files or PromptFiles.standard()
        self.device = torch.device(_best_device() if device == "auto" else device)
        self._warm = WarmModels(self.device, hashes=hashes)
        self._upscalers = Upscalers(self.device)
        self._preview_maps: WeakKeyDictionary[torch.nn.Module, Map] = WeakKeyDictionary()
        self.digests = Digests()
        self.ran: dict[str, int] = {}
        """Model id -> the largest area, px, at which it has made a picture."""

    @property
    def loaded(self) -> tuple[str, ...]:
        """Ids of the models in memory, the one used last at the end."""
        return self._warm.ids

    def run(self, request: Request, cancelled: Callable[[], bool]) -> Iterator[Event]:
        """Makes the request's pictures: Progress and Preview on the way, one Result per seed, in order.

        Strength 0 gives back the source's own levels without loading a model. `cancelled` is asked before and after
        each stage and each step. Raises Cancelled, EngineError or SettingError (a value this model does not take).
        """

        def work(emit: Emit, closed: Callable[[], bool]) -> None:
            with torch.inference_mode():
                _Run(self, request, emit, lambda: closed() or cancelled()).run()

        return stream(work)

    def model(self, info: ModelInfo, vae: str = AUTOMATIC_VAE) -> LoadedModel:
        """The model in memory, loaded when it is not there yet; others that do not fit beside it are freed.

        `vae` is the setting. Raises BrokenModel, OutOfMemory, and EngineError for a VAE that cannot be used.
        """
        model = self.as_left(info, vae)
        model.overlay.take_off()
        return model

    def as_left(self, info: ModelInfo, vae: str = AUTOMATIC_VAE) -> LoadedModel:
        """`model` with what the last job has laid over its weights."""
        return self._warm.get(info, self.library.vae(info, vae))

    @property
    def in_memory(self) -> LoadedModel | None:
        """The model that the present job works with, once it is loaded."""
        return self._warm.last

    def free_caches(self) -> None:
        """Lets go of what the present job can do without."""
        self._preview_maps.clear()
        self._upscalers.free()
        self._warm.free_others()

    def take_turns(self) -> bool:
        """Lets the parts of the model that is loaded next take turns on the device. False where that is no help."""
        return self._warm.take_turns()

    def upscaler(self, name: str) -> Upscaler | None:
        """What the setting `upscale_first` names, in memory; None for Lanczos and off. Raises EngineError."""
        file = self.library.upscaler(name)
        return None if file is None else self._upscalers.get(file)

    def preview_map(self, model: LoadedModel) -> Map:
        vae = model.components["vae"]
        if vae not in self._preview_maps:
            self._preview_maps[vae] = preview_map(model)
        return self._preview_maps[vae]


def _best_device() -> str:
    if torch.cuda.is_available():
        return "cuda"
    return "mps" if torch.backends.mps.is_available() else "cpu"


class _Common(NamedTuple):
    """What all pictures of a job have in common."""

    plan: Plan
    told: Told
    source: Source | None


class _Run:
    """One request on its way through load, encode, sample and decode."""

    def __init__(self, engine: Engine, request: Request, emit: Emit, cancelled: Callable[[], bool]) -> None:
        self._engine = engine
        self._emit = emit
        self._cancelled = cancelled
        self._job = plan_job(engine.library, engine.prompt_files, request)
        self._reached = 0.0
        self._thrift = Thrift(
            self._job.info,
            self._job.layout.work,
            model=lambda: engine.in_memory,
            free_caches=engine.free_caches,
            take_turns=engine.take_turns,
            ran=engine.ran,
            tell=lambda text: emit(Notice(text)),
            check=self._check,
        )

    def run(self) -> None:
        try:
            last = self._make()
            while self._job.pictures.stop < len(self._job.request.seeds):
                self._job = next_loop(self._job, last)
                last = self._make()
        finally:
            self._thrift.end()

    def _make(self) -> Result:
        """Makes the job's pictures; the last of them."""
        job = self._job
        if job.strength == 0:
            pixels = job.canvas.unchanged(self._resized)
            return [self._made(unchanged(job, index, pixels)) for index in job.pictures][-1]
        self._stage(Progress("load", 0.0))
        self._tell_of_enlarging()
        model = self._thrift.do("load", lambda: self._engine.as_left(job.info, str(job.request.settings["vae"])))
        self._thrift.do("load", lambda: self._engine.preview_map(model))
        model = replace(model, concepts=read_concepts(model, job.embeddings))
        self._stage(Progress("encode", LOADED))
        # By itself: what an upscaler has made is not to be made again when memory runs out over what follows.
        start = self._thrift.do("encode", lambda: self._worked(self._masked_content)) if self._sees_source else None
        common = self._thrift.do("encode", lambda: self._common(model, start))
        # All are fitted before the first picture is made: a LoRA that does not fit stops the job as a whole.
        patches = self._thrift.do(
            "encode", lambda: [(pictures, fit(model, job.prompts[pictures.start].loras)) for pictures in job.alike]
        )
        results: list[Result] = []
        for pictures, patch in patches:
            with patch.over() as lay:
                self._thrift.do("encode", lay)
                results.extend(self._painted(model, common, pictures))
        return results[-1]

    def _common(self, model: LoadedModel, start: Float | None) -> _Common:
        """`start` is the work picture [H, W, 3] to start from, None where nothing of the source may be seen."""
        job, source, shown = self._job, None, None
        if start is not None:
            source = self._source(model, start)
            # An inpainting model is shown the picture, whatever the painting starts from.
            shown = (lambda: self._worked("")) if self._masked_content == FILL else (lambda: start)
        told = tell(model, job.request.settings, job.canvas, job.layout, shown)
        return _Common(self._plan(model), told, source)

    def _painted(self, model: LoadedModel, common: _Common, pictures: range) -> Iterator[Result]:
        """Makes those pictures."""
        conditions = self._thrift.do("encode", lambda: self._conditions(model, common.plan, pictures))
        extras = self._thrift.do("encode", lambda: [self._engine.digests.of(self._job.prompts[k]) for k in pictures])
        # A CPU gains nothing from a batch, and alone each picture is the same to the last bit.
        together = 1 if model.device.type == "cpu" else self._job.together
        for first in range(pictures.start, pictures.stop, together):
            batch = range(first, min(first + together, pictures.stop))
            latents = torch.cat(
                self._thrift.in_parts("sample", batch, lambda part: self._sample(model, common, conditions, part))
            )
            self._stage(Progress("decode", self._fraction(batch.start, batch.stop, SAMPLED)))
            decoded = self._decoded(model, latents)
            self._check()
            for index, picture in zip(batch, decoded, strict=True):
                own = extras[index - pictures.start]
                yield self._made(finished(self._job, index, picture, model, common.plan, own))
            self._stage(Progress("decode", self._fraction(batch.start, batch.stop, 1.0)))

    def _decoded(self, model: LoadedModel, latents: torch.Tensor) -> list[Float]:
        parts = self._thrift.in_parts(
            "decode", range(len(latents)), lambda part: decode_pictures(model, latents[part.start : part.stop])
        )
        return [picture for part in parts for picture in part]

    def _made(self, result: Result) -> Result:
        self._emit(result)
        return result

    def _stage(self, progress: Progress) -> None:
        """Tells how far it is, unless it was further before: each loop of a loopback has stages of its own."""
        self._check()
        self._reached = max(self._reached, progress.fraction)
        self._emit(replace(progress, fraction=self._reached))

    def _check(self) -> None:
        if self._cancelled():
            raise Cancelled

    def _tell_of_enlarging(self) -> None:
        layout = self._job.layout
        if layout.scale <= ENLARGED:
            wide, high = layout.context
            self._emit(
                Notice(
                    f"The area is {wide} x {high} px and was worked at {layout.work.width} x {layout.work.height}, as "
                    f"large as {self._job.info.id} can: fine detail is lost. Select a smaller part to keep it."
                )
            )

    def _fraction(self, first: int, end: int, done: float) -> float:
        """Progress of the whole job when pictures `first` to `end` stand at `done` (ENCODED..1) of their own way."""
        own = (done - ENCODED) / (1 - ENCODED)
        return ENCODED + (1 - ENCODED) * (first + (end - first) * own) / len(self._job.request.seeds)

    def _conditions(self, model: LoadedModel, plan: Plan, pictures: range) -> dict[int, Conditions]:
        """What guides each of those pictures."""
        settings = self._job.request.settings
        encoder = Encoder(model, int(settings["clip_skip"]), plan.count)
        cfg_scale = float(settings["cfg_scale"])
        return {index: encoder.conditions(self._job.prompts[index], cfg_scale) for index in pictures}

    @property
    def _sees_source(self) -> bool:
        """Whether anything of the source reaches the result."""
        canvas, mask = self._job.canvas, self._job.canvas.mask_crop()
        return canvas.source is not None and (self._job.strength < 1 or (mask is not None and bool(mask.min() < 255)))

    def _worked(self, content: str) -> Float:
        """The source as work picture [H, W, 3], by the upscaler that was asked for where it grows."""
        return self._enlarged(self._job.canvas.crop(content), self._job.layout)

    def _resized(self) -> Float:
        """The source in its framing [h, w, 3], by the upscaler that was asked for where it grows."""
        size = self._job.canvas.framing.size
        return self._thrift.do("encode", lambda: self._enlarged(self._job.canvas.crop(), Layout(size, size, 1.0)))

    def _enlarged(self, source: Float, layout: Layout) -> Float:
        framing = self._job.canvas.framing
        named = str(self._job.request.settings.get("upscale_first", LANCZOS))
        upscaler = self._engine.upscaler(named) if grows(framing, layout) else None
        if upscaler is None:
            return worked(source, framing, layout)

        def on_tile(share: float) -> None:
            self._stage(Progress("encode", LOADED + (ENCODED - LOADED) * share))

        return worked_large(upscaler, source, framing, layout, self._thrift.tiling, on_tile)

    def _source(self, model: LoadedModel, start: Float) -> Source:
        canvas, layout = self._job.canvas, self._job.layout
        mask = canvas.mask_crop()
        latents = encode_picture(model, start)
        if mask is None:
            return Source(latents)
        factor = layout.work.width // latents.shape[-1]
        chosen = latent_selection(mask_to_work(mask.astype(np.float32) / np.float32(255), layout), factor)
        return Source(latents, torch.from_numpy(chosen)[None, None].to(model.device))

    @property
    def _masked_content(self) -> str:
        # A further loop goes on from what the last one painted there.
        first = self._job.pictures.start == 0
        return str(self._job.request.settings.get("masked_content", "")) if first else ""

    def _plan(self, model: LoadedModel) -> Plan:
        settings = self._job.request.settings
        sampler = str(settings["sampler"])
        schedule = schedule_of(settings, self._job.info)
        exact = self._job.request.task != "txt2img" and bool(settings["exact_steps"])
        steps = steps_to_run(int(settings["steps"]), self._job.strength, self._job.info.min_steps, exact)
        scale = family_of(model).scale(model.components["scheduler"].config, self._latents(model))
        return make_plan(scale, sampler, schedule, steps, self._job.strength)

    def _latents(self, model: LoadedModel) -> Size:
        work, factor = self._job.layout.work, latent_factor(model)
        return Size(work.width // factor, work.height // factor)

    def _sample(
        self,
        model: LoadedModel,
        common: _Common,
        conditions: Mapping[int, Conditions],
        batch: range,
    ) -> torch.Tensor:
        layout, linear = self._job.layout, self._engine.preview_map(model)
        width, height = self._latents(model)
        seeds = [seed_of(self._job.request, index) for index in batch]
        shown = time.monotonic()

        def on_step(step: Step) -> None:
            nonlocal shown
            way = ENCODED + (SAMPLED - ENCODED) * step.share
            self._stage(Progress("sample", self._fraction(batch.start, batch.stop, way), step.number, step.steps))
            if time.monotonic() - shown >= PREVIEW_SECONDS or step.number == 1:
                shown = time.monotonic()
                for index, latents in zip(batch, step.denoised, strict=True):
                    self._emit(Preview(index, render_preview(latents, linear, layout)))

        self._stage(Progress("sample", self._fraction(batch.start, batch.stop, ENCODED), 0, common.plan.count))
        return denoise(
            model,
            common.plan,
            conditions=[conditions[index] for index in batch],
            told=common.told,
            seeds=seeds,
            latent_shape=(model.components["vae"].config.latent_channels, height, width),
            source=common.source and masked_content(common.source, self._masked_content, seeds),
            on_step=on_step,
        )
