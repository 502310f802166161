"""What the routes work with, handed to the app once when it is made."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Final, cast

from flask import current_app

from pentimento.engine.extras.catalog import Catalog
from pentimento.engine.models import ModelLibrary
from pentimento.engine.prompts.resolving import PromptFiles
from pentimento.engine.prompts.vocabulary import Vocabularies
from pentimento.jobs.blobs import Blobs
from pentimento.jobs.hub import Hub
from pentimento.jobs.queue import Jobs
from pentimento.jobs.supervisor import Supervisor

from .guard import Guard
from .limits import Gate

KEY: Final = "pentimento"


@dataclass(frozen=True)
class Words:
    """What prompts are read with. `writing` is held by whoever changes one of the files."""

    files: PromptFiles = field(default_factory=PromptFiles.standard)
    vocabularies: Vocabularies = field(default_factory=Vocabularies)
    catalog: Catalog = field(default_factory=Catalog)
    writing: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Services:
    """The parts of a running server."""

    guard: Guard
    jobs: Jobs
    hub: Hub
    blobs: Blobs
    supervisor: Supervisor
    library: ModelLibrary
    words: Words = field(default_factory=Words)
    gate: Gate = field(default_factory=Gate)


def services() -> Services:
    """The services of the app that handles the present request."""
    return cast(Services, current_app.extensions[KEY])
