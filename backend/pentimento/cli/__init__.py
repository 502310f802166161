"""The command line: `pentimento serve`, `img2img`, `inpaint`, `txt2img` and the rest. Never imports torch."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command (`arguments`, else sys.argv's); its exit code is 0, 1, or 2 for wrong input."""
    from .commands import cli
    from .failures import explain

    try:
        result = cli.main(args=arguments, prog_name="pentimento", standalone_mode=False)
    except BrokenPipeError:
        # Whoever read our output has gone (`| head`); Python would complain once more at its end.
        sys.stdout = None
        return 1
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the last place where a sentence can be made
        failure = explain(error)
        sys.stderr.write(f"{failure}\n")
        return failure.code
    return result if isinstance(result, int) else 0
