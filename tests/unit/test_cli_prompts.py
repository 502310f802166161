"""`pentimento prompt` and `pentimento styles`, which need no backend."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pentimento.cli import main


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home of its own for every test: no test may see or touch the user's files."""
    monkeypatch.setenv("PENTIMENTO_HOME", str(tmp_path))
    return tmp_path / "data"


def test_a_prompt_is_counted_and_drawn(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "wildcards").mkdir(parents=True)
    (home / "wildcards" / "time.txt").write_text("dawn\n", "utf-8")
    assert main(["prompt", "{a|a} lake at __time__", "--negative-prompt", "fog"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("prompt: ")
    assert lines[0].endswith(" of 75 tokens, 1 chunk")
    assert lines[1] == "a lake at dawn"
    assert lines[2].startswith("negative prompt: ")
    assert len(lines) == 3


def test_a_fault_is_told_with_its_place_and_exit_code_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prompt", "a (red house"]) == 2
    told = capsys.readouterr()
    assert told.out == "prompt: cannot be read\n"
    assert told.err.startswith('prompt, character 3, at "a (red house": this "(" is never closed.')
    assert main(["prompt", "a (red house", "--json"]) == 2
    assert json.loads(capsys.readouterr().out)["prompt"]["error"]["position"] == 3


@pytest.mark.parametrize("wrong", [["--steps", "0"], ["--model", "nonesuch"], ["--styles", "nonesuch"]])
def test_wrong_options_are_told(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["prompt", "a lake", *wrong]) != 0
    assert wrong[1] in capsys.readouterr().err


def test_styles_are_saved_listed_used_and_removed(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["styles"]) == 0
    assert str(home / "styles.csv") in capsys.readouterr().out
    assert main(["styles", "save", "oil", "{prompt}, oil painting", "--negative-prompt", "photo"]) == 0
    capsys.readouterr()
    assert main(["styles", "--json"]) == 0
    oil = {"name": "oil", "prompt": "{prompt}, oil painting", "negative_prompt": "photo"}
    assert json.loads(capsys.readouterr().out) == [oil]
    assert main(["styles"]) == 0
    assert capsys.readouterr().out.split() == ["oil", "{prompt},", "oil", "painting", "/", "not:", "photo"]
    assert main(["prompt", "a lake", "--styles", "oil"]) == 0
    assert "\na lake, oil painting\n" in capsys.readouterr().out
    assert main(["styles", "remove", "oil"]) == 0
    assert main(["styles", "remove", "oil"]) == 2
    assert "There is no style 'oil'" in capsys.readouterr().err
