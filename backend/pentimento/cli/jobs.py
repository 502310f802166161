"""The commands that make pictures: one job each, sent to the backend, followed, and fetched."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from pentimento_shared.answers import BackendError, Job
from pentimento_shared.many import seeds_of
from pentimento_shared.settings import AS_WORKED, Task, Value, validate

from .failures import INTERRUPTED, Failure, wrong
from .options import SizeType, given, setting_options
from .output import Output, output_for
from .pictures import Picture, read_mask, read_picture, with_color

if TYPE_CHECKING:
    from pentimento_shared.client import Client

    from .progress import Progress

COMPOSITES = ("full", "layer", "raw")


@dataclass(frozen=True)
class Order:
    """A job as it was asked for. `url` None: this user's own backend, started when none runs."""

    task: Task
    settings: Mapping[str, Value]
    output: Output
    composite: str
    url: str | None
    image: Picture | None = None
    mask: Picture | None = None

    @property
    def pictures(self) -> int:
        """How many pictures the job makes. Raises SettingError for settings that cannot go together."""
        return len(seeds_of(validate(self.task, self.settings)))


class Made(NamedTuple):
    """A picture that was written: where, and what its recipe says of how it was made."""

    file: Path
    seed: int
    width: int
    height: int
    steps_run: int
    steps: int
    model: str


def shared_options(command: Callable[..., object]) -> Callable[..., object]:
    """What the commands have in common beside the settings."""
    for option in reversed(
        (
            click.option(
                "-o",
                "--output",
                type=click.Path(path_type=Path),
                metavar="FILE",
                help="Write to this PNG file (an existing one is overwritten, never the input), or into this"
                " folder. Without it: beside the input, under a new name.",
            ),
            click.option(
                "--composite",
                type=click.Choice(COMPOSITES),
                default="full",
                show_default=True,
                help="full: the result laid over the source. layer: the result alone, its alpha the"
                " selection. raw: as the model made it.",
            ),
            click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON."),
            click.option(
                "--server",
                "url",
                metavar="URL",
                help="Use the backend at this address instead of starting one.",
            ),
        )
    ):
        command = option(command)
    return command


_FILE = click.Path(path_type=Path)
_size_option = click.option("--size", type=SizeType(), metavar="WxH", help="Width and height in one: 256x384.")


def _take_size(size: tuple[Value, Value] | None, options: dict[str, Any]) -> None:
    """Puts --size where --width and --height are. Raises Failure when they are given, too."""
    if size is None:
        return
    if options["width"] is not None or options["height"] is not None:
        raise wrong("--size already says width and height; leave --width and --height out.")
    options["width"], options["height"] = size


@click.command()
@click.argument("image", type=_FILE)
@click.argument("prompt")
@_size_option
@setting_options("img2img")
@shared_options
def img2img(image: Path, size: tuple[Value, Value] | None, **options: Any) -> None:
    """Turn the picture IMAGE into another, as PROMPT says. The result has the size that is asked for, else IMAGE's.

    \b
    pentimento img2img photo.jpg "a watercolor at sunset" --strength 0.6
    """
    picture = read_picture(image)
    _take_size(size, options)
    asked = any(options[name] is not None for name in ("width", "height", "scale_by"))
    if asked and options["result_size"] is None:
        options["result_size"] = AS_WORKED
    carry_out(order_of("img2img", options, [image], picture), options)


@click.command()
@click.argument("image", type=_FILE)
@click.argument("mask", type=_FILE)
@click.argument("prompt")
@setting_options("inpaint")
@shared_options
def inpaint(image: Path, mask: Path, **options: Any) -> None:
    """Repaint the part of IMAGE that is white in MASK, as PROMPT says. Black stays; grey is in between.

    \b
    pentimento inpaint photo.jpg mask.png "a red house"
    """
    picture, selection = read_picture(image), read_mask(mask)
    if picture.size != selection.size:
        raise wrong(f"{mask} is {px(selection)} and {image} is {px(picture)}; a mask has the size of its picture.")
    carry_out(order_of("inpaint", options, [image, mask], picture, selection), options)


@click.command()
@click.argument("prompt")
@_size_option
@setting_options("txt2img")
@shared_options
def txt2img(size: tuple[Value, Value] | None, **options: Any) -> None:
    """Make a picture from the words PROMPT.

    \b
    pentimento txt2img "a lighthouse in the snow, oil painting" --size 256x384
    """
    _take_size(size, options)
    carry_out(order_of("txt2img", options, []), options)


@click.command()
@click.argument("id")
@shared_options
def fetch(id: str, output: Path | None, composite: str, as_json: bool, url: str | None) -> None:
    """Get the pictures of the job ID again, waiting for its end.

    The backend keeps a job for a day after its pictures were first fetched.
    """
    from pentimento.background import connect

    from .progress import Progress

    started = time.monotonic()
    goal = output_for(output, [])
    goal.check(1)
    with Progress() as progress, connect(url, progress.say) as client:
        job, pictures = _finished(client, id, composite, progress)
    _deliver(job, pictures, goal, started, as_json)


def px(picture: Picture) -> str:
    return f"{picture.size.width} x {picture.size.height} px"


def order_of(
    task: Task,
    options: Mapping[str, Any],
    inputs: Sequence[Path],
    image: Picture | None = None,
    mask: Picture | None = None,
) -> Order:
    """The order that a command's options make. Raises Failure, before any work, when nothing could be written."""
    output = output_for(options["output"], inputs)
    order = Order(task, given(options), output, options["composite"], options["url"], image, mask)
    output.check(order.pictures)
    return order


def carry_out(order: Order, options: Mapping[str, Any], finish: Callable[[bytes], bytes] = lambda png: png) -> None:
    """Makes the order's pictures, and writes them as `finish` makes them of the PNGs that come."""
    started = time.monotonic()
    for notice in (order.image.notice if order.image else "", order.mask.notice if order.mask else ""):
        if notice:
            click.echo(notice, err=True)
    job, pictures = _ordered(order)
    color = order.image.color if order.image else ()
    _deliver(job, [with_color(finish(png), color) for png in pictures], order.output, started, options["as_json"])


def _ordered(order: Order) -> tuple[Job, list[bytes]]:
    """The job, done, and its pictures as PNG. Ctrl+C cancels it. Raises Failure, BackendError."""
    from pentimento.background import connect

    from .progress import Progress

    with Progress() as progress, interrupts() as interrupted, connect(order.url, progress.say) as client:
        key = uuid.uuid4().hex
        known: list[Job] = []
        try:
            known.append(submit(client, order, key))
            return _finished(client, known[0].id, order.composite, progress, interrupted)
        except KeyboardInterrupt:
            # With the same key this makes no second job: it only tells the id when the answer was cut off.
            with suppress(BackendError):
                client.cancel((known or [submit(client, order, key)])[0].id)
            raise Failure("Cancelled.", INTERRUPTED) from None


def submit(client: Client, order: Order, key: str) -> Job:
    from pentimento import __version__

    request = {
        "task": order.task,
        "settings": dict(order.settings),
        "application": f"pentimento cli {__version__}",
    }
    image, mask = (part.png if part else None for part in (order.image, order.mask))
    return client.submit(request, image, mask, key)


@contextmanager
def interrupts() -> Iterator[Callable[[], bool]]:
    """Tells whether Ctrl+C was pressed: Python drops the KeyboardInterrupt when it falls into a finalizer."""
    pressed: list[int] = []

    def press(number: int, _: object) -> None:
        pressed.append(number)
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, press)
    try:
        yield lambda: bool(pressed)
    finally:
        signal.signal(signal.SIGINT, before)


def until_interrupted(jobs: Iterable[Job], interrupted: Callable[[], bool]) -> Iterator[Job]:
    """The jobs as they come. Raises KeyboardInterrupt for one that was lost."""
    for job in jobs:
        if interrupted():
            raise KeyboardInterrupt
        yield job


def _finished(
    client: Client, id: str, composite: str, progress: Progress, interrupted: Callable[[], bool] = lambda: False
) -> tuple[Job, list[bytes]]:
    """A job once it is done, and all its pictures. Raises Failure for one that ended otherwise, BackendError."""
    job = progress.watch(until_interrupted(client.follow(id), interrupted))
    if job.problem is not None:
        raise job.problem
    if job.state != "done":
        raise Failure(f"The job was {job.state} on the backend; nothing was written.")
    return job, [client.image(id, k, composite) for k in range(len(job.seeds))]


def _made(file: Path, png: bytes, seed: int) -> Made:
    from pentimento_shared.png_file import read_png_header, read_png_text
    from pentimento_shared.recipe import PNG_KEY, Recipe

    size = read_png_header(png).size
    recipe = Recipe.from_json(read_png_text(png)[PNG_KEY])
    steps = int(recipe.settings["steps"])
    return Made(file, seed, *size, recipe.steps_run, steps, str(recipe.settings["model"]))


def _deliver(job: Job, pictures: Sequence[bytes], output: Output, started: float, as_json: bool) -> None:
    """Writes the pictures and tells of them. Raises Failure, with the way to get them all the same."""
    try:
        files = output.write(pictures)
    except Failure as error:
        again = f"The backend keeps it for a day: `python3 launch.py fetch {job.id} -o FILE`."
        raise Failure(f"{error}\n{again}") from error
    made = [_made(file, png, seed) for file, png, seed in zip(files, pictures, job.seeds, strict=True)]
    for warning in job.warnings:
        click.echo(warning, err=True)
    _report(job, made, time.monotonic() - started, as_json)


def _report(job: Job, made: Sequence[Made], seconds: float, as_json: bool) -> None:
    if as_json:
        import json

        files = [{**one._asdict(), "file": str(one.file)} for one in made]
        outcome = {
            "id": job.id,
            "task": job.task,
            "images": files,
            "seconds": round(seconds, 3),
            "warnings": list(job.warnings),
        }
        click.echo(json.dumps(outcome, ensure_ascii=False))
        return
    for one in made:
        click.echo(
            f"{one.file}  {one.width} x {one.height} px, seed {one.seed}, {one.steps_run} of {one.steps} steps run"
        )
    click.echo(f"{seconds:.1f} s with {made[0].model}")
