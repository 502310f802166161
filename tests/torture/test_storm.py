"""A short storm; CONTRIBUTING.md tells of the long one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.server.serving import ROOT

SEED_VARIABLE = "STORM_SEED"


@pytest.mark.skipif(sys.platform != "linux", reason="stops processes and fills disks as Linux does it")
@pytest.mark.timeout(900)  # a busy machine takes its time
def test_a_storm_loses_nothing(two_models: Path) -> None:
    seed = os.environ.get(SEED_VARIABLE)
    command = [sys.executable, "-m", "tests.torture.storm", "--models", str(two_models)]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("backend", "shared", "."))}
    storm = subprocess.run(
        [*command, *(["--seed", seed] if seed else [])],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        check=False,
    )
    print(storm.stdout, storm.stderr)
    assert storm.returncode == 0, storm.stdout[-2000:] + storm.stderr[-2000:]
