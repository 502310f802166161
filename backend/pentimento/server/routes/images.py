"""Pictures: the preview of a running job, the results of one that is done."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from flask import Blueprint, Response, request

from pentimento.disk import DiskFull
from pentimento.jobs.queue import JobView
from pentimento.jobs.records import ImageRecord, State
from pentimento_shared.pixels import Pixels, decode_png, encode_png
from pentimento_shared.recipe import INFOTEXT_KEY, PNG_KEY, Recipe, RecipeError

from ..problems import refuse
from ..services import Services, services
from ..transport import WHEN_SENT
from .jobs import known, unknown_job

_log = logging.getLogger(__name__)

blueprint = Blueprint("images", __name__)

COMPOSITES: Final = ("layer", "full", "raw")


@blueprint.get("/jobs/<job_id>/preview")
def preview(job_id: str) -> Response:
    """The latest preview of a running job, a small JPEG; 304 while it is the one named by If-None-Match."""
    known(job_id)
    picture = services().hub.preview(job_id)
    if picture is None:
        raise refuse(404, "This job has no preview now: it does not run, or has not come that far.", "id", job_id)
    response = Response(picture.jpeg, content_type="image/jpeg", headers={"X-Image-Index": str(picture.index)})
    return _conditional(response, picture.etag)


@blueprint.get("/jobs/<job_id>/images/<int:k>")
def image(job_id: str, k: int) -> Response:
    """Picture `k` of a done job as PNG, its recipe inside; `?composite=` says how it is put together."""
    kind = _composite()
    view, parts = known(job_id), services()
    record = _finished(view, k)
    etag = f"{record.raw[:32]}-{kind}"
    if etag in request.if_none_match:
        parts.jobs.fetched(job_id, k)
        return _conditional(Response(content_type="image/png"), etag)
    try:
        data = _render(parts, view, record, kind)
    except FileNotFoundError as error:
        raise unknown_job(job_id) from error
    when_sent = request.environ[WHEN_SENT]
    delivery = _Delivery(data, lambda: when_sent(lambda: _count(parts, job_id, k)))
    response = Response(
        request.environ["wsgi.file_wrapper"](delivery), content_type="image/png", direct_passthrough=True
    )
    response.content_length = len(data)
    response.set_etag(etag)
    return response


def _composite() -> Literal["layer", "full", "raw"]:
    kind = request.args.get("composite", "layer")
    if kind == "layer" or kind == "full" or kind == "raw":  # noqa: PLR1714 - the type checker follows this form
        return kind
    allowed = ", ".join(COMPOSITES)
    raise refuse(422, f"composite is {kind[:80]!r}; allowed: {allowed}.", "composite", kind, allowed)


def _finished(view: JobView, k: int) -> ImageRecord:
    record = view.record
    if k >= len(record.submission.seeds):
        allowed = f"0 to {len(record.submission.seeds) - 1}"
        raise refuse(404, f"This job has no picture {k}; it has {allowed}.", "k", k, allowed)
    if record.state is not State.DONE:
        detail = f"This job is {record.state.value}; pictures can be fetched when it is done."
        raise refuse(409, detail, "state", record.state.value, State.DONE.value)
    found = services().jobs.image(record.id, k)
    if found is None:
        raise unknown_job(record.id)
    return found


def _render(parts: Services, view: JobView, image: ImageRecord, kind: Literal["layer", "full", "raw"]) -> bytes:
    from pentimento.engine.compose import composite  # numpy, which the server does without until now

    def pixels(name: str | None) -> Pixels | None:
        return None if name is None else decode_png(parts.blobs.read(name))

    raw = decode_png(parts.blobs.read(image.raw))
    source = None if kind == "raw" else pixels(view.record.submission.image)
    mask = None if kind == "raw" else pixels(image.mask)
    return encode_png(composite(kind, source, raw, mask, image.context), _texts(image.recipe))


def _texts(recipe: Mapping[str, Any]) -> dict[str, str]:
    """The recipe as JSON and as infotext; without the latter when a later version's table no longer takes
    it."""
    texts = {PNG_KEY: json.dumps(recipe, ensure_ascii=False, separators=(",", ":"))}
    try:
        texts[INFOTEXT_KEY] = Recipe.from_dict(recipe).to_infotext()
    except RecipeError:
        _log.warning("an old recipe is not readable as infotext; its picture goes out with its JSON alone")
    return texts


class _Delivery(io.BytesIO):
    """A picture on its way; `written` is called when it is closed after its last byte.

    As a file it is read only as fast as the connection takes it, and closed when that breaks. What an app yields
    instead is all taken at once and waits in the server, whether the client is there or not.
    """

    def __init__(self, data: bytes, written: Callable[[], None]) -> None:
        super().__init__(data)
        self._end, self._written = len(data), written

    def close(self) -> None:
        if not self.closed and self.tell() == self._end:
            self._written()
        super().close()


def _count(parts: Services, job_id: str, k: int) -> None:
    """Has a picture count as fetched."""
    try:
        parts.jobs.fetched(job_id, k)
    except DiskFull as error:
        # The client has its picture; that it is kept for longer than needed is the lesser harm.
        _log.warning("%s The picture counts as not fetched.", error)


def _conditional(response: Response, etag: str) -> Response:
    response.set_etag(etag)
    response.make_conditional(request)
    return response
