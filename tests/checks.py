"""All checks of the project in one go: ruff, pyright, pytest. Run by `launch.py test`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parent.parent


HOW_TO_GET_EDITORS = """\
They run on Debian and its like (Linux, as root): `python3 launch.py test tests/editors` makes what it needs there.
PENTIMENTO_EDITORS=required makes a run without them fail. CONTRIBUTING.md, "Tests in real editors", says more."""


class Outcome(NamedTuple):
    """How one check ended: its exit code, how long it took in s, and the last line it printed."""

    name: str
    code: int
    seconds: float
    closing_line: str


def checks(pytest_arguments: Sequence[str], color: bool) -> dict[str, list[str]]:
    """The commands of all checks by name, in the order in which they run."""
    python = sys.executable
    pyright = [python, "-m", "pyright", "--pythonpath", python]
    return {
        "ruff check": [python, "-m", "ruff", "check"],
        "ruff format": [python, "-m", "ruff", "format", "--check"],
        "pyright": [*pyright],
        # pyright reads its stubs by one version a run, so what the plugins' oldest Python lacks takes a run of its own.
        "pyright 3.10": [*pyright, "--pythonversion", "3.10", "shared"],
        "pytest": [python, "-m", "pytest", *(["--color=yes"] if color else []), *pytest_arguments],
    }


def run(name: str, command: Sequence[str], editors_report: Path) -> Outcome:
    """Runs one check in the project's root and passes its output through as it comes.

    pytest writes the reason to `editors_report` when it had to leave out the tests that need Krita and GIMP.
    """
    started = time.monotonic()
    environment = {
        **os.environ,
        # The node wrapper of pyright otherwise tells of newer versions; the pinned one is meant.
        "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1",
        "PENTIMENTO_EDITORS_REPORT": str(editors_report),
    }
    last = b""
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, cwd=ROOT) as process:
        while process.stdout and (chunk := os.read(process.stdout.fileno(), 65536)):
            os.write(1, chunk)
            last = (last + chunk)[-4096:]
    seconds = time.monotonic() - started
    return Outcome(name, process.returncode, seconds, last_line(last.decode("utf-8", "replace")))


def last_line(text: str) -> str:
    """The last line that is not blank, without colours."""
    lines = [line.strip() for line in re.sub(r"\x1b\[[\d;]*m", "", text).splitlines() if line.strip()]
    return lines[-1] if lines else ""


def table(outcomes: Sequence[Outcome], no_editors: str = "") -> str:
    """What passed and what did not, the first failure, and at the end the closing line of the last check.

    `no_editors`: why the tests that need Krita and GIMP did not run, which nobody shall overlook.
    """
    rows = [
        f"  {outcome.name:<12} {'FAILED' if outcome.code else 'passed'} {outcome.seconds:7.1f} s"
        for outcome in outcomes
    ]
    failed = [outcome.name for outcome in outcomes if outcome.code]
    verdict = f'  failed: {", ".join(failed)}; look for "--- {failed[0]}" above' if failed else "  all passed"
    loud = ["", "!" * 100, "THE TESTS IN KRITA AND GIMP DID NOT RUN.", no_editors, HOW_TO_GET_EDITORS, "!" * 100]
    return "\n".join([*rows, verdict, *(loud if no_editors else []), "", outcomes[-1].closing_line])


def main(pytest_arguments: Sequence[str]) -> int:
    """Runs every check, whatever the ones before said. Returns the first failure's exit code, or 0."""
    outcomes = []
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "no-editors"
        for name, command in checks(pytest_arguments, sys.stdout.isatty()).items():
            print(f"\n--- {name}", flush=True)
            outcomes.append(run(name, command, report))
        no_editors = report.read_text("utf-8") if report.exists() else ""
    print("\n" + table(outcomes, no_editors))
    return next((outcome.code for outcome in outcomes if outcome.code), 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
