"""Krita plugin of the tests: once the window is there, plays a script's cases and ends Krita."""

import faulthandler
import os
import sys
import time
import traceback

import krita

if getattr(krita, "qt_major_version", lambda: 5)() == 6:
    from PyQt6.QtCore import QTimer
    from PyQt6.QtWidgets import QApplication
else:
    from PyQt5.QtCore import QTimer
    from PyQt5.QtWidgets import QApplication

sys.path.insert(0, os.environ["PENTIMENTO_INSIDE"])
import stage

SETTLING_S = 1.0
"""How long the window must have been there: Krita goes on building it after windowCreated."""
REST_S = 0.5
"""Before documents are closed: see stage.Stage.rest."""


class StageExtension(krita.Extension):
    def setup(self) -> None:
        faulthandler.dump_traceback_later(float(os.environ["PENTIMENTO_PATIENCE"]))
        self.player = None
        self.seen = 0.0
        self.timer = QTimer()
        self.timer.setInterval(10)
        self.timer.timeout.connect(self.tick)
        self.timer.start()

    def createActions(self, window) -> None:
        pass

    def tick(self) -> None:
        try:
            if self.player is None:
                self.begin()
            elif not self.player.step():
                self.end(0)
        except BaseException:  # noqa: BLE001  whatever it is, nobody else would say it
            traceback.print_exc()
            self.end(1)

    def begin(self) -> None:
        window = krita.Krita.instance().activeWindow()
        if window is None or not window.qwindow().isVisible():
            return
        if not self.seen:
            # In the small window of Krita's first start there is no room for what a picture is to show.
            window.qwindow().showMaximized()
            self.seen = time.monotonic()
        if time.monotonic() - self.seen < SETTLING_S:
            return
        the_stage, cases = stage.load(QApplication.processEvents)
        self.player = stage.Player(cases, the_stage, tidy, REST_S)

    def end(self, code: int) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        # The regular end asks about unsaved documents.
        os._exit(code)


def tidy() -> None:
    """Closes every document, so that each case begins with none."""
    for document in krita.Krita.instance().documents():
        document.waitForDone()
        document.setModified(False)
        document.close()
    QApplication.processEvents()


krita.Krita.instance().addExtension(StageExtension(krita.Krita.instance()))
