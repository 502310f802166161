"""The hashes of checkpoints are kept, and whatever becomes of the file that keeps them does no harm."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from pentimento.engine.checkpoints.hashes import Hashes
from pentimento.engine.interrupting import interruptible
from pentimento.engine.models import ModelLibrary
from pentimento.engine.request import Cancelled
from pentimento.engine.warm import WarmModels
from tests.conftest import StartServer


def sha256(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(parts)).hexdigest()


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "models" / "weights.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"one")
    return path


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    return tmp_path / "data" / "hashes.json"


def changed_behind_its_back(path: Path, data: bytes) -> None:
    """Other bytes of the same length, under the old time: to tell a hash that was kept from one that was worked out."""
    state = path.stat()
    path.write_bytes(data)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_a_hash_outlives_the_process_and_no_change_of_the_file(weights: Path, kept: Path) -> None:
    assert Hashes(kept).of([weights]) == sha256(b"one")
    changed_behind_its_back(weights, b"two")
    assert Hashes(kept).of([weights]) == sha256(b"one"), "it was not read again"
    assert Hashes().of([weights]) == sha256(b"two"), "without a file nothing is kept"
    os.utime(weights, ns=(1, 1))
    assert Hashes(kept).of([weights]) == sha256(b"two")
    weights.write_bytes(b"three")
    os.utime(weights, ns=(1, 1))
    assert Hashes(kept).of([weights]) == sha256(b"three"), "the size counts as well"


def test_shards_have_one_hash(weights: Path, kept: Path) -> None:
    second = weights.with_name("second.safetensors")
    second.write_bytes(b"two")
    assert Hashes(kept).of([weights, second]) == sha256(b"one", b"two")
    changed_behind_its_back(second, b"six")
    assert Hashes(kept).of([weights, second]) == sha256(b"one", b"two")
    assert Hashes(kept).of([weights]) == sha256(b"one")
    os.utime(second, ns=(1, 1))
    assert Hashes(kept).of([weights, second]) == sha256(b"one", b"six")


def entries(kept: Path, weights: Path) -> dict[str, dict[str, object]]:
    Hashes(kept).of([weights])
    return json.loads(kept.read_text())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: b"\0" * len(data),
        lambda data: b"\xff\xfe" + data,
        lambda data: b"[" * 200_000,
        lambda data: b"[1, 2]",
        lambda data: data.replace(b'"sha256"', b'"md5"'),
        lambda data: data.replace(sha256(b"one").encode(), b"../../../etc/passwd"),
        lambda data: data.replace(f'"{sha256(b"one")}"'.encode(), b"7"),
        lambda data: data.replace(b'"files": [', b'"files": [7,'),
    ],
)
def test_a_torn_or_foreign_file_is_written_anew(weights: Path, kept: Path, spoil: Callable[[bytes], bytes]) -> None:
    whole = entries(kept, weights)
    kept.write_bytes(spoil(kept.read_bytes()))
    changed_behind_its_back(weights, b"two")
    assert Hashes(kept).of([weights]) == sha256(b"two")
    assert [entry["sha256"] for entry in entries(kept, weights).values()] == [sha256(b"two")]
    assert whole.keys() == entries(kept, weights).keys()


def test_no_place_to_keep_them_is_no_harm(weights: Path, kept: Path) -> None:
    kept.mkdir(parents=True)
    assert Hashes(kept).of([weights]) == sha256(b"one")
    assert list(kept.parent.iterdir()) == [kept], "no draft is left"
    blocked = kept.parent / "file" / "hashes.json"
    blocked.parent.write_text("")
    assert Hashes(blocked).of([weights]) == sha256(b"one")


def test_two_processes_keep_their_hashes_side_by_side(weights: Path, kept: Path) -> None:
    other = weights.with_name("other.safetensors")
    other.write_bytes(b"four")
    first, second = Hashes(kept), Hashes(kept)
    first.of([weights])
    second.of([other])
    assert len(entries(kept, weights)) == 2


def test_a_cancel_is_obeyed_while_a_file_is_read(weights: Path, kept: Path) -> None:
    def cancel() -> None:
        raise Cancelled

    with pytest.raises(Cancelled), interruptible(cancel):
        Hashes(kept).of([weights])
    assert not kept.exists()


def test_models_are_loaded_with_what_is_kept(tiny_model: Path, kept: Path) -> None:
    info = ModelLibrary([tiny_model.parent]).get("tiny")
    device = torch.device("cpu")
    own = WarmModels(device, hashes=Hashes(kept)).get(info).hash
    (entry,) = json.loads(kept.read_text()).values()
    assert entry["sha256"] == own
    kept.write_text(kept.read_text().replace(own, "ab" * 32))
    assert WarmModels(device, hashes=Hashes(kept)).get(info).hash == "ab" * 32


def test_the_worker_keeps_them_in_the_data_folder(start_server: StartServer, tiny_model: Path, tmp_path: Path) -> None:
    server = start_server(home=tmp_path, model=tiny_model)
    job = server.finish(server.submit({"task": "txt2img", "settings": {"model": "tiny", "steps": 1}}))
    (entry,) = json.loads((tmp_path / "data" / "hashes.json").read_text()).values()
    assert job["recipe"]["model"]["hash"] == entry["sha256"]
