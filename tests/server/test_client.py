"""The client against a real server, against strangers, and over lines that break."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from uuid import uuid4

import pytest

from pentimento_shared.answers import Health, Job, check_version
from pentimento_shared.client import (
    BackendForeign,
    BackendProblem,
    BackendUnreachable,
    Client,
    find_backend,
)
from pentimento_shared.geometry import Size
from pentimento_shared.pixels import decode_png, read_png_text
from tests.conftest import StartServer
from tests.server.pictures import mask, picture
from tests.server.serving import ServerProcess
from tests.server.strangers import Stranger, listening, losing_the_first_answer

QUICK = {"model": "tiny", "prompt": "a lake", "steps": 2, "seed": 7, "width": 64, "height": 64}
LONG = {**QUICK, "steps": 100}


def quick(task: str = "txt2img", **changes: object) -> dict[str, object]:
    values = {**QUICK, **changes}
    if task != "txt2img":
        values = {name: value for name, value in values.items() if name not in ("width", "height")}
    return {"task": task, "settings": values}


@pytest.fixture
def client(server: ServerProcess) -> Client:
    return Client(server.url, server.token)


def finished(client: Client, job: Job) -> Job:
    return list(client.follow(job.id))[-1]


# jobs


@pytest.mark.parametrize("task", ["txt2img", "img2img", "inpaint"])
def test_a_job_goes_all_the_way(client: Client, task: str) -> None:
    image, selection = picture(72, 56, depth=16), mask(72, 56)
    sent = {"txt2img": (None, None), "img2img": (image, None), "inpaint": (image, selection)}[task]
    job = client.submit(quick(task), *sent)
    assert (job.task, job.seeds, job.problem, job.final) == (task, (7,), None, False)
    seen = list(client.follow(job.id))
    assert seen[-1].state == "done"
    assert [told.rev for told in seen] == sorted({told.rev for told in seen})
    progress = [told.progress for told in seen]
    assert progress == sorted(progress)
    assert progress[-1] == 1.0
    assert seen[-1].images == 1
    assert seen[-1].recipe is not None
    png = client.image(job.id)
    pixels = decode_png(png)
    assert pixels.size == (Size(64, 64) if task == "txt2img" else Size(72, 56))
    assert json.loads(read_png_text(png)["pentimento"]) == seen[-1].recipe
    assert "a lake" in read_png_text(png)["parameters"]


def test_the_composites_of_an_inpainting(client: Client) -> None:
    source = decode_png(picture(72, 56))
    job = finished(client, client.submit(quick("inpaint"), picture(72, 56), mask(72, 56)))
    layer, full = (decode_png(client.image(job.id, 0, kind)) for kind in ("layer", "full"))
    assert layer.data[3::4] == decode_png(mask(72, 56)).data
    kept = [place for place, alpha in enumerate(layer.data[3::4]) if alpha == 0]
    assert kept
    assert all(full.data[3 * k : 3 * k + 3] == source.data[3 * k : 3 * k + 3] for k in kept)
    with pytest.raises(BackendProblem, match="allowed"):
        client.image(job.id, 0, "sketch")


def test_a_batch_has_an_image_for_each_seed(client: Client) -> None:
    job = finished(client, client.submit(quick(batch_size=2)))
    assert (job.seeds, job.images) == ((7, 8), 2)
    assert client.image(job.id, 0, "raw") != client.image(job.id, 1, "raw")
    with pytest.raises(BackendProblem) as caught:
        client.image(job.id, 2)
    assert caught.value.status == 404


def test_a_preview_comes_and_is_not_sent_twice(client: Client) -> None:
    job = client.submit({"task": "txt2img", "settings": LONG})
    found = None
    for told in client.follow(job.id, wait=0.2):
        found = found or client.preview(job.id)
        if found or told.final:
            break
    assert found is not None
    assert found.data.startswith((b"\xff\xd8\xff", b"RIFF"))
    again = client.preview(job.id, found.etag)
    assert again is None or again.etag != found.etag
    client.cancel(job.id)
    assert client.preview(uuid4().hex) is None


def test_cancel_ends_the_job_that_is_meant(client: Client) -> None:
    running = client.submit({"task": "txt2img", "settings": LONG})
    waiting = client.submit(quick())
    assert client.cancel(running.id).state == "cancelled"
    assert finished(client, running).state == "cancelled"
    assert finished(client, waiting).state == "done"
    assert client.cancel(waiting.id).state == "done"


def test_the_list_of_jobs_holds_a_new_one(client: Client) -> None:
    job = client.submit(quick())
    assert job.id in [known.id for known in client.jobs()]
    finished(client, job)


# what the backend tells of itself


def test_the_backend_says_who_it_is(client: Client) -> None:
    health = client.health()
    assert (health.name, health.worker in ("starting", "ready", "busy")) == ("pentimento", True)
    check_version(health, health.version)


@pytest.mark.parametrize(
    ("backend", "mine", "older"),
    [
        ("0.1.0", "0.1.7", None),
        ("0.2.0", "0.1.0", "This side"),
        ("0.9.0", "0.10.0", "The backend"),
        ("1.4.0", "1.0.2", None),
        ("2.0.0", "1.9.9", "This side"),
        ("1.0.0", "0.1.0", "This side"),
        ("", "0.1.0", "The backend"),
    ],
)
def test_only_versions_that_fit_together_are_taken(backend: str, mine: str, older: str | None) -> None:
    health = Health("pentimento", backend, ready=True, device="cpu", worker="ready")
    if older is None:
        check_version(health, mine)
    else:
        with pytest.raises(BackendForeign, match=f"this is {mine}.*{older} is the older one"):
            check_version(health, mine)


def test_settings_and_models_are_told(client: Client) -> None:
    assert "strength" in [row["name"] for row in client.settings()["settings"]]
    assert client.settings("tiny")["model"] == "tiny"
    assert "tiny" in [model["id"] for model in client.models()]


# refusals


def test_a_refusal_names_the_field_the_value_and_what_is_allowed(client: Client) -> None:
    with pytest.raises(BackendProblem) as caught:
        client.submit(quick("img2img", strength=2), picture())
    problem = caught.value
    assert (problem.status, problem.field, problem.value) == (422, "strength", 2)
    assert "1" in str(problem.allowed)
    assert str(problem) == problem.detail
    assert "strength" in problem.detail.lower()


def test_an_unknown_job_is_a_problem(client: Client) -> None:
    for ask in (client.job, client.cancel, client.image, lambda id: next(client.follow(id))):
        with pytest.raises(BackendProblem) as caught:
            ask("no-such-job/../../health?x=1#y")
        assert caught.value.status == 404


def test_a_wrong_token_is_a_problem_also_when_much_is_sent(server: ServerProcess) -> None:
    stranger = Client(server.url, "wrong")
    for ask in (stranger.models, lambda: stranger.submit(quick("img2img"), bytes(40 * 2**20))):
        with pytest.raises(BackendProblem) as caught:
            ask()
        assert caught.value.status == 401


# broken lines


def test_an_answer_that_is_lost_makes_no_second_job(server: ServerProcess, client: Client) -> None:
    before = {job.id for job in client.jobs()}
    with losing_the_first_answer(server.port) as port:
        job = Client(f"http://127.0.0.1:{port}", server.token).submit(quick())
    assert {known.id for known in client.jobs()} - before == {job.id}
    assert finished(client, job).state == "done"


def test_the_same_key_gives_the_same_job(client: Client) -> None:
    key = uuid4().hex
    first = client.submit(quick(), idempotency_key=key)
    assert client.submit(quick(), idempotency_key=key).id == first.id
    with pytest.raises(BackendProblem) as caught:
        client.submit(quick(seed=8), idempotency_key=key)
    assert caught.value.status == 422
    finished(client, first)


def test_following_survives_a_killed_server(start_server: StartServer, tiny_model: Path) -> None:
    server = start_server(model=tiny_model)
    environ = {"PENTIMENTO_HOME": str(server.home)}
    client = Client.discover(environ)
    job = client.submit({"task": "txt2img", "settings": LONG})
    events = client.follow(job.id)
    assert next(told.state for told in events if told.stage == "sample") == "running"
    server.kill()
    with pytest.raises(BackendUnreachable, match=f"for 0.3 s.*{job.id}"):
        list(client.follow(job.id, patience=0.3))
    restarted = threading.Thread(target=lambda: start_server(home=server.home))
    restarted.start()
    assert [told.state for told in events][-1] == "done"
    restarted.join()
    assert client.url != server.url
    assert decode_png(client.image(job.id)).size == Size(64, 64)


def test_nobody_at_home_is_said_plainly() -> None:
    client = Client("http://127.0.0.1:1/", "token")
    for ask in (client.health, client.models, lambda: client.job("x")):
        with pytest.raises(BackendUnreachable, match=r"at http://127.0.0.1:1 \(connection refused\).*launch.py"):
            ask()


# strangers


@pytest.mark.parametrize(
    "stranger",
    [
        Stranger(),
        Stranger(body=b"[1, 2]", headers={"Content-Type": "application/json"}),
        Stranger(body=b'{"name": "jupyter", "version": "9"}', headers={"Content-Type": "application/json"}),
        Stranger(status=404),
        Stranger(status=500, body=b""),
        Stranger(status=401, body=b"{", headers={"Content-Type": "application/problem+json"}),
    ],
)
def test_a_stranger_is_recognized_and_gets_no_token_from_health(stranger: Stranger) -> None:
    with listening(stranger):
        client = Client(stranger.url, "secret")
        with pytest.raises(BackendForeign, match=f"{stranger.url} is not a Pentimento backend"):
            client.health()
        for ask in (client.models, client.jobs, lambda: client.job("x")):
            with pytest.raises(BackendForeign, match="not a Pentimento backend"):
                ask()
    assert "authorization" not in stranger.seen[0]


def test_a_redirection_is_not_followed() -> None:
    with listening(Stranger()) as target, listening(Stranger(status=302)) as stranger:
        stranger.headers["Location"] = f"{target.url}/api/v1/models"
        with pytest.raises(BackendForeign, match="302"):
            Client(stranger.url, "secret").models()
        assert target.seen == []


def test_proxy_variables_and_netrc_do_not_count(
    server: ServerProcess, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ada password wrong\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert Client(server.url, server.token).models()


# finding the backend


def test_a_running_backend_is_found_by_its_files(server: ServerProcess) -> None:
    address = find_backend({"PENTIMENTO_HOME": str(server.home)})
    assert address == (server.url, server.token, "")


def test_a_token_in_the_environment_comes_first(server: ServerProcess) -> None:
    environ = {"PENTIMENTO_HOME": str(server.home), "PENTIMENTO_TOKEN": "other"}
    assert find_backend(environ) == (server.url, "other", "")


def test_no_backend_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(BackendUnreachable, match=r"is not running\. Start it with `python3 launch\.py`"):
        Client.discover({"PENTIMENTO_HOME": str(tmp_path)})


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", "null", "\ud800"])
def test_a_broken_address_file_is_said_plainly(tmp_path: Path, text: str) -> None:
    (tmp_path / "config").mkdir()
    (tmp_path / "config" / "server.json").write_bytes(text.encode("utf-8", "surrogatepass"))
    with pytest.raises(BackendUnreachable, match="cannot be read"):
        Client.discover({"PENTIMENTO_HOME": str(tmp_path)})
