"""A request for a job, checked part by part: out comes a Submission that the engine can take as it is."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, NoReturn

from flask import Request

from pentimento.engine.models import ModelInfo, ModelLibrary
from pentimento.engine.prompts.resolving import PromptFiles, PromptReader
from pentimento.jobs.blobs import Draft
from pentimento.jobs.records import Submission
from pentimento_shared.framing import asked_size
from pentimento_shared.geometry import Rect, Size
from pentimento_shared.many import seeds_of
from pentimento_shared.png_file import PngHeader
from pentimento_shared.settings import LANCZOS, SEED_END, Task, Value, check_task, did_you_mean, validate

from . import strict_json
from .limits import Gate
from .problems import refuse
from .uploads import MAX_FIELD, BoundedDraft, check_mask, check_picture

FIELDS: Final = ("task", "settings", "region", "parent", "application")
"""The names that a request's JSON may hold."""
PICTURES: Final[Mapping[Task, tuple[str, ...]]] = {
    "txt2img": (),
    "img2img": ("image",),
    "inpaint": ("image", "mask"),
}
"""The pictures that each task takes, all of them required."""
MAX_WORDS: Final = 200
"""Characters of `parent` and `application`."""
MAX_CANVAS: Final = 1 << 20
"""Longest side of the document that a region lies in, px: far more than any editor opens."""
_KEY: Final = re.compile(r"[\x21-\x7e]{1,200}")
_MULTIPART, _JSON = "multipart/form-data", "application/json"
_REGION: Final = '{"canvas": [W, H], "context": [x, y, w, h]}'


@dataclass(frozen=True)
class _Region:
    canvas: Size
    context: Rect


def read(request: Request, library: ModelLibrary, prompt_files: PromptFiles, gate: Gate) -> Submission:
    """The job that a POST asks for; its pictures are blobs on disk. To be called under `Blobs.hold`.

    Of prompts that differ from picture to picture the first picture's are read; the engine reads all of them.
    Raises Refused, SettingError or EngineError for whatever is wrong with it, and DiskFull; then nothing
    stays.
    """
    key = _key(request)
    text, drafts = _parts(request)
    document = strict_json.parse(text, "request")
    for name in document:
        if name not in FIELDS:
            detail = f"The request holds {name[:80]!r}, which is not known.{did_you_mean(name, FIELDS)}"
            raise refuse(422, detail, name[:80], None, ", ".join(FIELDS))
    task = _task(document)
    settings = _settings(task, document, library)
    seeds = _seeds(settings)
    PromptReader(prompt_files, library.get(str(settings["model"])).family).read(settings, seeds[0])
    _check_parts(task, drafts)
    headers = {name: check_picture(name, draft) for name, draft in drafts.items()}
    if task == "inpaint":
        check_mask(headers["mask"], headers["image"])
    if task == "img2img":
        asked_size(settings, headers["image"].size)  # refused now, and not when the job runs
    region = _region(task, document.get("region"), headers.get("image"))
    parent, application = (_words(document, name) for name in ("parent", "application"))
    blobs = {name: draft.commit() for name, draft in drafts.items()}
    return Submission(
        task=task,
        settings=settings,
        seeds=seeds,
        fingerprint=_fingerprint(document, blobs),
        key=key,
        image=blobs.get("image"),
        mask=blobs.get("mask"),
        canvas=region.canvas if region else None,
        context=region.context if region else None,
        parent=parent,
        application=application,
        client=gate.client(request.remote_addr or "", application),
    )


def _key(request: Request) -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        allowed = "1 to 200 visible ASCII characters"
        raise refuse(400, f"The Idempotency-Key is not usable; allowed: {allowed}.", "Idempotency-Key", key, allowed)
    return key


def _parts(request: Request) -> tuple[bytes | str, dict[str, Draft]]:
    """The request's JSON text, and the uploaded pictures by name."""
    if request.mimetype == _JSON:
        if (request.content_length or 0) > MAX_FIELD:
            raise refuse(413, f"The request's JSON has more than {MAX_FIELD} bytes.", "request")
        return request.get_data(), {}
    if request.mimetype != _MULTIPART:
        detail = f"A job is sent as {_MULTIPART} with the parts request, image and mask, or as {_JSON} alone."
        raise refuse(415, detail, "Content-Type", request.mimetype, f"{_MULTIPART}, {_JSON}")
    drafts: dict[str, Draft] = {}
    texts: list[bytes | str] = list(request.form.getlist("request"))
    for name in request.form:
        if name != "request":
            _unknown_part(name, " as a file" if name in ("image", "mask") else "")
    for name, upload in request.files.items(multi=True):
        draft = upload.stream.draft if isinstance(upload.stream, BoundedDraft) else None
        if name == "request":
            texts.append(upload.stream.read(MAX_FIELD + 1))
        elif name not in ("image", "mask") or draft is None:
            _unknown_part(name, "")
        elif name in drafts:
            raise refuse(422, f"The part {name} was sent twice.", name)
        else:
            drafts[name] = draft
    if len(texts) != 1 or len(texts[0]) > MAX_FIELD:
        detail = f"Exactly one part `request` with at most {MAX_FIELD} bytes of JSON is needed; {len(texts)} came."
        raise refuse(422, detail, "request")
    return texts[0], drafts


def _unknown_part(name: str | None, how: str) -> NoReturn:
    known = "request, image, mask"
    if name is None:
        raise refuse(422, f"A part of the request has no name; there are: {known}.", "", None, known)
    if how:
        raise refuse(422, f"Send the part {name} as a file, with a file name.", name, None, "a file")
    raise refuse(422, f"The part {name[:80]!r} is not known; there are: {known}.", name[:80], None, known)


def _task(document: Mapping[str, Any]) -> Task:
    if "task" not in document:
        raise refuse(422, 'The request has no "task".', "task", None, ", ".join(PICTURES))
    return check_task(document["task"])


def _settings(task: Task, document: Mapping[str, Any], library: ModelLibrary) -> dict[str, Value]:
    values = document.get("settings", {})
    if not isinstance(values, dict):
        raise refuse(422, "The settings are not a JSON object.", "settings", values, '{"prompt": "...", ...}')
    # Twice: what the model's defaults are is known only when the model is, and that may itself be a default.
    model = library.get(str(validate(task, values)["model"]))
    _check_model(task, model)
    settings = validate(task, values, defaults={**model.defaults_of(task), "model": model.id})
    model.check(settings)
    library.vae(model, str(settings["vae"]))
    library.upscaler(str(settings.get("upscale_first", LANCZOS)))
    return settings


def _check_model(task: Task, model: ModelInfo) -> None:
    if task not in model.tasks:
        able = ", ".join(model.tasks)
        raise refuse(422, f"The model {model.id} cannot do {task}, only {able}.", "task", task, able)


def _check_parts(task: Task, drafts: Mapping[str, Draft]) -> None:
    wanted = PICTURES[task]
    listed = " and ".join(wanted) or "no picture"
    for name in wanted:
        if name not in drafts:
            raise refuse(422, f"{task} needs the part {name} (a PNG); it is missing.", name, None, listed)
    for name in drafts:
        if name not in wanted:
            raise refuse(422, f"{task} takes {listed}; leave the part {name} out.", name, None, listed)


def _region(task: Task, value: object, image: PngHeader | None) -> _Region | None:
    if value is None:
        return None
    if image is None:
        raise refuse(422, f"{task} has no picture that could lie in a region; leave region out.", "region", value)
    named = value if isinstance(value, dict) and set(value) == {"canvas", "context"} else {}
    canvas, context = _whole(named.get("canvas"), 2), _whole(named.get("context"), 4)
    if canvas is None or context is None:
        raise refuse(422, f"The region is not of the form {_REGION} in whole px.", "region", value, _REGION)
    region = _Region(Size(*canvas), Rect(*context))
    if max(region.canvas) > MAX_CANVAS or not Rect.of(region.canvas).contains(region.context):
        detail = f"The region's context {context} does not lie inside its canvas {canvas}."
        raise refuse(422, detail, "region", value, _REGION)
    if region.context.size != image.size:
        detail = (
            f"The region's context is {region.context.width} x {region.context.height} pixels and the image "
            f"{image.size.width} x {image.size.height}: the image must be exactly that part of the canvas."
        )
        raise refuse(422, detail, "region", value, _REGION)
    return region


def _whole(value: object, count: int) -> list[int] | None:
    """`value` when it is a list of so many lengths in px, None otherwise."""
    if not isinstance(value, list) or len(value) != count:
        return None
    whole = [item for item in value if isinstance(item, int) and not isinstance(item, bool)]
    return whole if len(whole) == count and all(0 <= item <= MAX_CANVAS for item in whole) else None


def _words(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    if value is None or (isinstance(value, str) and len(value) <= MAX_WORDS):
        return value
    allowed = f"text of at most {MAX_WORDS} characters"
    raise refuse(422, f"{name} is not {allowed}.", name, value, allowed)


def _seeds(settings: dict[str, Value]) -> tuple[int, ...]:
    """One seed per picture, from the first, which is drawn now when the settings ask for a random one.

    A job that runs a second time makes the same pictures, so chance has its place here and nowhere later. The
    settings are brought in line. Raises SettingError.
    """
    varied = ("variation_seed",) if float(settings["variation_strength"]) > 0 else ()
    for name in ("seed", *varied):
        if int(settings[name]) < 0:
            settings[name] = secrets.randbelow(SEED_END)
    return seeds_of(settings)


def _fingerprint(document: Mapping[str, Any], blobs: Mapping[str, str]) -> str:
    """A hash of the request as it was sent: a retry has the same."""
    canonical = json.dumps([document, dict(blobs)], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()
