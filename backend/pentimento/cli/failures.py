"""Every way in which a command can fail, as one sentence and an exit code. Never a traceback."""

from __future__ import annotations

import traceback

WRONG_INPUT = 2
"""Exit code: what was asked for cannot be done as it was asked; nothing was tried."""
FAILED = 1
"""Exit code: it was tried and did not work."""
INTERRUPTED = 130
"""Exit code: Ctrl+C, as shells have it."""


class Failure(Exception):
    """A sentence for the person at the keyboard, and the exit code that goes with it."""

    def __init__(self, sentence: str, code: int = FAILED) -> None:
        super().__init__(sentence)
        self.code = code


def wrong(sentence: str) -> Failure:
    """A Failure for input that has to be changed."""
    return Failure(sentence, WRONG_INPUT)


def explain(error: BaseException) -> Failure:
    """What to tell of any exception that reached the top."""
    import click

    from pentimento.disk import DiskFull, NotOurs
    from pentimento.engine.request import EngineError
    from pentimento_shared.answers import BackendError, BackendProblem
    from pentimento_shared.settings import SettingError

    if isinstance(error, Failure):
        return error
    if isinstance(error, click.UsageError):
        return wrong(_usage(error))
    if isinstance(error, click.ClickException):
        return Failure(error.format_message())
    if isinstance(error, (KeyboardInterrupt, click.Abort)):
        return Failure("Stopped.", INTERRUPTED)
    if isinstance(error, (SettingError, EngineError)):
        return wrong(error.detail)
    if isinstance(error, BackendProblem):
        return Failure(error.detail, WRONG_INPUT if error.status in (400, 413, 415, 422) else FAILED)
    if isinstance(error, BackendError):
        return Failure(str(error))
    if isinstance(error, (DiskFull, NotOurs)):
        return Failure(str(error))
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return Failure(f"{where}{error.strerror}.")
    return _unexpected(error)


def _usage(error: BaseException) -> str:
    import click

    sentence = error.format_message() if isinstance(error, click.UsageError) else str(error)
    context = getattr(error, "ctx", None)
    if context is None:
        return sentence
    return f"{sentence}\n`{context.command_path} --help` lists what there is."


def _unexpected(error: BaseException) -> Failure:
    """A mistake of ours: the traceback goes to a file, the sentence says where."""
    from pentimento_shared.places import data_folder

    log = data_folder() / "logs" / "cli.log"
    sentence = f"Something went wrong that should not have: {type(error).__name__}: {error}"
    try:
        log.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with log.open("a", encoding="utf-8") as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError:
        return Failure(sentence)
    return Failure(f"{sentence}\nThe details are in {log}; they help whoever mends it.")
