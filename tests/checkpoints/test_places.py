"""Files are found where each program keeps them, by name, and nothing outside the folders is."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pentimento.engine.checkpoints.places import FolderError, ModelFolders, forget, remember, remembered

from . import files


def names(folders: ModelFolders, kind) -> list[str]:
    return [file.name for file in folders.files(kind) if not file.refused]


def model_folder(path: Path) -> Path:
    path.mkdir(parents=True)
    (path / "model_index.json").write_text("{}")
    return path


def test_our_own_folder_takes_anything_anywhere(tmp_path):
    model_folder(tmp_path / "sd" / "diffused")
    files.write(tmp_path / "loose.safetensors", files.SD15)
    files.write(tmp_path / "styles" / "ink.safetensors", files.LORA_SD15)
    files.write(tmp_path / "loras" / "sdxl" / "oil.safetensors", files.LORA_SDXL)
    files.write(tmp_path / "embeddings" / "bad hands.safetensors", files.EMBEDDING)
    files.write(tmp_path / "vae" / "mse.v2.safetensors", files.VAE)
    folders = ModelFolders([tmp_path])
    assert names(folders, "checkpoint") == ["loose", "sd/diffused"]
    assert names(folders, "lora") == ["styles/ink", "sdxl/oil"]
    assert names(folders, "embedding") == ["bad hands"]
    assert names(folders, "vae") == ["mse.v2"]
    assert [file.is_folder for file in folders.files("checkpoint")] == [False, True]


def test_the_parts_of_a_model_are_no_files_of_their_own(tmp_path):
    home = model_folder(tmp_path / "painter")
    for part in ("vae", "unet", "text_encoder"):
        files.write(home / part / "model.safetensors", files.VAE)
    for folders in (ModelFolders([tmp_path]), ModelFolders([home]), ModelFolders([], lambda: [home])):
        assert [(file.name, file.kind, file.is_folder) for file in folders.all()] == [("painter", "checkpoint", True)]


LAYOUTS = {
    "AUTOMATIC1111": ("models/Stable-diffusion", "models/Lora", "embeddings", "models/VAE", "models/ESRGAN"),
    "ComfyUI": ("models/checkpoints", "models/loras", "models/embeddings", "models/vae", "models/upscale_models"),
    "ComfyUI/models": ("checkpoints", "loras", "embeddings", "vae", "upscale_models"),
    "krita-ai-diffusion": (
        "ComfyUI/models/checkpoints",
        "ComfyUI/models/loras",
        "ComfyUI/models/embeddings",
        "ComfyUI/models/vae",
        "ComfyUI/models/upscale_models",
    ),
    "InvokeAI": ("models/sd-1/main", "models/sd-1/lora", "models/sd-1/embedding", "models/sd-1/vae", "models/any/dat"),
}
KINDS = ("checkpoint", "lora", "embedding", "vae", "upscaler")


@pytest.mark.parametrize("program", LAYOUTS)
def test_the_folders_of_other_programs(tmp_path, program):
    root = tmp_path / program
    for place, kind in zip(LAYOUTS[program], KINDS, strict=True):
        files.write(root / place / "sub" / f"my {kind}.safetensors", files.SD15)
    files.write(root / "venv" / "lib" / "other.safetensors", files.SD15)
    folders = ModelFolders([], lambda: [root])
    for kind in KINDS:
        assert names(folders, kind) == [f"sub/my {kind}"]


def test_a_folder_of_no_known_layout_is_read_by_headers(tmp_path):
    files.write(tmp_path / "3f2a" / "painter.safetensors", files.SD15)
    files.write(tmp_path / "77bc" / "ink.safetensors", files.LORA_SD15)
    folders = ModelFolders([], lambda: [tmp_path])
    assert (names(folders, "checkpoint"), names(folders, "lora")) == (["3f2a/painter"], ["77bc/ink"])


def test_names_differ_also_in_their_case(tmp_path):
    for root in ("one", "two", "more/two"):
        files.write(tmp_path / root / "loras" / "Ink.safetensors", files.LORA_SD15)
    files.write(tmp_path / "one" / "loras" / "ink" / "x.safetensors", files.LORA_SD15)
    folders = ModelFolders([tmp_path / "one"], lambda: [tmp_path / "two", tmp_path / "more" / "two"])
    assert names(folders, "lora") == ["Ink", "ink/x", "two/Ink", "two/Ink-2"]


def test_pickles_and_damaged_files_are_there_and_refused(tmp_path):
    for name in ("a.ckpt", "b.pt", "c.bin", "loras/d.pt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"\x80\x04 never opened")
    files.write(tmp_path / "a.safetensors", files.SD15)
    (tmp_path / "broken.safetensors").write_bytes(b"half")
    (tmp_path / "q4.gguf").write_bytes(b"GGUF")
    found = {file.name: (file.kind, file.refused) for file in ModelFolders([tmp_path]).all()}
    assert found["a"] == ("checkpoint", "")
    assert found["a.ckpt"][0] == "checkpoint"
    assert found["d.pt"][0] == "lora"
    for name in ("a.ckpt", "b.pt", "c.bin", "d.pt"):
        assert "is a pickle" in found[name][1]
        assert "Convert it to safetensors" in found[name][1]
    assert "is not a safetensors file" in found["broken"][1]
    assert "GGUF" in found["q4.gguf"][1]


@pytest.mark.skipif(os.name == "nt", reason="links need rights there that a user has not")
def test_links_out_devices_and_loops_are_not_followed(tmp_path):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    kept = files.write(home / "loras" / "kept.safetensors", files.LORA_SD15)
    away = files.write(elsewhere / "away.safetensors", files.LORA_SD15)
    (home / "loras" / "out.safetensors").symlink_to(away)
    (home / "loras" / "in.safetensors").symlink_to(kept)
    (home / "loras" / "nowhere.safetensors").symlink_to(tmp_path / "gone")
    (home / "loras" / "folder").symlink_to(elsewhere)
    (home / "loras" / "round").symlink_to(home / "loras")
    os.mkfifo(home / "loras" / "pipe.safetensors")
    (home / "loras" / "dir.safetensors").mkdir()
    found = {file.name: file.refused for file in ModelFolders([home]).files("lora")}
    assert set(found) == {"kept", "in", "out.safetensors"}
    assert "leads out of the model folders" in found["out.safetensors"]
    both = ModelFolders([home], lambda: [elsewhere])
    assert {"kept", "in", "out", "folder/away"} <= {file.name for file in both.files("lora") if not file.refused}


def test_a_folder_that_is_not_there_has_nothing(tmp_path):
    assert ModelFolders([tmp_path / "gone"], lambda: [tmp_path / "unplugged"]).all() == ()


def test_what_is_remembered(tmp_path):
    file, shelf = tmp_path / "config" / "folders.json", tmp_path / "shelf"
    assert remembered(file) == ()
    with pytest.raises(FolderError, match="There is no folder"):
        remember(shelf, file)
    shelf.mkdir()
    assert remember(shelf, file) == shelf
    assert remembered(file) == (shelf,)
    with pytest.raises(FolderError, match="is in the list already"):
        remember(shelf, file)
    shelf.rmdir()
    assert forget(shelf, file) == shelf
    with pytest.raises(FolderError, match="it is empty"):
        forget(shelf, file)
    file.write_text("[1")
    with pytest.raises(FolderError, match="Mend it or delete it"):
        remembered(file)
