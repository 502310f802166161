"""The worker process: `python -m pentimento.jobs.worker BLOBS`. Runs the engine; talks in lines over stdin
and stdout.

It ends when its stdin does: then the server is gone, whatever the worker is in the middle of.
"""

from __future__ import annotations

import base64
import os
import queue
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, NoReturn

from pentimento_shared.pixels import PixelsError, encode_png
from pentimento_shared.settings import SettingError

from ..disk import DiskFull
from . import protocol, wire
from .blobs import Blobs
from .discretion import private_texts, told
from .problem import Problem

if TYPE_CHECKING:
    from pentimento.engine.engine import Engine
    from pentimento.engine.request import Event, Result

EXIT_UNUSABLE: Final = 3


class Channel:
    """The worker's end of the pipes. `send` may be called by any thread."""

    def __init__(self, incoming: BinaryIO, outgoing: BinaryIO) -> None:
        self._incoming, self._outgoing = incoming, outgoing
        self._lock = threading.Lock()
        self.work: queue.SimpleQueue[protocol.Run] = queue.SimpleQueue()
        self.cancelled: set[str] = set()

    @classmethod
    def take_over(cls) -> Channel:
        """Keeps stdout for messages under another descriptor; whatever libraries print goes to stderr, the
        log."""
        outgoing = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)
        return cls(sys.stdin.buffer, outgoing)

    def send(self, message: protocol.Message) -> None:
        data = protocol.encode(message)
        with self._lock:
            self._outgoing.write(data)

    def listen(self) -> None:
        """Reads messages until the server is gone, and then ends this process from whatever it is doing."""
        for line in self._incoming:
            message = protocol.decode(line)
            if isinstance(message, protocol.Run):
                self.work.put(message)
            elif isinstance(message, protocol.Cancel):
                self.cancelled.add(message.job)
        os._exit(0)


def main() -> int:
    """Serves jobs until the server is gone. Returns an exit code when there is no engine to serve with."""
    _die_with(parent=os.getppid())
    channel = Channel.take_over()
    blobs = Blobs(Path(sys.argv[1]))
    threading.Thread(target=channel.listen, name="listen", daemon=True).start()
    engine = _engine(channel)
    if engine is None:
        return EXIT_UNUSABLE
    while True:
        channel.send(_outcome(engine, blobs, channel, channel.work.get()))


def _engine(channel: Channel) -> Engine | None:
    """The engine, after the server was told that it is ready; None after it was told why it is not."""
    try:
        from pentimento.engine.checkpoints.hashes import Hashes
        from pentimento.engine.engine import Engine
        from pentimento.engine.models import ModelLibrary

        device = os.environ.get("PENTIMENTO_DEVICE", "auto")
        engine = Engine(ModelLibrary.standard(), device, hashes=Hashes.standard())
        channel.send(protocol.Ready(str(engine.device), _versions()))
        return engine
    except Exception as error:  # noqa: BLE001 - whatever an installation can get wrong
        traceback.print_exc()
        channel.send(protocol.Unusable(f"{type(error).__name__}: {error}"))
        return None


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("torch", "diffusers", "transformers")}


def _outcome(engine: Engine, blobs: Blobs, channel: Channel, run: protocol.Run) -> protocol.Message:
    """Carries out one job; its last message. Returned, not sent, so that no traceback keeps the job's
    tensors alive."""
    from pentimento.engine.request import Cancelled, EngineError, OutOfMemory

    try:
        request = wire.to_request(run.request, blobs)
        for event in engine.run(request, lambda: run.job in channel.cancelled):
            channel.send(_report(run.job, event, blobs))
        return protocol.Done(run.job, tuple(engine.loaded))
    except Cancelled:
        channel.cancelled.discard(run.job)
        return protocol.Stopped(run.job, tuple(engine.loaded))
    except OutOfMemory as error:
        problem = Problem(507, error.detail, "Out of memory", error.field, error.value, error.allowed)
    except EngineError as error:
        problem = Problem(422, error.detail, field=error.field, value=error.value, allowed=error.allowed)
    except SettingError as error:
        problem = Problem(422, error.detail, field=error.field, value=error.value, allowed=error.allowed)
    except PixelsError as error:
        problem = Problem(422, str(error))
    except DiskFull as error:
        problem = Problem(507, str(error))
    except MemoryError:
        problem = Problem(507, "Not enough memory for this picture. Try a smaller size or batch.", "Out of memory")
    except Exception as error:  # noqa: BLE001 - the engine's own faults must not cost the queue its worker
        account = told(error, private_texts(run.request["settings"]))
        print(f"job {run.job} failed:\n{account}", file=sys.stderr, flush=True)  # noqa: T201 - stderr is the worker's log
        detail = f"The engine failed with {type(error).__name__}. The worker's log says more (job {run.job})."
        problem = Problem(500, detail, "Engine fault")
    return protocol.Failed(run.job, problem.to_json(), tuple(engine.loaded))


def _report(job: str, event: Event, blobs: Blobs) -> protocol.Message:
    """The message for one of the engine's events; a finished picture is on disk before it is reported."""
    from pentimento.engine.request import Notice, Preview, Progress

    if isinstance(event, Progress):
        return protocol.Progressed(job, event.stage, event.fraction, event.step, event.steps)
    if isinstance(event, Preview):
        return protocol.Previewed(job, event.index, base64.b64encode(event.jpeg).decode("ascii"))
    if isinstance(event, Notice):
        return protocol.Noticed(job, event.text)
    return _stored(job, event, blobs)


def _stored(job: str, result: Result, blobs: Blobs) -> protocol.Made:
    mask = None if result.mask is None else blobs.put(encode_png(result.mask))
    recipe: Mapping[str, Any] = result.recipe.to_dict()
    return protocol.Made(job, result.index, blobs.put(encode_png(result.pixels)), mask, tuple(result.context), recipe)


def _die_with(parent: int) -> None:
    """Ties this process to the server's life: even stopped or stuck in a C call it goes when the server is
    killed.

    Linux only; elsewhere the end of stdin does it, as soon as Python code runs again.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is the server's to handle
    if sys.platform != "linux":
        return
    import ctypes

    pr_set_pdeathsig: Final = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, int(signal.SIGKILL))
    if os.getppid() != parent:
        os._exit(0)


def _run() -> NoReturn:
    """`main`, and then out, without Python's own shutdown: it would wait for the thread that reads stdin."""
    code = 1
    try:
        code = main()
    except Exception:  # noqa: BLE001 - printed to the log; the exit code tells the server
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    _run()
