"""What an older version has written is there under this one; and who is of another version is told which side to
update."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from pentimento.jobs.blobs import Blobs
from pentimento.jobs.problem import Problem
from pentimento.jobs.records import State
from pentimento.jobs.schema import LADDER, VERSION
from pentimento.jobs.store import Store
from pentimento_shared import VERSION as RELEASE
from pentimento_shared.answers import BackendForeign, check_version
from pentimento_shared.backend_link import BackendLink
from pentimento_shared.client import Client
from pentimento_shared.recipe import Recipe
from tests.conftest import StartServer
from tests.server.pictures import mask, picture
from tests.server.serving import environment, until

# As version 1 wrote it, word for word. What this says is history: never change it.
STORE_1 = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;
CREATE TABLE jobs (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,
    id          TEXT NOT NULL UNIQUE,
    key         TEXT UNIQUE,
    fingerprint TEXT NOT NULL,
    task        TEXT NOT NULL,
    settings    TEXT NOT NULL,
    seeds       TEXT NOT NULL,
    region      TEXT,
    parent      TEXT,
    application TEXT,
    image       TEXT,
    mask        TEXT,
    state       TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    deaths      INTEGER NOT NULL DEFAULT 0,
    progress    REAL NOT NULL DEFAULT 0,
    warnings    TEXT NOT NULL DEFAULT '[]',
    problem     TEXT,
    rev         INTEGER NOT NULL,
    created     TEXT NOT NULL,
    ended       REAL,
    fetched     REAL
);
CREATE INDEX jobs_by_state ON jobs (state, number);
CREATE TABLE images (
    job     INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
    k       INTEGER NOT NULL,
    raw     TEXT NOT NULL,
    mask    TEXT,
    context TEXT NOT NULL,
    recipe  TEXT NOT NULL,
    fetched INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job, k)
) WITHOUT ROWID;
PRAGMA user_version = 1;
"""
SETTINGS_1 = {
    "model": "tiny",
    "prompt": "a h\u00fctte",
    "negative_prompt": "",
    "strength": 0.5,
    "cfg_scale": 5.0,
    "steps": 2,
    "sampler": "Euler",
    "schedule": "Automatic",
    "seed": 7,
    "batch_size": 1,
    "batch_count": 1,
}
RECIPE_1 = {
    "pentimento": 1,
    "id": "abc",
    "task": "inpaint",
    "settings": SETTINGS_1,
    "model": {"id": "tiny", "name": "Tiny", "hash": "0123456789abcdef"},
    "sampler": "Euler",
    "schedule": "Automatic",
    "steps_run": 1,
    "start": 0.5,
    "size": [64, 64],
    "work_size": [64, 64],
    "canvas": [100, 80],
    "context": [10, 5, 64, 64],
    "source": "00ff",
    "mask": None,
    "parent": None,
    "software": "pentimento 0.1.0",
    "created": "2026-11-01T10:00:00+00:00",
}
STATES = ("done", "failed", "cancelled", "running", "queued")


def id_of(state: str) -> str:
    return state.encode().hex().ljust(32, "0")


def write_store_1(data: Path) -> None:
    """A store of version 1 with a job in each state; the done one has a picture."""
    blobs = Blobs(data / "blobs")
    image, drawn = blobs.put(picture()), blobs.put(mask())
    problem = {"type": "about:blank", "title": "Worker died", "status": 500, "detail": "It died.", "field": "steps"}
    with closing(sqlite3.connect(data / "jobs.sqlite3")) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(STORE_1)
        for state in STATES:
            connection.execute(
                "INSERT INTO jobs (id, key, fingerprint, task, settings, seeds, region, parent, application, image,"
                " mask, state, deaths, progress, warnings, problem, rev, created, ended) VALUES (?, ?, 'f', 'inpaint',"
                " ?, '[7]', '[[100, 80], [10, 5, 64, 64]]', 'p', 'krita', ?, ?, ?, 0, 0.25, ?, ?, 12,"
                " '2026-11-01T10:00:00+00:00', 5.0)",
                (
                    id_of(state),
                    f"key-{state}",
                    json.dumps(SETTINGS_1),
                    image,
                    drawn,
                    state,
                    json.dumps(["w"]),
                    json.dumps(problem) if state == "failed" else None,
                ),
            )
        connection.execute(
            "INSERT INTO images (job, k, raw, mask, context, recipe)"
            " SELECT number, 0, ?, ?, '[0, 0, 64, 64]', ? FROM jobs WHERE state = 'done'",
            (image, drawn, json.dumps(RECIPE_1)),
        )
        connection.execute("INSERT INTO meta VALUES ('rev_end', 1000000)")
        connection.commit()


def test_the_first_rung_is_what_version_1_wrote() -> None:
    def shape(script: str) -> list[tuple[object, ...]]:
        with closing(sqlite3.connect(":memory:")) as connection:
            connection.executescript(script)
            tables = [name for (name,) in connection.execute("SELECT name FROM sqlite_master ORDER BY name")]
            return [row for name in tables for row in connection.execute(f"PRAGMA table_info('{name}')")]

    assert shape(LADDER[1]) == shape(STORE_1)
    assert sorted(LADDER) == list(range(1, VERSION + 1))


def test_everything_of_version_1_is_there(tmp_path: Path) -> None:
    write_store_1(tmp_path)
    store = Store(tmp_path / "jobs.sqlite3")
    assert store.intact()
    assert store.fact("rev_end", 0) == 1_000_000
    for state in STATES:
        record = store.get(id_of(state))
        assert record is not None
        submission = record.submission
        assert (record.state, record.warnings, record.rev) == (State(state), ("w",), 12)
        assert (submission.settings, submission.seeds, submission.key) == (SETTINGS_1, (7,), f"key-{state}")
        assert (submission.parent, submission.application, submission.client) == ("p", "krita", "krita")
        assert (submission.canvas, submission.context) == ((100, 80), (10, 5, 64, 64))
        problem = Problem(500, "It died.", "Worker died", field="steps") if state == "failed" else None
        assert record.problem == problem
    image = store.image(id_of("done"), 0)
    assert image is not None
    assert image.recipe == RECIPE_1
    read = Recipe.from_dict(image.recipe)
    assert (read.id, read.seed, read.size, read.context) == ("abc", 7, (64, 64), (10, 5, 64, 64))
    assert {name: read.settings[name] for name in SETTINGS_1} == SETTINGS_1
    with closing(sqlite3.connect(tmp_path / "jobs.sqlite3")) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (VERSION,)


def test_the_server_goes_on_where_version_1_ended(start_server: StartServer, tiny_model: Path, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    write_store_1(tmp_path / "data")
    server = start_server(home=tmp_path, model=tiny_model)
    states = {job["id"]: job["state"] for job in server.get("/jobs").json()["jobs"]}
    assert [states[id_of(state)] for state in ("done", "failed", "cancelled")] == ["done", "failed", "cancelled"]
    assert server.get(f"/jobs/{id_of('done')}/images/0").content.startswith(b"\x89PNG")
    for state in ("running", "queued"):
        job = server.finish(id_of(state))
        assert job["state"] == "done", job


DIES = """
import os, signal, sqlite3, sys
from pentimento.jobs import schema
connection = sqlite3.connect(sys.argv[1], isolation_level=None)
connection.execute("PRAGMA synchronous = FULL")
left = int(sys.argv[2])
def tick():
    global left
    left -= 1
    if left < 0:
        os.kill(os.getpid(), signal.SIGKILL)
connection.set_progress_handler(tick, 1)
schema.migrate(connection)
"""


@pytest.mark.skipif(os.name == "nt", reason="SIGKILL")
def test_a_death_in_the_middle_of_the_ladder_loses_nothing(tmp_path: Path) -> None:
    found, after = set(), 5
    while True:
        home = tmp_path / str(after)
        home.mkdir()
        write_store_1(home)
        path = home / "jobs.sqlite3"
        done = subprocess.run(
            [sys.executable, "-c", DIES, str(path), str(after)], env=environment(home, {}), check=False, timeout=60
        )
        with closing(sqlite3.connect(path)) as connection:
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            columns = {row[1] for row in connection.execute("PRAGMA table_info(jobs)")}
        found.add(version)
        assert ("client" in columns) == (version == 2), "whole, or not at all"
        store = Store(path)
        assert store.intact()
        assert [store.get(id_of(state)) is not None for state in STATES] == [True] * 5
        store.close()
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        after = after * 2 + 3
    assert found == {1, VERSION}, "it died before the end at least once, and came to it at last"


# versions that do not fit


def test_which_versions_fit_and_who_is_to_be_updated(start_server: StartServer, tmp_path: Path) -> None:
    server = start_server(home=tmp_path)
    with Client.discover({"PENTIMENTO_HOME": str(tmp_path)}) as client:
        health = client.health()
    assert health.version == RELEASE
    major, minor, patch = (int(part) for part in RELEASE.split("."))
    check_version(health, f"{major}.{minor}.{patch + 7}")
    newer, older = f"{major}.{minor + 1}.0", f"{major}.{minor - 1}.9"
    with pytest.raises(BackendForeign, match=f"{RELEASE}.*{newer}.*The backend is the older one.*launch.py stop"):
        check_version(health, newer)
    with pytest.raises(BackendForeign, match=f"{RELEASE}.*{older}.*This side is the older one.*plugins install"):
        check_version(health, older)
    for version, said in ((newer, "backend is the older"), (older, "This side is the older")):
        link = BackendLink(version, {"PENTIMENTO_HOME": str(tmp_path)})
        try:
            until(lambda link=link: link.snapshot().state != "searching")
            state = link.snapshot()
            assert (state.state, state.usable) == ("foreign", False)
            assert said in state.message
        finally:
            link.close()
    assert server.get("/jobs").json()["jobs"] == [], "nobody has sent anything"
