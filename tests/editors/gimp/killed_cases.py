"""Played inside GIMP while somebody outside kills the backend in the middle of a job, and starts it again."""

from pictures import made, new_image, raw, record


def case_the_job_survives(stage):
    image, layer = new_image(256, 256)
    before = raw(layer)
    result = made("img2img", image=image, drawables=[layer], prompt="a lake", steps=60, seed=5.0)[0]
    assert raw(layer) == before
    assert image.get_layers() == [result, layer]
    assert image.get_selected_layers() == [result]
    return record(result)["settings"]["seed"]
