"""A short soak; CONTRIBUTING.md tells of the long one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.torture import soak


@pytest.mark.timeout(900)  # a busy machine takes its time
def test_nothing_grows_and_nothing_is_removed_too_early(two_models: Path, capfd: pytest.CaptureFixture[str]) -> None:
    code = soak.main(["--models", str(two_models)])
    assert code == 0, capfd.readouterr().out
