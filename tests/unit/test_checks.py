"""A run without Krita and GIMP does not look like one with them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.checks import Outcome, table

ROOT = Path(__file__).resolve().parents[2]
A_TEST = "tests/editors/test_harness.py::test_a_case_begins_with_nothing_open"


def run_without_editors(report: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """pytest with a test that needs an editor, on a machine that has not even the programs to run one."""
    kept = {name: value for name, value in os.environ.items() if name != "PENTIMENTO_EDITORS"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", A_TEST],
        check=False,
        capture_output=True,
        text=True,
        cwd=ROOT,
        env={**kept, "PATH": str(report.parent), "PENTIMENTO_EDITORS_REPORT": str(report), **environ},
    )


def test_missing_editors_are_said_loudly(tmp_path: Path) -> None:
    report = tmp_path / "report"
    answer = run_without_editors(report)
    assert answer.returncode == 0, answer.stdout
    assert "THE EDITOR TESTS DID NOT RUN" in answer.stdout
    assert "The editors run in" in report.read_text()


def test_missing_editors_fail_where_they_are_required(tmp_path: Path) -> None:
    answer = run_without_editors(tmp_path / "report", PENTIMENTO_EDITORS="required")
    assert answer.returncode == 1
    assert "PENTIMENTO_EDITORS=required, and there are none" in answer.stdout


@pytest.mark.parametrize("reason", ["", "The editors run in a chroot, which takes root."])
def test_the_table_ends_with_pytests_closing_line(reason: str) -> None:
    text = table([Outcome("ruff", 0, 1.0, "fine"), Outcome("pytest", 0, 2.0, "3 passed in 2 s")], reason)
    assert text.endswith("\n3 passed in 2 s")
    assert ("DID NOT RUN" in text) == bool(reason)
    assert reason in text
