"""launch.py: which Python, what is installed, what it says when something is in the way."""

from __future__ import annotations

import ast
import io
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import launch

ROOT = Path(launch.__file__).parent
PROJECT_FILES = (
    "launch.py",
    "pyproject.toml",
    "requirements.lock",
    "requirements-alone.lock",
    "requirements-test.lock",
)


def python(version: tuple[int, int], name: str = "/usr/bin/python", has_venv: bool = True) -> launch.Interpreter:
    return launch.Interpreter(name, (*version, 1), has_venv)


def choose(current: launch.Interpreter, **on_path: launch.Interpreter) -> launch.Interpreter:
    known = {name.replace("_", "."): one for name, one in on_path.items()}
    return launch.choose_interpreter(current, lambda name: name if name in known else None, known.get)


@pytest.mark.parametrize("version", [(3, 11), (3, 12), (3, 13)])
def test_the_python_that_runs_it_is_taken_when_it_fits(version: tuple[int, int]) -> None:
    current = python(version)
    assert choose(current, python3_12=python((3, 12), "other")) == current


@pytest.mark.parametrize("version", [(3, 8), (3, 10), (3, 14), (4, 0)])
def test_another_python_from_path_is_taken_when_it_does_not(version: tuple[int, int]) -> None:
    other = python((3, 13), "/opt/python3.13")
    assert choose(python(version), python3_13=other, python3=python((3, 9))) == other


def test_a_name_on_path_that_does_not_run_is_passed_over() -> None:
    other = python((3, 11), "/opt/python3.11")
    asked = {"python3.12": None, "python3.11": other}
    assert launch.choose_interpreter(python((3, 9)), lambda name: name if name in asked else None, asked.get) == other


def test_an_old_python_alone_says_what_is_needed_and_what_is_there() -> None:
    with pytest.raises(launch.Stop, match=r"needs Python 3\.11 to 3\.13; this is 3\.9\.1"):
        choose(python((3, 9)))


def test_a_debian_python_without_venv_names_the_package() -> None:
    with pytest.raises(launch.Stop, match=r"apt install python3\.11-venv$"):
        choose(python((3, 11), has_venv=False))


def test_the_running_python_is_understood() -> None:
    asked = launch.ask_interpreter(sys.executable)
    assert asked is not None
    assert asked.version == tuple(sys.version_info[:3])


def test_an_interpreter_that_is_not_there_is_none() -> None:
    assert launch.ask_interpreter("/nowhere/python3.12") is None


def test_python_3_8_can_read_it() -> None:
    ast.parse((ROOT / "launch.py").read_text("utf-8"), feature_version=(3, 8))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A folder with a space in its name that holds what launch.py reads, and nothing installed."""
    root = tmp_path / "a clone"
    root.mkdir()
    for name in PROJECT_FILES:
        shutil.copy(ROOT / name, root)
    return root


@pytest.fixture
def venv(project: Path) -> Path:
    """The shape of a finished .venv in that folder."""
    home = project / ".venv"
    launch.python_of(home).parent.mkdir(parents=True)
    launch.python_of(home).symlink_to(sys.executable)
    launch.write_stamp(project, home, [])
    return home


def test_a_stamped_venv_is_ready(project: Path, venv: Path) -> None:
    assert launch.is_ready(project, venv, [])
    assert not launch.is_ready(project, venv, ["test"])


def test_a_venv_with_the_test_extra_is_ready_without_it_too(project: Path, venv: Path) -> None:
    launch.write_stamp(project, venv, ["test"])
    assert launch.is_ready(project, venv, ["test"])
    assert launch.is_ready(project, venv, [])


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-alone.lock", "pyproject.toml"])
def test_another_lock_or_project_file_is_installed_anew(project: Path, venv: Path, name: str) -> None:
    (project / name).write_text("numpy==1\n", "utf-8")
    assert not launch.is_ready(project, venv, [])


def test_a_moved_folder_is_installed_anew(project: Path, venv: Path) -> None:
    moved = project.rename(project.with_name("elsewhere"))
    assert not launch.is_ready(moved, moved / venv.name, [])


def test_a_venv_whose_python_is_gone_is_not_ready(project: Path, venv: Path) -> None:
    launch.python_of(venv).unlink()
    launch.python_of(venv).symlink_to(project / "uninstalled")
    assert not launch.is_ready(project, venv, [])


def test_a_cut_off_stamp_is_no_stamp(project: Path, venv: Path) -> None:
    (venv / launch.STAMP).write_text('{"fingerprint": "12', "utf-8")
    assert not launch.is_ready(project, venv, [])


def test_packages_that_were_cut_off_are_told_from_whole_ones(tmp_path: Path) -> None:
    for name in ("whole-1.0.dist-info", "half-2.0.dist-info", "~old"):
        (tmp_path / name).mkdir()
    (tmp_path / "whole-1.0.dist-info" / "INSTALLER").write_text("pip\n", "utf-8")
    assert sorted(launch.clear_half_installed(tmp_path)) == ["half-2.0.dist-info", "~old"]
    assert [path.name for path in tmp_path.iterdir()] == ["whole-1.0.dist-info"]


def test_two_at_a_time_wait_for_each_other(tmp_path: Path) -> None:
    hold = (
        "import sys, launch, pathlib\n"
        "with launch.only_one(pathlib.Path(sys.argv[1]), lambda: None):\n"
        "    print('held', flush=True)\n"
        "    input()\n"
    )
    path, waited = tmp_path / "lock", []
    command = [sys.executable, "-c", hold, str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"

        def let_go() -> None:
            waited.append(True)
            other.communicate("\n")

        with launch.only_one(path, let_go):
            assert other.wait() == 0
    assert waited == [True]


PIP_SAID = """\
Collecting torch==2.13.0 (from -r requirements.lock (line 18))
  Downloading torch-2.13.0-cp311-cp311-manylinux_2_28_x86_64.whl (888.1 MB)
Progress 444000000 of 888100000
Processing /wheels/flask-3.1.3-py3-none-any.whl (from -r requirements.lock (line 9))
  Using cached numpy-2.4.6-cp311-cp311-manylinux_2_28_x86_64.whl (16.6 MB)
  Downloading click-8.5.1-py3-none-any.whl.metadata (2.6 kB)
  Downloading click-8.5.1-py3-none-any.whl (126 kB)
Installing collected packages: click, numpy, flask, torch
Successfully installed click-8.5.1
"""


def test_pip_is_condensed_to_the_large_packages_and_the_sums(tmp_path: Path) -> None:
    out = io.StringIO()
    reader = launch.PipReader(launch.Display(out), tmp_path)
    for line in PIP_SAID.splitlines():
        reader.line(line)
    assert out.getvalue().splitlines() == [
        "  torch 2.13.0 (888 MB)",
        "  numpy 2.4.6 (17 MB, from pip's cache)",
        "  4 packages, 888 MB downloaded (0 s); installing 4",
    ]


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        (["ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device"], "disk is full"),
        (["WARNING: Retrying (Retry(total=0)) after connection broken", "ERROR: No matching ..."], "does not answer"),
        (["SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]"], "PIP_CERT"),
        (["ERROR: No matching distribution found for torch==2.13.0"], r"has no torch==2\.13\.0 for this Python"),
        (["something else", "ERROR: the reason"], "ERROR: the reason"),
        ([], "it said nothing"),
    ],
)
def test_a_failed_pip_gets_a_sentence(said: list[str], meant: str, tmp_path: Path) -> None:
    with pytest.raises(launch.Stop, match=meant):
        raise launch.Stop(launch.why_pip_failed(said, tmp_path / "install.log"))


def test_help_installs_nothing(project: Path) -> None:
    command = [sys.executable, str(project / "launch.py"), "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert "img2img" in done.stdout
    assert sorted(path.name for path in project.iterdir()) == sorted(PROJECT_FILES)


def test_without_a_network_it_says_so_and_leaves_no_stamp(project: Path) -> None:
    # Port 9 of this machine discards; nothing listens there.
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("PIP_")},
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_INDEX_URL": "http://127.0.0.1:9/simple",
        "PIP_RETRIES": "1",
    }
    command = [sys.executable, str(project / "launch.py"), "serve"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 1
    assert "the package index does not answer" in done.stderr
    assert "Traceback" not in done.stderr
    assert launch.read_stamp(project / ".venv") == {}


def test_every_package_that_the_project_asks_for_is_pinned() -> None:
    import tomllib

    from packaging.requirements import Requirement

    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    pins = pins_of("requirements.lock") | pins_of("requirements-alone.lock")
    test_pins = pins_of("requirements-test.lock")
    for text in project["dependencies"]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(pins[wanted.name]), text
    for text in project["optional-dependencies"]["test"]:
        wanted = Requirement(text)
        assert wanted.specifier.contains(test_pins[wanted.name]), text
    assert pins["torch"] == "2.13.0"


def pins_of(name: str) -> dict[str, str]:
    from packaging.requirements import Requirement

    lines = (ROOT / name).read_text("utf-8").splitlines()
    rows = [Requirement(line) for line in lines if line and not line.startswith("#")]
    assert all(str(row.specifier).startswith("==") for row in rows)
    return {row.name: str(row.specifier).removeprefix("==") for row in rows}
