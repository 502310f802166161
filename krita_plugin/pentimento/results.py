"""The results of a document, from the records on its layers: plain Python, no editor and no Qt."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pentimento_shared.layer_record import LayerRecord
from pentimento_shared.recipe import RecipeError


@dataclass(frozen=True)
class Result:
    """A layer that Pentimento made, and what it remembers."""

    layer: str
    record: LayerRecord

    @property
    def title(self) -> str:
        """The prompt on one line."""
        return " ".join(str(self.record.recipe.settings["prompt"]).split()) or "No prompt"

    @property
    def seed(self) -> int:
        return self.record.recipe.seed


def read_results(records: Mapping[str, str], known: Mapping[str, tuple[str, Result]]) -> dict[str, tuple[str, Result]]:
    """The records by layer with their texts, parsed where `known` (what this gave last time) does not have them.

    Records that cannot be read are left out: they are a stranger's, or of a newer version.
    """
    results: dict[str, tuple[str, Result]] = {}
    for layer, text in records.items():
        if layer in known and known[layer][0] == text:
            results[layer] = known[layer]
            continue
        try:
            results[layer] = text, Result(layer, LayerRecord.from_json(text))
        except RecipeError:
            continue
    return results


def newest_first(results: Sequence[Result]) -> list[Result]:
    """By the time of making; of a batch in the order of its seeds."""
    by_seed = sorted(results, key=lambda result: result.seed)
    return sorted(by_seed, key=lambda result: result.record.recipe.created, reverse=True)


def parent(result: Result, results: Sequence[Result]) -> Result | None:
    """The result that this one refines; None when it refines none, or that layer is gone."""
    wanted = result.record.recipe.parent
    return next((other for other in results if wanted is not None and other.record.recipe.id == wanted), None)


def child(result: Result, results: Sequence[Result]) -> Result | None:
    """The newest result that refines this one."""
    own = [other for other in results if other.record.recipe.parent == result.record.recipe.id]
    return newest_first(own)[0] if own else None


def chain(result: Result, results: Sequence[Result]) -> list[Result]:
    """`result`, its parent, that one's parent, and so on; it ends also when a file has them go round in a circle."""
    found = [result]
    while (above := parent(found[-1], results)) is not None and above not in found:
        found.append(above)
    return found


def siblings(result: Result, results: Sequence[Result]) -> list[Result]:
    """The other pictures of its batch."""
    job = result.record.job
    return [other for other in results if other.record.job == job and other.layer != result.layer]
