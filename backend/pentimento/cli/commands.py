"""The group of all commands, and the small ones: serve, stop, models, token, info, doctor."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from pentimento import __version__

from .failures import FAILED, Failure
from .grid import grid
from .jobs import fetch, img2img, inpaint, txt2img
from .models import models
from .outpaint import outpaint
from .plugins import plugins
from .prompts import prompt, styles

_HERE: Final = Path()
"""`--bundle` without a file: a name with the time, in the present folder."""


class _InOrder(click.Group):
    """A group that lists its commands as they were added: the main ones first."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


@click.group(cls=_InOrder, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="pentimento", message="%(prog)s %(version)s")
def cli() -> None:
    """img2img and inpainting on this machine, for Krita, GIMP and the command line."""


@cli.command()
@click.option("--listen", default=None, metavar="ADDRESS", help="Listen here instead of on this machine alone.")
@click.option("--port", type=click.IntRange(0, 65535), default=None, metavar="N", help="Port; 0 picks a free one.")
@click.option("--tls-cert", type=click.Path(path_type=Path), metavar="FILE", help="Serve HTTPS: the certificate, PEM.")
@click.option("--tls-key", type=click.Path(path_type=Path), metavar="FILE", help="The certificate's key, PEM.")
@click.option("--insecure", is_flag=True, help="Let other machines in without TLS.")
def serve(listen: str | None, port: int | None, tls_cert: Path | None, tls_key: Path | None, insecure: bool) -> None:
    """Run the backend in this terminal, until Ctrl+C.

    Other machines get in by --listen only, with a token of your own (PENTIMENTO_TOKEN) and a certificate.
    """
    from .serving import run

    run(listen, port, tls_cert, tls_key, insecure)


for _command in (img2img, inpaint, outpaint, txt2img, grid, fetch, prompt, styles, plugins):
    cli.add_command(_command)


@cli.command()
def stop() -> None:
    """Stop the backend that runs in the background.

    Jobs that are not done go on at its next start.
    """
    from pentimento.background import stop as end

    stopped = end()
    click.echo(f"stopped the backend at {stopped.url}" if stopped else "no backend is running")


cli.add_command(models)


@cli.command()
@click.option("--show", is_flag=True, help="Print the token itself.")
@click.option("--new", is_flag=True, help="Make a new one; the old one stops working when the backend restarts.")
def token(show: bool, new: bool) -> None:
    """Print where the token of the backend lies.

    Editors and scripts on this machine show it to be let in.
    """
    import os

    from pentimento.disk import DiskFull
    from pentimento.server.token import TokenError
    from pentimento.server.token import token as find_or_make
    from pentimento_shared.places import token_file

    try:
        if new:
            token_file().unlink(missing_ok=True)
        value = find_or_make(token_file(), {} if new else os.environ)
    except (TokenError, DiskFull) as error:
        raise Failure(str(error)) from error
    click.echo(value if show else str(token_file()))
    if new:
        _tell_of_old_token()


def _tell_of_old_token() -> None:
    from pentimento.background import running

    if running():
        click.echo("The running backend takes the old token until it is stopped and started again.", err=True)


@cli.command()
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the recipe as JSON.")
def info(file: Path, as_json: bool) -> None:
    """Show the recipe inside the picture FILE."""
    from .recipes import read_recipe, recipe_lines

    recipe = read_recipe(file)
    if as_json:
        _print_json(recipe)
    else:
        click.echo("\n".join(recipe_lines(recipe)))


@cli.command()
@click.option("--full", is_flag=True, help="Also load torch and ask it for its device (some seconds).")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as JSON.")
@click.option(
    "--bundle",
    is_flag=False,
    flag_value=_HERE,
    type=click.Path(path_type=Path),
    metavar="[FILE]",
    help="Pack logs, versions and findings into a zip, for whoever helps: no pictures, prompts or tokens.",
)
def doctor(full: bool, as_json: bool, bundle: Path | None) -> int:
    """Look whether everything is in place.

    Says what to do where something is not; the exit code is 1 then.
    """
    from pentimento.doctor import FAIL, examine

    findings = list(examine(full))
    if bundle is not None:
        from pentimento.diagnosis import pack

        packed = pack(findings, None if bundle == _HERE else bundle)
        click.echo(f"packed {packed}: logs, versions and findings, without pictures, prompts and tokens", err=True)
    if as_json:
        _print_json([finding._asdict() for finding in findings])
    else:
        for finding in findings:
            click.echo(f"{_mark(finding.mark)} {finding.subject + ':':<14} {finding.text}")
    return FAILED if any(finding.mark == FAIL for finding in findings) else 0


def _mark(mark: str) -> str:
    return click.style(f"{mark:<4}", fg={"ok": "green", "warn": "yellow", "FAIL": "red"}.get(mark), bold=mark == "FAIL")


def _print_json(value: Any) -> None:
    import json

    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))
