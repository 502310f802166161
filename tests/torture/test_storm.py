"""A short storm; CONTRIBUTING.md tells of the long one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.models import build_tiny_model
from tests.server.serving import ROOT
from tests.torture.work import MODELS

SEED_VARIABLE = "STORM_SEED"


@pytest.mark.skipif(sys.platform != "linux", reason="stops processes and fills disks as Linux does it")
def test_a_storm_loses_nothing(tiny_model: Path, tmp_path: Path) -> None:
    for seed, model in enumerate(MODELS):
        if model == tiny_model.name:
            (tmp_path / model).symlink_to(tiny_model)
        else:
            build_tiny_model(tmp_path / model, seed=seed)
    seed = os.environ.get(SEED_VARIABLE)
    command = [
        sys.executable,
        "-m",
        "tests.torture.storm",
        "--models",
        str(tmp_path),
        *(["--seed", seed] if seed else []),
    ]
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(str(ROOT / part) for part in ("backend", "shared", "."))}
    storm = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, check=False)
    print(storm.stdout, storm.stderr)
    assert storm.returncode == 0, storm.stdout[-2000:] + storm.stderr[-2000:]
