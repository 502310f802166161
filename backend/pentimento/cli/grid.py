"""`pentimento grid`: a picture for each combination of settings, and a sheet that shows them side by side."""

from __future__ import annotations

import hashlib
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from pentimento_shared.answers import BackendError, Job
from pentimento_shared.settings import SEED_END, Task, Value, validate
from pentimento_shared.variants import Axis, Cell, Grid, plan_grid, read_axis, split_axis

from .failures import INTERRUPTED, Failure, wrong
from .jobs import interrupts, px, until_interrupted
from .options import given, setting_options
from .output import Output
from .pictures import Picture, read_mask, read_picture, with_color

if TYPE_CHECKING:
    from pentimento_shared.client import Client

    from .progress import Progress

PLAN: Final = "grid.json"
"""What a folder's grid was asked to be, and the number that its seeds come from: the same command goes on with it."""
SHEET: Final = "sheet.png"
NO_PICTURE: Final = "-"
_LONGEST_NAME: Final = 60


@dataclass(frozen=True)
class GridOrder:
    """A grid as it was asked for. `axes` are what was written: (name, values)."""

    task: Task
    settings: Mapping[str, Value]
    axes: tuple[tuple[str, str], ...]
    folder: Path
    composite: str
    image: Picture | None
    mask: Picture | None

    @property
    def asked(self) -> dict[str, Any]:
        """All that the pictures follow from, but for seeds that are drawn; JSON-ready."""
        sent = {"image": self.image, "mask": self.mask}
        return {
            "task": self.task,
            "settings": dict(self.settings),
            "axes": [list(axis) for axis in self.axes],
            "composite": self.composite,
            **{name: hashlib.sha256(part.png).hexdigest() if part else None for name, part in sent.items()},
        }


def _axis(letter: str) -> Callable[..., Any]:
    help = f'What changes along {letter}: a setting and its values, "strength: 0.2-0.8 [4]" or "sampler: Euler, Heun".'
    return click.option(f"--{letter}", metavar="NAME: VALUES", required=letter == "x", help=help)


@click.command()
@click.argument("image", type=click.Path(path_type=Path, allow_dash=True))
@click.argument("prompt")
@_axis("x")
@_axis("y")
@_axis("z")
@click.option(
    "--mask", type=click.Path(path_type=Path), metavar="FILE", help="Inpaint: the white part of this picture."
)
@click.option("--out", type=click.Path(path_type=Path), metavar="FOLDER", required=True, help="Write into this folder.")
@click.option(
    "--composite",
    type=click.Choice(("full", "layer", "raw")),
    default="full",
    show_default=True,
    help="As for img2img and inpaint.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the outcome as JSON.")
@click.option("--server", "url", metavar="URL", help="Use the backend at this address instead of starting one.")
@setting_options("txt2img", "img2img", "inpaint")
def grid(image: Path, mask: Path | None, out: Path, composite: str, as_json: bool, url: str | None, **options: Any):
    """Make a picture of IMAGE for each combination of up to three settings' values, and a sheet of them all.

    IMAGE - makes pictures from PROMPT alone. Ctrl+C stops; the same command goes on where it was.

    \b
    pentimento grid photo.jpg "a watercolor" --x "strength: 0.2-0.8 [4]" --y "sampler: Euler, DPM++ 2M" --out grid
    """
    started = time.monotonic()
    axes = tuple(split_axis(text) for letter in "xyz" if (text := options.pop(letter)) is not None)
    order = _order(image, mask, out, composite, axes, given(options))
    for part in (order.image, order.mask):
        if part is not None and part.notice:
            click.echo(part.notice, err=True)
    cells, files = _made(order, url)
    sheet = _sheet(order, cells, files)
    _report(cells, files, sheet, time.monotonic() - started, as_json)


def _order(
    image: Path,
    mask: Path | None,
    folder: Path,
    composite: str,
    axes: tuple[tuple[str, str], ...],
    settings: Mapping[str, Value],
) -> GridOrder:
    words = str(image) == NO_PICTURE
    if words and mask is not None:
        raise wrong(f"A mask needs a picture; name one instead of {NO_PICTURE}, or leave --mask out.")
    task: Task = "txt2img" if words else "img2img" if mask is None else "inpaint"
    validate(task, settings)
    picture, selection = None if words else read_picture(image), None if mask is None else read_mask(mask)
    if picture and selection and picture.size != selection.size:
        raise wrong(f"{mask} is {px(selection)} and {image} is {px(picture)}; a mask has the size of its picture.")
    return GridOrder(task, settings, axes, folder, composite, picture, selection)


def _made(order: GridOrder, url: str | None) -> tuple[Grid, list[Path]]:
    """The grid, and the file of each of its cells. Raises Failure, SettingError, BackendError."""
    from pentimento.background import connect

    from .progress import Progress

    # Before a backend is started: most of what can be wrong is seen without one.
    axes = [read_axis(name, values, order.task) for name, values in order.axes]
    with Progress() as progress, interrupts() as interrupted, connect(url, progress.say) as client:
        models = [str(model["id"]) for model in client.models()]
        axes = [read_axis(name, values, order.task, models) for name, values in order.axes]
        root = _root(order, axes)
        made = plan_grid(order.task, order.settings, axes, _drawing(root))
        files = [order.folder / _file_name(number, cell) for number, cell in enumerate(made.cells, 1)]
        left = [k for k in made.running_order if not files[k].exists()]
        if len(left) < len(files):
            progress.say(f"{len(files) - len(left)} of {len(files)} pictures are in {order.folder} already")
        for k in left:
            number = len(files) - len(left) + left.index(k) + 1
            work = _Work(client, order, progress, interrupted, (number, len(files)))
            png = work.picture(made.cells[k], _key(root, order, k))
            Output(order.folder, files[k].stem, files[k]).write([png])
    return made, files


@dataclass(frozen=True)
class _Work:
    """One cell's way through the backend. `place`: (number, of how many)."""

    client: Client
    order: GridOrder
    progress: Progress
    interrupted: Callable[[], bool]
    place: tuple[int, int]

    def picture(self, cell: Cell, key: str) -> bytes:
        """The cell's picture as PNG. Raises Failure, which names the cell."""
        known: list[Job] = []
        try:
            known.append(self._submitted(cell, key))
            follow = until_interrupted(self.client.follow(known[0].id), self.interrupted)
            job = self.progress.watch(follow, *self.place)
            if job.state != "done":
                raise Failure(f"{cell.name}: {job.problem or f'the job was {job.state} on the backend'}{self._rest()}")
            # A loopback's last loop is what it comes to.
            png = self.client.image(job.id, len(job.seeds) - 1, self.order.composite)
        except KeyboardInterrupt:
            # With the same key this makes no second job: it only tells the id when the answer was cut off.
            with suppress(BackendError):
                self.client.cancel((known or [self._submitted(cell, key)])[0].id)
            raise Failure(f"Cancelled.{self._rest()}", INTERRUPTED) from None
        for warning in job.warnings:
            self.progress.say(f"{cell.name}: {warning}")
        return with_color(png, self.order.image.color) if self.order.image else png

    def _submitted(self, cell: Cell, key: str) -> Job:
        from pentimento import __version__

        application = f"pentimento cli {__version__}"
        request = {"task": self.order.task, "settings": dict(cell.settings), "application": application}
        image, mask = (part.png if part else None for part in (self.order.image, self.order.mask))
        job = self.client.submit(request, image, mask, key)
        # A cell that was cancelled, or failed, before is asked for anew.
        return self.client.submit(request, image, mask, None) if job.state in ("cancelled", "failed") else job

    def _rest(self) -> str:
        number, count = self.place
        folder = self.order.folder
        return f" {number - 1} of {count} pictures are in {folder}; the same command goes on from there."


def _root(order: GridOrder, axes: list[Axis]) -> str:
    """The number that this grid's seeds and keys come from: that of the folder when it holds this very grid.

    Raises Failure when it holds another, or cannot be written to.
    """
    plan_grid(order.task, order.settings, axes, lambda: 0)  # an impossible grid leaves no folder behind
    plan = order.folder / PLAN
    if plan.exists():
        try:
            kept = json.loads(plan.read_text("utf-8"))
        except ValueError:
            kept = {}
        if isinstance(kept, dict) and kept.get("asked") == order.asked and isinstance(kept.get("root"), str):
            return kept["root"]
        raise wrong(f"{order.folder} holds another grid; name another folder with --out, or take {plan} away.")
    root = secrets.token_hex(16)
    order.folder.mkdir(parents=True, exist_ok=True)
    plan.write_text(json.dumps({"root": root, "asked": order.asked}, ensure_ascii=False, indent=1), "utf-8")
    return root


def _drawing(root: str) -> Callable[[], int]:
    """Draws seeds that follow from the root and their order."""
    drawn: list[int] = []

    def draw() -> int:
        digest = hashlib.sha256(f"{root}:{len(drawn)}".encode()).digest()
        drawn.append(int.from_bytes(digest[:8], "big") % SEED_END)
        return drawn[-1]

    return draw


def _key(root: str, order: GridOrder, k: int) -> str:
    """The Idempotency-Key of cell `k`: a job that the backend has already is not run twice."""
    return f"grid-{root}-{k}"


def _file_name(number: int, cell: Cell) -> str:
    words = re.sub(r"[^\w.+-]+", "-", cell.name).strip("-.")[:_LONGEST_NAME]
    return f"{number:03d}-{words}.png"


def _sheet(order: GridOrder, made: Grid, files: list[Path]) -> Path:
    from .sheet import make_sheet

    sheet = order.folder / SHEET
    data = make_sheet(made, files, _legend(order, made))
    Output(order.folder, sheet.stem, sheet).write([data])
    return sheet


def _legend(order: GridOrder, made: Grid) -> str:
    """What all cells have in common, in one line."""
    varied = {axis.name for axis in made.axes}
    common = {name: value for name, value in made.cells[0].settings.items() if name not in varied}
    shown = ("prompt", "negative_prompt", "model", "strength", "sampler", "schedule", "steps", "cfg_scale", "seed")
    words = [str(common["prompt"])] if common.get("prompt") and "prompt_sr" not in varied else []
    words += [f"{name.replace('_', ' ')} {common[name]}" for name in shown[1:] if name in common]
    return ", ".join(words)


def _report(made: Grid, files: list[Path], sheet: Path, seconds: float, as_json: bool) -> None:
    if as_json:
        images = [
            {"file": str(file), "name": cell.name, "settings": dict(cell.settings)}
            for file, cell in zip(files, made.cells, strict=True)
        ]
        outcome = {"sheet": str(sheet), "images": images, "seconds": round(seconds, 3)}
        click.echo(json.dumps(outcome, ensure_ascii=False))
        return
    click.echo(f"{sheet}  {len(files)} pictures, in {seconds:.1f} s")
