"""PyQt as Krita brings it: 5 in Krita 5, 6 in Krita 6. Everything else imports it from here.

Importing krita has loaded the bindings that belong to it; loading the other ones beside them would end Krita. Enums are
written with their scope (`Qt.MouseButton.NoButton`), which both know.
"""

from __future__ import annotations

import sys

import krita  # noqa: F401  loads PyQt

if "PyQt6.QtCore" in sys.modules:
    from PyQt6 import QtCore, QtGui, QtWidgets
    from PyQt6.QtGui import QAction
else:
    from PyQt5 import QtCore, QtGui, QtWidgets
    from PyQt5.QtWidgets import QAction

__all__ = ["QAction", "QtCore", "QtGui", "QtWidgets"]
