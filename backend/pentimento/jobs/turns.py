"""Whose turn it is: clients take turns, and each client's own jobs keep their order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

MOST_REMEMBERED: Final = 256
"""Of how many clients it is known when they had their last turn; longer ago is as good as never."""


class Waiting(NamedTuple):
    """A job in the queue and the client that submitted it."""

    job: str
    client: str


def in_turn(waiting: Iterable[Waiting], served: Mapping[str, int]) -> list[Waiting]:
    """The order in which jobs run that are given in the order of submission.

    Round by round: every client has one job in each as long as it has any, so that a thousand jobs of one hold up
    another's first by one. Within each round whoever had a turn longest ago comes first: `served` numbers the last turn
    of each client, upwards; who is not in it never had one. Among those whose first job is the oldest comes first.
    """
    waiting = list(waiting)
    arrival: dict[str, int] = {}
    for place, entry in enumerate(waiting):
        arrival.setdefault(entry.client, place)
    seen: Counter[str] = Counter()
    rounds: list[tuple[int, Waiting]] = []
    for entry in waiting:
        rounds.append((seen[entry.client], entry))
        seen[entry.client] += 1
    return [
        entry
        for _, entry in sorted(rounds, key=lambda one: (one[0], served.get(one[1].client, 0), arrival[one[1].client]))
    ]


def after_turn(served: Mapping[str, int], client: str) -> dict[str, int]:
    """`served` after that client had its turn; the oldest turns beyond MOST_REMEMBERED are forgotten."""
    turn = max(served.values(), default=0) + 1
    others = sorted((number, name) for name, number in served.items() if name != client)
    return {**{name: number for number, name in others[-(MOST_REMEMBERED - 1) :]}, client: turn}
