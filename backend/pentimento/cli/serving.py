"""`pentimento serve`: the server in this terminal, and what to do next."""

from __future__ import annotations

from pathlib import Path

import click

from pentimento import __version__
from pentimento.server.run import Options, Running, ServeError, serve
from pentimento_shared.places import data_folder

from .failures import Failure

_NEXT = """\
Pentimento {version} listens at {url}

  In Krita and GIMP 3: `python3 launch.py plugins install`, once, in another terminal; then restart the editor.
  Without an editor:
      python3 launch.py img2img PICTURE "a watercolor at sunset" --strength 0.6
      python3 launch.py inpaint PICTURE MASK "a red house"
      python3 launch.py txt2img "a lighthouse in the snow, oil painting"

  Jobs, pictures and logs are kept in {data}.
  Ctrl+C ends the backend; what is not done goes on at its next start."""


def run(listen: str | None, port: int | None, tls_cert: Path | None, tls_key: Path | None, insecure: bool) -> None:
    """Serves until Ctrl+C or SIGTERM. Raises Failure when the server cannot start."""
    usual = Options()
    options = Options(
        listen or usual.listen,
        usual.port if port is None else port,
        tls_cert=tls_cert,
        tls_key=tls_key,
        insecure=insecure,
    )
    try:
        serve(options, _say)
    except ServeError as error:
        raise Failure(str(error), error.code) from error


def _say(running: Running) -> None:
    click.echo(_NEXT.format(version=__version__, url=running.url, data=data_folder()))
    if running.warning:
        click.echo(f"\n{running.warning}", err=True)
