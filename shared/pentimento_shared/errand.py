"""A job's way to the backend and back, in a thread of its own: PNG and network, never the editor."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from . import VERSION
from .client import BackendError, Client, Job, check_version
from .document import Insertion, Picture, Strips
from .gathering import Gathered
from .line import PAUSE_S, GivenUp, Line
from .outcome import Selected, changed_files, composite_for, insertion, new_layer
from .pixel_form import Form
from .pixels import Pixels, PixelsError, decode_png, encode_png
from .plans import Plan
from .recipe import RecipeError
from .status import Status

_log = logging.getLogger(__name__)

CANCELLED: Final = "Cancelled. The document is as it was."
PIXELS_A_SECOND: Final = 1_000_000
"""Pictures may take this much longer: they go through a disk, and are put together, before an answer comes."""
CANCEL_PATIENCE_S: Final = 600.0
"""Seconds for which a backend that is away is still told of a cancel, in the background."""
_WAIT_S: Final = 1.0
"""Seconds that one request waits for news: short, so that silence is soon noticed and a cancel soon sent."""
_STAGES: Final[Mapping[str | None, str]] = {
    "load": "Loading the model.",
    "encode": "Preparing.",
    "decode": "Finishing the picture.",
}


class Errand:
    """Carries one job out once it is started; `status` and `insertion` tell the UI thread how it stands.

    `insertion` is set before `status` says "inserting". Only cancel() is called from outside.
    """

    def __init__(self, connect: Callable[[], Client], application: str, plan: Plan, gathered: Gathered) -> None:
        self.status = Status("submitting", "Packing the pixels.")
        self.insertion: Insertion | None = None
        self._application = application
        self._plan = plan
        self._gathered: Gathered | None = gathered
        self._key = uuid.uuid4().hex
        self._lock = threading.Lock()
        self._sent = False
        self._cancelled_at: float | None = None
        self._line = Line(connect, self._cancel_is_stale)
        self._thread = threading.Thread(target=self._run, name="pentimento-run", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def silence(self) -> float | None:
        """For how many seconds the backend has owed an answer, once that is longer than it should be."""
        return self._line.silence()

    def cancel(self) -> bool:
        """Whether nothing needs to be waited for: nothing was sent yet, or the job is done. Returns at once; else the
        backend is told, and `status` says when it has answered."""
        with self._lock:
            self._cancelled_at = time.monotonic()
            return not self._sent or self.status.phase in ("fetching", "inserting")

    def _run(self) -> None:
        try:
            self._carry_out()
        except (_Cancelled, GivenUp):
            self._tell(phase="cancelled", message=CANCELLED)
        except (BackendError, PixelsError, RecipeError, _SourceChanged) as error:
            if self._cancelled_at is None:
                self._tell(phase="failed", message=str(error))
            else:
                self._tell(phase="cancelled", message=f"Cancelled here. The backend said: {error}")
        except Exception as error:  # noqa: BLE001 - told to the artist and to the log
            # Nobody else would hear of it: the artist would look at a run that never ends.
            _log.exception("a run failed")
            self._tell(phase="failed", message=f"Pentimento's own fault, please report it: {error!r}.")
        finally:
            self._gathered = None
            self._line.close()

    def _carry_out(self) -> None:
        check_version(self._line.ask(Client.health), VERSION)
        job, mask, form = self._submitted()
        try:
            job = self._follow(job)
            if job.state == "done":
                self._fetch(job, mask, form)
        except _Cancelled:
            self._line.ask_patiently(lambda client: client.cancel(job.id))
            raise
        if job.state == "failed":
            self._tell(phase="failed", message=str(job.problem or "The backend could not carry the job out."))
        if job.state == "cancelled":
            self._tell(phase="cancelled", message="The job was cancelled on the backend. The document is as it was.")

    def _submitted(self) -> tuple[Job, Selected | None, Form | None]:
        """The job that the backend has taken, and what its result needs; the pixels themselves are let go."""
        gathered, self._gathered = self._gathered, None
        if gathered is None:
            raise ValueError("an errand runs once")
        mask, form, plan = _selected(gathered.mask), gathered.form, self._plan
        pixels = None if gathered.image is None else _joined(gathered.image)
        del gathered
        image = None if pixels is None else _packed(pixels, plan.expected)
        del pixels
        with self._lock:
            self._check_cancelled()
            self._sent = True
        self._tell(message="Sending the picture to the backend." if image else "Asking the backend.")
        request = {
            "task": plan.task,
            "settings": {**_of_document(form), **plan.settings},
            "region": plan.region,
            "parent": plan.parent,
            "application": self._application,
        }
        sent_mask = mask.png if mask and plan.task == "inpaint" else None
        job = self._line.ask_patiently(lambda client: client.submit(request, image, sent_mask, self._key), self._grace)
        return job, mask, form

    def _follow(self, job: Job) -> Job:
        """The job when it is over. Raises _Cancelled as soon as the artist has cancelled."""
        self._tell_of(job)
        etag: str | None = None
        while not job.final:
            self._check_cancelled()
            asked, before = time.monotonic(), job
            job = self._line.ask_patiently(lambda client, job=before: client.job(job.id, _WAIT_S, job.rev))
            if job.rev == before.rev and time.monotonic() - asked < PAUSE_S:
                time.sleep(PAUSE_S)  # a backend with too many waiting requests answers at once
            if job.rev != before.rev:
                self._tell_of(job)
            if job.stage == "sample" and job.state == "running":
                etag = self._look(job.id, etag)
        self._check_cancelled()
        return job

    def _look(self, job: str, etag: str | None) -> str | None:
        preview = self._line.ask_patiently(lambda client: client.preview(job, etag))
        if preview is None:
            return etag
        self._tell(preview=preview.data)
        return preview.etag

    def _fetch(self, job: Job, mask: Selected | None, form: Form | None) -> None:
        plan, kind, count = self._plan, composite_for(self._plan), len(job.seeds)
        layers = []
        for k in range(count - 1 if plan.last_only else 0, count):
            which = f"picture {k + 1} of {count}" if count > 1 else "the picture"
            self._tell(phase="fetching", message=f"Fetching {which}.", progress=0.95 + 0.03 * k / count)
            png = self._line.ask_patiently(lambda client, k=k: client.image(job.id, k, kind), self._grace)
            layers.append(new_layer(png, plan, job.id, mask, form))
            del png
            self._check_cancelled()
        self._tell(warnings=(*self.status.warnings, *changed_files(layers, plan)))
        self.insertion = insertion(layers, plan)
        self._tell(phase="inserting", message="Inserting the result.", progress=0.98, seeds=job.seeds[-len(layers) :])

    @property
    def _grace(self) -> float:
        return self._plan.place.size.area / PIXELS_A_SECOND

    def _cancel_is_stale(self) -> bool:
        at = self._cancelled_at
        return at is not None and time.monotonic() - at > CANCEL_PATIENCE_S

    def _check_cancelled(self) -> None:
        if self._cancelled_at is not None:
            raise _Cancelled

    def _tell(self, **changes: Any) -> None:
        self.status = replace(self.status, **changes)

    def _tell_of(self, job: Job) -> None:
        self._tell(
            phase="queued" if job.state == "queued" else "running",
            message=_sentence(job),
            progress=max(self.status.progress, 0.95 * job.progress),
            stage=job.stage,
            step=job.step,
            steps=job.steps,
            position=job.position,
            job=job.id,
            seeds=job.seeds,
            warnings=job.warnings,
        )


class _Cancelled(Exception):
    """The artist has cancelled."""


class _SourceChanged(Exception):
    """The pixels are not those that the recipe tells of."""


def _selected(mask: Picture | bytes | None) -> Selected | None:
    if mask is None:
        return None
    if isinstance(mask, bytes):
        return Selected(decode_png(mask), mask)
    pixels = _joined(mask)
    return Selected(pixels, encode_png(pixels))


def _of_document(form: Form | None) -> dict[str, str]:
    """The settings that the document decides, where no picture of it is sent."""
    return {} if form is None else {"depth": str(form.depth)}


def _joined(picture: Picture) -> Pixels:
    return picture.joined() if isinstance(picture, Strips) else picture


def _packed(image: Pixels, expected: str | None) -> bytes:
    """The picture as PNG. Raises _SourceChanged when its levels do not have the SHA-256 that is `expected`."""
    if expected is not None and hashlib.sha256(image.data).hexdigest() != expected:
        raise _SourceChanged(
            "What this layer was made from has changed since, or is hidden: the same pixels cannot come again. Undo "
            "the change, or refine the layer instead."
        )
    return encode_png(image)


def _sentence(job: Job) -> str:
    """What the backend does with the job, for the artist."""
    if job.state == "queued":
        return "Next in the queue." if (job.position or 1) == 1 else f"Waiting, place {job.position} in the queue."
    part = f" picture {min(job.images + 1, len(job.seeds))} of {len(job.seeds)}," if len(job.seeds) > 1 else ""
    if job.stage == "sample":
        return f"Painting{part} step {job.step} of {job.steps}."
    return _STAGES.get(job.stage, "The backend has begun.")
