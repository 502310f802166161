"""Runs a command on a screen of its own: `screen.py [--manager] COMMAND ...`. Ends with the command's exit code.

Runs inside the editors' root, as the first program of its process namespace, which takes Xvfb down with it.
"""

import os
import subprocess
import sys
import time

SIZE = os.environ.get("PENTIMENTO_SCREEN", "1600x1000") + "x24"


def start_screen() -> str:
    """Starts Xvfb on a display number that it chooses itself; its name."""
    read, write = os.pipe()
    subprocess.Popen(
        # Not the abstract socket: that one is shared with every other screen on this machine.
        ["Xvfb", "-displayfd", str(write), "-screen", "0", SIZE, "-nolisten", "tcp", "-nolisten", "local", "-noreset"],
        pass_fds=[write],
        stderr=subprocess.DEVNULL,
    )
    os.close(write)
    with os.fdopen(read) as answer:
        number = answer.readline().strip()
    if not number:
        sys.exit("Xvfb did not start")
    return f":{number}"


def wait_for_manager() -> None:
    """Returns once a window manager has announced itself; a window that comes before it gets no frame and no focus."""
    for _ in range(1000):
        question = ["xprop", "-root", "_NET_SUPPORTING_WM_CHECK"]
        answer = subprocess.run(question, check=False, capture_output=True, text=True)
        if "window id" in answer.stdout:
            return
        time.sleep(0.02)
    sys.exit("openbox did not start")


def main(arguments: list[str]) -> int:
    os.environ["DISPLAY"] = start_screen()
    if arguments[0] == "--manager":
        arguments = arguments[1:]
        subprocess.Popen(["openbox"], stderr=subprocess.DEVNULL)
        wait_for_manager()
    return subprocess.call(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
