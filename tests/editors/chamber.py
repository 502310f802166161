"""Running a program in a Debian root of its own: chroot in private mount and process namespaces.

Nothing has to be unmounted or killed afterwards, after a crash neither: both go with the namespace's first process.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

UNSHARE: Final = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=SIGKILL"),
)

# The shell stays the namespace's first process: an editor would inherit the duty of reaping everybody else's children.
_ENTER: Final = """
root=$1 access=$2; shift 2
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
if [ "$access" = ro ]; then
    mount -t tmpfs tmpfs "$root/tmp"
    mount -t tmpfs tmpfs "$root/run"
fi
while [ "$1" != -- ]; do
    mkdir -p "$root$2"
    mount --bind "$2" "$root$2"
    [ "$1" = rw ] || mount -o remount,bind,ro "$root$2"
    shift 2
done
shift
[ "$access" = rw ] || mount -o remount,bind,ro "$root"
status=0
chroot "$root" "$@" || status=$?
exit "$status"
"""


def enter(
    root: Path, command: Sequence[str], *, read_only: Sequence[Path] = (), writable: Sequence[Path] = ()
) -> list[str]:
    """The command line that runs `command` inside `root`, in which `read_only` and `writable` lie at the same paths.

    With folders the root itself is read-only, with an empty /tmp and /run: a run leaves nothing behind for the next.
    Without any, as while the root is made, everything may be written. The process ids inside are not the ones outside;
    the loopback network is the same. To be run as root, from the main thread. Killing the process, or the death of the
    one that started it, ends everything inside.
    """
    mounts = [
        *(word for path in read_only for word in ("ro", str(path.resolve()))),
        *(word for path in writable for word in ("rw", str(path.resolve()))),
    ]
    return [*UNSHARE, "/bin/sh", "-ec", _ENTER, "enter", str(root), "ro" if mounts else "rw", *mounts, "--", *command]
