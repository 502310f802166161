"""Played inside GIMP with its window, where no backend runs."""

from screen import dialog, gone, opened, pause, still, window


def case_the_dialog_tells_and_does_not_run(stage):
    image = yield from opened(stage)
    yield from dialog(stage, "Img2img Layer", "Pentimento: Img2img")
    yield stage.until(pause(2), "the search for a backend")
    yield from still(stage, "no-backend")
    stage.xdotool("key", "alt+u")
    yield stage.until(pause(1), "what does not come")
    assert window(stage, "Pentimento: Img2img"), "the dialog has gone"
    assert window(stage, "^Pentimento$") is None, "a job has begun"
    stage.xdotool("key", "Escape")
    yield gone(stage, "Pentimento: Img2img")
    assert len(image.get_layers()) == 1
