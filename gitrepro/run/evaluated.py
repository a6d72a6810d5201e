"""The field `evaluations` of a record: what a run has evaluated, folded from its journals."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from ..records import yaml
from .tabulate import LIMIT

OP: Final = "evaluated"
ENTRIES_AT_MOST: Final = 64
_BYTES_AT_MOST: Final = 100 << 10


def evaluations(
    events: Iterable[Mapping[str, Any]], checkpoints: Iterable[Mapping[str, Any]], losses: list[dict[str, Any]]
) -> tuple[dict[str, Any], ...]:
    """The field `evaluations` of a record: of each name the best by its first metric, and the last.

    Args:
        checkpoints: those that stand at the end; an evaluation names that of its step.
        losses: gets an entry where there are more evaluations than a record has room for.
    """
    kept: dict[str, list[dict[str, Any]]] = {}
    for event in events:
        if event.get("op") == OP:
            entry = dict(event["entry"])
            kept[str(entry["name"])] = _best_and_last(kept.get(str(entry["name"]), []), entry)
    saved = {each.get("step"): str(each["blob"]) for each in checkpoints}
    found = [{**entry, "checkpoint": saved.get(entry.get("step"))} for own in kept.values() for entry in own]
    return _fitting(found, losses)


def _best_and_last(before: Sequence[dict[str, Any]], entry: dict[str, Any]) -> list[dict[str, Any]]:
    # The first one stands for all earlier ones that are no better.
    if not before or not _is_better(before[0], entry):
        return [entry]
    return [before[0], entry]


def _is_better(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether the first metric of an evaluation is better than that of a later one; of equal ones the later stands."""
    names = [name for name in one["metrics"] if name in other["metrics"]]
    if not names:
        return False
    here, there = one["metrics"][names[0]], other["metrics"][names[0]]
    return better(float(here["value"]), float(there["value"]), str(here["goal"]))


def _fitting(entries: Sequence[dict[str, Any]], losses: list[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    room, kept = _BYTES_AT_MOST, []
    for entry in reversed(entries[-ENTRIES_AT_MOST:]):
        room -= len(yaml.dump({"entry": entry}))
        if room < 0:
            break
        kept.append(entry)
    if left := len(entries) - len(kept):
        why = f"a record has room for {len(kept)}: the last ones"
        losses.append({"kind": LIMIT, "what": f"{left} evaluations more", "why": why})
    return tuple(reversed(kept))


def better(value: float, than: float, goal: str) -> bool:
    """Whether a value is better than another one; any number is better than NaN."""
    return value == value and (than != than or (value > than if goal == "max" else value < than))
