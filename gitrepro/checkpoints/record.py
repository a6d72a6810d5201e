"""What a run's record says of its checkpoints, from the events that told of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from .keep import BEST, KEPT_AT_MOST, LAST

SAVED: Final = "checkpoint"
DROPPED: Final = "checkpoint_dropped"
FIELDS: Final = (
    "blob", "created_at", "files", "format", "holds", "metric", "name", "path", "rank", "roles", "size_bytes", "step",
    "weights",
)  # fmt: skip


def from_events(events: Iterable[Mapping[str, Any]]) -> tuple[dict[str, Any], ...]:
    """The checkpoints that stand at the end, the oldest first, as `run.yaml` has them.

    A later best takes the role from an earlier one of the same metric and rank, a later last from the last before.
    """
    standing: list[dict[str, Any]] = []
    for event in events:
        if event.get("op") == SAVED and isinstance(event.get("blob"), str):
            standing = [*_without_roles_of(event, standing), _entry(event, standing)]
        elif event.get("op") == DROPPED:
            standing = [each for each in standing if each["blob"] != event.get("blob")]
    return _fitting([each for each in standing if each["roles"]])


def _entry(event: Mapping[str, Any], standing: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    entry = {name: event[name] for name in FIELDS if event.get(name) is not None}
    before = next((each for each in standing if each["blob"] == event["blob"]), {})
    roles = {*event.get("roles", ()), *(role for role in before.get("roles", ()) if role not in (BEST, LAST))}
    return {**entry, "metric": event.get("metric"), "roles": sorted(roles)}


def _without_roles_of(event: Mapping[str, Any], standing: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    taken = set(event.get("roles", ()))
    kept = []
    for each in standing:
        lost = set()
        if each.get("rank", 0) == event.get("rank", 0):
            lost = {LAST} & taken
            if BEST in taken and _metric(each) == _metric(event):
                lost.add(BEST)
        if each["blob"] != event["blob"]:
            kept.append({**each, "roles": [role for role in each["roles"] if role not in lost]})
    return kept


def _metric(entry: Mapping[str, Any]) -> tuple[Any, Any]:
    metric = entry.get("metric") or {}
    return metric.get("name"), metric.get("goal")


def _fitting(entries: list[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """As many as a record has room for: the best and the last, and the newest of the others."""
    first = [each for each in entries if set(each["roles"]) & {BEST, LAST}][-KEPT_AT_MOST:]
    others = [each for each in entries if each not in first]
    room = KEPT_AT_MOST - len(first)
    chosen = [*first, *(others[-room:] if room else [])]
    return tuple(each for each in entries if each in chosen)
