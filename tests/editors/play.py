"""Plays a script's cases in an editor by hand: `python -m tests.editors.play krita SCRIPT [--case NAME]`.

The editor is `krita`, `gimp` (no window) or `gimp-window`. Prints how each case went and where the run's files are.
With `--plugin` the plugin of this checkout is installed for it, as `pentimento plugins install` does.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from tests.editors.harness import (
    PATIENCE_S,
    PROJECT,
    Chamber,
    EditorRun,
    cases_of,
    install_plugin,
    play_gimp,
    play_krita,
)
from tests.editors.root import NoEditors, provide


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("editor", choices=["krita", "gimp", "gimp-window"])
    parser.add_argument("script", type=Path)
    parser.add_argument("--case", action="append", help="only this one; may be given more than once")
    parser.add_argument("--give", type=json.loads, default={}, help="JSON object for the cases (stage.given)")
    parser.add_argument("--plugin", action="store_true", help="with this checkout's plugin installed")
    parser.add_argument("--home", type=Path, help="PENTIMENTO_HOME: the home of a running backend")
    parser.add_argument("--out", type=Path, help="a new folder for the run's files; without it a temporary one")
    parser.add_argument("--patience", type=float, default=PATIENCE_S, help="s until the editor is killed")
    given = parser.parse_args()
    folder = given.out or Path(tempfile.mkdtemp(prefix="pentimento-play-"))
    folder.mkdir(parents=True, exist_ok=True)
    try:
        drafts = [] if given.script.resolve().is_relative_to(PROJECT) else [given.script.resolve().parent]
        chamber = Chamber(provide(), [folder, *drafts, *([given.home] if given.home else [])])
    except NoEditors as reason:
        sys.exit(str(reason))
    run = play(chamber, given, folder.resolve())
    for name in given.case or cases_of(given.script):
        report(run, name)
    print(f"\n{run.seconds:.1f} s, exit code {run.code}; files, screenshots, stdout and stderr: {run.folder}")
    return 0 if all(played.error is None for played in run.cases.values()) and not run.code else 1


def play(chamber: Chamber, given: argparse.Namespace, folder: Path) -> EditorRun:
    environ = {"PENTIMENTO_HOME": str(given.home.resolve())} if given.home else {}
    prepare = partial(install_plugin, editor="krita" if given.editor == "krita" else "gimp", root=chamber.root)
    options: dict[str, Any] = {"cases": given.case, "given": given.give, "environ": environ, "patience": given.patience}
    if given.plugin:
        options["prepare"] = prepare
    if given.editor == "krita":
        return play_krita(chamber, given.script, folder, **options)
    return play_gimp(chamber, given.script, folder, window=given.editor == "gimp-window", **options)


def report(run: EditorRun, name: str) -> None:
    try:
        facts = run.check(name)
    except AssertionError as error:
        print(f"FAILED {name}\n{error}")
    else:
        print(f"passed {name} ({run.cases[name].seconds:.2f} s)  {'' if facts is None else json.dumps(facts)}")


if __name__ == "__main__":
    sys.exit(main())
