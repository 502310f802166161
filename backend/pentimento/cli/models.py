"""`pentimento models`: what there is, where it lies, and more from a hub."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from .failures import Failure, wrong

if TYPE_CHECKING:
    from pentimento.engine.checkpoints.recognise import Kind
    from pentimento.engine.models import ModelInfo
    from pentimento.pulling import Report

_BESIDES: Final[tuple[tuple[Kind, str], ...]] = (
    ("lora", "LoRA"),
    ("embedding", "Embeddings"),
    ("vae", "VAEs"),
    ("upscaler", "Upscalers"),
)
_as_json = click.option("--json", "as_json", is_flag=True, help="Print all that is known as JSON.")


@click.group(invoke_without_command=True)
@_as_json
@click.pass_context
def models(context: click.Context, as_json: bool) -> None:
    """List the models that are installed, add folders of other programs, fetch more."""
    if context.invoked_subcommand is None:
        _list(as_json)


@models.command("list")
@_as_json
def list_(as_json: bool) -> None:
    """List the models, LoRA, embeddings, VAEs and upscalers, and the files that cannot be used, with the reason."""
    _list(as_json)


def _list(as_json: bool) -> None:
    from pentimento.engine.models import ModelLibrary

    library = ModelLibrary.standard()
    found = library.list()
    if as_json:
        # A list of models, as it always was; what else there is comes with `list`'s words and with GET /models.
        _print_json([info.to_json() for info in found])
        return
    if not found:
        raise Failure("No model is installed.")
    for info in found:
        width, height = info.native_size
        what = ", ".join(
            [info.family, *([info.variant] if info.variant else []), *([] if info.has_vae else ["no VAE"])]
        )
        click.echo(f"{info.id:<20} {info.name} ({what}, made for {width} x {height}): {', '.join(info.tasks)}")
        if info.description:
            click.echo(f"{'':<20} {info.description}")
    for kind, title in _BESIDES:
        names = [file.name for file in library.folders.files(kind) if not file.refused]
        if names:
            click.echo(f"\n{title}: {', '.join(names)}")
    refused = library.refused()
    if refused:
        click.echo("\nNot usable:")
        for file in refused:
            click.echo(f"{file.name:<20} {file.path.name} {file.refused}")


@models.command()
@click.argument("model")
@_as_json
def info(model: str, as_json: bool) -> None:
    """Say all that is known of one model, and the memory that it takes."""
    from pentimento.engine.footprint import weight_bytes
    from pentimento.engine.models import ModelLibrary

    found = ModelLibrary.standard().get(model)
    if as_json:
        _print_json(
            {**found.to_json(), "memory": {"float16": weight_bytes(found, 2), "float32": weight_bytes(found, 4)}}
        )
        return
    click.echo("\n".join(f"{label + ':':<14} {value}" for label, value in _facts(found)))


def _facts(info: ModelInfo) -> Iterator[tuple[str, str]]:
    from pentimento.engine.footprint import amount, weight_bytes

    yield "id", info.id
    yield "name", info.name
    yield "family", f"{info.family}, {info.variant}" if info.variant else info.family
    yield "made for", f"{info.native_size.width} x {info.native_size.height} px"
    yield "tasks", ", ".join(info.tasks)
    if not info.has_vae:
        yield "VAE", "none of its own: choose one as SD VAE"
    if info.defaults:
        yield "defaults", ", ".join(f"{name} {value}" for name, value in info.defaults.items())
    for task, values in info.task_defaults.items():
        yield f"for {task}", ", ".join(f"{name} {value}" for name, value in values.items())
    half, full = (amount(weight_bytes(info, size)) for size in (2, 4))
    yield "memory", f"{half} on a GPU, {full} on the CPU, and the picture's own"
    if info.description:
        yield "description", info.description
    if info.license:
        yield "license", info.license
    yield "lies in", str(info.file or info.folder)


@models.command()
@click.argument("folder", type=click.Path(path_type=Path))
def add(folder: Path) -> None:
    """Look for models in FOLDER too, from now on.

    FOLDER may be that of AUTOMATIC1111, Forge, ComfyUI, InvokeAI or krita-ai-diffusion: their subfolders are known. In
    any other, each file is what its header says. Nothing is copied, moved or changed.
    """
    from pentimento.engine.checkpoints.places import ModelFolders, remember

    kept = remember(folder)
    counts: dict[str, int] = {}
    for file in ModelFolders((), lambda: (kept,)).all():
        kind = "refused" if file.refused else file.kind
        counts[kind] = counts.get(kind, 0) + 1
    listed = ", ".join(f"{count} {kind}" for kind, count in counts.items()) or "no file with weights"
    click.echo(f"added {kept}: {listed}")


@models.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask before files are deleted.")
def remove(name: str, yes: bool) -> None:
    """Forget a FOLDER that was added, or delete a model from our own folder.

    NAME is a folder as `models add` took it, or the id of a model. Files in other programs' folders are never deleted.
    """
    from pentimento.engine.checkpoints.places import forget, remembered

    folder = Path(name).expanduser().absolute()
    if folder in remembered():
        click.echo(f"{forget(folder)} is not looked through any more; its files stay")
        return
    _delete(name, yes)


def _delete(name: str, yes: bool) -> None:
    import shutil

    from pentimento.engine.models import ModelLibrary
    from pentimento_shared.places import data_folder

    info = ModelLibrary.standard().get(name)
    place = info.file or info.folder
    if not place.is_relative_to(data_folder() / "models"):
        raise wrong(f"{place} is not in {data_folder() / 'models'}: only what lies there is deleted.")
    if not yes:
        click.confirm(f"Delete {place}?", abort=True)
    if info.file is None:
        shutil.rmtree(place)
    else:
        place.unlink()
    click.echo(f"deleted {place}")


@models.command()
@click.argument("what", metavar="OWNER/NAME[:FILE]")
@click.option("--full", is_flag=True, help="In full precision, also where the weights are there in half.")
def pull(what: str, full: bool) -> None:
    """Fetch a model from the hub of Hugging Face, or one safetensors FILE of it.

    An interrupted download goes on where it was; each file is compared with the hub's hash. HF_TOKEN and HF_ENDPOINT
    are honoured. This is the only command that uses the network.
    """
    import os

    # Read when the library is imported: it is to tell nobody what is fetched but the hub that is asked.
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    from pentimento.pulling import PullError, Wanted
    from pentimento.pulling import pull as fetch
    from pentimento_shared.places import data_folder

    try:
        wanted = Wanted.parse(what)
        with _bar() as report:
            place = fetch(wanted, data_folder() / "models", report, full)
    except PullError as error:
        raise Failure(str(error)) from error
    click.echo(f"{wanted.repo} is in {place}")


@contextmanager
def _bar() -> Iterator[Report]:
    """A bar for a terminal; nothing where there is none."""
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    console = Console(stderr=True)
    with Progress(*columns, TimeRemainingColumn(), console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)

        def report(name: str, here: int, total: int) -> None:
            progress.update(task, description=name, completed=here, total=total)

        yield report


def _print_json(value: Any) -> None:
    import json

    click.echo(json.dumps(value, ensure_ascii=False, indent=2, default=str))
