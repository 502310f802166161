#!/usr/bin/env python3
"""One command for all: makes .venv beside itself, installs the pinned set, runs `pentimento ARGS` in it.

Standard library only, and readable by Python 3.8, so that an old Python can say what it needs.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import queue
import re
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Callable, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = "pentimento.json"
LOG = "install.log"
PIP = "26.3"
OLDEST, FIRST_UNTRIED = (3, 11), (3, 14)
GUESSES = ("python3.12", "python3.13", "python3.11", "python3")
LARGE = 10.0
"""From this size on, MB, a package gets its own line while the set is downloaded."""

Version = Tuple[int, ...]

HELP = """\
usage: python3 launch.py [COMMAND ...]

  (nothing)   the same as serve
  serve       run the backend that the editors talk to
  img2img     IMAGE PROMPT: turn a picture into another
  inpaint     IMAGE MASK PROMPT: repaint a part of a picture
  txt2img     PROMPT: make a picture from words
  plugins     install: put the plugins into Krita and GIMP
  doctor      look whether everything is in place
  test        run the project's own checks: ruff, pyright, pytest

Nothing is installed yet. The first command makes .venv beside this file and installs the pinned set there
(several hundred MB to some GB, depending on the build of torch); every later one starts at once.
After that, --help lists everything, and COMMAND --help the options of a command."""


class Stop(Exception):
    """A reason not to go on, as a sentence for the person at the keyboard."""

    def __init__(self, sentence: str, code: int = 1) -> None:
        super().__init__(sentence)
        self.code = code


# --- which Python ------------------------------------------------------------------------------------------


class Interpreter(NamedTuple):
    """A Python that was asked: its command, its version, and whether it can make a virtual environment."""

    command: str
    version: Version
    has_venv: bool

    @property
    def fits(self) -> bool:
        return OLDEST <= self.version[:2] < FIRST_UNTRIED


def ask_interpreter(command: str) -> Optional[Interpreter]:
    """What the Python behind `command` says of itself; None when it does not run."""
    question = (
        "import sys; from importlib.util import find_spec as has;"
        "print(sys.executable, *sys.version_info[:3], bool(has('venv') and has('ensurepip')), sep='\\n')"
    )
    try:
        answer = subprocess.run(
            [command, "-I", "-c", question], check=False, capture_output=True, text=True, timeout=30
        )
        path, major, minor, patch, has_venv = answer.stdout.splitlines()
        return Interpreter(path, (int(major), int(minor), int(patch)), has_venv == "True")
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return None


def choose_interpreter(
    current: Interpreter,
    which: Callable[[str], Optional[str]] = shutil.which,
    ask: Callable[[str], Optional[Interpreter]] = ask_interpreter,
) -> Interpreter:
    """The current Python when it will do, else another from PATH. Raises Stop with what to install."""
    if current.fits and current.has_venv:
        return current
    others = [found for name in GUESSES if which(name) for found in [ask(str(which(name)))] if found]
    for other in others:
        if other.fits and other.has_venv:
            return other
    raise Stop(what_is_missing(next((one for one in [current, *others] if one.fits), current)))


def what_is_missing(best: Interpreter) -> str:
    """The sentence for a machine where `best` is the nearest thing to a Python that will do."""
    version = ".".join(map(str, best.version))
    if best.fits:
        package = "python%d.%d-venv" % best.version[:2]
        return (
            f"Python {version} ({best.command}) lacks its venv module, which Debian and Ubuntu ship apart.\n"
            f"Install it and run this again:  {as_root()}apt install {package}"
        )
    hint = {
        "darwin": "python.org, or:  brew install python@3.12",
        "win32": "python.org, or:  winget install Python.Python.3.12",
    }.get(sys.platform, f"your distribution, for example:  {as_root()}apt install python3 python3-venv")
    return (
        f"Pentimento needs Python 3.11 to 3.13; this is {version}, and no other was found on PATH.\n"
        f"Install one from {hint}"
    )


def as_root() -> str:
    return "" if getattr(os, "geteuid", lambda: 0)() == 0 else "sudo "


# --- what is installed -------------------------------------------------------------------------------------


def python_of(venv: Path) -> Path:
    return venv / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def locks(root: Path, extras: Sequence[str]) -> List[Path]:
    return [root / "requirements.lock", *(root / f"requirements-{extra}.lock" for extra in extras)]


def alone(root: Path) -> Path:
    """The lock of those packages that come without what they ask for."""
    return root / "requirements-alone.lock"


def fingerprint(root: Path, extras: Sequence[str]) -> str:
    """One hash over all that decides what has to be in .venv, the place of the project included."""
    digest = hashlib.sha256(os.fsencode(str(root)))
    for path in [*locks(root, extras), alone(root), root / "pyproject.toml"]:
        digest.update(path.name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def read_stamp(venv: Path) -> Dict[str, str]:
    """What the last complete installation left: extras, fingerprint, interpreter; empty without one."""
    try:
        stamp = json.loads((venv / STAMP).read_text("utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def extras_of(root: Path, stamp: Dict[str, str]) -> List[str]:
    """The extras that a stamp names, as far as the project still has them."""
    return [extra for extra in str(stamp.get("extras", "")).split() if locks(root, [extra])[1].exists()]


def is_ready(root: Path, venv: Path, extras: Sequence[str]) -> bool:
    """Whether .venv holds just what is wanted. Reads a few small files and starts nothing."""
    stamp = read_stamp(venv)
    installed = extras_of(root, stamp)
    return (
        bool(stamp)
        and set(extras) <= set(installed)
        and stamp.get("fingerprint") == fingerprint(root, installed)
        # A symlink whose goal became another Python finds no package any more: the venv is made anew.
        and stamp.get("interpreter") == os.path.realpath(str(python_of(venv)))
        and python_of(venv).exists()
    )


def write_stamp(root: Path, venv: Path, extras: Sequence[str]) -> None:
    stamp = {
        "extras": " ".join(extras),
        "fingerprint": fingerprint(root, extras),
        "interpreter": os.path.realpath(str(python_of(venv))),
    }
    temporary = venv / (STAMP + ".part")
    temporary.write_text(json.dumps(stamp), "utf-8")
    temporary.replace(venv / STAMP)


def clear_half_installed(site_packages: Path) -> List[str]:
    """Removes the record of every package whose installation was cut off, so that pip installs it again.

    pip takes a package for installed once its METADATA is there; INSTALLER comes after its last file.
    """
    cut_off = [
        *site_packages.glob("~*"),
        *(info for info in site_packages.glob("*.dist-info") if not (info / "INSTALLER").exists()),
    ]
    for path in cut_off:
        if path.is_dir():
            shutil.rmtree(str(path))
        else:
            path.unlink()
    return [path.name for path in cut_off]


@contextlib.contextmanager
def only_one(path: Path, when_waiting: Callable[[], None]) -> Iterator[None]:
    """Holds an advisory lock on a file; `when_waiting` is called when another process has it."""
    with path.open("a+b") as file:
        if not _take(file, wait=False):
            when_waiting()
            while not _take(file, wait=True):
                time.sleep(1)
        yield


def _take(file, wait: bool) -> bool:
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)  # pyright: ignore
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except OSError:
        return False
    return True


# --- installing --------------------------------------------------------------------------------------------


class Display:
    """Lines that stay and, on a terminal, one last line that changes."""

    def __init__(self, stream=sys.stderr) -> None:
        self.stream = stream
        self.live = stream.isatty()
        self.started = time.monotonic()
        self._drawn = 0.0

    def line(self, text: str) -> None:
        self.clear()
        print(text, file=self.stream, flush=True)

    def status(self, text: str) -> None:
        now = time.monotonic()
        if not self.live or now - self._drawn < 0.1:
            return
        self._drawn = now
        width = shutil.get_terminal_size().columns - 1
        print("\r\x1b[K" + f"  {text}  ({self.elapsed})"[:width], end="", file=self.stream, flush=True)

    def clear(self) -> None:
        if self.live:
            print("\r\x1b[K", end="", file=self.stream, flush=True)

    @property
    def elapsed(self) -> str:
        seconds = round(time.monotonic() - self.started)
        return f"{seconds} s" if seconds < 100 else f"{seconds // 60} min {seconds % 60:02d} s"


_DOWNLOAD = re.compile(r"(Downloading|Using cached) (\S+?)-(\d[^-]*)\S*\.(?:whl|tar\.gz) \(([\d.]+) ([kMG]?)B\)")
_AT_HAND = re.compile(r"Processing \S*?([\w.]+)-(\d[^-]*)\S*\.whl")
_PROGRESS = re.compile(r"Progress (\d+) of (\d+)")
_COLLECTING = re.compile(r"Collecting ([\w.\-]+)")
_SCALE = {"": 1e-6, "k": 1e-3, "M": 1.0, "G": 1e3}


class PipReader:
    """Turns pip's output, line by line, into few lines that say what is going on."""

    def __init__(self, display: Display, site_packages: Path) -> None:
        self.display = display
        self.site_packages = site_packages
        self.packages = 0
        self.megabytes = 0.0
        self.installing: Tuple[str, ...] = ()
        self._current = ""

    def line(self, line: str) -> None:
        line = line.strip()
        if progress := _PROGRESS.match(line):
            done, total = (int(number) / 1e6 for number in progress.groups())
            self.display.status(f"{self._current}: {done:.0f} of {total:.0f} MB")
        elif download := _DOWNLOAD.match(line):
            self._download(*download.groups())
        elif _AT_HAND.match(line):
            self.packages += 1
        elif line.startswith("Installing collected packages: "):
            self.installing = tuple(line.split(": ", 1)[1].split(", "))
            self.display.line(
                f"  {self.packages} package{'s' * (self.packages != 1)}, {self.megabytes:.0f} MB downloaded "
                f"({self.display.elapsed}); "
                f"installing {len(self.installing)}"
            )
        elif collecting := _COLLECTING.match(line):
            self.display.status(f"looking for {collecting[1]}")
        elif "Retrying (Retry(" in line:
            self.display.status("no answer from the package index; trying again")

    def idle(self) -> None:
        """Called while pip says nothing: it installs without a word, so the finished packages are counted."""
        if self.installing:
            count = sum(1 for _ in self.site_packages.glob("*.dist-info/INSTALLER"))
            self.display.status(f"{count} packages installed")

    def _download(self, how: str, name: str, version: str, size: str, unit: str) -> None:
        megabytes = float(size) * _SCALE[unit]
        self.packages += 1
        self._current = f"{name} {version}"
        if how == "Downloading":
            self.megabytes += megabytes
        if megabytes >= LARGE:
            cached = "" if how == "Downloading" else ", from pip's cache"
            self.display.line(f"  {self._current} ({megabytes:.0f} MB{cached})")
        else:
            self.display.status(self._current)


def run_pip(venv: Path, arguments: Sequence[str], reader: Optional[PipReader] = None) -> None:
    """Runs `pip install` in .venv. Raises Stop with the reason when it fails; all it said goes to the log."""
    pip = [str(python_of(venv)), "-I", "-m", "pip", "install", "--disable-pip-version-check", "--no-input"]
    output: List[str] = []
    with (venv / LOG).open("a", encoding="utf-8", errors="replace") as log, subprocess.Popen(
        [*pip, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=str(ROOT),
    ) as process:
        try:
            for line in _lines(process, reader.idle if reader else lambda: None):
                output.append(line)
                if not line.startswith("Progress "):
                    log.write(line + "\n")
                if reader:
                    reader.line(line)
        except BaseException:
            process.terminate()
            raise
    if process.returncode:
        raise Stop(why_pip_failed(output, venv / LOG))


def _lines(process: subprocess.Popen, idle: Callable[[], None]) -> Iterator[str]:
    """The lines of a process' output as they come; `idle` runs a few times a second while none does."""
    lines: queue.Queue = queue.Queue()

    def pump() -> None:
        for raw in process.stdout or ():
            lines.put(raw.decode("utf-8", "replace").rstrip())
        lines.put(None)

    threading.Thread(target=pump, daemon=True).start()
    while True:
        try:
            line = lines.get(timeout=0.3)
        except queue.Empty:
            idle()
            continue
        if line is None:
            return
        yield line


_NO_NETWORK = re.compile(
    r"Retrying \(Retry\(|Max retries exceeded|name resolution|getaddrinfo failed|Network is unreachable"
    r"|Connection refused|Read timed out|ProxyError|ConnectTimeout"
)
_AGAIN = "run the same command again: it goes on where it stopped"


def why_pip_failed(output: Sequence[str], log: Path) -> str:
    """The sentence for a failed `pip install`, from what pip said."""
    text = "\n".join(output)
    if "No space left on device" in text or "Errno 28" in text:
        free = shutil.disk_usage(str(log.parent)).free / 1e9
        return (
            f"The disk is full: {free:.1f} GB are free at {log.parent}.\n"
            "The set with torch needs 2 to 8 GB there, and as much for a while in pip's temporary folder "
            f"(TMPDIR moves it).\nMake room and {_AGAIN}."
        )
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return (
            "The package index has a certificate that this machine does not trust (a proxy?).\n"
            f"Name the proxy's certificate file (PIP_CERT=/path/to/ca.pem) and {_AGAIN}."
        )
    if _NO_NETWORK.search(text):
        return (
            "The packages could not be downloaded: the package index does not answer.\n"
            f"The installation needs the network this once. When it is back, {_AGAIN}. Details: {log}"
        )
    if missing := re.search(r"No matching distribution found for (\S+)", text):
        return (
            f"The package index that pip uses here has no {missing[1]} for this Python and this system "
            f"({sys.platform}, {os.uname().machine if hasattr(os, 'uname') else 'Windows'}).\n"
            f"`pip config list` shows which index that is. Details: {log}"
        )
    errors = [line for line in output if line.startswith("ERROR")] or list(output[-1:])
    return f"pip could not install the set: {errors[-1] if errors else 'it said nothing'}\nDetails: {log}"


def make_venv(interpreter: Interpreter, venv: Path, display: Display) -> None:
    """A fresh .venv with the pinned pip, unless a working one is there."""
    if venv.exists() and not _works(venv):
        display.line(f"{venv} is damaged or of another Python; making it anew")
        shutil.rmtree(str(venv))
    if not venv.exists():
        display.line(f"making {venv} with Python {'.'.join(map(str, interpreter.version))}")
        made = subprocess.run(
            [interpreter.command, "-m", "venv", str(venv)], check=False, capture_output=True, text=True
        )
        if made.returncode:
            shutil.rmtree(str(venv), ignore_errors=True)
            reason = (made.stderr.strip() or made.stdout.strip() or "it said nothing").splitlines()[-1]
            raise Stop(f"{interpreter.command} -m venv failed: {reason}")


def _works(venv: Path) -> bool:
    try:
        question = [
            str(python_of(venv)),
            "-I",
            "-c",
            "import pip, sys; sys.exit(sys.prefix == sys.base_prefix)",
        ]
        return subprocess.run(question, check=False, capture_output=True).returncode == 0
    except OSError:
        return False


def site_packages_of(venv: Path) -> Path:
    if os.name == "nt":
        return venv / "Lib" / "site-packages"
    return next(iter(sorted((venv / "lib").glob("python3*"))), venv / "lib") / "site-packages"


def install(interpreter: Interpreter, extras: Sequence[str], display: Display) -> None:
    """Brings .venv to what the locks say, whatever state it is in, and stamps it. Raises Stop."""
    extras = sorted({*extras, *extras_of(ROOT, read_stamp(VENV))})
    make_venv(interpreter, VENV, display)
    with contextlib.suppress(FileNotFoundError):
        (VENV / STAMP).unlink()
    site_packages = site_packages_of(VENV)
    for name in clear_half_installed(site_packages):
        display.line(f"  {name} was cut off last time: installing it again")
    if not (site_packages / f"pip-{PIP}.dist-info").exists():
        display.status("bringing pip up to date")
        run_pip(VENV, [f"pip=={PIP}"])
    pins = locks(ROOT, extras)
    display.line(f"installing the pinned set ({', '.join(path.name for path in pins)})")
    files = [argument for path in pins for argument in ("-r", str(path))]
    run_pip(VENV, ["--progress-bar", "raw", "--no-compile", *files], PipReader(display, site_packages))
    display.status("compiling")
    compile_all(site_packages)
    # setuptools is among the pins, so the project builds without a second trip to the network.
    display.status("installing pentimento itself")
    run_pip(VENV, ["--no-deps", "--no-build-isolation", "-r", str(alone(ROOT)), "-e", str(ROOT)])
    write_stamp(ROOT, VENV, extras)
    display.line(f"installed in {display.elapsed}")


def compile_all(site_packages: Path) -> None:
    """Byte-compiles the packages on all cores; pip would do it on one, which takes half of its time."""
    skip = r"[/\\](tests?|testing)[/\\]"
    command = [
        str(python_of(VENV)),
        "-I",
        "-m",
        "compileall",
        "-q",
        "-j",
        "0",
        "-x",
        skip,
        str(site_packages),
    ]
    # A file that does not compile is one that nobody imports here; the others are compiled all the same.
    subprocess.run(command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def prepare(extras: Sequence[str] = ()) -> Path:
    """The Python of a .venv that holds all that is wanted, installing what is missing. Raises Stop."""
    if not is_ready(ROOT, VENV, extras):
        display = Display()
        current = ask_interpreter(sys.executable)
        interpreter = choose_interpreter(current or Interpreter(sys.executable, tuple(sys.version_info[:3]), False))
        try:
            with only_one(ROOT / ".venv.lock", lambda: display.line("another launch.py is installing here; waiting")):
                if not is_ready(ROOT, VENV, extras):
                    install(interpreter, extras, display)
        except KeyboardInterrupt:
            display.clear()
            raise Stop(f"Stopped. To go on, {_AGAIN}.", 130) from None
        except PermissionError as error:
            raise Stop(f"{error.filename} cannot be written: {error.strerror}. .venv is made in {ROOT}.") from None
        except OSError as error:
            raise Stop(f"The installation stopped: {error}. When that is mended, {_AGAIN}.") from None
    return python_of(VENV)


# --- the entrance ------------------------------------------------------------------------------------------


def main(arguments: Sequence[str]) -> int:
    try:
        if list(arguments) in (["--help"], ["-h"]) and not is_ready(ROOT, VENV, ()):
            print(HELP)
            return 0
        if arguments and arguments[0] == "test":
            python = str(prepare(["test"]))
            command = [python, str(ROOT / "tests" / "checks.py"), *arguments[1:]]
        else:
            python = str(prepare())
            # -P: a file in the user's folder must not pass for a module of ours.
            command = [python, "-P", "-m", "pentimento", *(arguments or ["serve"])]
    except Stop as stop:
        print(stop, file=sys.stderr)
        return stop.code
    if os.name == "nt":
        return subprocess.call(command)
    return os.execv(python, command)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
