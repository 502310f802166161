"""What an editor learns of prompts while they are written: real threads, a real server, and one that dies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pentimento_shared.client import Client
from pentimento_shared.prompt_check import Finding, Findings, PromptCheck
from tests.conftest import StartServer
from tests.server.serving import PATIENCE_S, ServerProcess, until


@pytest.fixture
def check(server: ServerProcess) -> Iterator[PromptCheck]:
    made = PromptCheck(lambda: Client(server.url, server.token))
    yield made
    made.close()


def found(check: PromptCheck, **settings: str) -> Findings:
    """What is known of these settings in the end."""
    settings = {"model": "tiny", "negative_prompt": "", **settings}
    deadline = time.monotonic() + PATIENCE_S
    while (now := check.look(settings)) == Findings():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return now


def test_both_prompts_are_counted(check: PromptCheck) -> None:
    findings = found(check, prompt="a lake", negative_prompt="x" * 80)
    assert findings.prompts == {"prompt": Finding("5/75"), "negative_prompt": Finding("80/150")}


def test_a_fault_has_its_place_and_goes_while_it_is_mended(check: PromptCheck) -> None:
    fault = found(check, prompt="a (lake").of("prompt")
    assert (fault.count, fault.position) == ("", 3)
    assert "character 3" in fault.fault
    mended = {"model": "tiny", "negative_prompt": "", "prompt": "a (lake)"}
    assert check.look(mended).of("prompt") == Finding()
    until(lambda: check.look(mended).of("prompt") == Finding("5/75"))


def test_an_unknown_style_is_a_problem_of_its_own(check: PromptCheck) -> None:
    assert "There is no style 'nonesuch'" in found(check, prompt="a", styles="nonesuch").problem


def test_looking_costs_nothing_while_nobody_answers(start_server: StartServer, tiny_model: Path) -> None:
    server = start_server(model=tiny_model)
    check = PromptCheck(lambda: Client(server.url, server.token))
    try:
        assert found(check, prompt="ab").of("prompt") == Finding("2/75")
        server.kill()
        until(lambda: check.look({"prompt": "abc"}) == Findings())
        times = []
        for k in range(200):
            before = time.perf_counter()
            check.look({"prompt": f"abc{k}"})
            times.append(time.perf_counter() - before)
        assert sorted(times)[-10] < 0.005
    finally:
        check.close()
