"""Puts the plugin together when Krita loads it: no network here, and nothing slow."""

from __future__ import annotations

import signal
import sys

from krita import DockWidgetFactory, DockWidgetFactoryBase, Krita

from pentimento_shared import VERSION
from pentimento_shared.backend_link import BackendLink
from pentimento_shared.controller import Controller

from .docker import ID, PentimentoDocker
from .extension import PentimentoExtension
from .session import Session

_GROUP, _KEY = "pentimento", "settings"
"""Where the docker's settings lie in Krita's own settings."""


def start() -> None:
    """Registers commands and docker with Krita."""
    outlive_broken_pipes()
    krita = Krita.instance()
    link = BackendLink(VERSION)
    session = Session(
        link,
        Controller(link.connect, f"Krita {krita.version()}"),
        krita.readSetting(_GROUP, _KEY, ""),
        lambda text: krita.writeSetting(_GROUP, _KEY, text),
    )
    krita.addExtension(PentimentoExtension(krita, session))
    position = DockWidgetFactoryBase.DockPosition.DockRight
    krita.addDockWidgetFactory(DockWidgetFactory(ID, position, lambda: PentimentoDocker(session)))
    krita.notifier().applicationClosing.connect(session.close)


def outlive_broken_pipes() -> None:
    """Makes a write to a backend that has died raise BrokenPipeError, as in every Python of its own.

    Krita embeds Python without its part about signals, and SIGPIPE as the system has it would end Krita, and with it
    what was not saved. A handler of somebody else's stays.
    """
    if sys.platform != "win32" and signal.getsignal(signal.SIGPIPE) is signal.SIG_DFL:
        signal.signal(signal.SIGPIPE, signal.SIG_IGN)
