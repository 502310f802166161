"""The folder with a Debian in which Krita and GIMP 3 run for tests: made once, then found in the user's cache.

`python -m tests.editors.root` makes it, prints where it is, and ends with code 3 and a sentence where that cannot be.
It needs root (chroot, mounts), a Debian host, its package mirror, 3 GB, and 2 to 4 minutes.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import platformdirs

from tests.editors.chamber import UNSHARE, enter

SUITE: Final = "trixie"
"""The first Debian with GIMP 3 and Krita 5.2."""

PACKAGES: Final = (
    *("gimp", "krita"),
    *("python3-gi", "python3-gi-cairo", "gir1.2-gimp-3.0", "gir1.2-gtk-3.0"),
    "python3-pyqt5",  # what Krita's scripting needs and does not pull in
    *("xvfb", "xauth", "xdotool", "x11-utils", "x11-xserver-utils", "openbox", "imagemagick"),
    *("dbus-x11", "procps", "fonts-dejavu-core"),
)
VERSION: Final = 1
"""Raised whenever this file makes the folder in another way."""

STAMP: Final = "pentimento-editors.json"
IMPOSSIBLE: Final = 3
"""Exit code: the editors cannot be had on this machine, and the last line says why."""

TRIES: Final = 3
NEEDED_GB: Final = 4.0
"""The root itself takes 2 GB, the packages on their way there another one."""
_OVER_THE_NETWORK = r"Acquire::(https?|ForceIPv|Check-|Proxy|Retries)"


class NoEditors(Exception):
    """A reason why there are no editors here, as a sentence that says what to do."""


def provide(folder: Path | None = None) -> Path:
    """The root with both editors, made if it is not there yet; `folder`: where such roots are kept.

    Several processes may call this at once: one makes it, the others wait. A root that was cut off while it was made is
    never taken for a complete one. Raises NoEditors.
    """
    folder = folder or Path(platformdirs.user_cache_dir("pentimento")) / "editors"
    root = folder / f"{SUITE}-{fingerprint()}"
    _need_namespaces()
    if (root / STAMP).exists():
        return root
    folder.mkdir(parents=True, exist_ok=True)
    with _lock(folder / "lock"):
        if not (root / STAMP).exists():
            _make(root)
    return root


def fingerprint() -> str:
    """Twelve hex digits over all that decides what is in the root."""
    return hashlib.sha256(json.dumps([VERSION, SUITE, PACKAGES]).encode()).hexdigest()[:12]


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    import fcntl  # Windows, which has none, gets its sentence before this

    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _need_namespaces() -> None:
    if not sys.platform.startswith("linux"):
        raise NoEditors(f"The editors run in a chroot of Debian, which takes Linux; this is {sys.platform}.")
    if os.geteuid() != 0:
        raise NoEditors("The editors run in a chroot, which takes root: run the tests as root, or with sudo.")
    try:
        mount = [*UNSHARE, "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        answer = subprocess.run(mount, check=False, capture_output=True, text=True)
        failed, words = bool(answer.returncode), answer.stderr.strip()
    except OSError as error:
        failed, words = True, str(error)
    if failed:
        raise NoEditors(
            f"The editors run in a mount namespace of their own, and this machine does not allow one: {words}\n"
            "Inside a container that takes the capability SYS_ADMIN (docker run --privileged)."
        )


def _make(root: Path) -> None:
    if (host := platform.freedesktop_os_release().get("ID")) != "debian":
        raise NoEditors(f"The editors' root is made with a Debian's own mirror and keys; this system is {host}.")
    mirror = choose_mirror(_targets())
    _need_debootstrap()
    settings = _network_settings()
    if (free := shutil.disk_usage(root.parent).free / 1e9) < NEEDED_GB:
        raise NoEditors(f"The editors need {NEEDED_GB:.0f} GB in {root.parent}, and {free:.1f} GB are free: make room.")
    building = root.with_name(root.name + ".tmp")
    # What a killed run left. Its mounts went with its namespace; should one be there all the same, it stays untouched.
    _run(["rm", "-rf", "--one-file-system", str(building)], f"{building} could not be removed")
    building.mkdir()
    _tell(f"making {root} from {mirror}: {', '.join(PACKAGES[:2])} and what they need")
    # debootstrap mounts things in the folder, and may be killed: of what it did in its namespaces nothing stays behind.
    shell = [*UNSHARE, "--mount-proc", "/bin/sh", "-c", '"$@"; exit "$?"', "sh"]
    bootstrap = [*shell, "debootstrap", "--variant=minbase", "--include=ca-certificates"]
    _run([*bootstrap, SUITE, str(building), mirror], f"debootstrap could not make Debian {SUITE}", environ=_proxies())
    _prepare(building, mirror, settings)
    _run(enter(building, ["apt-get", "update"]), "the package lists of the mirror could not be read")
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "-o", "Dpkg::Options::=--force-unsafe-io"]
    quiet = {"DEBIAN_FRONTEND": "noninteractive"}
    _run(enter(building, [*install, *PACKAGES]), "the editors could not be installed", environ=quiet)
    _run(enter(building, ["sh", "-c", "apt-get clean && rm -rf /var/lib/apt/lists/*"]), "cleaning up failed")
    versions = {name: _version(building, name) for name in ("gimp", "krita")}
    (building / STAMP).write_text(json.dumps({"packages": PACKAGES, "versions": versions}), "utf-8")
    building.rename(root)
    _tell(f"made {root}: " + ", ".join(f"{name} {version}" for name, version in versions.items()))


def _prepare(root: Path, mirror: str, settings: str) -> None:
    """Gives the bare Debian the host's way to the network, and keeps packages from starting services."""
    for name in ("/etc/resolv.conf", "/etc/hosts", "/etc/ssl/certs/ca-certificates.crt"):
        if Path(name).exists():
            (root / name[1:]).parent.mkdir(parents=True, exist_ok=True)
            # copyfile follows links: resolv.conf often is one, to a place that the root does not have.
            (root / name[1:]).unlink(missing_ok=True)
            shutil.copyfile(name, root / name[1:])
    (root / "etc/apt/apt.conf.d/99pentimento").write_text(settings, "utf-8")
    for certificate in re.findall(r'"(/[^"]+)";', settings):
        if Path(certificate).is_file():
            (root / certificate[1:]).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(certificate, root / certificate[1:])
    (root / "etc/apt/sources.list").write_text(f"deb {mirror} {SUITE} main\n", "utf-8")
    policy = root / "usr/sbin/policy-rc.d"
    policy.write_text("#!/bin/sh\nexit 101\n", "utf-8")
    policy.chmod(0o755)


def _version(root: Path, package: str) -> str:
    query = enter(root, ["dpkg-query", "-W", "-f", "${Version}", package])
    return subprocess.run(query, check=True, capture_output=True, text=True).stdout.strip()


# --- what the host knows -----------------------------------------------------------------------------------


def choose_mirror(targets: str) -> str:
    """The mirror of Debian itself among what `apt-get indextargets` lists (lines "URI release component").

    Neither the security archive nor a third party's: those have no whole distribution. Raises NoEditors.
    """
    found = []
    for line in targets.splitlines():
        uri, _, rest = line.partition(" ")
        release, _, component = rest.partition(" ")
        if component == "main" and not re.search(r"security|updates|backports|proposed", f"{release} {uri}"):
            found.append(_behind_a_mirror_list(uri).rstrip("/"))
    # debootstrap checks the signature of whatever is chosen, so a wrong guess fails and harms nothing.
    likely = sorted({uri for uri in found if uri.startswith("http")}, key=lambda uri: not uri.endswith("/debian"))
    if not likely:
        raise NoEditors("apt knows no mirror of Debian here: its sources list no http(s) one with the component main.")
    return likely[0]


def _behind_a_mirror_list(uri: str) -> str:
    """Debian's cloud images name a file with the mirrors' addresses instead of a mirror."""
    if not (match := re.fullmatch(r"mirror\+file:/*(/\S+?)/?", uri)):
        return uri
    try:
        words = Path(match[1]).read_text("utf-8").split()
    except (OSError, UnicodeDecodeError):
        return uri
    return next((word for word in words if word.startswith("http")), uri)


def _targets() -> str:
    """What apt's sources offer, by apt's own reading of all their formats."""
    question = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)"]
    for _ in range(2):
        answer = subprocess.run(question, check=False, capture_output=True, text=True)
        if answer.returncode:
            raise NoEditors(f"apt does not work here, which the editors' root is made with: {answer.stderr.strip()}")
        if answer.stdout.strip():
            return answer.stdout
        # A fresh container: apt names only sources whose lists it has.
        _run(["apt-get", "update", "-q"], "the package lists of the mirror could not be read")
    raise NoEditors("apt has no sources here, and so knows no mirror of Debian.")


def _network_settings() -> str:
    """The host's apt settings on proxies, certificates and retries, as a configuration file."""
    dump = subprocess.run(["apt-config", "dump"], check=True, capture_output=True, text=True).stdout
    kept = [line for line in dump.splitlines() if re.match(_OVER_THE_NETWORK, line)]
    return "\n".join([*kept, 'Acquire::Retries "5";', ""])


def _proxies() -> dict[str, str]:
    """debootstrap downloads with wget, which does not read apt's settings."""
    match = re.search(r'^Acquire::http::Proxy "([^"]+)";', _network_settings(), re.MULTILINE)
    return {"http_proxy": match[1]} if match and "http_proxy" not in os.environ else {}


def _need_debootstrap() -> None:
    if shutil.which("debootstrap"):
        return
    _tell("installing debootstrap")
    install = ["apt-get", "install", "-y", "-q", "--no-install-recommends", "debootstrap"]
    _run(["apt-get", "update", "-q"], "the package lists of the mirror could not be read")
    _run(install, "debootstrap could not be installed", environ={"DEBIAN_FRONTEND": "noninteractive"})


# --- running -----------------------------------------------------------------------------------------------


def _run(command: Sequence[str], failure: str, environ: Mapping[str, str] | None = None) -> None:
    """Runs a command that may go over the network, again if need be. Raises NoEditors with its last words."""
    words = ""
    for _ in range(TRIES):
        try:
            # Two streams in one, and kept: hundreds of lines that nobody wants to see unless it fails.
            subprocess.run(
                command,
                check=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, "LC_ALL": "C", **(environ or {})},
            )
            return
        except subprocess.CalledProcessError as error:
            words = error.stdout.decode("utf-8", "replace")
        except OSError as error:
            words = str(error)
    lines = [line for line in words.splitlines() if line.strip()][-8:]
    raise NoEditors(f"{failure} ({TRIES} tries):\n  " + "\n  ".join(lines))


def _tell(sentence: str) -> None:
    print(sentence, file=sys.stderr, flush=True)


def main() -> int:
    try:
        print(provide())
    except NoEditors as reason:
        _tell(str(reason))
        return IMPOSSIBLE
    return 0


if __name__ == "__main__":
    sys.exit(main())
