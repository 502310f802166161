"""A storm: several clients have pictures made while servers and workers are killed and stopped, the disk fills up, the
clock is set back, connections break and requests come twice.

    python -m tests.torture.storm --jobs 1000 --customers 6 --blows 100

It prints its seed first and its figures last; `--seed` repeats what was drawn. Exit code 1, and a line for each fault,
when anything was lost. As root, or where user namespaces are allowed, the disk is a small one of its own (tmpfs).
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .adversary import Adversary, Disk
from .autopsy import faults_of_home, faults_of_orders
from .backend import Backend, client_of, until
from .customers import MANNERS, Customer, Entry
from .models import copy_models
from .work import undisturbed, works

_PRIVATE: Final = "TORTURE_PRIVATE_MOUNTS"
_DISK: Final = "size=192m,mode=0700"


@dataclass(frozen=True)
class Options:
    """How hard it blows. `models`: a folder with both models of work.MODELS; without it they are made."""

    jobs: int
    customers: int
    blows: int
    seed: int
    models: Path | None


def main(arguments: Sequence[str]) -> int:
    options = _options(arguments)
    if _PRIVATE not in os.environ and (prefix := private_mounts()):
        again = [*prefix, sys.executable, "-m", "tests.torture.storm", *_words(options)]
        return subprocess.run(again, env={**os.environ, _PRIVATE: "1"}, check=False).returncode
    print(f"storm: --seed {options.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="storm-") as folder:
        return _storm(options, Path(folder))


def private_mounts() -> list[str]:
    """What to put before a command so that it may mount a disk of its own, which goes with it; empty where that is not
    allowed."""
    user = [] if os.geteuid() == 0 else ["--map-root-user"]
    prefix = ["unshare", *user, "--mount", "--propagation", "private"]
    try:
        trial = subprocess.run([*prefix, "mount", "-t", "tmpfs", "none", "/mnt"], capture_output=True, check=False)
    except FileNotFoundError:
        return []
    return prefix if trial.returncode == 0 else []


def _options(arguments: Sequence[str]) -> Options:
    parser = argparse.ArgumentParser(prog="python -m tests.torture.storm", description=__doc__)
    parser.add_argument("--jobs", type=int, default=24)
    parser.add_argument("--customers", type=int, default=4)
    parser.add_argument("--blows", type=int, default=7)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--models", type=Path)
    return Options(**vars(parser.parse_args(arguments)))


def _words(options: Options) -> list[str]:
    return [word for name, value in vars(options).items() if value is not None for word in (f"--{name}", str(value))]


def _storm(options: Options, folder: Path) -> int:
    home, clock = folder / "disk" / "home", folder / "clock"
    began = time.monotonic()
    with _own_disk(folder / "disk") as filler:
        copy_models(options.models, folder, home)
        backend = Backend(home, folder, clock)
        adversary = Adversary(backend, Disk(home, filler), clock, options.seed)
        try:
            faults, customers = _blow(options, backend, adversary)
            entries = [entry for customer in customers for entry in customer.entries]
            figures = {
                "disk": "tmpfs" if filler else "limit on the size of files",
                "jobs": dict(Counter(entry.last.state if entry.last else "lost" for entry in entries)),
                "manners": dict(Counter(entry.manner for entry in entries)),
                "blows": dict(adversary.struck),
                "asked again": dict(sum((customer.turned_away for customer in customers), Counter())),
                "server starts": backend.starts,
                "seconds": round(time.monotonic() - began),
                "faults": len(faults),
            }
        except BaseException:
            _keep_logs(options, home, folder)
            raise
        finally:
            backend.stop()
        if faults:
            _keep_logs(options, home, folder)
    print(*faults, json.dumps(figures), sep="\n", flush=True)
    return 1 if faults else 0


@contextmanager
def _own_disk(folder: Path) -> Iterator[Path | None]:
    """Mounts a small disk at `folder` where that may be done, and yields the file to fill it with."""
    folder.mkdir()
    if _PRIVATE not in os.environ:
        yield None
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", _DISK, "none", str(folder)], check=True)
    try:
        yield folder / "filler"
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def _keep_logs(options: Options, home: Path, folder: Path) -> None:
    kept = Path(tempfile.gettempdir()) / f"storm-logs-{options.seed}"
    shutil.copytree(home / "data" / "logs", kept, dirs_exist_ok=True)
    shutil.copy(folder / "server.out", kept)
    print(f"the logs are in {kept}", flush=True)


def _blow(options: Options, backend: Backend, adversary: Adversary) -> tuple[list[str], list[Customer]]:
    """The storm itself, up to where the backend has ended well. Returns the faults found, and all who were there."""
    kinds = works()
    backend.start()
    with client_of(backend) as client:
        expected = undisturbed(client, kinds)
    chance = random.Random(options.seed)
    manners = [MANNERS[k % len(MANNERS)] for k in range(options.jobs)]
    chance.shuffle(manners)
    entries = [Entry(chance.choice(kinds), manner) for manner in manners]
    customers = [
        Customer(k, entries[k :: options.customers], backend.environ, options.seed + k)
        for k in range(options.customers)
    ]
    for customer in customers:
        customer.start()
    for blow in range(options.blows):
        due = (blow + 0.5) / options.blows * options.jobs * 0.9
        _wait(customers, lambda due=due: sum(customer.finished for customer in customers) >= due)
        adversary.strike()
    _wait(customers, lambda: not any(customer.is_alive() for customer in customers))
    for customer in customers:
        for entry in customer.entries:
            if entry.last is not None and entry.last.state == "done" and entry.pictures is None:
                customer.fetch(entry)
    faults = list(faults_of_orders(entries, expected, adversary.struck, backend.log()))
    return [*faults, *_aftermath(backend, entries, len(kinds))], customers


def _aftermath(backend: Backend, entries: Sequence[Entry], more: int) -> Iterator[str]:
    """Ends the backend, after a last start that sweeps what the storm has left on the disk."""
    codes = [backend.stop()]
    backend.start()
    until(backend.worker, "the sweep, which comes before the worker")
    codes.append(backend.stop())
    if any(codes):
        yield f"the server ended with the exit codes {codes}"
    yield from faults_of_home(backend.home, entries, more)


def _wait(customers: Sequence[Customer], condition: Callable[[], bool]) -> None:
    def look() -> bool:
        for customer in customers:
            if customer.failure is not None:
                raise customer.failure
        return condition()

    until(look, "the customers", patience=600)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
