"""What the routes work with, handed to the app once when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, cast

from flask import current_app

from pentimento.engine.models import ModelLibrary
from pentimento.jobs.blobs import Blobs
from pentimento.jobs.hub import Hub
from pentimento.jobs.queue import Jobs
from pentimento.jobs.supervisor import Supervisor

from .guard import Guard

KEY: Final = "pentimento"


@dataclass(frozen=True)
class Services:
    """The parts of a running server."""

    guard: Guard
    jobs: Jobs
    hub: Hub
    blobs: Blobs
    supervisor: Supervisor
    library: ModelLibrary


def services() -> Services:
    """The services of the app that handles the present request."""
    return cast(Services, current_app.extensions[KEY])
