"""Trains the demo model: renders, autoencoder, cached latents, denoiser, export. Every step resumes
where it was left."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click
import platformdirs

from pentimento.demo import MODEL_FOLDER, data
from pentimento.demo.team import Team, run_team

if TYPE_CHECKING:
    import numpy as np


def _render(team: Team, folder: Path, groups: int, things: int) -> None:
    data.render_all(data.open_pictures(folder, groups), data.group_scenes, team.rank, team.size)
    data.render_all(data.open_things(folder, things), data.thing_scenes, team.rank, team.size)


class _Encoding(NamedTuple):
    """Pictures (rows, kinds, S, S, 3) that are to be encoded at 4 * `cells` px."""

    pictures: Path
    latents: Path
    rows: int
    kinds: int
    cells: int

    def out(self) -> np.ndarray:
        import numpy as np

        return data.opened(self.latents, (self.rows, self.kinds, 4, self.cells, self.cells), np.float16)


def _encodings(folder: Path, side: int, groups: int) -> list[_Encoding]:
    """What training at `side` px needs: things are learnt at the full size alone."""
    from pentimento.demo.samples import ZOOMS

    pictures, things = folder / "pictures.npy", folder / "things.npy"
    layouts = _Encoding(pictures, folder / f"latents-{side}.npy", groups, data.LOOKS, side // 4)
    if side < data.SIZE or not things.exists():
        return [layouts]
    rows = data.open_things(folder, 0).shape[0]
    return [layouts, *(_Encoding(things, folder / f"things-{zoom}.npy", rows, 2, zoom) for zoom in ZOOMS)]


def _latents(team: Team, folder: Path, side: int, groups: int) -> None:
    import numpy as np
    from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

    from pentimento.demo import denoiser

    vae = AutoencoderKL.from_pretrained(folder / "vae").eval()
    for one in _encodings(folder, side, groups):
        denoiser.cache_latents(team, vae, np.load(one.pictures, mmap_mode="r"), one.out())


def _denoiser(team: Team, folder: Path, stage: tuple[int, float, int, float, bool], mix: dict[str, float]) -> None:
    import torch
    from transformers import CLIPTokenizer

    from pentimento.demo import denoiser, text
    from pentimento.demo.samples import Mix
    from pentimento.demo.unet import build_unet

    tokenizer = CLIPTokenizer.from_pretrained(str(folder / "tokenizer"))
    model = denoiser.Model(build_unet(stage[0]), text.build_encoder(tokenizer))
    if (folder / "encoder.pt").exists():
        model.encoder.load_state_dict(torch.load(folder / "encoder.pt"))
    denoiser.train(team, folder, model, tokenizer, denoiser.Stage(*stage, Mix(**mix)))


def _autoencoder(team: Team, folder: Path, minutes: float, batch: int, side: int) -> None:
    from pentimento.demo import autoencoder

    autoencoder.train(team, folder, minutes, batch, side)


@click.group()
@click.option(
    "--folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=platformdirs.user_cache_path("pentimento") / "demo-train",
    show_default="the user's cache folder",
    help="Where renders, latents and checkpoints lie.",
)
@click.option("--workers", default=2, show_default=True, help="Processes of one thread each (a GPU uses one).")
@click.pass_context
def main(context: click.Context, folder: Path, workers: int) -> None:
    """Train the embedded demo model, on the CPU or on a GPU by itself."""
    folder.mkdir(parents=True, exist_ok=True)
    context.obj = (folder, workers)


@main.command("render")
@click.option("--groups", default=4000, show_default=True, help="Layouts; each is drawn in six looks.")
@click.option("--things", default=1200, show_default=True, help="Things; each place is drawn without it too.")
@click.pass_obj
def render_command(obj: tuple[Path, int], groups: int, things: int) -> None:
    """Render the training set."""
    folder, workers = obj
    data.open_pictures(folder, groups)
    data.open_things(folder, things)
    run_team(workers, _render, folder, groups, things)


@main.command("autoencoder")
@click.option("--minutes", default=15.0, show_default=True)
@click.option("--batch", default=8, show_default=True, help="Crops per process and step.")
@click.option("--side", default=64, show_default=True, help="Side of a crop in pixels.")
@click.pass_obj
def autoencoder_command(obj: tuple[Path, int], minutes: float, batch: int, side: int) -> None:
    """Train the autoencoder."""
    folder, workers = obj
    run_team(workers, _autoencoder, folder, minutes, batch, side)


@main.command("whiten")
@click.pass_obj
def whiten_command(obj: tuple[Path, int]) -> None:
    """Finish the autoencoder: whiten its latents and write it to FOLDER/vae; cached latents no longer
    hold after this."""
    import torch

    from pentimento.demo import autoencoder
    from pentimento.demo.render import render

    folder, _ = obj
    model = autoencoder.build()
    model.load_state_dict(torch.load(folder / "autoencoder.pt"))
    pictures = [render(data.HELD_OUT + 5000 + k).picture for k in range(96)]
    before = [autoencoder.psnr(model, p) for p in pictures[:16]]
    stack = torch.stack([torch.from_numpy(p.copy()).permute(2, 0, 1).float() / 127.5 - 1 for p in pictures])
    autoencoder.whiten(model, stack)
    after = [autoencoder.psnr(model, p) for p in pictures[:16]]
    model.save_pretrained(folder / "vae")
    click.echo(f"PSNR {sum(before) / 16:.2f} dB, whitened {sum(after) / 16:.2f} dB")


@main.command("latents")
@click.argument("side", type=click.Choice(["64", "128", "256"]))
@click.option("--groups", default=4000, show_default=True, help="How many layouts to encode.")
@click.pass_obj
def latents_command(obj: tuple[Path, int], side: str, groups: int) -> None:
    """Encode the renders at SIDE pixels."""
    folder, workers = obj
    for one in _encodings(folder, int(side), groups):
        # Anew: latents of an autoencoder before the last `whiten` would not hold.
        one.latents.unlink(missing_ok=True)
        one.out()
    run_team(workers, _latents, folder, int(side), groups)


@main.command("words")
@click.option("--minutes", default=3.0, show_default=True)
@click.pass_obj
def words_command(obj: tuple[Path, int], minutes: float) -> None:
    """Teach a new text encoder what captions say, before the denoiser is trained with it."""
    import numpy as np
    import torch

    from pentimento.demo import text

    folder, _ = obj
    tokenizer = text.open_tokenizer(folder / "tokenizer")
    encoder = text.build_encoder(tokenizer)
    loss = text.teach(encoder, tokenizer, minutes, np.random.default_rng(11))
    torch.save(encoder.state_dict(), folder / "encoder.pt")
    click.echo(f"loss {loss:.3f}")


@main.command("denoiser")
@click.argument("side", type=click.Choice(["64", "128", "256"]))
@click.option("--minutes", default=30.0, show_default=True)
@click.option("--batch", default=32, show_default=True, help="Samples per process and step.")
@click.option("--rate", default=1e-3, show_default=True, help="Learning rate after the warm-up.")
@click.option("--cool", is_flag=True, help="Let the learning rate fall to nothing.")
@click.option("--pairs", default=0.4, show_default=True, help="Share of samples that change the look of their source.")
@click.option("--patches", default=0.25, show_default=True, help="Share of samples that lack their thing in one place.")
@click.option("--near", default=0.1, show_default=True, help="Share of samples of things, often from near.")
@click.option("--crops", default=0.0, show_default=True, help="Share of steps on windows of half the side.")
@click.pass_obj
def denoiser_command(
    obj: tuple[Path, int],
    /,
    *,
    side: str,
    minutes: float,
    batch: int,
    rate: float,
    cool: bool,
    **mix: float,
) -> None:
    """Train the denoiser and the text encoder on cached latents."""
    from pentimento.demo import text

    folder, workers = obj
    text.open_tokenizer(folder / "tokenizer")
    run_team(workers, _denoiser, folder, (int(side), minutes, batch, rate, cool), mix)


@main.command("resume")
@click.pass_obj
def resume_command(obj: tuple[Path, int]) -> None:
    """Start from the model in the repository: its autoencoder, tokenizer and denoiser go to FOLDER."""
    from pentimento.demo import export

    anew = export.resume(obj[0], MODEL_FOLDER)
    if anew:
        click.echo(f"{len(anew)} weights have another shape now and start anew: {', '.join(anew[:4])} ...")


@main.command("export")
@click.argument("target", type=click.Path(file_okay=False, path_type=Path), default=MODEL_FOLDER)
@click.option("--cfg-scale", default=3.0, show_default=True, help="The default guidance that the model's page names.")
@click.pass_obj
def export_command(obj: tuple[Path, int], target: Path, cfg_scale: float) -> None:
    """Write the averaged weights as a diffusers folder in half precision."""
    from pentimento.demo import export

    size = export.export(obj[0], target, cfg_scale)
    click.echo(f"{target}: {size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
