"""`python -m pentimento.server [--listen ADDRESS] [--port N]`: the server without the CLI around it."""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from pentimento_shared.backend_start import PORT

from .run import Options, Running, ServeError, serve


def main() -> int:
    """Serves; prints the URL as one line once it answers. Returns the process' exit code."""
    parser = argparse.ArgumentParser(prog="python -m pentimento.server", description="The Pentimento server.")
    parser.add_argument("--listen", default="127.0.0.1", metavar="ADDRESS")
    parser.add_argument("--port", type=int, default=PORT, metavar="N")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE")
    parser.add_argument("--tls-key", type=Path, metavar="FILE")
    parser.add_argument("--insecure", action="store_true")
    parser.add_argument("--debug", action="store_true", help="more in the log")
    arguments = parser.parse_args()
    level = logging.DEBUG if arguments.debug else logging.INFO
    tls = arguments.tls_cert, arguments.tls_key
    try:
        serve(Options(arguments.listen, arguments.port, level, *tls, arguments.insecure), _say)
    except ServeError as error:
        sys.stderr.write(f"{error}\n")
        return error.code
    return 0


def _say(running: Running) -> None:
    sys.stdout.write(f"{running.url}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
