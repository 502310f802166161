"""The page of controls: it has every setting, and every test that it names is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pentimento_shared.settings import SETTINGS

PROJECT = Path(__file__).resolve().parents[2]
PAGE = (PROJECT / "docs" / "controls.md").read_text("utf-8")
NAMED = sorted(set(re.findall(r"(tests/[\w/]+\.py)::(\w+)", PAGE)))


@pytest.mark.parametrize("row", SETTINGS, ids=lambda row: row.name)
def test_every_setting_stands_in_the_page(row) -> None:
    assert f"`{row.name}`" in PAGE


def test_every_test_that_the_page_names_is_there() -> None:
    assert len(NAMED) > 40
    missing = [f"{file}::{test}" for file, test in NAMED if f"\ndef {test}(" not in _text(file)]
    assert missing == []


def _text(file: str) -> str:
    path = PROJECT / file
    return path.read_text("utf-8") if path.is_file() else ""
