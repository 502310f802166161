"""Clients take turns: whoever has many jobs in the queue does not keep another's single one waiting."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pentimento.jobs.problem import Problem
from pentimento.jobs.queue import TooManyWaiting
from pentimento.jobs.turns import MOST_REMEMBERED, Waiting, after_turn, in_turn
from tests.server.test_store import SUBMISSION, Desk


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def test_a_newcomer_waits_for_one_job_of_each_other(desk: Desk) -> None:
    batch = [desk.submit(client="script") for _ in range(4)]
    assert desk.claim() == batch[0]
    single = desk.submit(client="krita")
    before = desk.view(batch[3]).rev
    assert [desk.view(job_id).position for job_id in (single, *batch[1:])] == [1, 2, 3, 4]
    desk.jobs.cancel(batch[0])
    assert desk.claim() == single
    late = desk.submit(client="krita")
    assert desk.view(late).position == 2, "krita has just had a turn"
    assert desk.view(batch[3]).position == 4
    assert desk.view(batch[3]).rev > before, "who waits is told that the place has changed"


def test_a_job_whose_worker_died_goes_before_all_and_costs_no_turn(desk: Desk) -> None:
    first, second = desk.submit(client="a"), desk.submit(client="a")
    assert desk.claim() == first
    other = desk.submit(client="b")
    assert desk.jobs.died(first, Problem(500, "dead"))
    assert [desk.view(job_id).position for job_id in (first, other, second)] == [1, 2, 3]
    assert desk.claim() == first
    desk.jobs.cancel(first)
    assert desk.claim() == other


def test_a_rerun_can_be_cancelled_in_the_queue(desk: Desk) -> None:
    first, second = desk.submit(), desk.submit()
    desk.claim()
    desk.jobs.died(first, Problem(500, "dead"))
    desk.jobs.cancel(first)
    assert desk.claim() == second


def test_turns_and_order_survive_a_restart(desk: Desk, tmp_path: Path) -> None:
    jobs = [desk.submit(client=name) for name in ("a", "a", "b", "a", "b")]
    again = Desk(tmp_path)
    assert [again.view(job_id).position for job_id in jobs] == [1, 3, 2, 5, 4]


def test_how_many_may_wait(desk: Desk) -> None:
    keyed = replace(SUBMISSION, client="far", key="k")
    running = desk.jobs.submit(keyed, most=2)[0].record.id
    desk.submit(client="far")
    with pytest.raises(TooManyWaiting, match="2 jobs"):
        desk.jobs.submit(replace(SUBMISSION, client="far"), most=2)
    assert desk.jobs.submit(keyed, most=2)[1] is False, "a retry is no new job"
    assert desk.jobs.submit(replace(SUBMISSION, client="near"), most=2)[1]
    desk.claim()
    assert desk.jobs.submit(replace(SUBMISSION, client="far"), most=2)[1], "what runs does not wait"
    assert desk.view(running).record.state.value == "running"


clients = st.lists(st.sampled_from("abc"), max_size=30)


@given(clients, clients)
def test_nobody_overtakes_or_starves(names: list[str], later: list[str]) -> None:
    waiting = [Waiting(str(number), name) for number, name in enumerate(names)]
    arriving = [Waiting(str(number), name) for number, name in enumerate(later, len(names))]
    served: dict[str, int] = {}
    ran: list[Waiting] = []
    while waiting or arriving:
        waiting += arriving[:1]
        del arriving[:1]
        promised = in_turn(waiting, served)
        names_waiting = {entry.client for entry in waiting}
        assert {entry.client for entry in promised[: len(names_waiting)]} == names_waiting, "each has one in a round"
        entry = promised[0]
        waiting.remove(entry)
        served = after_turn(served, entry.client)
        assert arriving or in_turn(waiting, served) == promised[1:], "the order that was shown is kept to"
        ran.append(entry)
    for name in "abc":
        own = [int(entry.job) for entry in ran if entry.client == name]
        assert own == sorted(own)


def test_the_memory_of_turns_is_bounded() -> None:
    served: dict[str, int] = {}
    for number in range(3 * MOST_REMEMBERED):
        served = after_turn(served, f"client {number}")
    assert len(served) == MOST_REMEMBERED
    assert served[f"client {3 * MOST_REMEMBERED - 1}"] == max(served.values())
