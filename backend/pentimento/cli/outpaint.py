"""`pentimento outpaint`: a larger canvas around a picture, painted where there is nothing yet."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from pentimento_shared.geometry import Size
from pentimento_shared.pixel_form import on_canvas, split_alpha, with_alpha
from pentimento_shared.pixels import Pixels, decode_png, encode_png
from pentimento_shared.png_file import read_png_header, read_png_text

from .failures import wrong
from .jobs import carry_out, order_of, shared_options
from .options import setting_options
from .pictures import Picture, check_size, read_picture

STRENGTH: Final = 1.0
"""Where there is nothing yet there is nothing to keep."""
_SIDES: Final = ("left", "right", "top", "bottom")
_MOST: Final = 4096


def _side_options(command: Any) -> Any:
    for side in reversed(_SIDES):
        command = click.option(
            f"--{side}",
            type=click.IntRange(0, _MOST),
            default=0,
            metavar="PX",
            help=f"Px to add on this side (up to {_MOST}).",
        )(command)
    return command


@click.command()
@click.argument("image", type=click.Path(path_type=Path))
@click.argument("prompt")
@_side_options
@setting_options("inpaint")
@shared_options
def outpaint(image: Path, left: int, right: int, top: int, bottom: int, **options: Any) -> None:
    """Extend IMAGE beyond its sides, as PROMPT says. What is there stays, byte for byte.

    \b
    pentimento outpaint photo.jpg "a wide beach" --left 128 --right 128
    """
    picture = read_picture(image)
    if not left + right + top + bottom:
        raise wrong("Nothing to add: give --left, --right, --top or --bottom a number of px.")
    size = Size(picture.size.width + left + right, picture.size.height + top + bottom)
    check_size(image, size)
    if options["strength"] is None:
        options["strength"] = STRENGTH
    opaque = read_png_header(picture.png).channels in (1, 3)
    wide = Picture(encode_png(_widened(decode_png(picture.png), size, left, top)), size, picture.color, picture.notice)
    mask = Picture(encode_png(_around(picture.size, size, left, top)), size)
    order = order_of("inpaint", options, [image], wide, mask)
    if opaque and order.composite == "full":
        carry_out(order, options, _without_alpha)
    else:
        carry_out(order, options)


def _widened(pixels: Pixels, size: Size, left: int, top: int) -> Pixels:
    """The picture on a transparent canvas."""
    return on_canvas(pixels if pixels.channels in (2, 4) else with_alpha(pixels), size, left, top)


def _around(inner: Size, size: Size, left: int, top: int) -> Pixels:
    """A selection of all but that part."""
    right = size.width - left - inner.width
    row = b"\xff" * left + bytes(inner.width) + b"\xff" * right
    above, below = b"\xff" * (size.width * top), b"\xff" * (size.width * (size.height - top - inner.height))
    return Pixels(size, 1, 8, above + row * inner.height + below)


def _without_alpha(png: bytes) -> bytes:
    """The PNG as it was opaque before, with its texts."""
    return encode_png(split_alpha(decode_png(png))[0], read_png_text(png))
