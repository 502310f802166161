"""`python -m pentimento ARGS`: the same as the command `pentimento`."""

from __future__ import annotations

import sys

from .cli import main

sys.exit(main())
