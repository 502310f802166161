"""Plays the cases of a script inside an editor and writes down how each went. Standard library only, Python 3.10.

A case is a function `case_NAME(stage)`. It is either plain, or a generator that yields what it waits for, while the
editor's own event loop goes on: `yield stage.until(lambda: run.status.over, "the job's end")`, which hands back the
condition's value. It fails by raising. What it returns must be JSON, and reaches the test as the case's facts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

PATIENCE_S = 60.0
MARK = "=== case "


class Wait(NamedTuple):
    """Something that a case waits for: it comes true within `patience` s, or the case fails and names it."""

    condition: Callable[[], Any]
    what: str
    patience: float = PATIENCE_S


class Stage:
    """What a case is given.

    `folder` is the run's own, and the test reads what is put there. `given` is what the test handed to the run.
    `pump` lets the editor's event loop do what is due, and does not block.
    """

    def __init__(self, folder: Path, given: Mapping[str, Any], pump: Callable[[], None]) -> None:
        self.folder = folder
        self.given = given
        self._pump = pump

    def until(self, condition: Callable[[], Any], what: str, patience: float = PATIENCE_S) -> Wait:
        """For `yield`: goes on once the condition holds; this way nothing runs nested in anything else."""
        return Wait(condition, what, patience)

    def wait(self, condition: Callable[[], Any], what: str, patience: float = PATIENCE_S) -> Any:
        """The same in a plain function: runs the event loop from here. Returns the condition's value."""
        deadline = time.monotonic() + patience
        while not (value := condition()):
            if time.monotonic() > deadline:
                raise TimeoutError(f"after {patience:g} s still waiting for {what}")
            self._pump()
            time.sleep(0.005)
        return value

    def rest(self, seconds: float = 0.5) -> Wait:
        """To be yielded before a document is closed in Krita.

        Its layer list looks at changed layers a moment later, and Krita 5.2 crashes when their document is gone by
        then (KisNodeModel::processUpdateQueue): no person is as quick as a script.
        """
        until = time.monotonic() + seconds
        return self.until(lambda: time.monotonic() > until, "a moment")

    def shot(self, name: str) -> Path:
        """Takes a picture of the whole screen: `name`.png in the run's folder."""
        path = self.folder / f"{name}.png"
        subprocess.run(["import", "-window", "root", str(path)], check=True, timeout=30)
        return path

    def xdotool(self, *arguments: str) -> str:
        """Runs xdotool and returns what it said; raises CalledProcessError (`search` that finds nothing is one)."""
        return subprocess.run(
            ["xdotool", *arguments], check=True, capture_output=True, text=True, timeout=30
        ).stdout.strip()


class Player:
    """Plays cases one after the other in small steps, from a timer or a loop of the editor's.

    After each the editor gets `rest` s to itself, and then `tidy` is called.
    """

    def __init__(
        self, cases: Mapping[str, Callable[[Stage], Any]], stage: Stage, tidy: Callable[[], None], rest: float = 0.0
    ) -> None:
        self._todo = list(cases.items())
        self._stage = stage
        self._tidy = tidy
        self._rest = rest
        self._ended: tuple[Any, str | None, float] | None = None
        self._name = ""
        self._running: Generator[Any, Any, Any] | None = None
        self._wait = Wait(lambda: True, "its start")
        self._started = self._deadline = 0.0
        self._elsewhere: list[str] = []
        # What goes wrong in a slot, a callback or a thread reaches no case by itself.
        sys.excepthook = self._note
        threading.excepthook = lambda args: self._note(
            args.exc_type, args.exc_value or args.exc_type(), args.exc_traceback
        )

    def step(self) -> bool:
        """Does what can be done now; False when all cases are over."""
        if self._ended is not None:
            self._close(*self._ended)
            return True
        if self._running is None:
            if not self._todo:
                return False
            self._begin(*self._todo.pop(0))
            return True
        try:
            value = self._wait.condition()
            if value:
                self._expect(self._running.send(value))
            elif time.monotonic() > self._deadline:
                patience, what = self._wait.patience, self._wait.what
                self._expect(self._running.throw(TimeoutError(f"after {patience:g} s still waiting for {what}")))
        except StopIteration as end:
            self._end(end.value, None)
        except Exception:  # noqa: BLE001  whatever a case raises is its result
            self._end(None, traceback.format_exc())
        return True

    def _begin(self, name: str, case: Callable[[Stage], Any]) -> None:
        print(f"{MARK}{name}", file=sys.stderr, flush=True)
        self._name, self._started, self._elsewhere = name, time.monotonic(), []
        try:
            answer = case(self._stage)
            if isinstance(answer, Generator):
                self._running = answer
                self._expect(next(answer))
            else:
                self._end(answer, None)
        except StopIteration as end:
            self._end(end.value, None)
        except Exception:  # noqa: BLE001  as above
            self._end(None, traceback.format_exc())

    def _expect(self, what: Any) -> None:
        self._wait = what if isinstance(what, Wait) else Wait(what, "what the case yielded")
        self._deadline = time.monotonic() + self._wait.patience

    def _end(self, facts: Any, error: str | None) -> None:
        self._running = None
        self._ended = (facts, error, time.monotonic())

    def _close(self, facts: Any, error: str | None, since: float) -> None:
        if time.monotonic() - since < self._rest:
            return
        self._ended = None
        try:
            self._tidy()
        except Exception:  # noqa: BLE001  as above
            error = error or f"while tidying up after it:\n{traceback.format_exc()}"
        error = "\n".join([*([error] if error else []), *self._elsewhere]) or None
        line = {"name": self._name, "error": error, "seconds": since - self._started, "facts": facts}
        with (self._stage.folder / "results.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")

    def _note(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        # Not to stderr: there it would count a second time.
        self._elsewhere.append("outside of the case:\n" + "".join(traceback.format_exception(kind, error, trace)))


def load(pump: Callable[[], None]) -> tuple[Stage, dict[str, Callable[[Stage], Any]]]:
    """The stage and the cases that the environment names (PENTIMENTO_STAGE: the run's folder)."""
    folder = Path(os.environ["PENTIMENTO_STAGE"])
    order = json.loads((folder / "order.json").read_text())
    script = Path(order["script"])
    sys.path.insert(0, str(script.parent))
    sys.dont_write_bytecode = True
    namespace: dict[str, Any] = {"__name__": script.stem, "__file__": str(script)}
    exec(compile(script.read_text(), str(script), "exec"), namespace)
    wanted = order["cases"]
    return Stage(folder, order["given"], pump), {name: namespace[f"case_{name}"] for name in wanted}
