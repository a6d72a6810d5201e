"""What a run says of the holdout logs of its splits, folded from its journals: the field `holdouts` of its record."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from ..errors import GitreproError
from ..records import yaml
from ..records.holdout import Entry, load_entry
from ..records.run import RunRecord
from .tabulate import LIMIT

OP: Final = "holdout"
_SPLITS_AT_MOST: Final = 100
_OPENED_AT_MOST: Final = 100
_CARRIED_AT_MOST: Final = 20
_BYTES_AT_MOST: Final = 100 << 10


def holdouts(events: Iterable[Mapping[str, Any]], losses: list[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    """One entry for each split that has a log: `{split, head, count, opened, carried}`.

    `head` and `count` are what was seen of the log last. `opened` are the ids of the entries by which this run opened a
    part, and `carried` those of them that could not be written there and then: they go into the log with the run.

    Args:
        losses: gets an entry where there are more than a record has room for.
    """
    found: dict[str, dict[str, Any]] = {}
    for event in events:
        if event.get("op") == OP:
            _take(found.setdefault(str(event["split"]), {"split": event["split"]}), event)
    return _fitting([*found.values()], losses)


def _take(known: dict[str, Any], event: Mapping[str, Any]) -> None:
    if int(event["count"]) >= int(known.get("count", 0)):
        known |= {"count": event["count"], "head": list(event["head"])}
    if (opened := event.get("opened")) and len(known.get("opened", ())) < _OPENED_AT_MOST:
        known["opened"] = [*known.get("opened", ()), opened]
    if (carried := event.get("carried")) and len(known.get("carried", ())) < _CARRIED_AT_MOST:
        known["carried"] = [*known.get("carried", ()), carried]


def _fitting(entries: list[dict[str, Any]], losses: list[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    room, kept = _BYTES_AT_MOST, []
    # What only this record knows is the last to be left out.
    for entry in sorted(entries, key=lambda each: "carried" not in each)[:_SPLITS_AT_MOST]:
        room -= len(yaml.dump({"entry": entry}))
        if room < 0:
            break
        kept.append(entry)
    if left := len(entries) - len(kept):
        why = f"a record has room for {len(kept)} here"
        losses.append({"kind": LIMIT, "what": f"the holdout logs of {left} splits more", "why": why})
    return tuple(kept)


def carried(record: RunRecord) -> tuple[Entry, ...]:
    """The entries of holdout logs that a run brings along. One that cannot be read is left in the record alone."""
    found = []
    for each in record.holdouts:
        for document in each.get("carried") or ():
            try:
                found.append(load_entry(yaml.dump(document), source="an entry that a run carries"))
            except (GitreproError, TypeError, AttributeError):
                continue
    return tuple(found)
