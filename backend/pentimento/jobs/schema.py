"""The store's tables, and the ladder from each older version to the present one."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from typing import Final

_VERSION_1: Final = """
CREATE TABLE meta (name TEXT PRIMARY KEY, value NOT NULL) WITHOUT ROWID;

CREATE TABLE jobs (
    number      INTEGER PRIMARY KEY AUTOINCREMENT,  -- the order of submission, whatever the clock says
    id          TEXT NOT NULL UNIQUE,
    key         TEXT UNIQUE,                        -- the client's Idempotency-Key
    fingerprint TEXT NOT NULL,                      -- of the request as sent: a retry has the same
    task        TEXT NOT NULL,
    settings    TEXT NOT NULL,                      -- JSON, complete
    seeds       TEXT NOT NULL,                      -- JSON, one per picture
    region      TEXT,                               -- JSON: canvas, context
    parent      TEXT,
    application TEXT,
    image       TEXT,                               -- blobs
    mask        TEXT,
    state       TEXT NOT NULL CHECK (state IN ('queued', 'running', 'done', 'failed', 'cancelled')),
    deaths      INTEGER NOT NULL DEFAULT 0,         -- workers that died under it
    progress    REAL NOT NULL DEFAULT 0,            -- nobody was ever shown more than this
    warnings    TEXT NOT NULL DEFAULT '[]',         -- JSON
    problem     TEXT,                               -- JSON
    rev         INTEGER NOT NULL,
    created     TEXT NOT NULL,                      -- for people; nothing is computed from it
    ended       REAL,                               -- on the retention clock
    fetched     REAL                                -- the same clock: when the last picture was
);
CREATE INDEX jobs_by_state ON jobs (state, number);

CREATE TABLE images (
    job     INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
    k       INTEGER NOT NULL,
    raw     TEXT NOT NULL,                          -- blobs
    mask    TEXT,
    context TEXT NOT NULL,                          -- JSON
    recipe  TEXT NOT NULL,                          -- JSON
    fetched INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (job, k)
) WITHOUT ROWID;
"""

_VERSION_2: Final = """
ALTER TABLE jobs ADD COLUMN client TEXT NOT NULL DEFAULT '';  -- who takes turns with the others
UPDATE jobs SET client = coalesce(application, '');
"""

LADDER: Final[Mapping[int, str]] = {1: _VERSION_1, 2: _VERSION_2}
"""What brings a store to each version from the one before. A rung that was released is never changed
again."""

VERSION: Final = max(LADDER)


class StoreTooNew(Exception):
    """A store that a newer Pentimento has written. It is left as it is."""

    def __init__(self, found: int) -> None:
        super().__init__(
            f"The job store was written by a newer Pentimento (version {found} of the store; this one reads "
            f"up to {VERSION}). Start that newer Pentimento, or move the file jobs.sqlite3 away."
        )


def migrate(connection: sqlite3.Connection) -> None:
    """Brings a store, new or old, to `VERSION`: each rung in one transaction. Raises StoreTooNew."""
    (found,) = connection.execute("PRAGMA user_version").fetchone()
    if found > VERSION:
        raise StoreTooNew(found)
    for version in range(found + 1, VERSION + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {LADDER[version]} PRAGMA user_version = {version}; COMMIT;")
