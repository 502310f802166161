"""How much one address beyond this machine may ask of the server. This machine's own programs may ask all they like:
a limit that somebody else's wrong guesses could fill would lock the artist out."""

from __future__ import annotations

import ipaddress
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from pentimento.jobs.problem import Problem

MOST_ADDRESSES: Final = 4096
"""Of how many addresses it is known what they asked; those that asked longest ago are forgotten first."""


@dataclass(frozen=True)
class Limits:
    """Per address: requests in a second, on average and at once; wrong tokens before it is shut out, for how many
    seconds; open connections; jobs in the queue."""

    requests: float = 50.0
    burst: int = 200
    wrong_tokens: int = 10
    shut_out_s: float = 60.0
    connections: int = 32
    waiting_jobs: int = 50


LIMITS: Final = Limits()


@dataclass
class _Record:
    """What is known of an address: requests it has in hand (a token bucket), wrong tokens, and since when."""

    left: float
    at: float
    wrong: int = 0
    out_until: float = field(default=0.0)


class Gate:
    """Counts what addresses ask. Safe for any thread. `local` says which addresses are not counted."""

    def __init__(
        self,
        limits: Limits = LIMITS,
        clock: Callable[[], float] = time.monotonic,
        local: Callable[[str], bool] | None = None,
    ) -> None:
        self.limits = limits
        self.local = of_this_machine if local is None else local
        self._clock = clock
        self._lock = threading.Lock()
        self._records: OrderedDict[str, _Record] = OrderedDict()

    def admit(self, address: str) -> Problem | None:
        """Counts a request. The problem (429) when it is one too many, or too many tokens before it were wrong."""
        if self.local(address):
            return None
        with self._lock:
            now = self._clock()
            record = self._record(address, now)
            if now < record.out_until:
                return Problem(429, f"Too many wrong tokens came from {address}. Try again in a minute.")
            record.left = min(self.limits.burst, record.left + (now - record.at) * self.limits.requests)
            record.at = now
            if record.left < 1:
                most = f"{self.limits.requests:g} a second"
                return Problem(429, f"Too many requests came from {address}; allowed: {most}.", allowed=most)
            record.left -= 1
            return None

    def wrong_token(self, address: str) -> None:
        """Notes that a request of that address had no right token."""
        if self.local(address):
            return
        with self._lock:
            now = self._clock()
            record = self._record(address, now)
            record.wrong += 1
            if record.wrong >= self.limits.wrong_tokens:
                record.wrong, record.out_until = 0, now + self.limits.shut_out_s

    def most_connections(self, address: str) -> int | None:
        """How many connections that address may hold open; None: no limit of its own."""
        return None if self.local(address) else self.limits.connections

    def most_waiting(self, address: str) -> int | None:
        """How many jobs that address may have in the queue; None: no limit."""
        return None if self.local(address) else self.limits.waiting_jobs

    def client(self, address: str, application: str | None) -> str:
        """Who takes turns with the others: on this machine each application, beyond it each address, whatever
        application it says it is."""
        return (application or "") if self.local(address) else address

    def _record(self, address: str, now: float) -> _Record:
        record = self._records.setdefault(address, _Record(self.limits.burst, now))
        self._records.move_to_end(address)
        while len(self._records) > MOST_ADDRESSES:
            self._records.popitem(last=False)
        return record


def of_this_machine(address: str) -> bool:
    """Whether a connection from that IP address began on this machine's loopback interface."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = ip.ipv4_mapped if isinstance(ip, ipaddress.IPv6Address) else None
    return (mapped or ip).is_loopback
