"""No request names a path: ids, names and addresses never lead out of the folders that they are looked up in."""

from __future__ import annotations

import http.client
import json
import os
from typing import Any

import pytest

from tests.conftest import StartServer
from tests.server.serving import ServerProcess

SECRET = "the quagga's secret"
OUTSIDE = (
    "..",
    ".",
    "../secret",
    "../../secret",
    "tiny/../../../secret",
    "/etc/passwd",
    "/dev/zero",
    "~/.ssh/id_rsa",
    "file:///etc/passwd",
    "..\\secret",
    "C:\\Windows\\win.ini",
    "%2e%2e%2fsecret",
    "secret\n",
    "\u2025/secret",
)


@pytest.fixture(scope="module")
def trapped(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> ServerProcess:
    """A server in whose model folders lie links, devices and pipes, and beside them what it must not read."""
    home, no_torch = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("broken")
    (no_torch / "torch.py").write_text("raise ImportError('not needed here')\n")
    models, wildcards = home / "data" / "models", home / "data" / "wildcards"
    for folder in (models / "loras", models / "vae", models / "embeddings", wildcards):
        folder.mkdir(parents=True)
    for secret in (home / "secret", home / "secret.txt", home / "data" / "secret.txt", home / "secret.safetensors"):
        secret.write_text(SECRET)
    for folder in (models, models / "loras", models / "vae", models / "embeddings"):
        os.mkfifo(folder / "pipe.safetensors")
        (folder / "zero.safetensors").symlink_to("/dev/zero")
        (folder / "out.safetensors").symlink_to(home / "secret.safetensors")
        (folder / "loop").symlink_to(folder)
        (folder / "root").symlink_to("/")
        (folder / "gone.safetensors").symlink_to(home / "gone")
    os.mkfifo(wildcards / "pipe.txt")
    (wildcards / "zero.txt").symlink_to("/dev/zero")
    (wildcards / "out.txt").symlink_to(home / "secret.txt")
    return start_server(home=home, environ={"PYTHONPATH": str(no_torch)})


def test_what_lies_in_the_model_folders_holds_nothing_up(trapped: ServerProcess) -> None:
    answer = trapped.session.get(f"{trapped.url}/api/v1/models", timeout=10)
    assert answer.status_code == 200
    names = [model["id"] for model in answer.json()["models"]]
    assert names, "the demo model is there"
    assert not {"pipe", "zero", "out", "gone", "root", "loop"} & set(names)


@pytest.mark.parametrize("name", [*OUTSIDE, "pipe", "zero", "out", "loop", "root"])
def test_models_are_looked_up_and_not_opened(trapped: ServerProcess, name: str) -> None:
    for setting in ("model", "vae"):
        request: dict[str, Any] = {"task": "txt2img", "settings": {setting: name, "width": 64, "height": 64}}
        answer = trapped.post(request)
        assert (answer.status_code, answer.json()["field"]) == (422, setting), answer.text
        assert SECRET not in answer.text


@pytest.mark.parametrize("name", [*OUTSIDE, "pipe", "zero", "out"])
def test_prompts_call_for_files_by_name_only(trapped: ServerProcess, name: str) -> None:
    for prompt in (f"__{name}__", f"<lora:{name}:1>", f"a {name}"):
        answer = trapped.session.post(f"{trapped.url}/api/v1/prompts/check", json={"prompt": prompt}, timeout=10)
        assert answer.status_code in (200, 422)
        assert SECRET not in answer.text
        assert "root:" not in answer.text


ADDRESSES = (
    "/api/v1/jobs/../../../../etc/passwd",
    "/api/v1/jobs/..%2f..%2f..%2fetc%2fpasswd",
    "/api/v1/jobs/%2e%2e/images/0",
    "/api/v1/jobs//etc/passwd/images/0",
    "/api/v1/jobs/a/images/..%2f..%2fsecret",
    "/api/v1/jobs/a/images/-1",
    "/api/v1/jobs/a%00b/preview",
    "/api/v1/jobs/a/images/99999999999999999999999999",
    "/static/../../../etc/passwd",
    "//etc/passwd",
    "/..",
    "/",
    "http://evil.example/api/v1/jobs",
)


@pytest.mark.parametrize("address", ADDRESSES)
def test_addresses_are_no_paths(trapped: ServerProcess, address: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", trapped.port, timeout=10)
    connection.putrequest("GET", address)
    connection.putheader("Authorization", f"Bearer {trapped.token}")
    connection.endheaders()
    answer = connection.getresponse()
    text = answer.read().decode("utf-8")
    connection.close()
    assert answer.status == (403 if address.startswith("http:") else 404), text
    assert "root:" not in text
    assert SECRET not in text


def test_a_style_of_any_name_is_a_row_and_no_file(trapped: ServerProcess) -> None:
    before = sorted(path for path in trapped.home.rglob("*") if not path.is_symlink())
    for name in ("../evil", "/etc/evil", "..%2f..%2fevil"):
        url = f"{trapped.url}/api/v1/styles/{name.replace('/', '%2F')}"
        assert trapped.session.put(url, json={"prompt": "x"}, timeout=10).status_code in (200, 404, 422)
    after = sorted(path for path in trapped.home.rglob("*") if not path.is_symlink())
    # The worker opens its log whenever it gets there.
    assert {path.name for path in set(after) - set(before)} - {"worker.log"} <= {"styles.csv"}


def test_no_answer_lets_a_web_page_read_it(trapped: ServerProcess) -> None:
    document = trapped.get("/openapi.json").json()
    own = {"Origin": trapped.url}
    for path, operations in document["paths"].items():
        url = f"{trapped.url}/api/v1{path.replace('{id}', 'x').replace('{k}', '0').replace('{name}', 'x')}"
        for method in [*(name for name in operations if name != "parameters"), "options", "head"]:
            for headers in (own, {"Origin": "https://evil.example"}, {}):
                answer = trapped.session.request(method, url, headers=headers, timeout=10)
                allowed = [name for name in answer.headers if name.lower().startswith("access-control")]
                assert allowed == [], (method, url, json.dumps(dict(answer.headers)))
